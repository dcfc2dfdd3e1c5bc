"""Parse an incoming message of any bytes into a value: MIME parts, header fields, text, attachments.

RFC 5322 (fields), RFC 2045 (content type, transfer encodings), RFC 2046 5.1 (multiparts, which part is the text),
RFC 2231 (parameters), RFC 2183 (disposition). Nothing here raises, and time grows no faster than the number of
bytes. Python's own parser raises on headers that arrive every day, takes seconds over hostile ones and has no limits.
The caller keeps the raw bytes: signatures are checked on them (`core.inbound.dispatch`).
"""

import re
from binascii import Error as BadEncoding
from binascii import a2b_qp, a2b_uu
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from mail import address, charsets, smime
from mail.html import to_text

MAX_HEADER_BYTES = 64 * 1024
MAX_PARTS = 200
MAX_DEPTH = 20
MAX_BYTES = 30 * 1024 * 1024
"""Default limit in octets."""


@dataclass(frozen=True, slots=True)
class MimePart:
    """A message or one of its parts. fields: (lower-case name, raw value with folds). kind: "text/plain".

    body: the content of a leaf, still in its transfer encoding; of a multipart the preamble. cut: a limit was
    reached, and something is missing.
    """

    fields: tuple[tuple[str, bytes], ...] = field(repr=False)
    kind: str
    parameters: dict[str, str]
    body: bytes = field(repr=False)
    children: tuple["MimePart", ...] = ()
    cut: bool = False

    def raw(self, name: str) -> bytes | None:
        """Return the first raw field of this lower-case name, None if there is none."""
        return next((value for own, value in self.fields if own == name), None)

    def field(self, name: str) -> str:
        """Return the first decoded field of this lower-case name, "" if there is none."""
        value = self.raw(name)
        return "" if value is None else charsets.decode_header(value)

    def every(self, name: str) -> list[str]:
        """Return all decoded fields of this lower-case name."""
        return [charsets.decode_header(value) for own, value in self.fields if own == name]

    def walk(self) -> Iterator["MimePart"]:
        """Yield this part and all nested parts in document order."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def disposition(self) -> str:
        """Return "attachment", "inline" or ""."""
        return _token(self.raw("content-disposition") or b"")

    @property
    def name(self) -> str:
        """Return the file name without folders, "" if there is none."""
        given = parse_parameters(self.raw("content-disposition") or b"").get("filename") or self.parameters.get(
            "name", ""
        )
        return _CONTROL.sub("", re.split(r"[/\\]", given)[-1]).strip()[:200]

    def content(self) -> bytes:
        """Decode the transfer encoding; undecodable content stays as it is."""
        return _decoded(self.body, _token(self.raw("content-transfer-encoding") or b""))

    def text(self) -> str:
        """Return the content as text; lines end with \\n."""
        shown = charsets.decode_text(self.content(), self.parameters.get("charset", ""))
        return shown.replace("\r\n", "\n").replace("\r", "\n")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _token(raw: bytes) -> str:
    """Return the first token of a field in lower case."""
    found = re.match(rb"[\s\"']*([!-:<-~]+)", raw[:200])
    return found[1].decode("ascii").strip("\"'").lower() if found else ""


# ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_mime(raw: bytes, limit: int = MAX_BYTES) -> MimePart:
    """Parse a message of any bytes. limit: octets to read. Never raises."""
    whole = raw[:limit].replace(b"\r\n", b"\n")
    if b"\n" not in whole:
        whole = whole.replace(b"\r", b"\n")
    return _parse_part(_without_envelope(whole), "text/plain", 0, [MAX_PARTS], len(raw) > limit)


def header_names(raw: bytes) -> list[str]:
    """Return the lower-case name of each header field of a message, as `parse_mime` reads them. Never raises."""
    return [name for name, _ in parse_mime(raw[: MAX_HEADER_BYTES * 2]).fields]


def has_regular_header(raw: bytes) -> bool:
    """Tell whether each header line is a field or continues one. At another line `parse_mime` begins the body."""
    whole = _without_envelope(raw[: MAX_HEADER_BYTES * 2].replace(b"\r\n", b"\n"))
    lines = whole.partition(b"\n\n")[0].removesuffix(b"\n").split(b"\n")
    return all(line[:1] in (b" ", b"\t") or _FIELD.match(line) for line in lines)


def _without_envelope(raw: bytes) -> bytes:
    """Drop blank lines and the mbox line `From sender date` before a message."""
    start = _ENVELOPE.match(raw)
    return raw[start.end() :] if start else raw


_ENVELOPE = re.compile(rb"\n*(?:>?From [^\n]*\n){0,3}")


def _parse_part(raw: bytes, usual: str, depth: int, left: list[int], cut: bool = False) -> MimePart:
    """Parse one part. left: parts that may still be read, shared by all parts of the message."""
    left[0] -= 1
    fields, body, long = _fields(raw)
    given = next((value for name, value in fields if name == "content-type"), b"")
    kind, options = _content_type(given, usual)
    cut = cut or long
    deeper = depth < MAX_DEPTH and left[0] > 0
    boundary = options.get("boundary", "")
    if kind.startswith("multipart/") and boundary and deeper:
        first, children, missing = _multipart(body, boundary, kind, depth, left)
        if children:
            return MimePart(fields, kind, options, first, children, cut or missing)
    if kind in _SIGNED_TYPES and deeper:
        encoding = next((_token(value) for name, value in fields if name == "content-transfer-encoding"), "")
        content = smime.signed_content(_decoded(body, encoding))
        if content is not None:
            child = _parse_part(content.replace(b"\r\n", b"\n"), "text/plain", depth + 1, left)
            return MimePart(fields, "multipart/signed", options, b"", (child,), cut)
    if kind in _MESSAGE_TYPES and deeper and not _is_encoded(fields):
        return MimePart(
            fields, kind, options, b"", (_parse_part(body.lstrip(b"\n"), "text/plain", depth + 1, left),), cut
        )
    return MimePart(fields, kind, options, body, (), cut or (kind.startswith("multipart/") and not deeper))


_SIGNED_TYPES = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_MESSAGE_TYPES = {"message/rfc822", "message/global", "message/news"}


def _is_encoded(fields: tuple[tuple[str, bytes], ...]) -> bool:
    return any(name == "content-transfer-encoding" and _token(value) in _ENCODINGS for name, value in fields)


_FIELD = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_USUAL_FIELD = re.compile(
    rb"(?im)^(?:from|to|cc|subject|date|mime-version|content-[a-z-]{1,40}|message-id|received|return-path|x-[!-9;-~]{1,40}"
    rb"|reply-to|references|in-reply-to|sender|auto-submitted|precedence|list-[a-z]{1,20})[ \t]*:"
)


def _fields(raw: bytes) -> tuple[tuple[tuple[str, bytes], ...], bytes, bool]:
    """Split a message into fields and body; the third value tells whether fields beyond the limit were dropped.

    A line that is no field continues the previous field if fields follow: a folded line that lost its space.
    Otherwise the blank line between header and body is missing, and the body begins here.
    """
    if raw.startswith(b"\n"):
        return (), raw[1:], False
    end = raw.find(b"\n\n")
    header, body = (raw, b"") if end < 0 else (raw[: end + 1], raw[end + 2 :])
    long = len(header) > MAX_HEADER_BYTES
    fields: list[tuple[str, list[bytes]]] = []
    place = 0
    for line in header[:MAX_HEADER_BYTES].split(b"\n"):
        found = _FIELD.match(line)
        if found:
            fields.append((found[1].decode("ascii").lower(), [line[found.end() :]]))
        elif line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line)
        elif line and not _USUAL_FIELD.search(header, place, min(len(header), place + 2000)):
            return _unparse_fields(fields), raw[place:], long
        elif line and fields:
            fields[-1][1].append(b" " + line)
        place += len(line) + 1
    return _unparse_fields(fields), body, long


def _unparse_fields(fields: list[tuple[str, list[bytes]]]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, b"\n".join(lines).strip(b" \t\n\r")) for name, lines in fields)


def _multipart(
    body: bytes, boundary: str, kind: str, depth: int, left: list[int]
) -> tuple[bytes, tuple[MimePart, ...], bool]:
    """Return the preamble, the parts, and whether parts are missing because of the limits."""
    usual = "message/rfc822" if kind == "multipart/digest" else "text/plain"
    mark = re.escape(boundary.rstrip().encode("utf-8", "replace"))
    pieces = re.split(rb"\n--" + mark + rb"(--)?[ \t]*(?=\n|\Z)", b"\n" + body, maxsplit=MAX_PARTS + 1)
    # After splitting: text, closing mark or None, text, … ; what follows a closing mark is no part.
    children: list[MimePart] = []
    for closing, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if closing:
            break
        if left[0] <= 0:
            return pieces[0].lstrip(b"\n"), tuple(children), True
        children.append(_parse_part(piece[1:] if piece[:1] == b"\n" else piece, usual, depth + 1, left))
    return pieces[0].lstrip(b"\n"), tuple(children), False


# ── content type and parameters ──────────────────────────────────────────────────────────────────────────────────

_KIND = re.compile(r"\s*\"?([a-z0-9!#$&^_.+-]{1,60})\s*/\s*([a-z0-9!#$&^_.+-]{1,60})", re.IGNORECASE)
_PARAMETER = re.compile(r";\s*([^=;\s\"]{1,80})\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"?|([^;]*))", re.DOTALL)
_SECTION = re.compile(r"([^*]+)\*(?:(\d{1,3})(\*?))?")


def _content_type(raw: bytes, usual: str) -> tuple[str, dict[str, str]]:
    found = _KIND.match(charsets.unfold_header(raw[:4000]))
    if not found:
        only = "text/plain" if _token(raw) in ("text", "plain") else usual
        return only, parse_parameters(raw)
    return f"{found[1]}/{found[2]}".lower(), parse_parameters(raw)


def parse_parameters(raw: bytes) -> dict[str, str]:
    """Return {lower-case name: value} of a field: quoted, encoded and continued values (RFC 2231), and encoded words.

    RFC 2047 forbids encoded words here; Japanese mail programs write them all the same.
    """
    if b";" not in raw:
        return {}
    plain: dict[str, str] = {}
    cut: dict[str, dict[int, tuple[str, bool]]] = {}
    for found in _PARAMETER.finditer(charsets.unfold_header(raw[:MAX_HEADER_BYTES])):
        name = found[1].lower()
        value = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else found[3].strip(" '")
        section = _SECTION.fullmatch(name)
        if section:
            number = int(section[2] or 0)
            encoded = section[2] is None or bool(section[3])
            cut.setdefault(section[1], {})[number] = (value, encoded)
        else:
            plain.setdefault(name, charsets.decode_encoded_words(value))
    return {**plain, **{name: _continued(pieces) for name, pieces in cut.items()}}


def _continued(pieces: dict[int, tuple[str, bool]]) -> str:
    """Join the sections of a value: charset'language'text, percent-encoded where marked (RFC 2231 4.1)."""
    charset, octets = "", b""
    for number, (value, encoded) in sorted(pieces.items()):
        if encoded and number == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        octets += unquote_to_bytes(value) if encoded else value.encode("utf-8", "replace")
    return charsets.decode_encoded_words(charsets.decode_text(octets, charset))


# ── transfer encodings ───────────────────────────────────────────────────────────────────────────────────────────

_ENCODINGS = {"base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue", "uue"}


def _decoded(raw: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return _base64_decoded(raw)
    if encoding == "quoted-printable":
        return a2b_qp(re.sub(rb"[ \t]+(?=\n|\Z)", b"", raw))  # blanks at line ends are padding (RFC 2045 6.7 (3))
    return _uudecoded(raw[:_LONGEST_UU]) if encoding in _ENCODINGS else raw


_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]*={0,3}")


def _base64_decoded(raw: bytes) -> bytes:
    """Decode base64 blocks one after the other; a text behind them is no data (RFC 2045 6.8)."""
    blocks: list[list[bytes]] = [[]]
    for line in raw.split(b"\n"):
        bare = line.strip(b" \t\r")
        is_words = b" " in bare or bare.startswith((b"--", b"__", b"=="))
        if is_words and blocks[0] and not _BASE64_LINE.fullmatch(bare):
            break  # a footer that a scanner or a mailing list appended
        blocks[-1].append(bare)
        if bare.endswith(b"="):
            blocks.append([])
    first, *others = (b"".join(lines) for lines in blocks)
    decoded = [charsets.decode_base64(first)]
    decoded += [charsets.decode_base64(block) for block in others if len(block) % 4 == 0]
    return b"".join(decoded)


_LONGEST_UU = 1 << 20


def _uudecoded(raw: bytes) -> bytes:
    """Decode the lines between `begin` and `end`; skip invalid lines."""
    lines = raw.split(b"\n")
    start = next((number for number, line in enumerate(lines) if line.startswith(b"begin ")), -1)
    octets = []
    for line in lines[start + 1 :]:
        if line.strip() in (b"end", b"`"):
            break
        try:
            octets.append(a2b_uu(line))
        except BadEncoding:
            continue
    return b"".join(octets)


# ── the message ──────────────────────────────────────────────────────────────────────────────────────────────────────

MAX_TEXT_CHARS = charsets.MAX_TEXT_CHARS
"""Limit for all text parts together."""

_ID = re.compile(r"<([^<>\s]{1,500})>")


class MailAttachment(NamedTuple):
    """An attachment. name: "" if there is none; size: octets after decoding."""

    name: str
    kind: str
    size: int
    part: MimePart

    def content(self) -> bytes:
        return self.part.content()


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A parsed message. Addresses: local part unquoted, domain in lower case; ids: without angle brackets.

    from_addresses: every mailbox of every From field. received: number of Received fields. cut: a limit was reached,
    and something is missing.
    """

    root: MimePart = field(repr=False)
    from_addresses: tuple[str, ...]
    from_fields: int
    from_name: str
    subject: str
    text: str = field(repr=False)
    attachments: tuple[MailAttachment, ...]
    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    date: datetime | None
    received: int
    cut: bool

    def header(self, name: str) -> str:
        """Return the first field of this name, "" if there is none."""
        return self.root.field(name.lower())

    def headers(self, name: str) -> list[str]:
        return self.root.every(name.lower())

    @property
    def sole_from(self) -> str:
        """Return the single address of a single From field, else "": nobody else is trusted."""
        return self.from_addresses[0] if self.from_fields == 1 and len(self.from_addresses) == 1 else ""


