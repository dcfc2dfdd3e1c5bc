"""Pages and forms of templates."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from flask import Response, abort, request
from flask_login import current_user
from wtforms import BooleanField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

import clock
import web
from blueprints.notice_templates import bp
from core.notices import html_body, merge_fields, question_fields, questions, templates
from core.notices.question_fields import QuestionFields, SharedTerms
from core.notices.questions import QuestionDraft
from core.notices.templates import TemplateContent
from core.settings import load_settings
from i18n import N_
from models import MailingList
from web import Form, flash_message, get_list_or_404, get_notice_or_404, permissions, redirect_to, render_page, requires


class TemplateForm(Form):
    """Content, kind and list of a template. `question_fields` reads the questions."""

    name = StringField(N_("Name of the template"), [InputRequired(N_("Enter a name.")), Length(max=100)])
    kind = SelectField(N_("About"), choices=[])
    list = SelectField(N_("For"), coerce=int)
    subject = StringField(N_("Subject"), [InputRequired(N_("Enter a subject.")), Length(max=200)])
    text = TextAreaField(N_("Body"), [Length(max=50_000, message=html_body.TEXT_TOO_LONG)])
    html = TextAreaField(N_("Body"))
    urgent = BooleanField(N_("Urgent"))
    read_confirmation = BooleanField(N_("Ask for “I have read this”"), default=True)

    decorated = False

    def validate(self, extra_validators: Mapping[str, Sequence] | None = None) -> bool:
        """Require a text; report it on the field that the page shows."""
        fits = super().validate(extra_validators)
        body, language = self.html if self.decorated else self.text, load_settings().language
        content = self.words(())
        if not (html_body.clean_html(content.html, language)["text"] if content.html else content.text).strip():
            body.errors = [*body.errors, N_("Enter the text.")]
        elif content.html and html_body.is_too_long(content.html, language):
            body.errors = [*body.errors, html_body.TEXT_TOO_LONG]
        return fits and not body.errors

    def words(self, asks: tuple[QuestionDraft, ...]) -> TemplateContent:
        """Return the form's content for `core.notices.templates`."""
        return TemplateContent(
            (self.name.data or "").strip(),
            (self.subject.data or "").strip(),
            (self.text.data or "").replace("\r\n", "\n"),
            bool(self.urgent.data),
            bool(self.read_confirmation.data),
            self.kind.data,
            asks,
            (self.html.data or "") if self.decorated else "",
        )


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


Answer = Response | tuple[str, int]


def _template_or_404(code: str) -> templates.TemplateChoice:
    return templates.get_template(permissions(), code) or abort(404)


def _editable_template(code: str) -> templates.TemplateChoice:
    """Return a template that the user may change; else raise 403."""
    template = _template_or_404(code)
    if not templates.may_edit_template(permissions(), template):
        lists = [template.row.list_id] if template.row and template.row.list_id else []
        web.forbid("manage" if lists else "admin", lists)
    return template


@bp.get("")
@requires("send")
def index() -> Answer:
    """List templates by kind, each with a button that begins a notice; `?q=` searches."""
    text = request.args.get("q", "")[:100]
    return render_page(
        "notice_templates/index.html",
        "notice_templates/_search_results.html",
        kinds=templates.group_by_category(templates.available_templates(permissions()), text),
        names=templates.CATEGORIES,
        text=text,
        may_change=lambda template: templates.may_edit_template(permissions(), template),
        hidden=templates.count_hidden() if permissions().is_admin else 0,
        form_key=uuid.uuid4().hex,
    )


@bp.get("/pictures/<mark>")
@requires("send")
def show_image(mark: str) -> Response:
    """Send an inline image of a template that the user may use."""
    path = html_body.image_path(mark)
    if path is None or not any(
        mark in html_body.image_ids(template.words.html) for template in templates.available_templates(permissions())
    ):
        abort(404)
    return web.send_stored_file(path, mark, html_body.media_type_of(path), inline=True)


@bp.post("/<code>/begin")
@requires("send")
def create_draft(code: str) -> Answer:
    """Begin a notice from a template; an urgent one on the urgent form. A repeated submit returns the same draft."""
    template, form_key = _template_or_404(code), request.form.get("form_key", "")[:64] or None
    if template.words.urgent:
        return redirect_to("notices.urgent_page", what=code)
    notice = templates.start_notice(template, current_user, clock.now(), form_key)
    return redirect_to("notices.edit_recipients", number=get_notice_or_404(notice.id, "send").id)


@bp.route("/new", methods=["GET", "POST"])
@requires("manage")
def add_template() -> Answer:
    """Write a template, or start from a notice (?notice=)."""
    return _edit_page(*_new_template(), save=request.method == "POST")


@bp.route("/<code>/edit", methods=["GET", "POST"])
@requires("manage")
def edit_template(code: str) -> Answer:
    """Change an own template, or make an own version of a shipped one."""
    return _edit_page(*_known_template(code), save=request.method == "POST")


