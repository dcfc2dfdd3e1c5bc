"""Letter to one person (D-30). A separate page and colour distinguish it from a notice to a list."""

import uuid
from typing import Any

from flask import abort, request
from flask_login import current_user
from wtforms import BooleanField, HiddenField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

import clock
import tasks
import web
from blueprints.members import bp
from blueprints.members.views import get_person_or_404
from core.errors import DomainError
from core.notices import approval, audience, content_checks, direct_message, placeholders, rendering
from core.notices.content_checks import find_missing
from core.notifications.letter_limits import Caused, count_letter
from core.settings import load_settings
from i18n import N_
from models import Notice, NoticeState, Person


class DirectMessageForm(web.Form):
    """Letter to one person; `key` makes a double tap idempotent."""

    key = HiddenField()
    out_of = SelectField(N_("In the name of"), coerce=int, choices=[], validate_choice=False)
    subject = StringField(
        N_("Subject"),
        [
            InputRequired(N_("Write a subject.")),
            Length(max=200, message=N_("The subject is longer than 200 characters.")),
        ],
    )
    text = TextAreaField(
        N_("Body"),
        [
            InputRequired(N_("Write the text.")),
            Length(max=50_000, message=N_("The text is longer than 50,000 characters.")),
        ],
    )
    read_confirmation = BooleanField(N_("Ask the readers to confirm that they have read it"))


@bp.route("/members/<int:number>/letter", methods=["GET", "POST"])
@web.requires("send")
def write_direct_message(number: int) -> Any:
    """Write a letter to one person; `?of=` continues a draft."""
    person = get_person_or_404(number, "send")
    begun = _draft_or_404(person, request.args.get("of", type=int))
    form = DirectMessageForm(obj=begun.wording if begun else None)
    if begun and request.method == "GET":
        form.key.data, form.read_confirmation.data = begun.form_key, begun.read_confirmation
        form.out_of.data = begun.out_of_id
    form.key.data = form.key.data or uuid.uuid4().hex
    offered = direct_message.sender_lists(person, web.permissions(), request.args.get("list", type=web.parse_row_id))
    form.out_of.choices = [(row.id, row.name) for row in offered]
    if request.method == "GET" or not form.validate() or _add_placeholder_errors(form):
        return _write_page(person, form, 422 if form.errors else 200)
    try:
        draft = direct_message.write_draft(
            person,
            current_user,
            subject=form.subject.data or "",
            text=(form.text.data or "").replace("\r\n", "\n"),
            read_confirmation=form.read_confirmation.data,
            now=clock.now(),
            form_key=form.key.data[:64],
            out_of=next((row for row in offered if row.id == form.out_of.data), offered[0] if offered else None),
        )
    except DomainError as refusal:
        web.add_field_error(form, "text", refusal.message, **refusal.values)
        return _write_page(person, form, 422)
    return web.redirect_to("members.check_direct_message", number=number, notice=draft.id)


def _add_placeholder_errors(form: DirectMessageForm) -> bool:
    """Add an error to each field that still holds placeholders; return whether there are any."""
    found = {name: placeholders.find_placeholders(form[name].data or "") for name in ("subject", "text")}
    for name, places in found.items():
        if places:
            web.add_field_error(form, name, placeholders.NOT_FILLED_IN, places=" ".join(places))
    return any(found.values())


def _draft_or_404(person: Person, number: int | None) -> Notice | None:
    if number is None:
        return None
    draft = web.get_notice_or_404(number, "send")
    return draft if draft.state == NoticeState.DRAFT and direct_message.recipient_of(draft) == person else abort(404)


def _write_page(person: Person, form: DirectMessageForm, status: int) -> Any:
    refused = direct_message.unreachable_reason(person)
    warned = [] if refused else direct_message.warnings_for_person(person)
    return web.render_page(
        "members/direct_message.html", person=person, form=form, refused=refused, warnings=warned, status=status
    )


@bp.route("/members/<int:number>/letter/<int:notice>", methods=["GET", "POST"])
@web.requires("send")
def check_direct_message(number: int, notice: int) -> Any:
    """Preview the letter, then send it. The usual hold allows cancelling."""
    person, draft = get_person_or_404(number, "send"), web.get_notice_or_404(notice, "send")
    if draft.kind != direct_message.KIND or direct_message.recipient_of(draft) != person:
        abort(404)
    if draft.state != NoticeState.DRAFT:
        return web.redirect_to("notices.show", number=notice)
    recipients = audience.resolve_audience(draft)
    if not recipients.receiving or find_missing(draft, recipients, current_user):
        return web.redirect_to("members.write_direct_message", number=number, of=notice)
    wrong = ""
    if request.method == "POST":
        try:
            count_letter(Caused.DIRECT_MESSAGE, current_user, person.address, clock.now())
            approval.confirm_send(
                draft, by=current_user, fingerprint=request.form.get("fingerprint", ""), now=clock.now()
            )
        except DomainError as refusal:
            wrong = web._(refusal.message, **refusal.values)
        else:
            tasks.wake_worker()
            tasks.wake_worker(draft.send_at)
            return web.redirect_to("notices.show", number=notice)
    return web.render_page(
        "members/check_direct_message.html",
        status=422 if wrong else 200,
        person=person,
        notice=draft,
        wrong=wrong,
        audience=recipients,
        shown_letter=rendering.preview_letter(draft, recipients.receiving[0], load_settings(), clock.now()),
        warnings=[
            *direct_message.warnings_for_person(person),
            *content_checks.collect_warnings(draft, recipients, clock.now(), None, web.language()),
        ],
    )
