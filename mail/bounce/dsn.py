"""Read the structure of a report: its machine-readable parts, the server's text, and the returned message.

RFC 3464 (delivery status), RFC 6533 (the same with UTF-8 addresses), RFC 5965 (feedback), RFC 8098 (disposition), RFC
6522 (multipart/report), RFC 3462 (text/rfc822-headers), Amazon SES (JSON, by mail from SNS). Real reports lack blank
lines, address types, indented continuations, and sometimes the content type. Half of all bounces have no MIME parts. In
these a sentence separates the server's text from the returned message. Without that border, words of our own notice
would decide the verdict.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mail import address, charsets, message
from mail.message import MimePart, ParsedMessage

MAX_REPORT_CHARS = 64 * 1024
MAX_RECIPIENTS = 100
"""Further recipients of a report are ignored."""

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60})[ \t]*:[ \t]*(.*)")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")

FieldGroup = dict[str, str]


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """The status of one recipient. recipients: final before original address, perhaps none.

    action: "failed", "delayed", "delivered" (also relayed, expanded) or "". status: enhanced code or "".
    diagnostic: the server's text without its type. remote: the server's name or "".
    """

    recipients: tuple[str, ...]
    action: str
    status: str
    diagnostic: str
    remote: str


def parse_field_groups(text: str) -> list[FieldGroup]:
    """Return the field groups of a report, names in lower case; the first is about the whole message."""
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
    return [
        _recipient_status(group)
        for group in groups
        if group.keys() & {"final-recipient", "action", "original-recipient"}
    ]


def _recipient_status(group: FieldGroup) -> RecipientStatus:
    named = [group.get(name, "") for name in ("final-recipient", "x-actual-recipient", "original-recipient")]
    addresses = [address for value in named for address in recipient_addresses(value)]
    status = _STATUS.search(group.get("status", ""))
    hints = [group.get(name, "") for name in ("x-powermta-bouncecategory", "x-notes", "x-supplementary-info")]
    comment = re.search(r"\([^()]{1,100}\)", group.get("status", ""))
    hint = " ".join([comment[0] if comment else "", *hints])
    diagnostic = _without_type(group.get("diagnostic-code", ""))
    return RecipientStatus(
        recipients=tuple(dict.fromkeys(addresses)),
        action=_action(group.get("action", "")),
        status=status[1] if status else "",
        diagnostic=f"{diagnostic} {hint.strip()}".strip(),
        remote=_without_type(group.get("remote-mta", "")).strip("[]() .").lower(),
    )


def _without_type(value: str) -> str:
    """Remove the type before a value (`smtp; 550 …`)."""
    return re.sub(r"^[A-Za-z][A-Za-z0-9-]{0,30}\s*;\s*", "", value).strip()


def recipient_addresses(value: str) -> list[str]:
    """Return the addresses of a recipient field (`rfc822; a@b`), also in xtext (RFC 3461 4)."""
    plain = _without_type(value)
    return address.find_addresses(_XTEXT.sub(lambda code: chr(int(code[1], 16)), plain)) or address.find_addresses(
        plain
    )


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
    """Yield the parts of these types, without those of the returned message."""
    if root.kind in kinds:
        yield root
    if root.kind.startswith("multipart/"):
        for child in root.children:
            yield from find_parts(child, *kinds)


def read_delivery_status(root: MimePart, text: str) -> list[RecipientStatus]:
    """Return the statuses of the delivery-status part; without one, of such lines in the text."""
    texts = [part.text() for part in find_parts(root, "message/delivery-status", "message/global-delivery-status")]
    if not texts and root.kind == "multipart/report":
        others = (part for part in root.children[1:3] if not part.children and part.kind != "text/html")
        texts = [
            text for text in (part.text() for part in others) if _LOOKS_LIKE_STATUS.search(text[:MAX_REPORT_CHARS])
        ]
    if not texts and _LOOKS_LIKE_STATUS.search(text):
        texts = [text[_LOOKS_LIKE_STATUS.search(text).start() :]]  # type: ignore[union-attr]
    return recipient_statuses(group for text in texts for group in parse_field_groups(text))


_LOOKS_LIKE_STATUS = re.compile(r"(?im)^(?:final|original)-recipient[ \t]*:[ \t]*\S")


# ── the returned message ─────────────────────────────────────────────────────────────────────────────────────────────

MAX_TEXT_CHARS = 16_000
"""Longer server texts are cut."""
MIN_SERVER_CHARS = 20
"""With fewer characters before the border, the server's text stands behind it."""

