"""What an incoming message proves: whose word it is, and that it was meant for this address and this day.

One function for posts, signups, leaving and replies. A signature proves only the header fields that it covers. So an
attacker can forward a genuine message to another recipient or with added fields (docs/security.md).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from core.inbound.message import InboundMail
from mail import address as addresses
from mail.auth_results import CONTENT_FIELDS, AuthResult
from models import InboundMessage

MAX_AGE = timedelta(hours=24)
"""By Date. Greylisting, a full server and a telephone without network delay a message by hours, seldom by a day."""
MAX_AHEAD = timedelta(hours=1)
"""By Date: clocks differ, and some programs write a wrong zone."""


@dataclass(frozen=True, slots=True)
class Proof:
    """True if a message may act by itself. method: how its author is proven (`AuthResult`), "" if not at all.

    weakness: why the proof is not enough, "" if it is. "unproven": the author. "uncovered": the signature leaves out
    fields that decide what readers see. "bcc": no signed To or Cc names our address. "date": Date is missing, old or in
    the future. "seen": a message with this Message-ID was handled at this address.
    message_key: what to store, so that a second copy is "seen"; "" if nothing is proven.
    """

    method: str = ""
    weakness: str = "unproven"
    dmarc_failed: bool = False
    dns_failed: bool = False
    message_key: str = ""

    def __bool__(self) -> bool:
        return not self.weakness


def judge_message(mail: InboundMail, own_address: str, recipient: str, auth: AuthResult, now: datetime) -> Proof:
    """Judge what a message proves at one of our addresses. recipient: its local part, as rows store it."""
    key = _message_key(mail, auth)
    return Proof(
        auth.method, _weakness(mail, own_address, recipient, auth, key, now), auth.dmarc_failed, auth.dns_failed, key
    )


def _weakness(mail: InboundMail, own_address: str, recipient: str, auth: AuthResult, key: str, now: datetime) -> str:
    if not auth:
        return "unproven"
    present = {name for name, _ in mail.parsed.root.fields}
    if any(name in present and name not in auth.covered for name in CONTENT_FIELDS):
        return "uncovered"
    if addresses.comparison_key(own_address) not in mail.recipients_in(auth.covered):
        return "bcc"
    if mail.parsed.date is None or not -MAX_AHEAD <= now - mail.parsed.date <= MAX_AGE:
        return "date"
    return "seen" if key and _is_handled(key, recipient) else ""


def _message_key(mail: InboundMail, auth: AuthResult) -> str:
    """Return a digest of author and Message-ID, or of the signature that does not cover the Message-ID.

    Unproven messages have no key: otherwise a forged message could use up the Message-ID of a genuine one.
    """
    if not mail.parsed.message_id or "message-id" not in auth.covered:
        return sha256(auth.signature).hexdigest()[:32] if auth.signature else ""
    author = addresses.comparison_key(mail.address)
    return sha256(f"{author} {mail.parsed.message_id}".encode("utf-8", "replace")).hexdigest()[:32]


def _is_handled(key: str, recipient: str) -> bool:
    return (
        InboundMessage.select().where(InboundMessage.message_key == key, InboundMessage.recipient == recipient).exists()
    )
