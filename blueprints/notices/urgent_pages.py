"""The urgent form: one page from the kind of emergency to the sending (X-15, field 5.2). No option stands in its way.

The form saves itself as a draft under its form key. Each answer holds a mark of the content and audience that it
shows; a press that posts another mark shows the page again instead of sending.
"""

import uuid
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import abort, request
from flask_login import current_user
from wtforms import HiddenField, SelectMultipleField, StringField, TextAreaField
from wtforms.validators import Length

import clock
import tasks
import web
from blueprints.notices import bp
from blueprints.notices.check import parse_typed_number
from blueprints.notices.draft_access import audience_of, audience_values, flash_already_sent
from core.errors import AlreadySent, DomainError, MissingFields, NotADraft, TooLong, WrongLetterCount, require_length
from core.notices import approval, content_checks, merge_fields, placeholders, recipients, templates, urgent_form
from core.notices.audience import Audience, as_sent_by
from core.notices.content_checks import find_missing
from core.notices.templates import TemplateChoice, TemplateContent
from core.settings import load_settings
from i18n import N_
from models import Notice

SHOWN_ELSEWHERE = ("footer", "postal", "size")
"""Kinds of warnings that an urgent notice does not wait for."""
MAX_VALUE_LENGTH = 200
_WRONG_COUNT = N_("That is not the number. If everybody is right, type %(number)s.")
_CHANGED = N_("Something has changed since this was shown. Please look once more.")


class UrgentForm(web.Form):
    """The shared fields. The placeholders of the template are posted as `f<n>`, typed values as `f<n>-typed`."""

    form_key = HiddenField()
    seen = HiddenField()
    lists = SelectMultipleField(coerce=int, validate_choice=False)
    day = StringField()
    subject = StringField(N_("Subject"), [Length(max=200, message=N_("The subject is longer than 200 characters."))])
    text = TextAreaField(N_("Body"), [Length(max=50_000, message=N_("The text is longer than 50,000 characters."))])
    remark = TextAreaField(N_("One more thing"), [Length(max=2000)])
    typed = StringField(N_("Number of letters"), [Length(max=20)])


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field of the page with its posted value."""

    field: urgent_form.FormField
    chosen: str
    typed: str

    @property
    def value(self) -> str:
        """Return the typed value, else the chosen one; `urgent_form.OMIT` leaves out the lines."""
        return self.typed or self.chosen


@bp.get("/urgent")
@web.requires("send")
def urgent_page() -> Any:
    """Show the kinds of emergency, and with `?what=` the form of one."""
    form = UrgentForm(formdata=None)
    form.form_key.data = uuid.uuid4().hex
    code = request.args.get("what", "")
    template = _template_or_404(code) if code else None
    form.lists.data = _usual_lists()
    if template:
        form.day.data = urgent_form.usual_day(template, clock.now()).isoformat()
        form.subject.data = web._("【URGENT】") if template is urgent_form.OWN_TEMPLATE else ""
    return _page(template, form)


@bp.post("/urgent/<code>/look")
@web.requires("send")
def look_at_urgent(code: str) -> Any:
    """Save the form as a draft; show the parents' view, the number of letters and the send button."""
    template, form = _template_or_404(code), UrgentForm()
    notice = _save(template, form)
    if not isinstance(notice, Notice):
        return notice
    if web.is_htmx() and form.seen.data == _mark(notice, audience_of(notice)):
        return "", 204
    return _page(template, form, notice)


@bp.post("/urgent/<code>")
@web.requires("send")
def send_urgent(code: str) -> Any:
    """Send what the page showed. What is missing is named beside the button."""
    template, form = _template_or_404(code), UrgentForm()
    notice = _save(template, form)
    if not isinstance(notice, Notice):
        return notice
    if not recipients.may_still_send(web.permissions(), notice):
        web.forbid("send", form.lists.data or [])
    audience = audience_of(notice)
    if form.seen.data != _mark(notice, audience):
        return _page(template, form, notice, _CHANGED, 422)
    typed = parse_typed_number(form.typed.data or "")
    try:
        approval.confirm_send(notice, by=current_user, fingerprint=audience.fingerprint, now=clock.now(), typed=typed)
    except AlreadySent:
        flash_already_sent(notice)
    except MissingFields:
        return _page(template, form, notice, status=422)
    except WrongLetterCount as refusal:
        return _page(template, form, notice, web._(_WRONG_COUNT, **refusal.values), 422)
    except DomainError as refusal:
        return _page(template, form, notice, web._(refusal.message, **refusal.values), 422)
    else:
        tasks.wake_worker(notice.send_at)
        tasks.wake_worker()
    return web.redirect_to("notices.show", number=notice.id)


# ── the form ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _template_or_404(code: str) -> TemplateChoice:
    if code == urgent_form.OWN_CODE:
        return urgent_form.OWN_TEMPLATE
    template = templates.get_template(web.permissions(), code)
    return template if template and template.words.urgent else abort(404)