# Each entry is one kind of line between the server's text and the returned message.
_ORIGINAL_BORDER = re.compile(
    "|".join(
        (
            r"^[ \t>]{0,4}[-=_*#+~]{2,60}[^\n]{0,60}(?:original (?:message|mail|headers?)|copy of (?:the|your|my)"
            r"|returned (?:message|mail)|below this line|unsent message|undelivered message"
            r"|(?:message|mail) (?:text |headers? |contents? |body )?follows|transmitted (?:message|headers)"
            r"|message headers?|headers? (?:of|from|follow)"
            r"|your (?:original )?(?:message|mail) (?:follows|is|below)"
            r"|元の(?:メール|メッセージ)|オリジナル|原文|本文)[^\n]{0,80}$",
            r"^[ \t]{0,4}(?:the )?(?:(?:text|contents?|header|body) of )?(?:your |the |this )?"
            r"(?:original |returned |undelivered |rejected |unsent )?(?:message|mail|e-mail)"
            r"(?: headers?| text| contents?| body)?(?: is)? (?:follows?|below|attached below)[.: ]{0,4}$",
            r"^[ \t]{0,4}(?:your |the )?original (?:message|mail|e-mail)"
            r"(?: (?:headers?|text|details))? ?[:.]? ?-{0,40}$",
            r"^[ \t]{0,4}(?:included|below|here|enclosed|attached|this|following) is "
            r"(?:a copy|the (?:header|text|original|beginning))[^\n]{0,80}$",
            r"^(?:received: \S|return-path: |x-original-to:|delivered-to: |dkim-signature: "
            r"|message-id: ?<|mime-version: )",
            r"^[ \t-]{0,10}(?:以下は?、?.{0,30}(?:元の|返送|送信された|送られた).{0,20}(?:メール|メッセージ)"
            r"|元のメッセージ|返送されたメール|元のメール)[^\n]{0,40}$",
        )
    ),
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class OriginalMessage:
    """What is known of the returned message; empty if nothing."""

    message_id: str = ""
    to: tuple[str, ...] = ()
    unsubscribe: str = ""
    from_: str = ""


def server_text(parsed: ParsedMessage) -> str:
    """Return the server's text without the returned message."""
    text = parsed.text[:MAX_TEXT_CHARS]
    if not text.strip():  # some systems call their sentences a delivery-status part
        text = "\n\n".join(part.text() for part in find_parts(parsed.root, "message/delivery-status"))[:MAX_TEXT_CHARS]
    found = _ORIGINAL_BORDER.search(text)
    before = text[: found.start()] if found else text
    return before if len(before.strip()) >= MIN_SERVER_CHARS else text


def has_original_message(parsed: ParsedMessage) -> bool:
    return bool(_returned_part(parsed)) or _ORIGINAL_BORDER.search(parsed.text[:MAX_TEXT_CHARS]) is not None


def find_original_message(parsed: ParsedMessage) -> OriginalMessage:
    part = _returned_part(parsed) or _in_the_text(parsed.text)
    if part is None:
        return OriginalMessage()
    given = re.search(r"<([^<>\s]{1,500})>", charsets.unfold_header((part.raw("message-id") or b"")[:2000]))
    return OriginalMessage(
        message_id=given[1] if given else "",
        to=tuple(box.address for box in address.parse_address_list(part.raw("to") or b"")),
        unsubscribe=part.field("list-unsubscribe")[:2000],
        from_=next((box.address for box in address.parse_address_list(part.raw("from") or b"")), ""),
    )


def _returned_part(parsed: ParsedMessage) -> message.MimePart | None:
    """Return the returned message as a part with fields, if it came as one."""
    for part in find_parts(parsed.root, *_ORIGINAL_TYPES):
        if part.children:
            return part.children[0]
        inner = message.parse_mime(part.content()[: message.MAX_HEADER_BYTES])
        if inner.fields:
            return inner
    return None


_ORIGINAL_TYPES = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/partial",
)


