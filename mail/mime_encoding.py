"""Encode outgoing messages: header text, display names, bodies, attachments, inline images.

RFC 2047 (encoded words: at most 75 characters each, never a part of a character), RFC 5322 2.2.3 (folding),
RFC 2045 6.8 (base64 of text with CRLF line ends), RFC 2046 5.1 (multiparts), RFC 2231 (file names), RFC 2183
(disposition), RFC 2387 (multipart/related), RFC 2392 (cid). Lines stay below 76 characters. Attachments and images
are encoded once per notice and appended to every letter.
"""

from binascii import b2a_base64
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

MAX_LINE = 75
"""Characters of a header line that holds an encoded word; RFC 2047 2 allows 76."""

PLAIN_HEADERS = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
HTML_HEADERS = PLAIN_HEADERS.replace("plain", "html")
_ALTERNATIVE_BOUNDARY = (
    "=_kairan"  # base64 holds no underscore, so that no part can hold the line between the parts (RFC 2046 5.1.1)
)
ALTERNATIVE_HEADERS = f'Content-Type: multipart/alternative; boundary="{_ALTERNATIVE_BOUNDARY}"\r\n'

_FRAME = len("=?utf-8?b??=")
_LINE = 72
_LINE_OCTETS = _LINE // 4 * 3


def encode_header(name: str, text: str) -> str:
    """Return `Name: text` as one folded header without its end; text must be one line (`merge.one_line`)."""
    used = len(name) + 2
    return f"{name}: {text if _needs_no_encoding(text, MAX_LINE - used) else encoded_words(text, used)}"


def encode_mailbox(name: str, addr_spec: str, used: int) -> str:
    """Return `"name" <address>` (RFC 5322 3.4) for a line with `used` columns taken; no name, no brackets."""
    if not name:
        return addr_spec
    shown = encode_phrase(name, used)
    column = len(shown) - shown.rfind("\n") if "\n" in shown else used + len(shown)
    fold = " " if column + len(addr_spec) + 3 <= MAX_LINE else "\r\n "
    return f"{shown}{fold}<{addr_spec}>"


def encode_phrase(text: str, used: int) -> str:
    """Return a display name: a quoted string, or encoded words where that does not do."""
    if not _needs_no_encoding(text, MAX_LINE - used - 2):
        return encoded_words(text, used)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _needs_no_encoding(text: str, room: int) -> bool:
    return len(text) <= room and text.isascii() and text.isprintable() and "=?" not in text


def encoded_words(text: str, used: int) -> str:
    """Return text as folded encoded words, the first line having `used` columns taken already."""
    raw = text.encode("utf-8")
    words = []
    start, room = 0, _octets_that_fit(MAX_LINE - used)
    while start < len(raw):
        end = _end_of_character(raw, start + room)
        words.append(f"=?utf-8?b?{b2a_base64(raw[start:end], newline=False).decode('ascii')}?=")
        start, room = end, _octets_that_fit(MAX_LINE - 1)
    return "\r\n ".join(words)


