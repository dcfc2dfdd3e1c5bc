"""Mail setup: mail mode, SMTP server, IMAP mailbox, and the outbox of practice letters."""

from flask import Response, abort, request
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, PasswordField, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length, NumberRange, Optional

import clock
from blueprints.admin.views import OUT_OF_RANGE, REQUIRED, Answer, bp
from core import settings
from core.accounts import second_factor
from core.delivery import dev_outbox, lifecycle
from core.delivery.dev_outbox import RETENTION_DAYS, NoSuchLetter, OutboxFile
from core.errors import DomainError
from core.inbound import imap_poller
from core.notices import html_body
from core.notifications.letter_limits import Caused, count_letter
from core.notifications.notify import notify
from core.system import mail_settings
from core.system.mail_settings import MAIL_MODES, SMTP_SECURITY_LABELS
from i18n import N_
from models import ImapStatus
from web import Form, _, errors_in, flash_message, letter_response, redirect_to, render_page, requires


class MailModeForm(Form):
    """The mail mode of this installation."""

    road = RadioField(N_("Which one is yours?"), choices=[SelectChoice(name, name) for name in MAIL_MODES])


class SmtpServerForm(Form):
    host = StringField(N_("Server"), [Length(max=200)])
    port = IntegerField(N_("Port"), [Optional(), NumberRange(1, 65535, OUT_OF_RANGE)])
    security = SelectField(N_("Encryption"), default="starttls")
    user = StringField(N_("User name at the mail server"), [Length(max=200)])
    password = PasswordField(N_("Password at the mail server"), [Length(max=200)])
    hour_rate = IntegerField(
        N_("Letters an hour that it allows"), [Optional(), NumberRange(0, 1_000_000, OUT_OF_RANGE)]
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.security.choices = [SelectChoice(name, _(words)) for name, words in SMTP_SECURITY_LABELS.items()]


class MailboxForm(Form):
    mailbox = StringField(N_("Address of the mailbox"), [REQUIRED, Length(max=200)])
    host = StringField(N_("Server for reading (IMAP)"), [REQUIRED, Length(max=200)])
    port = IntegerField(N_("Port"), [Optional(), NumberRange(1, 65535, OUT_OF_RANGE)], id="box-port")
    security = SelectField(N_("Encryption"), default="tls", id="box-security")
    user = StringField(N_("User name at the mailbox"), [REQUIRED, Length(max=200)], id="box-user")
    password = PasswordField(N_("Password at the mailbox"), [Length(max=200)], id="box-password")
    plus = BooleanField(N_("Mail to this address with a plus in it arrives, too"))
    header = StringField(N_("Header that names the recipient"), [Length(max=60)])

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.security.choices = [
            SelectChoice(name, _(words)) for name, words in mail_settings.IMAP_SECURITY_LABELS.items()
        ]


@bp.get("/admin/mail")
@requires("admin")
def mail_page() -> Answer:
    return _mail_page()


def _mail_page(status: int = 200, **filled: FlaskForm) -> Answer:
    config = settings.load_settings()
    forms = {"road": MailModeForm(None, road=config.mail_mode), "server": _server_form(config), "box": _mailbox_form()}
    return render_page(
        "admin/mail.html",
        status=status,
        settings=config,
        confirmed=_is_confirmed(),
        roads=mail_settings.MAIL_MODES,
        features=list(mail_settings.available_features(config)),
        state=ImapStatus.load_row(),
        test=mail_settings.last_test_letter(),
        letter_states=lifecycle.STATE_LABELS,
        **{**forms, **filled},
    )


def _server_form(config: settings.Settings) -> SmtpServerForm:
    route = config.route
    if route is None:
        return SmtpServerForm(None, hour_rate=config.hour_rate)
    return SmtpServerForm(
        None, host=route.host, port=route.port, security=route.security, user=route.user, hour_rate=config.hour_rate
    )


def _mailbox_form() -> MailboxForm:
    box = mail_settings.saved_account()
    common = {
        "mailbox": mail_settings.mailbox_address(),
        "plus": settings.configured("plus") == "yes",
        "header": settings.configured("recipient_header"),
    }
    if box is None:
        return MailboxForm(None, **common)
    return MailboxForm(None, host=box.host, port=box.port, security=box.security, user=box.user, **common)


def _is_confirmed() -> bool:
    return second_factor.is_confirmed(current_user.session, clock.now())


def _ensure_confirmed() -> None:
    """Raise DomainError unless password or second factor were shown a short while ago; the form stays filled in."""
    if not _is_confirmed():
        raise DomainError(
            N_("Please confirm first that it is you, then save again. What you typed is kept, except the password."),
            "host",
        )


@bp.post("/admin/mail/road")
@requires("admin")
def save_mail_mode() -> Answer:
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
    """Change the mail server, after password or second factor. Without a server, letters stay in the outbox."""
    form, fixed = SmtpServerForm(), settings.load_settings().fixed
    if "smtp" in fixed:
        abort(403)
    if form.validate():
        with errors_in(form):
            _ensure_confirmed()
            mail_settings.update_smtp(
                current_user,
                host=form.host.data or "",
                port=form.port.data,
                security=form.security.data,
                user=form.user.data or "",
                password=form.password.data or "",
                hour_rate=None if "hour_rate" in fixed else form.hour_rate.data or 0,
            )
            flash_message(N_("Saved. Now send a test letter."))
            return redirect_to("admin.mail_page")
    return _mail_page(422, server=form)


@bp.post("/admin/mail/test")
@requires("admin")
def send_test_email() -> Answer:
    """Send a test letter to the current administrator and show the result."""
    if not current_user.email:
        flash_message(N_("Please enter your own e-mail address first: the test letter goes there."), "wrong")
        return redirect_to("account.index")
    config = settings.load_settings()
    if config.practice and not config.quarantined:
        count_letter(Caused.MAIL_TEST, current_user, None, clock.now())
        notify("test", current_user, clock.now(), to_name="")
        flash_message(N_("The test letter is on its way to the outbox."))
        return redirect_to("admin.mail_page")
    result = mail_settings.send_test_letter(current_user, clock.now())
    flash_message(result.advice, "note" if result.ok else "wrong", sender=config.own_addresses.sender("postmaster"))
    return redirect_to("admin.mail_page")


@bp.post("/admin/mail/practice")
@requires("admin")
def return_to_practice() -> Answer:
    """Let letters go to the outbox again, after password or second factor."""
    try:
        _ensure_confirmed()
        settings.return_to_practice(current_user)
    except DomainError as error:
        flash_message(error.message, "wrong")
    else:
        flash_message(N_("Kairan practises again: new letters go to the outbox."))
    return redirect_to("admin.mail_page")


@bp.post("/admin/mail/box")
@requires("admin")
def save_mailbox() -> Answer:
    """Change the mailbox, after password or second factor, and test it once."""
    form = MailboxForm()
    if "imap" in settings.load_settings().fixed:
        abort(403)
    if form.validate():
        with errors_in(form):
            _ensure_confirmed()
            mail_settings.save_mailbox(current_user, _mailbox_settings_of(form))
            return test_mailbox()
    return _mail_page(422, box=form)


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
    """Test the mailbox without removing mail."""
    box = settings.load_settings().imap_account
    if box is None:
        flash_message(N_("Saved. It is read once “one mailbox” or “all mail in one mailbox” is chosen above."))
        return redirect_to("admin.mail_page")
    result = imap_poller.test_account(box, clock.now())
    if result is None:
        flash_message(N_("The mailbox is open to Kairan, and handled mail can be put aside."))
    else:
        flash_message(result.message, "wrong")
    return redirect_to("admin.mail_page")


# ── caught letters ──────────────────────────────────────────────────────────────────────────────────────────────────


PAGE_SIZE = 30


@bp.get("/outbox", endpoint="list_outbox")
@requires("admin")
def list_outbox() -> Answer:
    """List the letters of the outbox, newest first."""
    files = dev_outbox.list_messages()
    last = max(1, -(-len(files) // PAGE_SIZE))
    number = min(max(1, request.args.get("page", 1, type=int)), last)
    return render_page(
        "admin/outbox.html",
        letters=_read_messages(files[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]),
        total=len(files),
        number=number,
        last=last,
        days=RETENTION_DAYS,
    )


def _read_messages(files: list[OutboxFile]) -> list[dev_outbox.CapturedMessage]:
    """Return the letters that still exist."""
    messages = []
    for file in files:
        try:
            messages.append(dev_outbox.read_message(file))
        except NoSuchLetter:
            continue
    return messages


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
    """Send the HTML part under its own policy: no script, no remote content, links in a new window."""
    message = _message_or_404(name)
    if not message.html:
        abort(404)
    return letter_response(html_body.embed_as_data_urls(message.html))
