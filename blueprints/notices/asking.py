"""The questions under the words: how the form shows them, and how it is read; add and remove are form posts (T-49).

One deadline, one unit and one line for remarks serve all questions of a notice written here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from flask import Response, render_template, request
from wtforms import SelectChoice

import clock
import web
from blueprints.notices import bp
from blueprints.notices.forms import WordsForm
from core.organization import settings
from core.writing import questions, ready_made
from core.writing.questions import Ask
from models import Notice
from words import N_

_KIND = re.compile(r"q(\d{1,3})-kind")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass
class Sheet:
    """One question as the form shows it; for a date finding `days` holds one day in each line."""

    kind: str
    title: str
    choices: list[str] = field(default_factory=list)
    days: str = ""

    @property
    def fixed(self) -> bool:
        return self.kind in ready_made.KINDS and ready_made.KINDS[self.kind].fixed

    @property
    def rows(self) -> list[str]:
        """Return the choices to show, with an empty place for the next one."""
        if self.fixed or len(self.choices) >= questions.MOST_CHOICES:
            return self.choices
        return [*self.choices, *[""] * max(1, 2 - len(self.choices))]


def sheets_of(notice: Notice) -> list[Sheet]:
    """Return the questions of a draft as the form shows them."""
    return [_sheet(block) for block in questions.blocks(questions.of(notice))]


def _sheet(block: questions.Block) -> Sheet:
    first = block.questions[0]
    days = "\n".join(one.text for one in block.questions if one.text) if block.days else ""
    return Sheet(first.kind, block.title, [one.text for one in first.options], days)


def shared_of(notice: Notice) -> dict[str, Any]:
    """Return what holds for all questions of a draft, for the form."""
    asked = questions.of(notice)
    end = asked[0].deadline if asked else None
    local = clock.local(end) if end else None
    whole_day = local is not None and (local.hour, local.minute) == questions.END_OF_DAY
    return {
        "unit": asked[0].unit if asked else "household",
        "comment": any(one.comment for one in asked),
        "deadline_day": local.strftime("%Y-%m-%d") if local else "",
        "deadline_time": local.strftime("%H:%M") if local and not whole_day else "",
    }


def with_units(form: WordsForm) -> WordsForm:
    """Give the form its choice of who answers once."""
    form.unit.choices = [SelectChoice(name, web._(shown)) for name, shown in questions.UNITS.items()]
    return form


# ── reading the form ─────────────────────────────────────────────────────────────────────────────────────────────


def posted(form: WordsForm) -> list[Sheet] | None:
    """Return the questions that the form carries, after what its button does; None if it carries none at all."""
    if "asks" not in request.form:
        return None
    places = sorted({int(found[1]) for name in request.form if (found := _KIND.fullmatch(name))})
    sheets = {place: _read(place) for place in places[: questions.MOST_QUESTIONS]}
    match request.form.get("act", "").split(":"):
        case ["drop", place] if place.isdecimal():
            sheets.pop(int(place), None)
        case ["drop", place, number] if place.isdecimal() and number.isdecimal():
            _drop_choice(sheets.get(int(place)), int(number))
        case ["ask", kind] if kind in ready_made.KINDS and len(sheets) < questions.MOST_QUESTIONS:
            return [*sheets.values(), _fresh(kind, form, first=not sheets)]
    for sheet in sheets.values():
        sheet.choices = [text for text in sheet.choices if text]
    return list(sheets.values())


def _fresh(kind: str, form: WordsForm, first: bool) -> Sheet:
    """Return a ready-made question; the first one brings its unit and its line for remarks."""
    ask = ready_made.ask(kind, settings().language)
    if first:
        form.unit.data, form.comment.data = ask.unit, ask.comment
    return Sheet(kind, ask.heading or ask.text, list(ask.choices))


def _read(place: int) -> Sheet:
    texts = request.form.getlist(f"q{place}-choice")[: questions.MOST_CHOICES]
    kind = request.form[f"q{place}-kind"]
    return Sheet(
        kind if kind in ready_made.KINDS else "own",
        request.form.get(f"q{place}-text", "").strip()[: questions.LONGEST],
        [text.strip()[: questions.LONGEST] for text in texts],
        request.form.get(f"q{place}-days", "").replace("\r\n", "\n"),
    )


def _drop_choice(sheet: Sheet | None, number: int) -> None:
    if sheet and not sheet.fixed and number < len(sheet.choices):
        del sheet.choices[number]


def is_act() -> bool:
    """Say whether a button of the questions was pressed; the form then comes back with them."""
    return request.form.get("act", "").partition(":")[0] in ("ask", "choice", "drop")


def values(form: WordsForm) -> dict[str, Any]:
    """Return the questions to be saved, if the form carries any section of them."""
    return {} if form.sheets is None else {"questions": asks_of(form.sheets, form)}


def differs(notice: Notice, form: WordsForm) -> bool:
    """Say whether the form's questions are others than those saved."""
    return form.sheets is not None and asks_of(form.sheets, form) != questions.as_written(notice)