def _in_the_text(text: str) -> message.MimePart | None:
    """Return the returned message that follows a border in the text."""
    found = _ORIGINAL_BORDER.search(text[:MAX_TEXT_CHARS])
    if not found:
        return None
    begins = _FIRST_FIELD.search(text, found.start())
    if not begins:
        return None
    return message.parse_mime(
        text[begins.start() : begins.start() + message.MAX_HEADER_BYTES].encode("utf-8", "replace")
    )


_FIRST_FIELD = re.compile(
    r"(?im)^(?:received|return-path|from|to|subject|date|message-id|x-[a-z-]{1,40}|mime-version):[ \t]?\S"
)


# ── failed recipients in free text ───────────────────────────────────────────────────────────────────────────────────

_DOMAIN = r"[A-Za-z0-9_.-]{2,255}"
_ADDRESS = rf"[A-Za-z0-9!#$%&*+/=?^_`{{|}}~.-]{{1,128}}@{_DOMAIN}"
_QUOTED = rf"\"[!#-\[\]-~]{{1,64}}\"@{_DOMAIN}"
_ANY_ADDRESS = rf"(?:{_QUOTED}|{_ADDRESS})"
_ALONE = re.compile(
    rf"(?m)^[ \t*>-]{{0,20}}(?:\S{{0,20}}[ \t])?[<(\[\"']?({_ANY_ADDRESS})[>)\]\"']?[ \t]*(?:[:;,.<(]|$)"
)
ADDRESS_AT_LINE_START = re.compile(
    rf"(?m)^[ \t*>-]{{0,20}}(?:\S{{0,20}}[ \t])?[<(\[\"']?({_ANY_ADDRESS})(?=[>)\]\"'\s:;,<(]|$)"
)
_BEFORE_A_REPLY = re.compile(rf"(?m)^[ \t]{{0,8}}<?({_ANY_ADDRESS})>?[ \t][^\n]{{0,80}}?\b[45]\d\d\b")
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


# Exchange repeats To and Cc of the letter before this line.
_FAILED_HEADING = re.compile(
    r"(?i)(?:did not reach|failed for|undeliverable to|could not be delivered to|to) the following "
    r"(?:recipient|address|destination)[^\n]{0,40}\n"
)


def find_failed_addresses(parsed: ParsedMessage, human: str) -> list[str]:
    """Return the addresses that failed, best guess first, at most 50. Free text alone never excludes anybody."""
    head = [found for value in parsed.headers("x-failed-recipients") for found in address.find_addresses(value)]
    if head:
        return list(dict.fromkeys(head))[:50]
    others = _unrelated_addresses(parsed, human)
    heading = _FAILED_HEADING.search(human)
    return (_addresses_in_text(human[heading.end() :], others) if heading else []) or _addresses_in_text(human, others)


def _addresses_in_text(human: str, others: set[str]) -> list[str]:
    for pattern in (_ALONE, _BEFORE_A_REPLY, _BEHIND_WORDS):
        found = _unique_addresses((match[1] for match in pattern.finditer(human)), others)
        if found:
            return found
    return _unique_addresses(address.find_addresses(human), others)


def _unrelated_addresses(parsed: ParsedMessage, human: str) -> set[str]:
    """Return the addresses of the server, of the sender, and ours."""
    boxes = [*parsed.from_addresses]
    for name in ("to", "cc", "return-path", "delivered-to", "reply-to", "x-original-to", "envelope-to"):
        boxes += [box.address for box in address.parse_address_list(parsed.root.raw(name) or b"")]
    boxes += [shaped for match in _OF_SENDER.finditer(human) for shaped in address.find_addresses(match[1])]
    return {box.lower() for box in boxes}


def _unique_addresses(texts: object, others: set[str]) -> list[str]:
    found: dict[str, None] = {}
    for text in texts:  # type: ignore[attr-defined]
        for recipient in address.find_addresses(text.rstrip(".:;,!?'\"`")):
            if recipient.lower() not in others and not _ROLE_ADDRESS.match(recipient):
                found.setdefault(recipient, None)
    return list(found)[:50]