def parse_message(raw: bytes, limit: int = MAX_BYTES) -> ParsedMessage:
    """Parse a message. limit: octets to read. Never raises."""
    root = parse_mime(raw, limit)
    senders = [value for name, value in root.fields if name == "from"]
    boxes = [box for value in senders[:5] for box in address.parse_address_list(value)]
    return ParsedMessage(
        root=root,
        from_addresses=tuple(box.address for box in boxes),
        from_fields=len(senders),
        from_name=boxes[0].name if boxes else _name_without_address(senders),
        subject=_header_text(root.raw("subject")),
        text=best_text(root),
        attachments=tuple(_attachments(root)),
        message_id=next(iter(_ids(root, "message-id")), root.field("message-id")[:500]),
        in_reply_to=_ids(root, "in-reply-to"),
        references=_ids(root, "references"),
        date=_date(root.field("date")),
        received=sum(name == "received" for name, _ in root.fields),
        cut=any(part.cut for part in root.walk()),
    )


def _header_text(raw: bytes | None) -> str:
    """Return a header as one line without control characters."""
    text = "" if raw is None else charsets.decode_header(raw[:20_000])
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).strip()


def _name_without_address(senders: list[bytes]) -> str:
    """Return a From field without address as a name, if it looks like one."""
    return _header_text(senders[0])[:200] if senders and b"<" not in senders[0] else ""


