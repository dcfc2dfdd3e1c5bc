"""Mail set-up by an administrator: the mail mode, the SMTP server, and the IMAP mailbox (N-07, X-08).

Pages and letters offer only what works in the chosen mode (`Settings.accepts_inbound`, `mail.address.OwnAddresses`).
Each server is stored as one URL in the Organization row.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from config import current_config, is_mailbox_address
from core import audit
from core.errors import DomainError
from core.inbound.imap_poller import RESTORED_COPY
from core.notices.rendering import RenderCache
from core.notifications.letter_limits import Caused, count_letter
from core.notifications.notify import notify
from core.settings import Settings, imap_address, load_settings, update_organization
from core.system.diagnostics import CheckResult
from database import db
from i18n import N_
from mail import address as addresses
from mail.dkim_signer import DkimSigner
from mail.server_urls import BadServerUrl, ImapAccount, Server, SmtpServer
from mail.smtp import OutcomeUnknown, SmtpConnection, SmtpReply, Unreachable
from models import ImapStatus, Letter, LetterState, MailingList, User


@dataclass(frozen=True, slots=True)
class MailMode:
    """How the school's mail works, described for a secretary."""

    name: str
    about: str


MAIL_MODES: dict[str, MailMode] = {
    "own": MailMode(
        N_("Our own mail server stands on this machine"),
        N_("Somebody has set up Postfix here. It sends the letters and takes mail for our domain."),
    ),
    "relay": MailMode(
        N_("A provider sends for us; mail for our domain comes to this machine"),
        N_("We have a user name and a password for sending. The MX record of our domain names this machine."),
    ),
    "collected": MailMode(
        N_("A provider does our mail; all mail for our domain lies in one mailbox"),
        N_("The provider calls it catch-all. Kairan sends by the provider and reads that mailbox."),
    ),
    "mailbox": MailMode(
        N_("We have one mail address at a provider, and nothing else"),
        N_("Such as school@… of Gmail or of an internet provider. Every letter comes from this one address."),
    ),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature and whether it works; `why` it does not, or works in part."""

    name: str
    works: bool
    why: str = ""


_NO_INBOUND = N_("Mail does not come in yet: see “Receiving” on this page.")
_NO_ADDRESS = N_("For this the lists need addresses of their own: a mail domain, or a provider with plus addresses.")
_PARTIAL_BOUNCE_REPORTS = N_("Four reports in five are recognised; the others are shown under “Incoming mail”.")


def available_features(settings: Settings) -> Iterator[Feature]:
    """Yield what works with these settings, in the order in which people ask."""
    inbound, list_addresses = settings.accepts_inbound, settings.own_addresses.has_list_addresses
    why = _NO_INBOUND if not inbound else "" if list_addresses else _NO_ADDRESS
    bounces = _NO_INBOUND if not inbound else _PARTIAL_BOUNCE_REPORTS if settings.own_addresses.mailbox else ""
    yield Feature(N_("Notices to every family, with read confirmation and answers"), True)
    yield Feature(N_("Signup and leaving by a link"), True)
    yield Feature(N_("Addresses that do not exist are noticed"), inbound, bounces)
    yield Feature(N_("Replies of families stand at the notice"), inbound, "" if inbound else _NO_INBOUND)
    yield Feature(N_("Sending notices from a mail program"), inbound and list_addresses, why)
    yield Feature(N_("Signup and leaving by a blank mail"), inbound and list_addresses, why)


def choose_mode(by: User, mode: str) -> None:
    """Store the mail mode, unless the configuration file fixes it. Raises DomainError for an unknown mode."""
    if mode not in MAIL_MODES:
        raise DomainError(N_("Please choose one."), "road")
    settings = load_settings()
    if "road" not in settings.fixed and mode != settings.mail_mode:
        update_organization(by, mail_mode=mode)


def mailbox_address() -> str:
    """Return the configured mailbox address, also if another mail mode is active."""
    return imap_address(load_settings()) or current_config().mailbox


def _server_url(scheme: str, host: str, port: int | None, user: str, password: str, saved: Server | None) -> str:
    """Build the URL of a server. An empty password keeps the saved one, only for the same host and user:

    a password must never be sent to another server.
    """
    if not password and saved and (saved.host, saved.user) == (host, user):
        password = saved.password
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{login}{name}{f':{port}' if port else ''}"


def _url_error(error: BadServerUrl) -> DomainError:
    return DomainError(error.message, "password" if "password" in error.message else "host")


# ── the mail server ──────────────────────────────────────────────────────────────────────────────────────────────────

SMTP_SECURITY_LABELS = {
    "starttls": N_("STARTTLS (usual, port 587)"),
    "tls": N_("TLS from the start (port 465)"),
    "none": N_("Not encrypted (only inside your own network)"),
}
_SMTP_SCHEMES = {"starttls": "smtp+starttls", "tls": "smtps", "none": "smtp"}


def update_smtp(
    by: User, *, host: str, port: int | None, security: str, user: str, password: str, hour_rate: int | None = None
) -> None:
    """Store the SMTP server; without a host, letters go to the outbox. Raises DomainError.

    hour_rate: letters per hour that the server accepts (0: no limit; None: keep the stored value).
    An empty password keeps the stored one if host and user are the same.
    """
    host, user, url = host.strip(), user.strip(), ""
    if host:
        url = _server_url(_SMTP_SCHEMES[security], host, port, user, password, load_settings().route)
        try:
            SmtpServer.parse(url)
        except BadServerUrl as error:
            raise _url_error(error) from error
    rate = {} if hour_rate is None else {"hour_rate": hour_rate}
    update_organization(by, smtp=url, **rate)


# ── the mailbox ──────────────────────────────────────────────────────────────────────────────────────────────────────

IMAP_SECURITY_LABELS = {"tls": N_("TLS from the start (usual, port 993)"), "starttls": N_("STARTTLS (port 143)")}
_IMAP_SCHEMES = {"tls": "imaps", "starttls": "imap+starttls", "none": "imap"}
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,200}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}")


@dataclass(frozen=True, slots=True)
class MailboxInput:
    """The form of the mailbox. plus: the provider delivers `name+anything@`; header: names the recipient."""

    host: str
    port: int | None
    security: str
    user: str
    password: str
    mailbox: str
    plus: bool
    header: str


def save_mailbox(by: User, entered: MailboxInput) -> None:
    """Store the mailbox account and reset its status. Raises DomainError.

    An empty password keeps the stored one if host and user are the same.
    """
    mailbox = _clean_mailbox_address(entered.mailbox)
    if entered.header and not _HEADER.fullmatch(entered.header):
        raise DomainError(N_("This is no name of a header. It looks like X-Original-To."), "header")
    host, user = entered.host.strip(), entered.user.strip()
    if not _HOST.fullmatch(host):
        raise DomainError(N_("The mailbox server cannot be reached. Please check its name and port."), "host")
    scheme = _IMAP_SCHEMES[entered.security]
    url = _server_url(scheme, host, entered.port, user, entered.password, saved_account())
    try:
        ImapAccount.parse(url)
    except BadServerUrl as error:
        raise _url_error(error) from error
    fixed = load_settings().fixed
    fields = {"imap": url, "mailbox": mailbox, "plus": entered.plus, "recipient_header": entered.header}
    update_organization(by, **{name: value for name, value in fields.items() if name not in fixed})
    ImapStatus.update(at=None, last_success_at=None, reason="", message="", detail="").execute()


def _clean_mailbox_address(entered: str) -> str:
    try:
        address = addresses.parse_address(entered).lower()
    except addresses.BadAddress as error:
        raise DomainError(error.message, "mailbox") from error
    if not is_mailbox_address(address):
        raise DomainError(N_("Use an address of letters, digits, dots, hyphens or underscores."), "mailbox")
    if _is_list_address(address):
        raise DomainError(N_("This is the address of a list. The mailbox needs an address of its own."), "mailbox")
    return address


def _is_list_address(address: str) -> bool:
    local, _, domain = address.rpartition("@")
    return (
        domain == load_settings().own_addresses.domain
        and MailingList.select().where(MailingList.address == local).exists()
    )


def saved_account() -> ImapAccount | None:
    """Return the stored mailbox account, also if another mail mode is active. Pages never show its password."""
    url = current_config().imap
    return ImapAccount.parse(url) if url else None


# ── the test letter: sent while an administrator waits, so that the result says at once which field is wrong ──

TIMEOUT_S = 15.0

_ACCEPTED = N_("The server took the letter. Look whether it arrives, also in the folder for spam.")
_SENDER_NOT_ALLOWED = N_(
    "The server does not let this login send as %(sender)s. Ask the provider to allow this address."
)
_RELAY_DENIED = N_("The server takes no letters to others from here without a login. Please enter user and password.")
_NEEDS_TLS_OR_LOGIN = N_("The server wants encryption or a login first. Please check encryption, user and password.")
_TRY_LATER = N_("The server asks to try again later. Often it does so with senders that it does not know yet.")
_REFUSED = N_("The server refused the letter.")
_CONNECTION_LOST = N_("The server took the letter but never answered. It may have been sent.")


def send_test_letter(to: User, now: datetime) -> CheckResult:
    """Send a test letter. `found`: the server's reply; `advice`: what it means.

    Do not call in a transaction. Nothing is sent by a restored copy or without a mail server.
    """
    settings = load_settings()
    if settings.quarantined:
        return CheckResult("smtp", False, "", RESTORED_COPY)
    if settings.route is None:
        return CheckResult("smtp", False, "", N_("No mail server is set any more, so nothing is being sent."))
    count_letter(Caused.MAIL_TEST, to, None, now)
    letter = _create_letter(to, now)
    result, state = _try_send(letter, settings, now)
    Letter.update(state=state, done_at=now, text=result.found[:500]).where(
        Letter.id == letter.id, Letter.state == LetterState.WAITING
    ).execute()
    audit.log_action(to, "organization.tested", detail={"well": result.ok})
    return result


def last_test_letter() -> Letter | None:
    tests = Letter.select().where(Letter.kind == "test", Letter.notice.is_null(), Letter.person.is_null())
    last: Letter | None = tests.order_by(Letter.id.desc()).first()
    return last


def _create_letter(to: User, now: datetime) -> Letter:
    """Create the row; its next attempt is tomorrow, so that no worker claims it."""
    with db.atomic():
        letter = notify("test", to, now, to_name="")
        Letter.update(next_attempt_at=now + timedelta(days=1)).where(Letter.id == letter.id).execute()
    return Letter.get_by_id(letter.id)


def _try_send(letter: Letter, settings: Settings, now: datetime) -> tuple[CheckResult, LetterState]:
    """Return the result and the new state of the letter."""
    assert settings.route  # noqa: S101
    raw = RenderCache(settings).render(letter, False, now)
    if not settings.own_addresses.mailbox:
        config = current_config()
        raw = DkimSigner(config.dkim_selector, settings.mail_domain, config.key("dkim.pem")).sign(raw)
    connection = SmtpConnection(settings.route, settings.mail_domain, TIMEOUT_S)
    try:
        reply = connection.send(settings.own_addresses.return_path(letter.id, settings.secret), letter.address, raw)
    except Unreachable as error:
        return CheckResult("smtp", False, error.detail, error.message), LetterState.CANCELLED
    except OutcomeUnknown:
        return CheckResult("smtp", False, "", _CONNECTION_LOST), LetterState.UNKNOWN
    finally:
        connection.close()
    result = CheckResult("smtp", reply.accepted, f"{reply.code} {reply.text}", explain_reply(reply))
    return result, LetterState.ACCEPTED if reply.accepted else LetterState.REFUSED


def explain_reply(reply: SmtpReply) -> str:
    """Return what the server's reply means for the administrator, as a source string."""
    if reply.accepted:
        return _ACCEPTED
    text = reply.text.lower()
    if reply.code in (530, 534, 538) or "starttls" in text:
        return _NEEDS_TLS_OR_LOGIN
    if "relay" in text or "authentication required" in text:
        return _RELAY_DENIED
    if reply.phase == "mail" or reply.enhanced in ("5.1.7", "5.1.8", "5.7.60") or _is_sender_rejected(text):
        return _SENDER_NOT_ALLOWED
    return _TRY_LATER if reply.deferred else _REFUSED


def _is_sender_rejected(text: str) -> bool:
    return "sender" in text or "not owned by" in text or "send as" in text
