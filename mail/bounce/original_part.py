"""Returned mail has two halves: what the server says, and the mail that came back. This finds the border.

RFC 6522 (multipart/report), RFC 3462 (text/rfc822-headers). Half of all bounces have no parts at all: there the
border is a sentence. Words of our own notice behind it would decide the verdict otherwise.
"""

import re
from dataclasses import dataclass

from mail import address_list, charsets, mime
from mail.bounce import dsn
from mail.message import ParsedMessage

MAX_TEXT_CHARS = 16_000
"""Characters of what a server says that are looked at."""
MIN_SERVER_CHARS = 20
"""With fewer before the border, what the server says must stand behind it."""

# Each entry is one kind of line between what a server says and the mail that it returns.
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
    """What a bounce shows of the mail that came back; empty if it shows nothing."""

    message_id: str = ""
    to: tuple[str, ...] = ()
    unsubscribe: str = ""
    from_: str = ""


def server_text(arrival: ParsedMessage) -> str:
    """Return what a server says in words, without the mail that it returns."""
    text = arrival.text[:MAX_TEXT_CHARS]
    found = _ORIGINAL_BORDER.search(text)
    before = text[: found.start()] if found else text
    return before if len(before.strip()) >= MIN_SERVER_CHARS else text


def has_original_message(arrival: ParsedMessage) -> bool:
    """Tell whether a mail came back with this one."""
    return bool(_returned_part(arrival)) or _ORIGINAL_BORDER.search(arrival.text[:MAX_TEXT_CHARS]) is not None


def find_original_message(arrival: ParsedMessage) -> OriginalMessage:
    """Return what is known of the mail that came back."""
    part = _returned_part(arrival) or _in_the_text(arrival.text)
    if part is None:
        return OriginalMessage()
    given = re.search(r"<([^<>\s]{1,500})>", charsets.unfold_header((part.raw("message-id") or b"")[:2000]))
    return OriginalMessage(
        message_id=given[1] if given else "",
        to=tuple(box.address for box in address_list.parse_address_list(part.raw("to") or b"")),
        unsubscribe=part.field("list-unsubscribe")[:2000],
        from_=next((box.address for box in address_list.parse_address_list(part.raw("from") or b"")), ""),
    )


def _returned_part(arrival: ParsedMessage) -> mime.MimePart | None:
    """Return the returned mail as a part with fields, if it came as one."""
    for part in dsn.find_parts(arrival.root, *_ORIGINAL_TYPES):
        if part.children:
            return part.children[0]
        inner = mime.parse_mime(part.content()[: mime.MAX_HEADER_BYTES])
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


def _in_the_text(text: str) -> mime.MimePart | None:
    """Return the returned mail that follows a border in the words."""
    found = _ORIGINAL_BORDER.search(text[:MAX_TEXT_CHARS])
    if not found:
        return None
    begins = _FIRST_FIELD.search(text, found.start())
    if not begins:
        return None
    return mime.parse_mime(text[begins.start() : begins.start() + mime.MAX_HEADER_BYTES].encode("utf-8", "replace"))


_FIRST_FIELD = re.compile(
    r"(?im)^(?:received|return-path|from|to|subject|date|message-id|x-[a-z-]{1,40}|mime-version):[ \t]?\S"
)