def _usual_lists() -> list[int]:
    """Return the whole-school list, or the only list of a class teacher; else nothing is chosen."""
    lists = [row for row in web.permissions().lists("send") if not row.practice_of_id]
    whole = [row.id for row in lists if row.whole]
    return whole[:1] or ([lists[0].id] if len(lists) == 1 else [])


def _shown_fields(template: TemplateChoice) -> list[ShownField]:
    return [
        ShownField(field, request.form.get(f"f{place}", ""), " ".join(request.form.get(f"f{place}-typed", "").split()))
        for place, field in enumerate(urgent_form.form_fields(template), 1)
    ]


def _day(form: UrgentForm) -> date | None:
    """Return the chosen day if it is still offered: a page that is open past midnight shows another one."""
    return next((day for day in urgent_form.offered_days(clock.now()) if day.isoformat() == form.day.data), None)


def _content(template: TemplateChoice, form: UrgentForm) -> TemplateContent:
    if template is urgent_form.OWN_TEMPLATE:
        text = (form.text.data or "").replace("\r\n", "\n")
        return TemplateContent("", (form.subject.data or "").strip(), text, urgent=True, kind="emergency")
    values = {shown.field.name: shown.value for shown in _shown_fields(template)}
    remark = (form.remark.data or "").replace("\r\n", "\n")
    return urgent_form.fill_template(template, _day(form), values, remark, load_settings().language)


def _save(template: TemplateChoice, form: UrgentForm) -> Any:
    """Save the form as a draft and return it, or return another answer: errors of the form, or the notice's page."""
    if not form.validate():
        return _page(template, form, wrong=next(iter(form.remark.errors), ""), status=422)
    try:
        for shown in _shown_fields(template):
            require_length(shown.value, MAX_VALUE_LENGTH)
    except TooLong as refusal:
        return _page(template, form, wrong=web._(refusal.message, **refusal.values), status=422)
    lists = form.lists.data or []
    if not recipients.may_send_to_all(web.permissions(), lists, []):
        abort(404)
    key = (form.form_key.data or uuid.uuid4().hex)[:64]
    form.form_key.data = key
    known = Notice.get_or_none(Notice.form_key == key)
    if known:
        web.get_notice_or_404(known.id, "send")
    try:
        return urgent_form.save_as_draft(_content(template, form), lists, current_user, key, clock.now())
    except NotADraft:
        flash_already_sent(known)
        return web.redirect_to("notices.show", number=known.id)


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _mark(notice: Notice, audience: Audience) -> str:
    """Return a mark of what the page shows: words, questions, recipients."""
    return approval.content_fingerprint(notice, audience)


def _page(
    template: TemplateChoice | None, form: UrgentForm, notice: Notice | None = None, wrong: str = "", status: int = 200
) -> Any:
    lists = list(web.permissions().lists("send")) if template else []
    return web.render_page(
        "notices/urgent.html",
        "notices/_urgent_view.html" if notice or wrong else None,
        status=status,
        kinds=_kinds(template),
        own=urgent_form.OWN_TEMPLATE,
        template=template,
        form=form,
        fields=_shown_fields(template) if template else [],
        omit=urgent_form.OMIT,
        days=urgent_form.offered_days(clock.now()) if template and urgent_form.uses_day(template) else [],
        chosen_day=_day(form) if template else None,
        whole=[row for row in lists if row.whole],
        others=[row for row in lists if not row.whole],
        sizes=recipients.count_reachable(lists),
        notice=notice,
        wrong=wrong,
        **(_view_values(notice) if notice else {}),
    )


def _kinds(template: TemplateChoice | None) -> list[TemplateChoice]:
    """Return the kinds of emergency to choose from; the chosen one is always among them."""
    found = templates.urgent_templates(web.permissions())
    if template and template is not urgent_form.OWN_TEMPLATE and template.code not in {kind.code for kind in found}:
        found.append(template)
    return [*found, urgent_form.OWN_TEMPLATE]


def _view_values(notice: Notice) -> dict[str, Any]:
    """Return what the parents read, who gets no letter, what is missing, and what the sender should look at again."""
    as_sent, audience, now = as_sent_by(notice, current_user), audience_of(notice), clock.now()
    missing = find_missing(as_sent, audience, current_user)
    warnings = [] if missing else content_checks.collect_warnings(notice, audience, now, None, web.language())
    return {
        **audience_values(audience),
        "parents_view": _parents_view(as_sent, audience),
        "missing": missing,
        "blanks": placeholders.left_in(notice),
        "warnings": [one for one in warnings if one.kind not in SHOWN_ELSEWHERE],
        "mark": _mark(notice, audience),
        "settings": load_settings(),
    }


def _parents_view(notice: Notice, audience: Audience) -> tuple[str, str]:
    """Return subject and text as the first reader gets them."""
    if not audience.receiving:
        return merge_fields.fill_shared(notice, load_settings(), clock.now())
    return merge_fields.fill_for(notice, audience.receiving[0].values)