# ── notifications of Amazon SES in JSON ──────────────────────────────────────────────────────────────────────────────

_JSON_KINDS: dict[str, Literal["bounce", "delayed", "complaint", "success"]] = {
    "bounce": "bounce",
    "reject": "bounce",
    "complaint": "complaint",
    "delivery": "success",
    "deliverydelay": "delayed",
}
_JSON_LISTS = {
    "bounce": "bouncedRecipients",
    "reject": "",
    "complaint": "complainedRecipients",
    "delivery": "",
    "deliverydelay": "delayedRecipients",
}
# What SES says by subtype alone, in the words of a server.
_JSON_SUBTYPES = {
    "NoEmail": "550 5.1.1 no such user",
    "MailboxFull": "552 5.2.2 mailbox full",
    "MessageTooLarge": "552 5.3.4 message too large",
    "ContentRejected": "554 5.7.1 message content rejected",
    "AttachmentRejected": "554 5.7.1 attachment not allowed",
    "Suppressed": "550 5.7.1 address is on the suppression list",
    "OnAccountSuppressionList": "550 5.7.1 address is on the suppression list",
}


@dataclass(frozen=True, slots=True)
class JsonNotification:
    """A notification by SES. feedback: the feedback type of a complaint, "" if none."""

    kind: Literal["bounce", "delayed", "complaint", "success"]
    statuses: tuple[RecipientStatus, ...]
    feedback: str
    original: OriginalMessage

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(one for status in self.statuses for one in status.recipients)


def read_json_notification(text: str) -> JsonNotification | None:
    """Read a notification by SES, alone or inside one by SNS; None for any other text."""
    text = text[:MAX_REPORT_CHARS].lstrip()
    if not text.startswith("{") or not re.search(r"(?:notification|event)Type", text):
        return None
    found = _parse_json(text)
    if isinstance(found.get("Message"), str):
        found = _parse_json(found["Message"])
    name = str(found.get("notificationType") or found.get("eventType") or "").lower()
    if name not in _JSON_KINDS:
        return None
    about = _object(found.get("deliveryDelay" if name == "deliverydelay" else name))
    recipients = about.get(_JSON_LISTS[name])
    named = [_json_status(_object(one), about) for one in recipients] if isinstance(recipients, list) else []
    return JsonNotification(
        _JSON_KINDS[name],
        tuple(named[:MAX_RECIPIENTS]),
        str(about.get("complaintFeedbackType") or "").lower()[:40],
        _json_original(_object(found.get("mail"))),
    )


def _parse_json(text: str) -> dict[str, Any]:
    """Parse the object at the start of a text; {} if there is none. Old sendmail breaks long lines with "!"."""
    try:
        return _object(json.JSONDecoder(strict=False).raw_decode(re.sub(r"!\n ", "", text))[0])
    except (ValueError, RecursionError):
        return {}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _json_status(recipient: dict[str, Any], about: dict[str, Any]) -> RecipientStatus:
    told = str(recipient.get("diagnosticCode") or "") or _JSON_SUBTYPES.get(str(about.get("bounceSubType")), "")
    status = _STATUS.search(str(recipient.get("status") or ""))
    return RecipientStatus(
        recipients=tuple(address.find_addresses(str(recipient.get("emailAddress") or "")[:1000])),
        action=_action(str(recipient.get("action") or "")),
        status=status[1] if status else "",
        diagnostic=_without_type(told[:4000]),
        remote="",
    )


def _json_original(mail: dict[str, Any]) -> OriginalMessage:
    common = _object(mail.get("commonHeaders"))
    headers = mail.get("headers")
    named = [_object(one) for one in headers] if isinstance(headers, list) else []
    ids = [str(one.get("value")) for one in named if str(one.get("name")).lower() == "message-id"]
    given = re.search(r"<([^<>\s]{1,500})>", " ".join([*ids, str(common.get("messageId") or "")])[:2000])
    to = mail.get("destination")
    return OriginalMessage(
        message_id=given[1] if given else "",
        to=tuple(str(one)[:320] for one in to[:MAX_RECIPIENTS]) if isinstance(to, list) else (),
    )