def _ids(root: MimePart, name: str) -> tuple[str, ...]:
    raw = root.raw(name)
    return () if raw is None else tuple(_ID.findall(charsets.unfold_header(raw[:20_000]))[:200])


def _date(text: str) -> datetime | None:
    """Return a Date field in UTC, None if it is invalid. Without zone it counts as UTC."""
    try:
        moment = parsedate_to_datetime(text[:100])
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None


def missing_words(mail: ParsedMessage) -> str:
    """Return what a message without text holds: encrypted, mail, calendar, picture, file or "" (nothing)."""
    kinds = {part.kind for part in mail.root.walk()}
    if kinds & {
        "multipart/encrypted",
        "application/pgp-encrypted",
        "application/pkcs7-mime",
        "application/x-pkcs7-mime",
    }:
        return "encrypted"
    if _PGP_MESSAGE in mail.root.text():
        return "encrypted"
    if "message/rfc822" in kinds:
        return "mail"
    if "text/calendar" in kinds:
        return "calendar"
    if not mail.attachments:
        return ""
    return "picture" if all(file.kind.startswith("image/") for file in mail.attachments) else "file"


_PGP_MESSAGE = "-----BEGIN PGP MESSAGE-----"


# ── text and files ───────────────────────────────────────────────────────────────────────────────────────────────


