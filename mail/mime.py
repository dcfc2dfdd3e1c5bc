"""The parts of a mail, read with limits: any bytes give a tree, in time that grows no faster than their number.

RFC 5322 2.2 (fields), RFC 2045 (content type, transfer encodings), RFC 2046 5.1 (multiparts), RFC 2231
(parameters), RFC 2183 (disposition). Python's own reader raises on headers that arrive every day, takes seconds
over hostile ones and knows no limits; what Kairan needs of MIME is little, so it is here.
"""

import re
from binascii import Error as BadEncoding
from binascii import a2b_qp, a2b_uu
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from mail import charsets

MAX_HEADER_BYTES = 64 * 1024
MAX_PARTS = 200
MAX_DEPTH = 20
MAX_BYTES = 30 * 1024 * 1024
"""Octets of a mail that are looked at, unless the caller says otherwise."""


@dataclass(frozen=True, slots=True)
class MimePart:
    """A mail or one part of it. fields: (lower-case name, value as bytes, folds kept). kind: "text/plain".

    body: the content of a part without parts, still in its transfer encoding; of a multipart what stands before
    its first part. cut: a limit was reached, something is missing.
    """

    fields: tuple[tuple[str, bytes], ...] = field(repr=False)
    kind: str
    parameters: dict[str, str]
    body: bytes = field(repr=False)
    children: tuple["MimePart", ...] = ()
    cut: bool = False

    def raw(self, name: str) -> bytes | None:
        """Return the first field of this (lower-case) name as it stands, None if there is none."""
        return next((value for own, value in self.fields if own == name), None)

    def field(self, name: str) -> str:
        """Return the first field of this (lower-case) name as text, "" if there is none."""
        value = self.raw(name)
        return "" if value is None else charsets.decode_header(value)

    def every(self, name: str) -> list[str]:
        """Return all fields of this (lower-case) name as text."""
        return [charsets.decode_header(value) for own, value in self.fields if own == name]

    def walk(self) -> Iterator["MimePart"]:
        """Go through this part and all parts in it, in the order of the mail."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def disposition(self) -> str:
        """Return "attachment", "inline" or ""."""
        return _token(self.raw("content-disposition") or b"")

    @property
    def name(self) -> str:
        """Return the file name that the sender gave, without folders, "" if none."""
        given = parse_parameters(self.raw("content-disposition") or b"").get("filename") or self.parameters.get(
            "name", ""
        )
        return _CONTROL.sub("", re.split(r"[/\\]", given)[-1]).strip()[:200]

    def content(self) -> bytes:
        """Return the content without its transfer encoding; what cannot be decoded stays as it is."""
        return _decoded(self.body, _token(self.raw("content-transfer-encoding") or b""))

    def text(self) -> str:
        """Return the content as text with lines that end in \\n."""
        shown = charsets.decode_text(self.content(), self.parameters.get("charset", ""))
        return shown.replace("\r\n", "\n").replace("\r", "\n")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _token(raw: bytes) -> str:
    """Return the first word of a field in lower case."""
    found = re.match(rb"[\s\"']*([!-:<-~]+)", raw[:200])
    return found[1].decode("ascii").strip("\"'").lower() if found else ""


# ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_mime(raw: bytes, limit: int = MAX_BYTES) -> MimePart:
    """Read a mail of any bytes. limit: octets that are looked at. Never raises."""
    whole = raw[:limit].replace(b"\r\n", b"\n")
    if b"\n" not in whole:
        whole = whole.replace(b"\r", b"\n")
    return _parse_part(_without_envelope(whole), "text/plain", 0, [MAX_PARTS], len(raw) > limit)


def _without_envelope(raw: bytes) -> bytes:
    """Drop blank lines and the line `From sender date` that mailboxes put before a mail."""
    start = _ENVELOPE.match(raw)
    return raw[start.end() :] if start else raw


_ENVELOPE = re.compile(rb"\n*(?:>?From [^\n]*\n){0,3}")


def _parse_part(raw: bytes, usual: str, depth: int, left: list[int], cut: bool = False) -> MimePart:
    """Read one part. left: how many parts may still be read, counted down in all of them together."""
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
    if kind in _MESSAGE_TYPES and deeper and not _is_encoded(fields):
        return MimePart(
            fields, kind, options, b"", (_parse_part(body.lstrip(b"\n"), "text/plain", depth + 1, left),), cut
        )
    return MimePart(fields, kind, options, body, (), cut or (kind.startswith("multipart/") and not deeper))


_MESSAGE_TYPES = {"message/rfc822", "message/global", "message/news"}


def _is_encoded(fields: tuple[tuple[str, bytes], ...]) -> bool:
    return any(name == "content-transfer-encoding" and _token(value) in _ENCODINGS for name, value in fields)


_FIELD = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_USUAL_FIELD = re.compile(
    rb"(?im)^(?:from|to|cc|subject|date|mime-version|content-[a-z-]{1,40}|message-id|received|return-path|x-[!-9;-~]{1,40}"
    rb"|reply-to|references|in-reply-to|sender|auto-submitted|precedence|list-[a-z]{1,20})[ \t]*:"
)


def _fields(raw: bytes) -> tuple[tuple[tuple[str, bytes], ...], bytes, bool]:
    """Split a mail into fields and body; the third value tells that fields beyond the limit were dropped.

    A line that is no field belongs to the one before if fields follow (a folded line that lost its blank);
    else the blank line between header and body is missing, and the body begins here.
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
    """Return what stands before the parts, the parts, and whether some are missing because of the limits."""
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
    """Return {name in lower case: value} of a field: quoted, encoded and continued ones (RFC 2231), and RFC 2047.

    RFC 2047 forbids encoded words here; Japanese mail programs put them here all the same.
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
    """Join the sections of one value: charset'language'text, percent-encoded where marked (RFC 2231 4.1)."""
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
        return charsets.decode_base64(raw)
    if encoding == "quoted-printable":
        return a2b_qp(raw)
    return _uudecoded(raw[:_LONGEST_UU]) if encoding in _ENCODINGS else raw


_LONGEST_UU = 1 << 20


def _uudecoded(raw: bytes) -> bytes:
    """Decode the lines between `begin` and `end`; lines that break the rules are left out."""
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
