"""Incoming mail as a value: read once, with limits, never raising, whatever the bytes are.

RFC 5322 (fields), RFC 2046 5.1.3 and 5.1.4 (which part is the text), RFC 2183 (attachments). The raw bytes stay
with the caller: signatures are checked on them (`core.inbound.dispatch`), not on this.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from mail import address_list, charsets, mime
from mail.html import to_text
from mail.mime import MimePart

MAX_TEXT_CHARS = charsets.MAX_TEXT_CHARS
"""Characters of a mail's text, all parts together."""

_ID = re.compile(r"<([^<>\s]{1,500})>")


class MailAttachment(NamedTuple):
    """A file in a mail. name: "" if the sender gave none; size: octets without transfer encoding."""

    name: str
    kind: str
    size: int
    part: MimePart

    def content(self) -> bytes:
        """Return the file itself."""
        return self.part.content()


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """An incoming mail. Addresses: local part unquoted, domain in lower case; ids: without angle brackets.

    from_addresses: every mailbox of every From field; a mail is from somebody only if there is exactly one, in
    exactly one field. received: number of Received fields. cut: a limit was reached, something is missing.
    """

    root: MimePart = field(repr=False)
    from_addresses: tuple[str, ...]
    from_fields: int
    from_name: str
    subject: str
    text: str = field(repr=False)
    has_html: bool
    attachments: tuple[MailAttachment, ...]
    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    date: datetime | None
    received: int
    cut: bool

    def header(self, name: str) -> str:
        """Return the first field of this name as one line of text, "" if there is none."""
        return self.root.field(name.lower())

    def headers(self, name: str) -> list[str]:
        """Return all fields of this name, each as one line of text."""
        return self.root.every(name.lower())

    @property
    def sole_from(self) -> str:
        """Return the one address in the one From field; "" if there are none or more, so nobody is to be trusted."""
        return self.from_addresses[0] if self.from_fields == 1 and len(self.from_addresses) == 1 else ""

    @property
    def is_blank(self) -> bool:
        """Tell whether nobody wrote anything: no text but perhaps a signature, no file."""
        return not self.attachments and not strip_quotes_and_signature(self.text).strip()


def parse_message(raw: bytes, limit: int = mime.MAX_BYTES) -> ParsedMessage:
    """Read a mail. limit: octets of it that are looked at. Never raises."""
    root = mime.parse_mime(raw, limit)
    senders = [value for name, value in root.fields if name == "from"]
    boxes = [box for value in senders[:5] for box in address_list.parse_address_list(value)]
    return ParsedMessage(
        root=root,
        from_addresses=tuple(box.address for box in boxes),
        from_fields=len(senders),
        from_name=boxes[0].name if boxes else _name_without_address(senders),
        subject=_header_text(root.raw("subject")),
        text=best_text(root),
        has_html=any(part.kind == "text/html" for part in _parts_outside_messages(root)),
        attachments=tuple(_attachments(root)),
        message_id=next(iter(_ids(root, "message-id")), root.field("message-id")[:500]),
        in_reply_to=_ids(root, "in-reply-to"),
        references=_ids(root, "references"),
        date=_date(root.field("date")),
        received=sum(name == "received" for name, _ in root.fields),
        cut=any(part.cut for part in root.walk()),
    )


def _header_text(raw: bytes | None) -> str:
    """Return a header for people: one line without control characters."""
    text = "" if raw is None else charsets.decode_header(raw[:20_000])
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).strip()


def _name_without_address(senders: list[bytes]) -> str:
    """Return a From field without any address as a name, if it looks like one."""
    return _header_text(senders[0])[:200] if senders and b"<" not in senders[0] else ""


def _ids(root: MimePart, name: str) -> tuple[str, ...]:
    raw = root.raw(name)
    return () if raw is None else tuple(_ID.findall(charsets.unfold_header(raw[:20_000]))[:200])


def _date(text: str) -> datetime | None:
    """Return a Date field in UTC; None if it cannot be read. Without a zone it is taken as UTC."""
    try:
        moment = parsedate_to_datetime(text[:100])
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None


# ── text and files ───────────────────────────────────────────────────────────────────────────────────────────────


def best_text(part: MimePart) -> str:
    """Return the best text of a part: its plain text, of alternatives the plainest, else the words of its HTML."""
    texts: list[str] = []
    room = MAX_TEXT_CHARS
    for leaf in _texts(part):
        shown = _text(leaf)[:room]
        room -= len(shown)
        if shown.strip():
            texts.append(shown.strip("\n"))
        if room <= 0:
            break
    return "\n".join(texts)


def _text(leaf: MimePart) -> str:
    return to_text.html_to_text(leaf.text()) if leaf.kind == "text/html" else leaf.text()


def _texts(part: MimePart, first: bool = True) -> Iterator[MimePart]:
    """Choose the parts whose text makes up the mail's text."""
    if part.kind == "multipart/alternative" and part.children:
        yield from _texts(_preferred_alternative(part), first)
    elif part.kind.startswith("multipart/") and part.children:
        related = part.kind == "multipart/related"
        for number, child in enumerate(part.children[:1] if related else part.children):
            yield from _texts(child, first and number == 0)
    elif _is_text(part, first):
        yield part


