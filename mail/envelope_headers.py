"""For whom a mail came, read from a mailbox: only what the mailbox's own server wrote on top is believed.

RFC 5321 4.4: a server that takes a mail puts `Received` above all that was there, and at the end `Return-Path`; with
them come `X-Original-To` and `Delivered-To` (Postfix), `Envelope-To` (Exim), `Delivered-To` (qmail, Dovecot, Gmail).
What stands below the topmost Received may have been written by anybody.
"""

import re

from mail import address
from mail.message import MAX_HEADER_BYTES

RECIPIENT_HEADERS = ("x-original-to", "envelope-to", "x-envelope-to", "x-rcpt-to", "delivered-to", "x-apparently-to")
"""Fields that name the recipient, the most exact first: X-Original-To is from before aliases were followed."""
_RANK = {name: rank for rank, name in enumerate(RECIPIENT_HEADERS)}

UNKNOWN_SENDER = "unknown"
"""The envelope sender of a mail that does not show it; it is neither a machine's nor anybody's address."""

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_FOR = re.compile(rb"\bfor\s+<?([^\s<>;]{1,300}@[^\s<>;]{1,255})>?\s*(?:;|\(|$)", re.IGNORECASE)
MAX_FIELDS = 200


def find_recipients(raw: bytes, named: str = "") -> list[str]:
    """Return the addresses for which a mail came, as its mailbox tells, best first; [] if it does not tell.

    named: the one field that the mailbox surely writes; it counts wherever its first one stands. Never raises.
    """
    found = _fields(raw)
    if named:
        value = next((value for name, value in found if name == named.lower()), b"")
        return [box.address for box in address.parse_address_list(_address_alone(value))]
    top = sorted(
        (one for one in _fields_above_received(found) if one[0] in RECIPIENT_HEADERS), key=lambda one: _RANK[one[0]]
    )
    received = next((value for name, value in found if name == "received"), b"")
    values = [*(_address_alone(value) for _, value in top), *_FOR.findall(received)[:1]]
    return list(dict.fromkeys(box.address for value in values for box in address.parse_address_list(value)))


def find_sender(raw: bytes) -> str:
    """Return the envelope sender: "" of machines, UNKNOWN if the mail does not show it. Never raises."""
    for name, value in _fields_above_received(_fields(raw)):
        if name == "return-path":
            boxes = address.parse_address_list(value)
            return boxes[0].address if boxes else ("" if b"<>" in value else UNKNOWN_SENDER)
    return UNKNOWN_SENDER


def _address_alone(value: bytes) -> bytes:
    """Return the address of a field without what some servers put behind it (Yahoo: a date)."""
    return value.partition(b";")[0] if b";" in value else value


def _fields_above_received(found: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    until = next((at for at, (name, _) in enumerate(found) if name == "received"), 0)
    return found[:until]


def _fields(raw: bytes) -> list[tuple[str, bytes]]:
    """Return the first fields of a mail, unfolded, names in lower case."""
    head = re.split(rb"\r?\n\r?\n", raw[:MAX_HEADER_BYTES], maxsplit=1)[0]
    lines = re.split(rb"\r?\n(?![ \t])", head)[:MAX_FIELDS]
    found = (_FIELD.fullmatch(line) for line in lines)
    return [(match[1].decode("ascii", "replace").lower(), match[2]) for match in found if match]
