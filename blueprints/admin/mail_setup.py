"""How mail goes and comes: the situation of this school, the server that sends, the mailbox that is read."""

from flask import Response, abort, request
from flask_login import current_user
from flask_wtf import FlaskForm

import clock
from blueprints.admin.forms import MailboxForm, MailModeForm, SmtpServerForm
from blueprints.admin.views import Answer, bp
from core import settings
from core.delivery import dev_outbox, lifecycle
from core.delivery.dev_outbox import RETENTION_DAYS, NoSuchLetter, OutboxFile
from core.errors import DomainError
from core.inbound import imap_poller
from core.notices import html_body
from core.notifications.notify import notify
from core.system import mail_settings, smtp_test
from i18n import N_
from models import ImapStatus, Letter, Organization
from web import add_field_error, flash_message, letter_response, redirect_to, render_page, requires


@bp.get("/admin/mail")
@requires("admin")
def mail_page() -> Answer:
    """Show the situation, the forms that belong to it, and what works."""
    return _mail_page()


def _mail_page(status: int = 200, **filled: FlaskForm) -> Answer:
    force = settings.load_settings()
    forms = {"road": MailModeForm(None, road=force.mail_mode), "server": _server_form(force), "box": _mailbox_form()}
    return render_page(
        "admin/mail.html",
        status=status,
        force=force,
        roads=mail_settings.MAIL_MODES,
        features=list(mail_settings.available_features(force)),
        state=ImapStatus.load_row(),
        test=_last_test(),
        letter_states=lifecycle.STATE_LABELS,
        **{**forms, **filled},
    )


def _server_form(force: settings.Settings) -> SmtpServerForm:
    route = force.route
    if route is None:
        return SmtpServerForm(None, hour_rate=force.hour_rate)
    return SmtpServerForm(
        None, host=route.host, port=route.port, security=route.security, user=route.user, hour_rate=force.hour_rate
    )


def _mailbox_form() -> MailboxForm:
    box, row = mail_settings.saved_account(), Organization.load_row()
    given = {"mailbox": mail_settings.mailbox_address(), "plus": row.plus, "header": row.recipient_header}
    if box is None:
        return MailboxForm(None, **given)
    return MailboxForm(None, host=box.host, port=box.port, security=box.security, user=box.user, **given)


def _last_test() -> Letter | None:
    tests = Letter.select().where(Letter.kind == "test", Letter.notice.is_null(), Letter.person.is_null())
    return tests.order_by(Letter.id.desc()).first()


@bp.post("/admin/mail/road")
@requires("admin")
def save_mail_mode() -> Answer:
    """Keep which of the four situations this is."""
    form = MailModeForm()
    if "road" in settings.load_settings().fixed:
        abort(403)
    if not form.validate():
        return _mail_page(422, road=form)
    mail_settings.choose_mode(current_user, form.road.data)
    flash_message(N_("Saved."))
    return redirect_to("admin.mail_page")


@bp.post("/admin/mail/server")
@requires("admin")
def save_smtp_server() -> Answer:
    """Change the mail server; without one, letters stay in the outbox."""
    form, fixed = SmtpServerForm(), settings.load_settings().fixed
    if "smtp" in fixed:
        abort(403)
    if not form.validate():
        return _mail_page(422, server=form)
    try:
        mail_settings.update_smtp(
            current_user,
            host=form.host.data or "",
            port=form.port.data,
            security=form.security.data,
            user=form.user.data or "",
            password=form.password.data or "",
            hour_rate=None if "hour_rate" in fixed else form.hour_rate.data or 0,
        )
    except DomainError as refused:
        add_field_error(form, refused.field, refused.message)
        return _mail_page(422, server=form)
    flash_message(N_("Saved. Now send a test letter."))
    return redirect_to("admin.mail_page")