@bp.app_template_global("questions_of")
def questions_of(notice: Notice) -> tuple[questions.Asked, ...]:
    """Give templates the questions of a notice."""
    return questions.of(notice)


@bp.app_template_global("deadline_words")
def deadline_words(deadline: datetime) -> str:
    """Return a deadline in the words of this page."""
    return questions.until(web.language(), deadline)


def shown(notice: Notice, form: WordsForm) -> dict[str, Any]:
    """Return what the section of the questions needs."""
    end = deadline_of(form)
    return {
        "sheets": sheets_of(notice) if form.sheets is None else form.sheets,
        "kinds": ready_made.KINDS,
        "until": questions.until(web.language(), end),
        "most": questions.MOST_QUESTIONS,
    }


def again(notice: Notice, form: WordsForm, mark: str) -> Any:
    """Answer a button of the questions with their section, the new one or the next empty line in focus."""
    if not web.is_htmx():
        return web.go("notices.words", number=notice.id, _anchor="questions")
    page = render_template(
        "notices/_asked_again.html", notice=notice, form=form, mark=mark, act=request.form.get("act", ""),
        elsewhere=False, **shown(notice, form),
    )  # fmt: skip
    return Response(page, headers={"HX-Retarget": "#questions", "HX-Reswap": "outerHTML"})


def asks_of(sheets: Iterable[Sheet], form: WordsForm) -> list[Ask]:
    """Return the questions to be saved. The line for remarks stands under the last one."""
    unit = form.unit.data if form.unit.data in questions.UNITS else "household"
    shared = {"unit": unit, "deadline": deadline_of(form)}
    asks: list[Ask] = []
    for sheet in sheets:
        choices = tuple(one for one in sheet.choices if one)
        if sheet.kind == "days":
            days = [line.strip()[: questions.LONGEST] for line in sheet.days.split("\n") if line.strip()] or [""]
            asks += [Ask(day, choices, "days", heading=sheet.title, **shared) for day in days]
        else:
            asks.append(Ask(sheet.title, choices, sheet.kind, **shared))
    asks = asks[: questions.MOST_QUESTIONS]
    if asks and form.comment.data:
        last = asks[-1]
        asks[-1] = Ask(last.text, last.choices, last.kind, last.heading, last.unit, last.deadline, comment=True)
    return asks


def deadline_of(form: WordsForm) -> datetime | None:
    """Return the deadline of the form: the end of a day, or a time of it."""
    at = web.wanted_time(form.deadline_day.data or "")
    if at is None:
        return None
    day, typed = clock.local(at).date(), _TIME.fullmatch(form.deadline_time.data or "")
    if typed is None:
        return questions.end_of(day)
    return clock.from_local(datetime.combine(day, time(int(typed[1]), int(typed[2]))))


def blame(form: WordsForm) -> bool:
    """Put a sentence on a deadline that cannot be read; say whether there is one."""
    day, hour = (form.deadline_day.data or "").strip(), (form.deadline_time.data or "").strip()
    if day and web.wanted_time(day) is None:
        web.blame(form, "deadline_day", N_("Write the day like 2026-11-07."))
    elif hour and not day:
        web.blame(form, "deadline_day", N_("Choose the day of the deadline too."))
    elif hour and not _TIME.fullmatch(hour):
        web.blame(form, "deadline_time", N_("Write the time like 21:00."))
    return bool(form.deadline_day.errors or form.deadline_time.errors)
