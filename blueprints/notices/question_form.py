"""The questions under the words: how the form shows them, and how it is read; add and remove are form posts (T-49).

Deadline, unit and line for remarks are asked for once, and for a question alone where it differs: `terms`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from flask import Response, render_template, request
from wtforms import SelectChoice

import web
from blueprints.notices import bp, question_terms
from blueprints.notices.forms import ContentForm
from core.notices import questions
from core.notices.questions import QuestionDraft
from core.settings import load_settings
from models import Notice

_KIND = re.compile(r"q(\d{1,3})-kind")


@dataclass
class QuestionFields:
    """One question as the form shows it; for a date finding `days` holds one day in each line."""

    kind: str
    title: str
    choices: list[str] = field(default_factory=list)
    days: str = ""
    own: question_terms.QuestionTerms = question_terms.QuestionTerms()

    @property
    def fixed(self) -> bool:
        return self.kind in questions.PRESETS and questions.PRESETS[self.kind].fixed

    @property
    def rows(self) -> list[str]:
        """Return the choices to show, with an empty place for the next one."""
        if self.fixed or len(self.choices) >= questions.MAX_CHOICES:
            return self.choices
        return [*self.choices, *[""] * max(1, 2 - len(self.choices))]


def fields_of_draft(notice: Notice) -> list[QuestionFields]:
    """Return the questions of a draft as the form shows them."""
    found = questions.group_into_blocks(questions.load_questions(notice))
    return [_fields_of_block(block, question_terms.terms_of_block(block, found)) for block in found]


def _fields_of_block(block: questions.QuestionBlock, own: question_terms.QuestionTerms) -> QuestionFields:
    first = block.questions[0]
    days = "\n".join(one.text for one in block.questions if one.text) if block.days else ""
    return QuestionFields(first.kind, block.title, [one.text for one in first.options], days, own)


def shared_terms_of_draft(notice: Notice) -> dict[str, Any]:
    """Return what holds for all questions of a draft, for the form."""
    return question_terms.shared_terms(questions.group_into_blocks(questions.load_questions(notice)))


def set_unit_choices(form: ContentForm) -> ContentForm:
    """Give the form its choice of who answers once."""
    form.unit.choices = [SelectChoice(name, web._(shown)) for name, shown in questions.UNIT_LABELS.items()]
    return form


# ── reading the form ─────────────────────────────────────────────────────────────────────────────────────────────


def read_posted(form: ContentForm, edit: "Edit | None" = None) -> list[QuestionFields] | None:
    """Return the posted questions after an edit of them; None if the form carries none at all."""
    if "asks" not in request.form:
        return None
    places = sorted({int(found[1]) for name in request.form if (found := _KIND.fullmatch(name))})
    sheets = {place: _read_question(place) for place in places[: questions.MAX_QUESTIONS]}
    if edit:
        edit.apply(sheets, form)
    return _drop_empty_choices(sheets.values())


class Edit(Protocol):
    """A change that a button makes to the posted questions, keyed by their place on the page."""

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
    """Return the questions without the empty places for another choice."""
    return [replace(one, choices=[text for text in one.choices if text]) for one in sheets]


def _new_question(kind: str, form: ContentForm, first: bool) -> QuestionFields:
    """Return a ready-made question; the first one sets for all who answers, and the line for remarks."""
    ask = questions.new_question(kind, load_settings().language)
    own = question_terms.QuestionTerms()
    if first:
        form.unit.data, form.comment.data = ask.unit, ask.comment
    else:
        unit = ask.unit if ask.unit != form.unit.data and ask.unit != "household" else ""
        own = question_terms.QuestionTerms(unit, remarks="yes" if ask.comment and not form.comment.data else "")
    return QuestionFields(kind, ask.heading or ask.text, list(ask.choices), own=own)


def _read_question(place: int) -> QuestionFields:
    texts = request.form.getlist(f"q{place}-choice")[: questions.MAX_CHOICES]
    kind = request.form[f"q{place}-kind"]
    return QuestionFields(
        kind if kind in questions.PRESETS else "own",
        request.form.get(f"q{place}-text", "").strip()[: questions.MAX_TEXT_CHARS],
        [text.strip()[: questions.MAX_TEXT_CHARS] for text in texts],
        request.form.get(f"q{place}-days", "").replace("\r\n", "\n"),
        question_terms.read_terms(place),
    )


def values_to_save(form: ContentForm) -> dict[str, Any]:
    """Return the questions to be saved, if the form carries any section of them."""
    return {} if form.sheets is None else {"questions": questions_to_save(form.sheets, form)}


def differs(notice: Notice, form: ContentForm) -> bool:
    """Say whether the form's questions are others than those saved."""
    return form.sheets is not None and questions_to_save(form.sheets, form) != questions.question_drafts(notice)


@bp.app_template_global("questions_of")
def questions_of(notice: Notice) -> tuple[questions.StoredQuestion, ...]:
    """Give templates the questions of a notice."""
    return questions.load_questions(notice)


@bp.app_template_global("deadline_words")
def format_deadline(deadline: datetime) -> str:
    """Return a deadline in the words of this page."""
    return questions.deadline_text(web.language(), deadline)


@bp.app_template_global("asked_lines")
def question_summary_lines(notice: Notice) -> list[str]:
    """Return to templates what is asked of whom until when: one line if that is the same for all questions."""
    found = questions.group_into_blocks(questions.load_questions(notice))
    same = len({(one.deadline, one.unit) for one in found}) == 1
    if same:
        return [web._(", ").join([web._("questions: %(n)s", n=len(found)), *_terms_label(found[0])])]
    return [web._(": ").join((one.title, web._(", ").join(_terms_label(one)))) for one in found]


def _terms_label(block: questions.QuestionBlock) -> tuple[str, str]:
    end = block.deadline
    until = web._("until %(day)s", day=format_deadline(end)) if end else web._("without a deadline")
    return until, web._(questions.UNIT_LABELS[block.unit])


def template_values(notice: Notice, form: ContentForm) -> dict[str, Any]:
    """Return what the section of the questions needs."""
    return {
        "sheets": fields_of_draft(notice) if form.sheets is None else form.sheets,
        "kinds": questions.PRESETS,
        "units": questions.UNIT_LABELS,
        "remarks": question_terms.REMARKS_LABELS,
        "until": questions.deadline_text(web.language(), question_terms.shared_deadline(form)),
        "most": questions.MAX_QUESTIONS,
    }


def question_section(
    notice: Notice, form: ContentForm, mark: str, added_question: bool = False, added_choice: int = 0
) -> Any:
    """Answer a button of the questions with their section, the new question or the next empty choice in focus."""
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
    """Return the questions to be saved, with their lines for remarks; that for all stands under the last one."""
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
    choices, own = tuple(one for one in sheet.choices if one), question_terms.effective_terms(sheet.own, form)
    if sheet.kind != "days":
        return [QuestionDraft(sheet.title, choices, sheet.kind, **own)]
    days = [line.strip()[: questions.MAX_TEXT_CHARS] for line in sheet.days.split("\n") if line.strip()] or [""]
    return [QuestionDraft(day, choices, "days", heading=sheet.title, **own) for day in days]


def add_deadline_errors(form: ContentForm) -> bool:
    """Put sentences on deadlines that cannot be read; say whether there is one."""
    shared = question_terms.add_deadline_error(form)
    form.asks_wrong = next((one.own.wrong for one in form.sheets or () if one.own.wrong), "")
    return shared or bool(form.asks_wrong)
