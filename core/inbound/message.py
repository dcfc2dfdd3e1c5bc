"""An incoming message with its classification, and the result of handling it."""

import re
from dataclasses import dataclass, field
from functools import cached_property

from core.settings import Settings
from mail import address as addresses
from mail import classify
from mail.bounce.report import Explanation, explain_message
from mail.message import ParsedMessage, parse_message
from models import Letter, MailingList, Notice, Person


@dataclass(frozen=True, slots=True)
class InboundResult:
    """Kind, outcome and reason (words for code: models.Incoming), and what the mail was about.

    `show`: subject and text are kept with the row. `keep`: the raw mail is kept for the administrators.
    `files`: name and octets of what came with a reply.
    """

    kind: str
    outcome: str = "done"
    reason: str = ""
    list: MailingList | None = None
    person: Person | int | None = None
    letter: Letter | None = None
    notice: Notice | int | None = None
    show: bool = False
    keep: bool = False
    files: tuple[tuple[str, int], ...] = ()


class RetryLater(Exception):
    """Not now: the mail waits in its order and is tried again; that is no failure of the mail."""


MAX_SEARCHED_BYTES = 1 << 20
"""Octets of a machine's mail in which our own mark is looked for."""


@dataclass(frozen=True)
class InboundMail:
    """A mail that came. `address`: the single From, "" if there is not exactly one.

    visitor, sign: who is at the door and what showed it (`mail.classify`). about: number of the letter of ours that it
    answers or reports on. named: addresses in To and Cc, for comparison.
    """

    raw: bytes = field(repr=False)
    envelope: str
    arrival: ParsedMessage
    visitor: str
    sign: str
    about: int | None

    @property
    def address(self) -> str:
        return self.arrival.sole_from

    @property
    def subject(self) -> str:
        return self.arrival.subject

    @property
    def text(self) -> str:
        return self.arrival.text

    @property
    def attachments(self) -> int:
        return len(self.arrival.attachments)

    @cached_property
    def named(self) -> frozenset[str]:
        fields = [value for name, value in self.arrival.root.fields if name in ("to", "cc")]
        return frozenset(
            addresses.comparison_key(box.address) for value in fields[:5] for box in addresses.parse_address_list(value)
        )

    def explained(self, recipient: str) -> Explanation:
        """Return what a report says about a letter to this recipient ("" if unknown)."""
        return explain_message(self.arrival, recipient)


def read_inbound_mail(raw: bytes, envelope: str, force: Settings) -> InboundMail:
    """Read a mail. envelope: its sender, "" for machines."""
    arrival = parse_message(raw)
    found = classify.classify_message(
        arrival, envelope, classify.OwnIdentity(force.mail_domain, mailbox=force.own.mailbox)
    )
    about = _find_letter_number(" ".join((*arrival.in_reply_to, *arrival.references)), force)
    if about is None and found.visitor == "machine":
        about = _find_letter_number(f"{raw[:MAX_SEARCHED_BYTES].decode('latin-1')} {arrival.text}", force)
    return InboundMail(raw, envelope, arrival, found.visitor, found.sign, about)


def _find_letter_number(text: str, force: Settings) -> int | None:
    """Return the number of the first letter of ours whose mark stands in a text, as in Message-ID or return path."""
    ours = re.compile(rf"(?<![a-z2-7])([a-z2-7]{{24}})@{re.escape(force.mail_domain)}", re.IGNORECASE)
    numbers = (addresses.decode_verp_tag(found, force.secret) for found in ours.findall(text))
    return next((number for number in numbers if number is not None), None)
