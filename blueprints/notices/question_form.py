"""Form section of the questions: terms shared by all questions and terms of one question (T-48).

The form asks once for deadline, unit and remarks line, because most notices need only one of each. A question may
override them; an empty field means the shared term. The database stores terms per question only, so the form shows
the most common values as the shared terms.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from typing import Any, Protocol

from flask import Response, render_template, request
from wtforms import SelectChoice

import clock
import web
from blueprints.notices import bp
from blueprints.notices.forms import ContentForm
from core.notices import questions
from core.notices.questions import QuestionBlock, QuestionDraft
from core.settings import load_settings
from i18n import N_
from models import Notice

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
REMARKS_LABELS: dict[str, str] = {"yes": N_("with a line for remarks"), "no": N_("without a line for remarks")}


@dataclass(frozen=True, slots=True)
class QuestionTerms:
    """Overrides of one question, as typed. Empty: shared term. endless: no deadline, even if a shared one is set."""

    unit: str = ""
    day: str = ""
    hour: str = ""
    endless: bool = False
    remarks: str = ""

    @property
    def wrong(self) -> str:
        """Return the error message of the deadline, or an empty string."""
        return _deadline_error(self.day, self.hour)[1]

    @property
    def shown(self) -> list[str]:
        """Return the overrides as texts for the collapsed line."""
        end = parse_deadline(self.day, self.hour)
        until = web._("until %(day)s", day=questions.deadline_text(web.language(), end)) if end else ""
        parts = (
            web._("without a deadline") if self.endless else until,
            web._(questions.UNIT_LABELS[self.unit]) if self.unit else "",
            web._(REMARKS_LABELS[self.remarks]) if self.remarks else "",
        )
        return [part for part in parts if part]


# ── database to form ───────────────────────────────────────────────────────────────────────────────────────────────
def shared_terms(blocks: Sequence[QuestionBlock]) -> dict[str, Any]:
    day, hour = _deadline_fields(_most_common(block.deadline for block in blocks))
    return {
        "unit": _most_common(block.unit for block in blocks) or "household",
        "comment": any(block.comment for block in blocks),
        "deadline_day": day,
        "deadline_time": hour,
    }


def terms_of_block(block: QuestionBlock, blocks: Sequence[QuestionBlock]) -> QuestionTerms:
    """Return the terms in which a question differs from the shared ones."""
    end = _most_common(other.deadline for other in blocks)
    day, hour = _deadline_fields(block.deadline) if block.deadline != end else ("", "")
    return QuestionTerms(
        block.unit if block.unit != _most_common(other.unit for other in blocks) else "",
        day,
        hour,
        endless=block.deadline is None and end is not None,
        remarks=_remarks_setting(block, blocks),
    )


def _remarks_setting(block: QuestionBlock, blocks: Sequence[QuestionBlock]) -> str:
    """Return "yes", "no" or "" (shared). The last remarks line is the shared one."""
    lines = [place for place, other in enumerate(blocks) if other.comment]
    place = blocks.index(block)
    if not lines or place == lines[-1]:
        return ""
    return "yes" if place in lines else "no" if place > lines[-1] else ""


def _most_common(values: Iterable[Any]) -> Any:
    """Return the most common value, the first if tied; None if there are no values."""
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else None


def _deadline_fields(end: datetime | None) -> tuple[str, str]:
    """Return day and time fields; the time is empty if the deadline is the end of the day."""
    if end is None:
        return "", ""
    local = clock.to_local(end)
    whole_day = (local.hour, local.minute) == questions.END_OF_DAY
    return local.strftime("%Y-%m-%d"), "" if whole_day else local.strftime("%H:%M")


# ── form to database ───────────────────────────────────────────────────────────────────────────────────────────────
def read_terms(place: int) -> QuestionTerms:
    """Return the posted terms of one question."""

    def field_text(name: str) -> str:
        return request.form.get(f"q{place}-{name}", "").strip()[:20]

    unit, remarks = field_text("unit"), field_text("remarks")
    return QuestionTerms(
        unit if unit in questions.UNIT_LABELS else "",
        field_text("day"),
        field_text("hour"),
        bool(field_text("endless")),
        remarks if remarks in REMARKS_LABELS else "",
    )


def effective_terms(own: QuestionTerms, form: ContentForm) -> dict[str, Any]:
    """Return the unit and deadline of one question: its own or the shared ones."""
    unit = form.unit.data if form.unit.data in questions.UNIT_LABELS else "household"
    end = None if own.endless else parse_deadline(own.day, own.hour) or shared_deadline(form)
    return {"unit": own.unit or unit, "deadline": end}


def parse_deadline(day: str, hour: str) -> datetime | None:
    """Return the deadline of a day and an optional time; without a time, the end of the day."""
    at = web.parse_local_time(day)
    if at is None:
        return None
    chosen, typed = clock.to_local(at).date(), _TIME.fullmatch(hour)
    if typed is None:
        return questions.end_of_day(chosen)
    return clock.from_local(datetime.combine(chosen, time(int(typed[1]), int(typed[2]))))


def shared_deadline(form: ContentForm) -> datetime | None:
    return parse_deadline(form.deadline_day.data or "", form.deadline_time.data or "")


def add_deadline_error(form: ContentForm) -> bool:
    """Add a field error if the shared deadline is invalid; return whether it is."""
    place, sentence = _deadline_error((form.deadline_day.data or "").strip(), (form.deadline_time.data or "").strip())
    if sentence:
        web.add_field_error(form, f"deadline_{place}", sentence)
    return bool(sentence)


def _deadline_error(day: str, hour: str) -> tuple[str, str]:
    """Return the wrong field of a deadline and its error message."""
    if day and web.parse_local_time(day) is None:
        return "day", N_("Write the day like 2026-11-07.")
    if hour and not day:
        return "day", N_("Choose the day of the deadline too.")
    if hour and not _TIME.fullmatch(hour):
        return "time", N_("Write the time like 21:00.")
    return "", ""


# ── the questions ──────────────────────────────────────────────────────────────────────────────────────────────────


_KIND = re.compile(r"q(\d{1,3})-kind")


@dataclass
class QuestionFields:
    """One question in the form. days: the dates of a date poll, one per line."""

    kind: str
    title: str
    choices: list[str] = field(default_factory=list)
    days: str = ""
    own: QuestionTerms = QuestionTerms()

    @property
    def fixed(self) -> bool:
        return self.kind in questions.PRESETS and questions.PRESETS[self.kind].fixed

    @property
    def rows(self) -> list[str]:
        """Return the choices with an empty one at the end."""
        if self.fixed or len(self.choices) >= questions.MAX_CHOICES:
            return self.choices
        return [*self.choices, *[""] * max(1, 2 - len(self.choices))]


def fields_of_draft(notice: Notice) -> list[QuestionFields]:
    blocks = questions.group_into_blocks(questions.load_questions(notice))
    return [_fields_of_block(block, terms_of_block(block, blocks)) for block in blocks]


def _fields_of_block(block: questions.QuestionBlock, own: QuestionTerms) -> QuestionFields:
    first = block.questions[0]
    days = "\n".join(item.text for item in block.questions if item.text) if block.days else ""
    return QuestionFields(first.kind, block.title, [item.text for item in first.options], days, own)


def shared_terms_of_draft(notice: Notice) -> dict[str, Any]:
    return shared_terms(questions.group_into_blocks(questions.load_questions(notice)))


def set_unit_choices(form: ContentForm) -> ContentForm:
    form.unit.choices = [SelectChoice(name, web._(shown)) for name, shown in questions.UNIT_LABELS.items()]
    return form


# ── reading the form ───────────────────────────────────────────────────────────────────────────────────────────────
def read_posted(form: ContentForm, edit: "Edit | None" = None) -> list[QuestionFields] | None:
    """Return the posted questions with the edit applied; None if the form has no question section."""
    if "asks" not in request.form:
        return None
    places = sorted({int(match[1]) for name in request.form if (match := _KIND.fullmatch(name))})
    sheets = {place: _read_question(place) for place in places[: questions.MAX_QUESTIONS]}
    if edit:
        edit.apply(sheets, form)
    return _drop_empty_choices(sheets.values())


class Edit(Protocol):
    """A button's change to the posted questions, which are keyed by their position on the page."""

    def apply(self, sheets: dict[int, QuestionFields], form: ContentForm) -> None: ...


