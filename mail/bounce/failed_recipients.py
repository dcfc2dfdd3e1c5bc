"""Whom a returned mail is about, where no machine-readable part says so: the addresses in its words.

Nothing is done to an address because free text names it (inbound rules 3); these are shown, and with a return
path of our own the letter is known anyway. Servers write recipients alone on a line, before a colon, or
behind a few words; the addresses of the server itself and of the sender stand around them.
"""

import re

from mail import address_list
from mail.message import ParsedMessage

_DOMAIN = r"[A-Za-z0-9_.-]{2,255}"
_ADDRESS = rf"[A-Za-z0-9!#$%&*+/=?^_`{{|}}~.-]{{1,128}}@{_DOMAIN}"
_QUOTED = rf"\"[!#-\[\]-~]{{1,64}}\"@{_DOMAIN}"
_ANY_ADDRESS = rf"(?:{_QUOTED}|{_ADDRESS})"
_ALONE = re.compile(
    rf"(?m)^[ \t*>-]{{0,20}}(?:\S{{0,20}}[ \t])?[<(\[\"']?({_ANY_ADDRESS})[>)\]\"']?[ \t]*(?:[:;,.<(]|$)"
)
_BEHIND_WORDS = re.compile(
    r"(?i)(?:rcpt to|recipients?(?: address(?:es)?)?|addressee|unknown user|user unknown|no such user"
    r"|undeliverable to|delivered to|deliver(?:ed|y)? (?:the |your |a )?(?:message |mail |e-?mail |failed )?(?:to"
    r"|for)|(?:message|mail|e-?mail) (?:was |sent )?(?:to|for)|sent to|address|mailbox|userid|user"
    rf"|account|\bto|\bfor|failed|宛先|宛|あて先)[ \t]?(?:is|was|:|=)?[ \t\n]{{0,20}}[<(\[\"'「]{{0,2}}({_ANY_ADDRESS})"
)
_OF_SENDER = re.compile(
    rf"(?i)(?:mail from|sender|\bfrom|contact|reply-to|return-path|message-id|e-?mail us at"
    rf"|postmaster at)[ \t]?[:=]?[ \t]{{0,5}}<?({_ANY_ADDRESS})"
)
_ROLE_ADDRESS = re.compile(
    r"(?i)(?:mailer-?daemon|postmaster|mail-?daemon|abuse|support|help\w*|admin\w*|webmaster|hostmaster|no-?reply"
    r"|noc|root|security)@"
)


def find_failed_addresses(arrival: ParsedMessage, human: str) -> list[str]:
    """Return the addresses that a returned mail says have failed, best guess first, at most 50."""
    head = [found for value in arrival.headers("x-failed-recipients") for found in address_list.find_addresses(value)]
    if head:
        return list(dict.fromkeys(head))[:50]
    others = _unrelated_addresses(arrival, human)
    for pattern in (_ALONE, _BEHIND_WORDS):
        found = _unique_addresses((match[1] for match in pattern.finditer(human)), others)
        if found:
            return found
    return _unique_addresses(address_list.find_addresses(human), others)


def _unrelated_addresses(arrival: ParsedMessage, human: str) -> set[str]:
    """Return the addresses that are not the failed ones: the server's, the sender's, ours."""
    boxes = [*arrival.from_addresses]
    for name in ("to", "cc", "return-path", "delivered-to", "reply-to", "x-original-to", "envelope-to"):
        boxes += [box.address for box in address_list.parse_address_list(arrival.root.raw(name) or b"")]
    boxes += [shaped for match in _OF_SENDER.finditer(human) for shaped in address_list.find_addresses(match[1])]
    return {box.lower() for box in boxes}


def _unique_addresses(texts: object, others: set[str]) -> list[str]:
    found: dict[str, None] = {}
    for text in texts:  # type: ignore[attr-defined]
        for address in address_list.find_addresses(text.rstrip(".:;,!?'\"`")):
            if address.lower() not in others and not _ROLE_ADDRESS.match(address):
                found.setdefault(address, None)
    return list(found)[:50]
