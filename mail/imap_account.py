"""Where a mailbox is and how to get in (RFC 3501, 8314). Reading it: `mail.imap`."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from i18n import N_
from mail.smtp import is_loopback

ImapSecurity = Literal["none", "starttls", "tls"]

_SCHEMES: dict[str, tuple[ImapSecurity, int]] = {
    "imap": ("none", 143),
    "imap+starttls": ("starttls", 143),
    "imaps": ("tls", 993),
}


class BadImapUrl(ValueError):
    """This does not say how to reach a mailbox; `message` says why, in English, for `say`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class ImapAccount:
    """Where a mailbox is and how to get in."""

    host: str
    port: int
    security: ImapSecurity
    user: str
    password: str = field(repr=False)
    folder: str = "INBOX"

    @classmethod
    def parse(cls, url: str) -> "ImapAccount":
        """Read `imaps://user:password@host[:port][/folder]` or `imap+starttls://…`. Raises BadBox."""
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise BadImapUrl(N_("The port of the mailbox must be a number.")) from None
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise BadImapUrl(N_("Give the mailbox as imaps://user:password@server."))
        security, usual = _SCHEMES[parts.scheme]
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not user or not password:
            raise BadImapUrl(N_("A mailbox needs both user and password."))
        if re.search(r"[\x00-\x1f\x7f]", user + password):
            raise BadImapUrl(N_("User and password of a mailbox are of one line each."))
        if security == "none" and not is_loopback(parts.hostname):
            raise BadImapUrl(N_("A mailbox must not be opened without encryption: use imaps:// or imap+starttls://."))
        return cls(parts.hostname, port or usual, security, user, password, unquote(parts.path.strip("/")) or "INBOX")

    def shown(self) -> str:
        """Return the mailbox for pages and logs, without password."""
        scheme = next(name for name, (security, _) in _SCHEMES.items() if security == self.security)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{self.user}@{host}:{self.port}"
