"""An incoming message with its classification, and the result of handling it."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from core.delivery.letter_tags import decode_letter_tag
from core.settings import Settings
from mail import address as addresses
from mail.address import TagPurpose
from mail.message import ParsedMessage, parse_message
from models import Letter, MailingList, Notice, Person

if TYPE_CHECKING:
    from mail.bounce.report import Explanation


@dataclass(frozen=True, slots=True)
class InboundResult:
    """Kind, outcome and reason (words for code: `models.InboundMessage`), and what the message was about.

    keep_text: store subject and text in the row. keep_raw: keep the raw message for the administrators.
    files: name and octets of the attachments of a reply.
    """

    kind: str
    outcome: str = "done"
    reason: str = ""
    list: MailingList | None = None
    person: Person | int | None = None
    letter: Letter | None = None
    notice: Notice | int | None = None
    keep_text: bool = False
    keep_raw: bool = False
    files: tuple[tuple[str, int], ...] = ()


class RetryLater(Exception):
    """The message cannot be handled yet. It stays in the spool, and no attempt is counted."""


MAX_SEARCHED_BYTES = 1 << 20
"""Octets of a machine's message that are searched for a VERP tag."""


@dataclass(frozen=True)
class InboundMail:
    """A parsed and classified message. address: the single From, "" if there is not exactly one.

    sender_kind, evidence: as `mail.classify` says. letter_number: the letter of ours that it answers, by Message-ID.
    returned_letter: the letter that a report returns, by the tag of its return path.
    """

    raw: bytes = field(repr=False)
    envelope: str
    parsed: ParsedMessage
    sender_kind: str
    evidence: str
    letter_number: int | None
    returned_letter: int | None = None

    @property
    def address(self) -> str:
        return self.parsed.sole_from

    @property
    def subject(self) -> str:
        return self.parsed.subject

    @property
    def text(self) -> str:
        return self.parsed.text

    @property
    def is_unsubscribe_request(self) -> bool:
        from mail import classify  # loads the patterns of bounces

        return classify.is_unsubscribe_request(self.parsed)

    @property
    def doubtful_signs(self) -> Collection[str]:
        from mail import classify  # loads the patterns of bounces

        return classify.DOUBTFUL_SIGNS

    @property
    def attachments(self) -> int:
        return len(self.parsed.attachments)

    @cached_property
    def recipients(self) -> frozenset[str]:
        return self.recipients_in({"to", "cc"})

    def recipients_in(self, names: Collection[str]) -> frozenset[str]:
        """Return the comparison keys of the addresses in To and Cc, if they are among these field names."""
        fields = [value for name, value in self.parsed.root.fields if name in ("to", "cc") and name in names]
        return frozenset(
            addresses.comparison_key(box.address) for value in fields[:5] for box in addresses.parse_address_list(value)
        )

    def explain_report(self, recipient: str) -> "Explanation":
        """Explain a report about a letter to this recipient ("" if unknown)."""
        from mail.bounce.report import explain_message  # its patterns are slow to compile; pages do not need them

        return explain_message(self.parsed, recipient)


def read_inbound_mail(raw: bytes, envelope: str, settings: Settings) -> InboundMail:
    """Parse and classify a message. envelope: the envelope sender, "" for the null sender."""
    from mail import classify  # loads the patterns of bounces

    parsed = parse_message(raw)
    classification = classify.classify_message(
        parsed, envelope, classify.OwnIdentity(settings.mail_domain, mailbox=settings.own_addresses.mailbox)
    )
    mentioned = " ".join((*parsed.in_reply_to, *parsed.references))
    returned = None
    if classification.sender_kind == "machine":
        text = f"{raw[:MAX_SEARCHED_BYTES].decode('latin-1')} {parsed.text}"
        returned, mentioned = _find_letter_number(text, "return", settings), f"{mentioned} {text}"
    number = _find_letter_number(mentioned, "id", settings)
    return InboundMail(raw, envelope, parsed, classification.sender_kind, classification.evidence, number, returned)


def _find_letter_number(text: str, purpose: TagPurpose, settings: Settings) -> int | None:
    """Return the number of the first letter whose tag of this purpose stands in the text."""
    before = rf"{addresses.RETURN_TAG_HEADER}:\s*([a-z2-7]{{24}})(?![a-z2-7])|" if purpose == "return" else ""
    pattern = re.compile(rf"{before}(?<![a-z2-7])([a-z2-7]{{24}})@{re.escape(settings.mail_domain)}", re.IGNORECASE)
    tags = ("".join(match.groups("")) for match in pattern.finditer(text))
    numbers = (decode_letter_tag(tag, purpose, settings) for tag in tags)
    return next((number for number in numbers if number is not None), None)