def best_text(part: MimePart) -> str:
    """Return the best text: plain text, of alternatives the plainest, else the text of the HTML.

    Without such a text, named text parts count too, and all parts beside the root of a related one. Gateways of
    telephones send text like this. A text that is the whole mail is never only a file.
    """
    for leaves in (_texts(part), _lenient_texts(part), [part] if _is_words(part) else []):
        text = _joined_text(leaves)
        if text.strip():
            return text
    return ""


def _joined_text(leaves: Iterable[MimePart]) -> str:
    texts: list[str] = []
    room = MAX_TEXT_CHARS
    for leaf in leaves:
        shown = _text(leaf)[:room]
        room -= len(shown)
        if shown.strip():
            texts.append(shown.strip("\n"))
        if room <= 0:
            break
    return "\n".join(texts)


def _text(leaf: MimePart) -> str:
    if leaf.kind == "text/html":
        return to_text.html_to_text(leaf.text())
    text = leaf.text()
    if leaf.kind == "text/plain" and leaf.parameters.get("format", "").lower() == "flowed":
        text = _unflowed(text, leaf.parameters.get("delsp", "").lower() == "yes")
    return _without_pgp(text) if "-----BEGIN PGP" in text else text


def _unflowed(text: str, delete_space: bool) -> str:
    """Join the lines of a paragraph (RFC 3676 4.1 to 4.5). delete_space: the blank at a line's end is not text."""
    lines: list[str] = []
    open_depth = -1
    for line in text.split("\n"):
        bare = line.lstrip(">")
        depth = len(line) - len(bare)
        bare = bare.removeprefix(" ")
        flows = bare.endswith(" ") and bare != "-- "
        words = bare[:-1] if flows and delete_space else bare
        if open_depth == depth and bare != "-- ":
            lines[-1] += words
        else:
            lines.append(f"{'>' * depth} {words}" if depth else words)
        open_depth = depth if flows else -1
    return "\n".join(lines)