@dataclass(frozen=True, slots=True)
class AddQuestion:
    kind: str

    def apply(self, sheets: dict[int, QuestionFields], form: ContentForm) -> None:
        if self.kind in questions.PRESETS and len(sheets) < questions.MAX_QUESTIONS:
            sheets[max(sheets, default=0) + 1] = _new_question(self.kind, form, first=not sheets)


@dataclass(frozen=True, slots=True)
class RemoveQuestion:
    place: int

    def apply(self, sheets: dict[int, QuestionFields], form: ContentForm) -> None:
        sheets.pop(self.place, None)


@dataclass(frozen=True, slots=True)
class RemoveChoice:
    place: int
    choice: int

    def apply(self, sheets: dict[int, QuestionFields], form: ContentForm) -> None:
        sheet = sheets.get(self.place)
        if sheet and not sheet.fixed and self.choice < len(sheet.choices):
            del sheet.choices[self.choice]


def _drop_empty_choices(sheets: Iterable[QuestionFields]) -> list[QuestionFields]:
    return [replace(sheet, choices=[text for text in sheet.choices if text]) for sheet in sheets]


def _new_question(kind: str, form: ContentForm, first: bool) -> QuestionFields:
    """Return a preset question. The first one also sets the shared unit and remarks line."""
    ask = questions.new_question(kind, load_settings().language)
    own = QuestionTerms()
    if first:
        form.unit.data, form.comment.data = ask.unit, ask.comment
    else:
        unit = ask.unit if ask.unit != form.unit.data and ask.unit != "household" else ""
        own = QuestionTerms(unit, remarks="yes" if ask.comment and not form.comment.data else "")
    return QuestionFields(kind, ask.heading or ask.text, list(ask.choices), own=own)