def _octets_that_fit(columns: int) -> int:
    """Return how many octets an encoded word of so many columns carries; at least one character's."""
    return max(4, (columns - _FRAME) // 4 * 3)


def _end_of_character(raw: bytes, end: int) -> int:
    """Move an end back to where a UTF-8 character ends (RFC 3629 3)."""
    while end < len(raw) and raw[end] & 0xC0 == 0x80:
        end -= 1
    return min(end, len(raw))


class SharedStart(NamedTuple):
    """The beginning that many bodies share: whole lines of base64, and the octets that fill none."""

    lines: bytes
    left: bytes


EMPTY_START = SharedStart(b"", b"")


def encode_shared_start(text: str) -> SharedStart:
    """Encode the beginning that many bodies share once."""
    raw = _octets_of(text)
    whole = len(raw) - len(raw) % _LINE_OCTETS
    return SharedStart(_lines(raw[:whole]), raw[whole:])


def encode_body(text: str, after: SharedStart = EMPTY_START) -> bytes:
    """Return a text, behind the opening it continues, as base64 in short lines, its line ends made CRLF."""
    return after.lines + _lines(after.left + _octets_of(text))


def alternative_body(text: bytes, html: bytes, kind: str = HTML_HEADERS) -> bytes:
    """Return a text and the same words in HTML as the body of `ALTERNATIVE`; both as `body` gives them.

    kind: the headers of the second part, if that is more than HTML alone.
    """
    return (
        f"--{_ALTERNATIVE_BOUNDARY}\r\n{PLAIN_HEADERS}\r\n".encode()
        + text
        + f"\r\n--{_ALTERNATIVE_BOUNDARY}\r\n{kind}\r\n".encode()
        + html
        + f"\r\n--{_ALTERNATIVE_BOUNDARY}--\r\n".encode()
    )


def _octets_of(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8")


def _lines(raw: bytes) -> bytes:
    whole = b2a_base64(raw, newline=False)
    lines = [whole[at : at + _LINE] for at in range(0, len(whole), _LINE)]
    return b"\r\n".join([*lines, b""])


# ── attachments ──────────────────────────────────────────────────────────────────────────────────────────────────────

_MIXED_BOUNDARY = "=_kairan_files"  # differs from the line inside alternatives; base64 holds no underscore
MIXED_HEADERS = f'Content-Type: multipart/mixed; boundary="{_MIXED_BOUNDARY}"\r\n'
_LINE_57 = 57
_PIECE = 60


def attachment_parts(files: Iterable[tuple[str, str, bytes]]) -> bytes:
    """Return files (name, media type, content) as the parts behind the words, the end of the letter included."""
    return b"".join(_attachment_part(*one) for one in files) + f"\r\n--{_MIXED_BOUNDARY}--\r\n".encode()


def mixed_body(headers: str, body: bytes, enclosed: bytes) -> bytes:
    """Return the body of `MIXED`: what stood alone before, with its own headers, and the files behind it."""
    return f"--{_MIXED_BOUNDARY}\r\n{headers}\r\n".encode() + body + enclosed


def _attachment_part(name: str, kind: str, content: bytes) -> bytes:
    old = encoded_words(name, len(' name="'))
    head = (
        f"\r\n--{_MIXED_BOUNDARY}\r\n"
        f'Content-Type: {kind};\r\n name="{old}"\r\n'
        f"Content-Disposition: attachment{_filename_parameter(name)}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    lines = (b2a_base64(content[at : at + _LINE_57], newline=False) for at in range(0, len(content), _LINE_57))
    return head.encode("ascii") + b"\r\n".join(lines)


def _filename_parameter(name: str) -> str:
    """Return the filename parameter; a percent sign and its digits are never torn apart."""
    whole, pieces = [quote(one, safe="") for one in name], [""]
    for one in whole:
        if len(pieces[-1]) + len(one) > _PIECE:
            pieces.append("")
        pieces[-1] += one
    pieces[0] = "UTF-8''" + pieces[0]
    return "".join(f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces))


# ── inline images ────────────────────────────────────────────────────────────────────────────────────────────────────

_RELATED_BOUNDARY = "=_kairan_pictures"  # differs from the lines around it; base64 holds no underscore
RELATED_HEADERS = f'Content-Type: multipart/related; type="text/html";\r\n boundary="{_RELATED_BOUNDARY}"\r\n'
EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png"}
"""The kinds that every mail program shows."""
_LINE_58 = 57


def inline_image_parts(pictures: Iterable[tuple[str, str, bytes]], domain: str) -> bytes:
    """Return pictures (mark, media type, content) as the parts behind the HTML, the end of the whole included."""
    made = (_inline_image_part(number, *one, domain) for number, one in enumerate(pictures, 1))
    return b"".join(made) + f"\r\n--{_RELATED_BOUNDARY}--\r\n".encode()


def related_body(html: bytes, behind: bytes) -> bytes:
    """Return the body of `RELATED`: the HTML as `encode.body` gives it, and the pictures behind it."""
    return f"--{_RELATED_BOUNDARY}\r\n{HTML_HEADERS}\r\n".encode() + html + behind


def _inline_image_part(number: int, mark: str, kind: str, content: bytes, domain: str) -> bytes:
    head = (
        f"\r\n--{_RELATED_BOUNDARY}\r\n"
        f"Content-Type: {kind}\r\n"
        f"Content-ID: <{mark}@{domain}>\r\n"
        f'Content-Disposition: inline; filename="picture-{number}.{EXTENSIONS[kind]}"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    lines = (b2a_base64(content[at : at + _LINE_58], newline=False) for at in range(0, len(content), _LINE_58))
    return head.encode("ascii") + b"\r\n".join(lines)