def _is_text(part: MimePart, first: bool) -> bool:
    """Tell words from files: a named text is a file unless it is the first part of all."""
    is_words = part.kind in ("text/plain", "text/html") or (part.kind.startswith("multipart/") and not part.children)
    return is_words and part.disposition != "attachment" and (first or not part.name)


def _preferred_alternative(part: MimePart) -> MimePart:
    """Return the alternative that holds plain words, else the last, which RFC 2046 calls the best."""
    for child in part.children:
        leaves = list(_texts(child))
        if any(leaf.kind == "text/plain" and leaf.text().strip() for leaf in leaves):
            return child
    for child in reversed(part.children):
        if any(_text(leaf).strip() for leaf in _texts(child)):
            return child
    return part.children[-1]


def _parts_outside_messages(part: MimePart) -> Iterator[MimePart]:
    """Go through the parts of this mail, leaving out those of mails inside it."""
    yield part
    if part.kind.startswith("multipart/"):
        for child in part.children:
            yield from _parts_outside_messages(child)


def _attachments(root: MimePart) -> Iterator[MailAttachment]:
    chosen = {id(leaf) for leaf in _leaves_of_text(root)}
    for part in _parts_outside_messages(root):
        if part.kind.startswith("multipart/") or id(part) in chosen:
            continue
        if part is not root or part.kind not in ("text/plain", "text/html"):
            yield MailAttachment(part.name, part.kind, _size(part), part)


def _leaves_of_text(part: MimePart) -> Iterator[MimePart]:
    """Return every part that is words, chosen or not: the other alternatives are no files."""
    for number, leaf in enumerate(
        part for part in _parts_outside_messages(part) if not part.kind.startswith("multipart/")
    ):
        if _is_text(leaf, number == 0):
            yield leaf


def _size(part: MimePart) -> int:
    """Return the size of a file; of a mail inside this mail, of what is left of it after reading."""
    return sum(len(child.content()) for child in part.walk())


# ── what the writer added ────────────────────────────────────────────────────────────────────────────────────────

_SIGNATURE = re.compile(
    r"(?:-- ?|―{5,}|—{5,}|─{5,}|━{5,}|＿{5,}|_{10,}|-{10,}|={10,}|\*{10,}"
    r"|(?=.{10})[-=*+~_]{2,}(?: [-=*+~_]{2,})*)$"
)
_PHONE_SIGNATURE = re.compile(
    r"(?:sent from (?:my|outlook|yahoo|mail)\b.*|(?:get|download) outlook for .*|iPhoneから送信|私の\w+から送信"
    r"|(?:\S{1,20} ?(?:から|より)(?:の)?送信(?:しています|されました)?)|(?:android|xperia|galaxy|aquos)\S*から送信)。?",
    re.IGNORECASE,
)
_QUOTE_LINE = re.compile(r"\s{0,3}[>＞|｜]")
_QUOTE_INTRO = re.compile(
    r"(?:on .{5,200} wrote|.{0,200}(?:さん)?(?:は書きました|のメール|wrote|writes|のメッセージ).{0,3}"
    r"|\d{4}年\d{1,2}月\d{1,2}日.{0,200}[:：]|\d{4}[/-]\d{1,2}[/-]\d{1,2}.{0,200}[<＜].{0,200}[:：])\s*[:：]?",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(
    r"\s*(?:-{2,}\s*(?:original message|forwarded message|転送メッセージ|元のメッセージ)\s*-{2,}|_{20,}"
    r"|[-*]*\s*元のメッセージ\s*[-*]*)\s*",
    re.IGNORECASE,
)


def strip_quotes_and_signature(text: str) -> str:
    """Return a mail's text without quoted mail and without signature."""
    return strip_signature(strip_quotes(text))


def strip_signature(text: str) -> str:
    """Drop the signature: from the last line that marks one, if at most 12 lines follow, and the phone's own line."""
    lines = text.rstrip().split("\n")
    for number in range(max(0, len(lines) - 13), len(lines)):
        if _SIGNATURE.fullmatch(lines[number].strip()[:200]) or lines[number].rstrip("\r") == "-- ":
            return "\n".join(lines[:number]).rstrip()
    while lines and (not lines[-1].strip() or _PHONE_SIGNATURE.fullmatch(lines[-1].strip()[:200])):
        lines.pop()
    return "\n".join(lines)


def strip_quotes(text: str) -> str:
    """Drop quoted lines and the line that introduces them, and everything behind "Original Message"."""
    kept: list[str] = []
    for line in text.split("\n"):
        if _ORIGINAL.fullmatch(line[:200]):
            break
        if not _QUOTE_LINE.match(line):
            kept.append(line)
        elif kept and _QUOTE_INTRO.fullmatch(kept[-1].strip()[:400]):
            kept.pop()
    while kept and (not kept[-1].strip() or _QUOTE_INTRO.fullmatch(kept[-1].strip()[:400])):
        kept.pop()
    return "\n".join(kept)