@bp.post("/new/questions/add/<kind>", defaults={"code": None})
@bp.post("/<code>/edit/questions/add/<kind>")
@requires("manage")
def add_question(code: str | None, kind: str) -> Answer:
    sheets = _posted_questions()
    if kind in questions.PRESETS and len(sheets) < questions.MAX_QUESTIONS:
        added = questions.new_question(kind, load_settings().language)
        sheets = [*sheets, *question_fields.template_fields([added])]
    return _edit_page(*(_known_template(code) if code else _new_template()), sheets=sheets)


@bp.post("/new/questions/<int:place>/remove", defaults={"code": None})
@bp.post("/<code>/edit/questions/<int:place>/remove")
@requires("manage")
def remove_question(code: str | None, place: int) -> Answer:
    sheets = _posted_questions(without=place)
    return _edit_page(*(_known_template(code) if code else _new_template()), sheets=sheets)


def _posted_questions(without: int | None = None) -> list[QuestionFields]:
    """Return the posted questions, except the one at position `without`."""
    sheets = question_fields.parse_fields(request.form.to_dict(flat=False))
    return question_fields.drop_empty_choices(sheet for place, sheet in sheets.items() if place != without)


Edited = tuple[templates.TemplateContent | None, int | None, templates.TemplateChoice | None]


def _new_template() -> Edited:
    number = request.args.get("notice", type=web.parse_row_id)
    return templates.content_from_notice(get_notice_or_404(number)) if number is not None else None, None, None


def _known_template(code: str) -> Edited:
    template = _editable_template(code)
    return template.words, template.row.list_id if template.row else None, template


def _edit_page(
    content: templates.TemplateContent | None,
    list_id: int | None,
    template: templates.TemplateChoice | None,
    *,
    save: bool = False,
    sheets: list[QuestionFields] | None = None,
) -> Answer:
    """Show the form, or save it. `sheets`: the posted questions after an edit."""
    form = _template_form(content, list_id)
    if save:
        sheets = _posted_questions()
    elif sheets is None:
        sheets = question_fields.template_fields(content.questions if content else ())
    wrong = ""
    if save and form.validate():
        typed = form.words(tuple(question_fields.drafts_of_fields(sheets or [], SharedTerms())))
        wrong = templates.content_error(typed)
        if not wrong and (done := _save_template(typed, form, template)):
            return done
    return render_page(
        "notice_templates/edit.html",
        status=422 if form.errors or wrong else 200,
        form=form,
        sample=template,
        code=request.view_args.get("code") if request.view_args else None,
        sheets=sheets,
        wrong=wrong,
        kinds=questions.PRESETS,
        units=questions.UNIT_LABELS,
        uses_fields=False,
        offered=merge_fields.offered_names(_merge_field_lists(form), web.language()),
    )


def _save_template(
    typed: templates.TemplateContent, form: TemplateForm, template: templates.TemplateChoice | None
) -> Answer | None:
    """Save the form; None with an error on the field if it cannot be saved."""
    try:
        if template is None:
            templates.add_template(current_user, typed, _posted_list(form))
        else:
            templates.update_template(template, current_user, typed, _posted_list(form))
    except templates.VersionExists as refusal:
        web.add_field_error(form, "list", refusal.message)
        return None
    flash_message(N_("Saved as a template."))
    return redirect_to("notice_templates.index")


def _template_form(content: templates.TemplateContent | None, list_id: int | None) -> TemplateForm:
    """Return the form filled with existing content, offering the lists that the user manages."""
    first = asdict(content) if content and request.method == "GET" else {}
    form = TemplateForm(data={"kind": "other", "list": list_id or 0, **first})
    form.decorated = "html" in request.form if request.method == "POST" else bool(content and content.html)
    everybody = [(0, web._("All lists"))] if permissions().is_admin else []
    form.list.choices = everybody + [
        (mailing_list.id, mailing_list.name) for mailing_list in permissions().lists("manage")
    ]
    form.kind.choices = [(name, web._(shown)) for name, shown in templates.CATEGORIES.items()]
    return form


def _merge_field_lists(form: TemplateForm) -> list[int]:
    """Return the lists whose merge fields are offered: the chosen list, else all managed lists."""
    mine = [mailing_list.id for mailing_list in permissions().lists("manage")]
    return [form.list.data] if form.list.data in mine else mine


def _posted_list(form: TemplateForm) -> MailingList | None:
    return get_list_or_404(form.list.data, "manage") if form.list.data else None


@bp.route("/<code>/remove", methods=["GET", "POST"])
@requires("manage")
def remove_template(code: str) -> Answer:
    """Remove an own template, restore the shipped text, or hide a shipped one (administrators)."""
    sample = _editable_template(code)
    if (sample.row is None or sample.row.list_id is None) and not permissions().is_admin:
        web.forbid("admin")
    if request.method == "POST":
        templates.remove_template(sample, current_user)
        flash_message(
            N_("The shipped words stand here again.") if sample.is_version else N_("The template was removed.")
        )
        return redirect_to("notice_templates.index")
    return render_page(
        "notice_templates/confirm_remove.html", sample=sample, shipped=templates.shipped_template(sample.key)
    )


@bp.post("/show-again")
@requires("admin")
def unhide_shipped() -> Answer:
    templates.unhide_all(current_user)
    return redirect_to("notice_templates.index")
