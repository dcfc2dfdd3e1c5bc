"""Host, port, security and login of a mail server as one URL: SMTP to send, IMAP to read a mailbox (RFC 3501, 8314).

User and password are percent-decoded. No password is sent without encryption, except to this machine.
"""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from i18n import N_

ServerSecurity = Literal["none", "starttls", "tls"]

_SMTP_SCHEMES: dict[str, tuple[ServerSecurity, int]] = {
    "smtp": ("none", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}
_IMAP_SCHEMES: dict[str, tuple[ServerSecurity, int]] = {
    "imap": ("none", 143),
    "imap+starttls": ("starttls", 143),
    "imaps": ("tls", 993),
}


class BadServerUrl(ValueError):
    """The URL does not name a usable server. `message`: source string for `say`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The server to which letters go: of this machine, of a provider, or the outbox on loopback."""

    host: str
    port: int
    security: ServerSecurity = "none"
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """Read `smtp://host:port`, `smtp+starttls://user:password@host` or `smtps://…`. Raises BadServerUrl.

        Ports default to 25, 587 and 465.
        """
        parts, port = _split(url, N_("The port of the mail server must be a number."))
        if parts.scheme not in _SMTP_SCHEMES:
            raise BadServerUrl(N_("A mail server begins with smtp://, smtp+starttls:// or smtps://."))
        if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise BadServerUrl(N_("Give the mail server as smtp://host:port."))
        security, default_port = _SMTP_SCHEMES[parts.scheme]
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if bool(user) != bool(password):
            raise BadServerUrl(N_("A mail server that wants a login needs both user and password."))
        if user and security == "none" and not is_loopback(parts.hostname):
            raise BadServerUrl(N_("A password must not travel in the open: use smtp+starttls:// or smtps://."))
        return cls(parts.hostname, port or default_port, security, user, password)

    def shown(self) -> str:
        """Return the URL for pages and logs, without password."""
        return _shown(_SMTP_SCHEMES, self)

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class ImapAccount:
    """A mailbox and its login. `mail.imap` reads it."""

    host: str
    port: int
    security: ServerSecurity
    user: str
    password: str = field(repr=False)
    folder: str = "INBOX"

    @classmethod
    def parse(cls, url: str) -> "ImapAccount":
        """Read `imaps://user:password@host[:port][/folder]` or `imap+starttls://…`. Raises BadServerUrl."""
        parts, port = _split(url, N_("The port of the mailbox must be a number."))
        if parts.scheme not in _IMAP_SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise BadServerUrl(N_("Give the mailbox as imaps://user:password@server."))
        security, default_port = _IMAP_SCHEMES[parts.scheme]
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not user or not password:
            raise BadServerUrl(N_("A mailbox needs both user and password."))
        if re.search(r"[\x00-\x1f\x7f]", user + password):
            raise BadServerUrl(N_("User and password of a mailbox are of one line each."))
        if security == "none" and not is_loopback(parts.hostname):
            raise BadServerUrl(N_("A mailbox must not be opened without encryption: use imaps:// or imap+starttls://."))
        folder = unquote(parts.path.strip("/")) or "INBOX"
        return cls(parts.hostname, port or default_port, security, user, password, folder)

    def shown(self) -> str:
        """Return the URL for pages and logs, without password."""
        return _shown(_IMAP_SCHEMES, self)


Server = SmtpServer | ImapAccount


def _split(url: str, port_error: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url.strip())
        return parts, parts.port
    except ValueError:
        raise BadServerUrl(port_error) from None


def _shown(schemes: dict[str, tuple[ServerSecurity, int]], server: Server) -> str:
    scheme = next(name for name, (security, _) in schemes.items() if security == server.security)
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{scheme}://{f'{server.user}@' if server.user else ''}{host}:{server.port}"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
