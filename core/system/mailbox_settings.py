"""The mailbox as an administrator sets it: field by field, kept as one address in the Organization row, and tried."""

import re
from dataclasses import dataclass
from urllib.parse import quote

import config as ground
from core import settings
from core.errors import DomainError
from core.system import mail_modes
from i18n import N_
from mail import address as addresses
from mail.imap_account import BadImapUrl, ImapAccount
from models import ImapStatus, Organization, User

SECURITY_LABELS = {"tls": N_("TLS from the start (usual, port 993)"), "starttls": N_("STARTTLS (port 143)")}
_SCHEMES = {"tls": "imaps", "starttls": "imap+starttls", "none": "imap"}
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,200}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}")


@dataclass(frozen=True, slots=True)
class MailboxInput:
    """What an administrator typed about the mailbox."""

    host: str
    port: int | None
    security: str
    user: str
    password: str
    mailbox: str
    plus: bool
    header: str


def save_mailbox(by: User, wish: MailboxInput) -> None:
    """Keep how the mailbox is reached. Raises DomainError.

    An empty password keeps the old one, for the same host and user only: it must not be sent to another server.
    """
    mailbox = _clean_mailbox_address(wish.mailbox)
    if wish.header and not _HEADER.fullmatch(wish.header):
        raise DomainError(N_("This is no name of a header. It looks like X-Original-To."), "header")
    url = _build_imap_url(wish)
    try:
        ImapAccount.parse(url)
    except BadImapUrl as wrong:
        raise DomainError(wrong.message, "password" if "password" in wrong.message else "host") from wrong
    fixed = settings.load_settings().fixed
    fields = {"imap": url, "mailbox": mailbox, "plus": wish.plus, "recipient_header": wish.header}
    settings.update_organization(by, **{name: value for name, value in fields.items() if name not in fixed})
    ImapStatus.update(at=None, last_success_at=None, reason="", message="", detail="").execute()


def _clean_mailbox_address(typed: str) -> str:
    try:
        found = addresses.parse_address(typed).lower()
    except addresses.BadAddress as wrong:
        raise DomainError(wrong.message, "mailbox") from wrong
    if not ground.is_mailbox_address(found):
        raise DomainError(N_("Use an address of letters, digits, dots, hyphens or underscores."), "mailbox")
    if mail_modes.is_list_address(found):
        raise DomainError(N_("This is the address of a list. The mailbox needs an address of its own."), "mailbox")
    return found


def _build_imap_url(wish: MailboxInput) -> str:
    host, user, password = wish.host.strip(), wish.user.strip(), wish.password
    if not _HOST.fullmatch(host):
        raise DomainError(N_("The mailbox server cannot be reached. Please check its name and port."), "host")
    kept = _saved_account()
    if not password and kept and (kept.host, kept.user) == (host, user):
        password = kept.password
    name = f"[{host}]" if ":" in host else host
    port = f":{wish.port}" if wish.port else ""
    return f"{_SCHEMES[wish.security]}://{quote(user, safe='')}:{quote(password, safe='')}@{name}{port}"


def _saved_account() -> ImapAccount | None:
    """Return the mailbox as it is set, also while another road is chosen."""
    url = ground.current_config().imap or Organization.load_row().imap
    return ImapAccount.parse(url) if url else None


def saved_account() -> ImapAccount | None:
    """Return the mailbox for the page; the page never shows the password."""
    return _saved_account()