def _without_pgp(text: str) -> str:
    """Return the words of a clear-signed text (RFC 9580 7); drop what is encrypted."""
    text = re.sub(r"-----BEGIN PGP SIGNED MESSAGE-----\n(?:[A-Za-z-]{1,30}: [^\n]*\n){0,5}\n?", "", text)
    text = re.sub(r"-----BEGIN PGP (SIGNATURE|MESSAGE)-----.*?(?:-----END PGP \1-----|\Z)", "", text, flags=re.DOTALL)
    return re.sub(r"(?m)^- (?=-)", "", text)


def _texts(part: MimePart, first: bool = True) -> Iterator[MimePart]:
    """Yield the parts that make up the text."""
    if part.kind == "multipart/alternative" and part.children:
        yield from _texts(_preferred_alternative(part), first)
    elif part.kind == "multipart/related" and part.children:
        yield from _texts(_related_root(part), first)
    elif part.kind.startswith("multipart/") and part.children:
        for number, child in enumerate(part.children):
            yield from _texts(child, first and number == 0)
    elif _is_text(part, first):
        yield part


def _related_root(part: MimePart) -> MimePart:
    """Return the root of a related multipart: what start= names, else the first part (RFC 2387 3.2)."""
    start = part.parameters.get("start", "").strip(" <>")
    named = (child for child in part.children if start and child.field("content-id").strip(" <>") == start)
    return next(named, part.children[0])


