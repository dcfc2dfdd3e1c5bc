"""Which addresses are ours: a whole mail domain, or one mailbox at a provider and what stands behind its plus.

RFC 5233 (sub-addressing: `school+zenko@`). With one mailbox every letter comes from that mailbox, since providers let
nobody else send; our own addresses stand behind the plus, or there are none.
"""

import re
from dataclasses import dataclass

from mail import address as addresses


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """Our addresses. domain: of all of them. id_domain: of Message-ID and List-Id, which nobody else uses.

    mailbox: the address of the one mailbox, "" if the whole domain is ours. plus: mail to `name+anything@` reaches it.
    """

    domain: str
    id_domain: str
    mailbox: str = ""
    plus: bool = False

    @property
    def many(self) -> bool:
        """Say whether lists and letters have addresses of their own."""
        return not self.mailbox or self.plus

    def address(self, local: str) -> str:
        """Return the address for one of our local parts: the mailbox itself where there is no other."""
        if not self.mailbox:
            return f"{local}@{self.domain}"
        name = self.mailbox.rpartition("@")[0]
        return f"{name}+{local}@{self.domain}" if self.plus else self.mailbox

    def sender(self, local: str) -> str:
        """Return what may stand in From: the list's own address, or the mailbox that the provider lets us use."""
        return self.mailbox or f"{local}@{self.domain}"

    def return_path(self, number: int, secret: bytes) -> str:
        """Return the envelope sender of a letter. With one mailbox, reports are known by the Message-ID in them."""
        return self.mailbox or addresses.return_path(number, secret, self.domain)

    def local(self, address: str) -> str | None:
        """Return the local part that an address means here; "" for the mailbox itself, None if it is not ours."""
        local, _, domain = address.strip().strip("<>").lower().rpartition("@")
        if domain != self.domain or not local:
            return None
        if not self.mailbox:
            return local
        name, plus, behind = addresses.unquote_local_part(local).partition("+")
        if name != self.mailbox.rpartition("@")[0].lower():
            return None
        return behind if self.plus and plus else ""

    def has(self, address: str) -> bool:
        """Say whether mail to this address comes back to us: it can be no member, sender or organizer."""
        return self.local(address) is not None or addresses.domain_of(address) == self.id_domain

    @property
    def shown(self) -> str:
        """Return what parents must allow on their phones: our domain, or our one address."""
        return self.mailbox or self.domain


def id_domain(mailbox: str, host: str) -> str:
    """Return the domain for Message-IDs beside one mailbox: the host of the pages, if it has a name."""
    if "." in host and re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}", host.lower()):
        return host.lower()
    name, _, domain = mailbox.lower().rpartition("@")
    return f"{re.sub(r'[^a-z0-9-]', '-', name).strip('-') or 'kairan'}.{domain}"
