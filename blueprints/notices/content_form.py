"""The content form and its question section: buttons, shared terms, values for the template (T-48)."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from flask import Response, render_template, request
from wtforms import BooleanField, HiddenField, SelectChoice, SelectField, StringField, TextAreaField
from wtforms.validators import Length

import clock
import web
from blueprints.notices import bp
from core.notices import content_checks, question_fields, questions
from core.notices.question_fields import QuestionFields, QuestionTerms, SharedTerms
from core.settings import load_settings
from i18n import N_
from models import Notice


class ContentForm(web.Form):
    seen = HiddenField()
    subject = StringField(N_("Subject"), [Length(max=200, message=N_("The subject is longer than 200 characters."))])
    text = TextAreaField(N_("Body"), [Length(max=50_000, message=N_("The text is longer than 50,000 characters."))])
    html = TextAreaField(N_("Body"))
    urgent = BooleanField(N_("This is urgent"))
    read_confirmation = BooleanField(N_("Ask the readers to confirm that they have read it"))
    files_inside = BooleanField(N_("Also put the files inside the letters (up to 3 MB together)"))
    footer = BooleanField(N_("Put the way to stop the mail and the address of the school under the text"))
    reply_to_own = BooleanField(N_("Send replies to my own address"))
    remind = SelectField(N_("Send it again by itself to those who have not confirmed"), default="0x1", choices=[])
    skip_missing = BooleanField(N_("Send nothing to those for whom a merge field is empty"))
    remind_before_deadline = BooleanField(N_("A day before the deadline, send it again to those who have not answered"))
    useful_s = SelectField(N_("Do not send it any more after"), coerce=int, choices=[])
    deadline_day = StringField(N_("Answers until"), [Length(max=20)])
    deadline_time = StringField(N_("Time (else the whole day)"), [Length(max=10)])
    unit = SelectField(N_("Who answers"), default="household", choices=[], validate_choice=False)
    comment = BooleanField(N_("Offer a line for remarks"))

    sheets: list | None = None  # from read_posted; None: no question section
    asks_wrong = ""


# ── reading the form ───────────────────────────────────────────────────────────────────────────────────────────────


def read_posted(form: ContentForm, edit: "Edit | None" = None) -> list[QuestionFields] | None:
    """Return the posted questions with the edit applied; None if the form has no question section."""
    if "asks" not in request.form:
        return None
    sheets = question_fields.parse_fields(request.form.to_dict(flat=False))
    if edit:
        edit.apply(sheets, form)
    return question_fields.drop_empty_choices(sheets.values())


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


@dataclass(frozen=True, slots=True)
class SetDeadline:
    day: str

    def apply(self, sheets: dict[int, QuestionFields], form: ContentForm) -> None:
        form.deadline_day.data = self.day[:20]


def named_deadlines(form: ContentForm) -> list[date]:
    """Return the coming days that the text of the form names as a deadline."""
    return content_checks.deadlines_in_text(f"{form.subject.data}\n{form.text.data or form.html.data}", clock.today())


def _new_question(kind: str, form: ContentForm, first: bool) -> QuestionFields:
    """Return a preset question. The first one also sets the shared unit and remarks line."""
    ask = questions.new_question(kind, load_settings().language)
    own = QuestionTerms()
    if first:
        if not form.deadline_day.data and (named := named_deadlines(form)):
            form.deadline_day.data = named[0].isoformat()
        form.unit.data, form.comment.data = ask.unit, ask.comment
    else:
        unit = ask.unit if ask.unit != form.unit.data and ask.unit != "household" else ""
        own = QuestionTerms(unit, remarks="yes" if ask.comment and not form.comment.data else "")
    return QuestionFields(kind, ask.heading or ask.text, list(ask.choices), own=own)


def _shared_terms(form: ContentForm) -> SharedTerms:
    unit = form.unit.data if form.unit.data in questions.UNIT_LABELS else "household"
    deadline = question_fields.parse_deadline(form.deadline_day.data or "", form.deadline_time.data or "")
    return SharedTerms(unit, deadline, bool(form.comment.data))


def values_to_save(form: ContentForm) -> dict[str, Any]:
    """Return the questions as keywords for saving; empty if the form has no question section."""
    if form.sheets is None:
        return {}
    return {"questions": question_fields.drafts_of_fields(form.sheets, _shared_terms(form))}


def differs(notice: Notice, form: ContentForm) -> bool:
    """Return whether the posted questions differ from the saved ones."""
    return form.sheets is not None and values_to_save(form)["questions"] != questions.question_drafts(notice)


def add_question_errors(form: ContentForm) -> bool:
    """Add errors for invalid deadlines and for more than the questions hold; return whether there are any."""
    day, hour = (form.deadline_day.data or "").strip(), (form.deadline_time.data or "").strip()
    place, sentence = question_fields.deadline_error(day, hour)
    if sentence:
        web.add_field_error(form, f"deadline_{place}", sentence)
    form.asks_wrong = next((sheet.own.wrong for sheet in form.sheets or () if sheet.own.wrong), "")
    form.asks_wrong = form.asks_wrong or questions.limit_error(values_to_save(form).get("questions", ()))
    return bool(sentence or form.asks_wrong)


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────────────────


def shared_fields_of_draft(notice: Notice) -> dict[str, Any]:
    return question_fields.shared_fields(questions.question_drafts(notice))


def set_unit_choices(form: ContentForm) -> ContentForm:
    form.unit.choices = [SelectChoice(name, web._(shown)) for name, shown in questions.UNIT_LABELS.items()]
    return form


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
        "sheets": question_fields.notice_fields(questions.question_drafts(notice))
        if form.sheets is None
        else form.sheets,
        "kinds": questions.PRESETS,
        "units": questions.UNIT_LABELS,
        "remarks": question_fields.REMARKS_LABELS,
        "until": questions.deadline_text(web.language(), _shared_terms(form).deadline),
        "most": questions.MAX_QUESTIONS,
        "named_deadlines": [day for day in named_deadlines(form) if day.isoformat() != form.deadline_day.data],
        "calendar_of": lambda days: question_fields.calendar_weeks(days, clock.today()),
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