def _read_question(place: int) -> QuestionFields:
    texts = request.form.getlist(f"q{place}-choice")[: questions.MAX_CHOICES]
    kind = request.form[f"q{place}-kind"]
    return QuestionFields(
        kind if kind in questions.PRESETS else "own",
        request.form.get(f"q{place}-text", "").strip()[: questions.MAX_TEXT_CHARS],
        [text.strip()[: questions.MAX_TEXT_CHARS] for text in texts],
        request.form.get(f"q{place}-days", "").replace("\r\n", "\n"),
        read_terms(place),
    )


def values_to_save(form: ContentForm) -> dict[str, Any]:
    """Return the questions as keywords for saving; empty if the form has no question section."""
    return {} if form.sheets is None else {"questions": questions_to_save(form.sheets, form)}


def differs(notice: Notice, form: ContentForm) -> bool:
    """Return whether the posted questions differ from the saved ones."""
    return form.sheets is not None and questions_to_save(form.sheets, form) != questions.question_drafts(notice)


@bp.app_template_global("questions_of")
def questions_of(notice: Notice) -> tuple[questions.StoredQuestion, ...]:
    return questions.load_questions(notice)


@bp.app_template_global("format_deadline")
def format_deadline(deadline: datetime) -> str:
    return questions.deadline_text(web.language(), deadline)


@bp.app_template_global("question_summary_lines")
def question_summary_lines(notice: Notice) -> list[str]:
    """Template global: one line if all questions share deadline and unit, else one line per question."""
    blocks = questions.group_into_blocks(questions.load_questions(notice))
    same = len({(block.deadline, block.unit) for block in blocks}) == 1
    if same:
        return [web._(", ").join([web._("questions: %(n)s", n=len(blocks)), *_terms_label(blocks[0])])]
    return [web._(": ").join((block.title, web._(", ").join(_terms_label(block)))) for block in blocks]


def _terms_label(block: questions.QuestionBlock) -> tuple[str, str]:
    end = block.deadline
    until = web._("until %(day)s", day=format_deadline(end)) if end else web._("without a deadline")
    return until, web._(questions.UNIT_LABELS[block.unit])


def template_values(notice: Notice, form: ContentForm) -> dict[str, Any]:
    return {
        "sheets": fields_of_draft(notice) if form.sheets is None else form.sheets,
        "kinds": questions.PRESETS,
        "units": questions.UNIT_LABELS,
        "remarks": REMARKS_LABELS,
        "until": questions.deadline_text(web.language(), shared_deadline(form)),
        "most": questions.MAX_QUESTIONS,
    }


def question_section(
    notice: Notice, form: ContentForm, mark: str, added_question: bool = False, added_choice: int = 0
) -> Any:
    """Render the section after a button press, with focus on the new question or the empty choice."""
    if not web.is_htmx():
        return web.redirect_to("notices.edit_content", number=notice.id, _anchor="questions")
    page = render_template(
        "notices/_questions_updated.html",
        notice=notice,
        form=form,
        mark=mark,
        opened=True,
        added_question=added_question,
        added_choice=added_choice,
        elsewhere=False,
        **template_values(notice, form),
    )
    return Response(page, headers={"HX-Retarget": "#questions", "HX-Reswap": "outerHTML"})


def questions_to_save(sheets: Iterable[QuestionFields], form: ContentForm) -> list[QuestionDraft]:
    """Return the drafts of the questions. The shared remarks line belongs to the last question."""
    asks: list[QuestionDraft] = []
    own, shared = set(), -1
    for sheet in sheets:
        asks = [*asks, *_questions_of(sheet, form)][: questions.MAX_QUESTIONS]
        if sheet.own.remarks == "yes":
            own.add(len(asks) - 1)
        if sheet.own.remarks != "no":
            shared = len(asks) - 1
    lines = own | ({shared} if form.comment.data else set())
    return [replace(ask, comment=place in lines) for place, ask in enumerate(asks)]


def _questions_of(sheet: QuestionFields, form: ContentForm) -> list[QuestionDraft]:
    choices, own = tuple(choice for choice in sheet.choices if choice), effective_terms(sheet.own, form)
    if sheet.kind != "days":
        return [QuestionDraft(sheet.title, choices, sheet.kind, **own)]
    days = [line.strip()[: questions.MAX_TEXT_CHARS] for line in sheet.days.split("\n") if line.strip()] or [""]
    return [QuestionDraft(day, choices, "days", heading=sheet.title, **own) for day in days]


def add_deadline_errors(form: ContentForm) -> bool:
    """Add errors for all invalid deadlines; return whether there are any."""
    shared = add_deadline_error(form)
    form.asks_wrong = next((sheet.own.wrong for sheet in form.sheets or () if sheet.own.wrong), "")
    return shared or bool(form.asks_wrong)
