"""The urgent form: the placeholders of an urgent template become fields, and the filled template an urgent draft (X-15).

The placeholders of the day (`日付`, `日付（短）`; `day`, `day in short`) are filled from the chosen day. Every other
placeholder is one field. templates.json lists its usual values under `choices`; an empty value leaves out the lines
that hold the placeholder. What is not filled in stays a placeholder, so the notice cannot be sent.
"""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

import clock
import i18n
from core.notices import drafts, questions
from core.notices.placeholders import find_placeholders
from core.notices.templates import REMIND_EVERY_S, REMIND_TIMES, TemplateChoice, TemplateContent
from models import Notice, User

OMIT = "-"
"""The posted value that leaves out the lines of a placeholder."""
EVENING = time(15)
"""From this hour on, "tomorrow" is the usual day of a closed school."""
_DAY_NAMES = ("日付", "day")
_SHORT_DAY_NAMES = ("日付（短）", "day in short")
OWN_CODE = "own"
OWN_TEMPLATE = TemplateChoice(OWN_CODE, TemplateContent("", "", "", urgent=True, kind="emergency"))
"""The author writes subject and text."""


@dataclass(frozen=True, slots=True)
class FormField:
    """A placeholder to be filled in. choices: its usual values; may_omit: its lines may be left out."""

    name: str
    choices: tuple[str, ...] = ()
    may_omit: bool = False


def form_fields(template: TemplateChoice) -> list[FormField]:
    """Return the fields of a template in the order of its text, without those of the day."""
    known = template.choices
    names = [place[1:-1] for place in find_placeholders(*_texts(template.words))]
    return [
        FormField(name, tuple(value for value in known.get(name, ()) if value), "" in known.get(name, ()))
        for name in names
        if name not in (*_DAY_NAMES, *_SHORT_DAY_NAMES)
    ]


def uses_day(template: TemplateChoice) -> bool:
    names = {place[1:-1] for place in find_placeholders(*_texts(template.words))}
    return bool(names & {*_DAY_NAMES, *_SHORT_DAY_NAMES})


def _texts(content: TemplateContent) -> list[str]:
    asked = [text for draft in content.questions for text in (draft.heading, draft.text, *draft.choices)]
    return [content.text, content.subject, *asked]


def offered_days(now: datetime) -> list[date]:
    """Return today and tomorrow; before a weekend also Monday."""
    today = clock.to_local(now).date()
    days = [today, today + timedelta(days=1)]
    if days[1].weekday() >= 5:
        days.append(days[1] + timedelta(days=7 - days[1].weekday()))
    return days


def usual_day(template: TemplateChoice, now: datetime) -> date:
    """Return tomorrow for a school that is closed in the afternoon or evening, else today."""
    days = offered_days(now)
    is_closing = template.key in ("closed", "wait", "later")
    return days[1] if is_closing and clock.to_local(now).time() >= EVENING else days[0]


def fill_template(
    template: TemplateChoice, day: date | None, values: Mapping[str, str], remark: str, language: str
) -> TemplateContent:
    """Return the content with the day, the values and one more paragraph above the signature filled in."""
    filled = {f"〔{name}〕": value for name, value in values.items() if value}
    if day:
        filled |= dict.fromkeys((f"〔{name}〕" for name in _DAY_NAMES), i18n.format_day(language, day))
        filled |= dict.fromkeys((f"〔{name}〕" for name in _SHORT_DAY_NAMES), questions.short_day(language, day))
    content = template.words
    asked = tuple(
        replace(
            draft,
            text=_fill(draft.text, filled),
            heading=_fill(draft.heading, filled),
            choices=tuple(_fill(choice, filled) for choice in draft.choices),
        )
        for draft in content.questions
    )
    return replace(
        content,
        subject=_fill(content.subject, filled),
        text=_add_paragraph(_fill(content.text, filled), remark.strip()),
        html=_fill_html(content.html, filled, remark.strip()) if content.html else "",
        questions=asked,
    )


def _fill(text: str, values: Mapping[str, str]) -> str:
    omitted = [place for place, value in values.items() if value == OMIT]
    lines = [line for line in text.split("\n") if not any(place in line for place in omitted)]
    text = "\n".join(lines)
    for place, value in values.items():
        text = text.replace(place, value)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


def _fill_html(text: str, values: Mapping[str, str], remark: str) -> str:
    for place, value in values.items():
        text = text.replace(place, "" if value == OMIT else html.escape(value))
    return text + "".join(f"<p>{html.escape(line)}</p>" for line in remark.split("\n") if line.strip())


def _add_paragraph(text: str, paragraph: str) -> str:
    """Insert a paragraph before the last one, which is the signature."""
    if not paragraph:
        return text
    body, gap, signature = text.rstrip().rpartition("\n\n")
    return f"{body}\n\n{paragraph}\n\n{signature}\n" if gap else f"{text.rstrip()}\n\n{paragraph}\n"


def save_as_draft(content: TemplateContent, lists: Iterable[int], by: User, form_key: str, now: datetime) -> Notice:
    """Save the content and recipients as an urgent draft, the same one for the same key. Raises NotADraft."""
    notice = drafts.create_draft(by, now=now, form_key=form_key, urgent=True)
    body: dict[str, Any] = {"html": content.html} if content.html else {"text": content.text}
    drafts.save_draft(
        notice,
        now=now,
        subject=content.subject,
        **body,
        read_confirmation=content.read_confirmation,
        questions=list(content.questions),
        reminder_rule={"every_s": REMIND_EVERY_S, "times": REMIND_TIMES},
        wizard_step=2,
    )
    drafts.set_recipients(notice, lists=lists, now=now)
    return notice