def _lenient_texts(part: MimePart) -> Iterator[MimePart]:
    if part.kind == "multipart/alternative" and part.children:
        yield from _lenient_texts(part.children[0])
    elif part.kind.startswith("multipart/"):
        for child in part.children:
            yield from _lenient_texts(child)
    elif _is_words(part) and part.disposition != "attachment":
        yield part


_NO_WORDS = {
    "text/calendar",
    "text/vcard",
    "text/x-vcard",
    "text/directory",
    "text/csv",
    "text/css",
    "text/rfc822-headers",
}


def _is_words(part: MimePart) -> bool:
    """Tell text from data. An unknown kind of text is read as plain text (RFC 2046 4.1.4)."""
    return (part.kind.startswith("text/") and part.kind not in _NO_WORDS) or (
        part.kind.startswith("multipart/") and not part.children
    )


def _is_text(part: MimePart, first: bool) -> bool:
    """Tell text from attachments: a named text part is an attachment unless it is the first part."""
    return _is_words(part) and part.disposition != "attachment" and (first or not part.name)


def _preferred_alternative(part: MimePart) -> MimePart:
    """Return the alternative with plain text, else the last, which RFC 2046 calls the best."""
    for child in part.children:
        leaves = list(_texts(child))
        if any(leaf.kind == "text/plain" and leaf.text().strip() for leaf in leaves):
            return child
    for child in reversed(part.children):
        if any(_text(leaf).strip() for leaf in _texts(child)):
            return child
    return part.children[-1]


def _parts_outside_messages(part: MimePart) -> Iterator[MimePart]:
    """Yield the parts of this message without those of nested messages."""
    yield part
    if part.kind.startswith("multipart/"):
        for child in part.children:
            yield from _parts_outside_messages(child)


def _attachments(root: MimePart) -> Iterator[MailAttachment]:
    chosen = {id(leaf) for leaf in _leaves_of_text(root)}
    for part in _parts_outside_messages(root):
        if part.kind.startswith("multipart/") or id(part) in chosen:
            continue
        if part is not root or not _is_words(part):
            yield MailAttachment(part.name, part.kind, _size(part), part)


def _leaves_of_text(part: MimePart) -> Iterator[MimePart]:
    """Yield every text part: an alternative that was not chosen is no attachment."""
    for number, leaf in enumerate(
        part for part in _parts_outside_messages(part) if not part.kind.startswith("multipart/")
    ):
        if _is_text(leaf, number == 0):
            yield leaf


def _size(part: MimePart) -> int:
    """Return the size of an attachment; of a nested message, of its parsed parts."""
    return sum(len(child.content()) for child in part.walk())
