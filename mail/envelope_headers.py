"""Recover the envelope of a message in a mailbox: trust only the fields that the mailbox's server wrote on top.

RFC 5321 4.4: the receiving server adds `Received` above all other fields, and at delivery `Return-Path`, together with
`X-Original-To` and `Delivered-To` (Postfix), `Envelope-To` (Exim) or `Delivered-To` (qmail, Dovecot, Gmail).
Anybody may have written the fields below the topmost Received.
"""

import re

from mail import address
from mail.message import MAX_HEADER_BYTES

RECIPIENT_HEADERS = ("x-original-to", "envelope-to", "x-envelope-to", "x-rcpt-to", "delivered-to", "x-apparently-to")
"""Most exact first: X-Original-To is from before alias expansion."""
_RANK = {name: rank for rank, name in enumerate(RECIPIENT_HEADERS)}

UNKNOWN_SENDER = "unknown"
"""Stands for an unknown envelope sender; it is no address."""

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_FOR = re.compile(rb"\bfor\s+<?([^\s<>;]{1,300}@[^\s<>;]{1,255})>?\s*(?:;|\(|$)", re.IGNORECASE)
MAX_FIELDS = 200


def find_recipients(raw: bytes, named: str = "") -> list[str]:
    """Return the recipients that the mailbox's server recorded, best first; [] if it recorded none. Never raises.

    named: the one field that the mailbox certainly writes; its first occurrence counts, wherever it stands.
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
    """Return the envelope sender: "" for the null sender, UNKNOWN_SENDER if not recorded. Never raises."""
    for name, value in _fields_above_received(_fields(raw)):
        if name == "return-path":
            boxes = address.parse_address_list(value)
            return boxes[0].address if boxes else ("" if b"<>" in value else UNKNOWN_SENDER)
    return UNKNOWN_SENDER


def _address_alone(value: bytes) -> bytes:
    """Cut off what some servers append to the address (Yahoo: a date)."""
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