@bp.post("/admin/mail/test")
@requires("admin")
def send_test_email() -> Answer:
    """Send a test letter to the administrator who asks for it, and say at once how it went."""
    if not current_user.email:
        flash_message(N_("Please enter your own e-mail address first: the test letter goes there."), "wrong")
        return redirect_to("account.index")
    force = settings.load_settings()
    if force.practice:
        notify("test", current_user, clock.now(), to_name="")
        flash_message(N_("The test letter is on its way to the outbox."))
        return redirect_to("admin.mail_page")
    found = smtp_test.send_test_letter(current_user, clock.now())
    flash_message(found.advice, "note" if found.ok else "wrong", sender=force.own.sender("postmaster"))
    return redirect_to("admin.mail_page")


@bp.post("/admin/mail/box")
@requires("admin")
def save_mailbox() -> Answer:
    """Change the mailbox that is read, and look into it once."""
    form = MailboxForm()
    if "imap" in settings.load_settings().fixed:
        abort(403)
    if not form.validate():
        return _mail_page(422, box=form)
    try:
        mail_settings.save_mailbox(current_user, _mailbox_settings_of(form))
    except DomainError as refused:
        add_field_error(form, refused.field, refused.message)
        return _mail_page(422, box=form)
    return test_mailbox()


def _mailbox_settings_of(form: MailboxForm) -> mail_settings.MailboxInput:
    return mail_settings.MailboxInput(
        host=form.host.data or "",
        port=form.port.data,
        security=form.security.data,
        user=form.user.data or "",
        password=form.password.data or "",
        mailbox=form.mailbox.data or "",
        plus=form.plus.data,
        header=(form.header.data or "").strip(),
    )


@bp.post("/admin/mail/look")
@requires("admin")
def test_mailbox() -> Answer:
    """Try the mailbox now, without taking anything out, and say how it went."""
    box = settings.load_settings().box
    if box is None:
        flash_message(N_("Saved. It is read once “one mailbox” or “all mail in one mailbox” is chosen above."))
        return redirect_to("admin.mail_page")
    found = imap_poller.test_account(box, clock.now())
    if found is None:
        flash_message(N_("The mailbox is open to Kairan, and handled mail can be put aside."))
    else:
        flash_message(found.message, "wrong")
    return redirect_to("admin.mail_page")


# ── caught letters ──────────────────────────────────────────────────────────────────────────────────────────────────


PAGE_SIZE = 30


@bp.get("/outbox", endpoint="list_outbox")
@requires("admin")
def list_outbox() -> Answer:
    """List the caught letters, newest first."""
    kept = dev_outbox.list_messages()
    last = max(1, -(-len(kept) // PAGE_SIZE))
    number = min(max(1, request.args.get("page", 1, type=int)), last)
    return render_page(
        "admin/outbox.html",
        letters=_read_messages(kept[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]),
        total=len(kept),
        number=number,
        last=last,
        days=RETENTION_DAYS,
    )


def _read_messages(kept: list[OutboxFile]) -> list[dev_outbox.CapturedMessage]:
    """Return the letters that are still there."""
    found = []
    for one in kept:
        try:
            found.append(dev_outbox.read_message(one))
        except NoSuchLetter:
            continue
    return found


def _message_or_404(name: str) -> dev_outbox.CapturedMessage:
    try:
        return dev_outbox.get_message(name)
    except NoSuchLetter:
        abort(404)


@bp.get("/outbox/<name>")
@requires("admin")
def show_outbox_message(name: str) -> Answer:
    """Show one letter: text, HTML in a sandbox, source."""
    return render_page("admin/outbox_message.html", letter=_message_or_404(name))


@bp.get("/outbox/<name>/html")
@requires("admin")
def outbox_message_html(name: str) -> Response:
    """Give the HTML part alone, under a policy of its own: no script, nothing loaded, links in a new window."""
    found = _message_or_404(name)
    if not found.html:
        abort(404)
    return letter_response(html_body.embed_as_data_urls(found.html))
