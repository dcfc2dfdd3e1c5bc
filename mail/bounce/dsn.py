"""The machine-readable parts of reports: delivery status, feedback, disposition; broken ones too.

RFC 3464 (delivery status), RFC 6533 (the same with UTF-8 addresses), RFC 5965 (feedback), RFC 8098 (disposition).
Real ones lack blank lines, types before addresses, indented continuations, sometimes their content type.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mail import address_list
from mail.mime import MimePart

MAX_REPORT_CHARS = 64 * 1024
MAX_RECIPIENTS = 100
"""Recipients of one report that are read."""

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60})[ \t]*:[ \t]*(.*)")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")

FieldGroup = dict[str, str]


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What a report says about one recipient. recipients: final before original address, perhaps none.

    action: "failed", "delayed", "delivered" (relayed and expanded too) or "". status: enhanced code or "".
    diagnostic: the words of the server, without their type. remote: the server's name or "".
    """

    recipients: tuple[str, ...]
    action: str
    status: str
    diagnostic: str
    remote: str


def parse_field_groups(text: str) -> list[FieldGroup]:
    """Return the groups of fields in a report, names in lower case; the first is about the whole mail."""
    groups: list[FieldGroup] = [{}]
    last = ""
    for line in text[:MAX_REPORT_CHARS].split("\n"):
        found = _LINE.match(line)
        if not line.strip():
            if groups[-1]:
                groups.append({})
        elif found and not line[0].isspace():
            last = found[1].lower()
            if last in groups[-1] and last in _GROUP_STARTS:
                groups.append({})
            groups[-1].setdefault(last, found[2].strip())
        elif last in groups[-1]:
            groups[-1][last] = f"{groups[-1][last]} {line.strip()}"[:4000]
        if len(groups) > MAX_RECIPIENTS:
            break
    return [group for group in groups if group]


_GROUP_STARTS = {"final-recipient", "original-recipient", "action"}


def recipient_statuses(groups: Iterable[FieldGroup]) -> list[RecipientStatus]:
    """Return what a delivery-status report says about each recipient."""
    return [
        _recipient_status(group)
        for group in groups
        if group.keys() & {"final-recipient", "action", "original-recipient"}
    ]


def _recipient_status(group: FieldGroup) -> RecipientStatus:
    named = [group.get(name, "") for name in ("final-recipient", "x-actual-recipient", "original-recipient")]
    found = [address for value in named for address in recipient_addresses(value)]
    status = _STATUS.search(group.get("status", ""))
    hint = " ".join(group.get(name, "") for name in ("x-powermta-bouncecategory", "x-notes", "x-supplementary-info"))
    diagnostic = _without_type(group.get("diagnostic-code", ""))
    return RecipientStatus(
        recipients=tuple(dict.fromkeys(found)),
        action=_action(group.get("action", "")),
        status=status[1] if status else "",
        diagnostic=f"{diagnostic} {hint.strip()}".strip(),
        remote=_without_type(group.get("remote-mta", "")).strip("[]() .").lower(),
    )


def _without_type(value: str) -> str:
    """Return a value without the type before it (`smtp; 550 …`)."""
    return re.sub(r"^[A-Za-z][A-Za-z0-9-]{0,30}\s*;\s*", "", value).strip()


def recipient_addresses(value: str) -> list[str]:
    """Return the addresses in a recipient field (`rfc822; a@b`), also when they are xtext (RFC 3461 4)."""
    plain = _without_type(value)
    return address_list.find_addresses(
        _XTEXT.sub(lambda code: chr(int(code[1], 16)), plain)
    ) or address_list.find_addresses(plain)


def _action(value: str) -> str:
    word = value.strip().lower()
    for action, starts in _ACTIONS:
        if word.startswith(starts):
            return action
    return ""


_ACTIONS = (
    ("delayed", ("delay", "defer", "retry", "queued")),
    ("delivered", ("delivered", "relay", "expand", "success", "deliverable")),
    ("failed", ("fail", "undeliver", "bounc", "expire", "error", "reject", "delivery failed", "not delivered")),
)


def find_parts(root: MimePart, *kinds: str) -> Iterator[MimePart]:
    """Go through the parts of these kinds in a report, leaving out what is in a returned mail."""
    if root.kind in kinds:
        yield root
    if root.kind.startswith("multipart/"):
        for child in root.children:
            yield from find_parts(child, *kinds)


def read_delivery_status(root: MimePart, human: str) -> list[RecipientStatus]:
    """Return the recipients of a mail's delivery-status part; without one, of such lines in its words."""
    found = [part.text() for part in find_parts(root, "message/delivery-status", "message/global-delivery-status")]
    if not found and root.kind == "multipart/report":
        others = (part for part in root.children[1:3] if not part.children and part.kind != "text/html")
        found = [
            text for text in (part.text() for part in others) if _LOOKS_LIKE_STATUS.search(text[:MAX_REPORT_CHARS])
        ]
    if not found and _LOOKS_LIKE_STATUS.search(human):
        found = [human[_LOOKS_LIKE_STATUS.search(human).start() :]]  # type: ignore[union-attr]
    return recipient_statuses(group for text in found for group in parse_field_groups(text))


_LOOKS_LIKE_STATUS = re.compile(r"(?im)^(?:final|original)-recipient[ \t]*:[ \t]*\S")
