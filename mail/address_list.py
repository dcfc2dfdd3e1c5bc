"""Who a mail says it is from: the mailboxes in an address header, read with patience.

RFC 5322 3.4 (address lists, groups, comments, quoted names) and 4.4 (routes); RFC 6854 (groups in From). Addresses
of telephones break these rules (`a..b@`, `.a@`, `a.@`) and arrive unquoted: they are taken as they are.
Whatever could be read as one more address counts as one more, since "exactly one sender" is a question of trust.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from mail import address, charsets

MAX_CHARS = 64 * 1024
MAX_MAILBOXES = 500
"""Mailboxes of one header that are read."""


class Mailbox(NamedTuple):
    """A display name (decoded, "" if none) and an address: local part unquoted, domain in lower case."""

    name: str
    address: str


_TOKEN = re.compile(
    r"\"(?:[^\"\\]|\\.)*\"?"  # a quoted string, its end perhaps missing
    r"|[<>,;:()\\]"
    r"|[^\"<>,;:()\\]+",
    re.DOTALL,
)
_QUOTED_LOCAL = r"\"(?:[^\"\\\s]|\\.){1,64}\""
# In a header whatever is no delimiter belongs to the address: half an address would be somebody else's.
_IN_HEADER = re.compile(rf"(?:{_QUOTED_LOCAL}|[^\s\"<>,;:()@\[\]\\]{{1,128}})@[^\s\"<>,;:()@\\]{{1,255}}")
# In sentences, Japanese ones above all, words stand right beside it.
_IN_TEXT = re.compile(rf"(?:{_QUOTED_LOCAL}|[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,128}})@[A-Za-z0-9_.\[\]-]{{1,255}}")


def parse_address_list(raw: bytes) -> list[Mailbox]:
    """Return the mailboxes of an address header, given as it stands. Never raises."""
    found = []
    for entry in _entries(charsets.unfold_header(raw[:MAX_CHARS])):
        found += _mailboxes(entry)
        if len(found) >= MAX_MAILBOXES:
            break
    return found[:MAX_MAILBOXES]


def find_addresses(text: str) -> list[str]:
    """Return every address in a stretch of text, each once, in its order."""
    found = (match[0] for match in _IN_TEXT.finditer(text[:MAX_CHARS]))
    return list(
        dict.fromkeys(
            _normal_form(one) for one in found if _is_valid_length(one) and "." in one.rpartition("@")[2].strip(".")
        )
    )


def _in_header(text: str) -> list[str]:
    return list(
        dict.fromkeys(_normal_form(match[0]) for match in _IN_HEADER.finditer(text) if _is_valid_length(match[0]))
    )


@dataclass(slots=True)
class _Entry:
    """One entry of an address list, cut into what stands before, inside and behind its brackets."""

    before: str = ""
    inside: str = ""
    behind: str = ""
    comment: str = ""


def _entries(text: str) -> list[_Entry]:
    """Cut an address list at its commas."""
    entries = [_Entry()]
    depth, angle = 0, False
    for sign in _TOKEN.findall(text):
        entry = entries[-1]
        if sign in "()":
            depth = max(0, depth + (1 if sign == "(" else -1))
        elif depth:
            entry.comment += f" {sign}"
        elif sign in "<>":
            angle = sign == "<"
            entry.inside += " "
        elif angle:
            entry.inside += sign
        elif sign in ",;":
            entries.append(_Entry())
        elif sign == ":":
            entry.before = ""  # the name of a group
        elif entry.inside:
            entry.behind += sign
        else:
            entry.before += sign
    return entries


def _mailboxes(entry: _Entry) -> list[Mailbox]:
    """Read one entry. With brackets the address is in them, and what stands before is a name, which may hold an @."""
    inside = entry.inside.strip()
    found = _in_header(inside.rpartition(":")[2] if inside.startswith("@") else inside)
    if found:
        name = _name(entry.before or entry.comment)
        return [Mailbox(name, one) for one in [*found, *_in_header(entry.behind)]]
    return [Mailbox(_name(entry.comment), one) for one in _in_header(f"{entry.before} {entry.behind}")]


def _name(text: str) -> str:
    """Return a display name without quotes, its encoded words read."""
    bare = re.sub(r"\"((?:[^\"\\]|\\.)*)\"?", lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1]), text.strip())
    return re.sub(r"[\x00-\x1f\x7f]", "", charsets.decode_encoded_words(bare)).strip()[:200]


def _is_valid_length(text: str) -> bool:
    return len(text) <= address.MAX_ADDRESS_LENGTH + 2 and text.rpartition("@")[2].strip(".") != ""


def _normal_form(text: str) -> str:
    local, _, domain = text.rpartition("@")
    return f"{address.unquote_local_part(local)}@{domain.rstrip('.').lower()}"
