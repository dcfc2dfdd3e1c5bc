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
"""RFC 2047 2 allows 76 characters in a line with an encoded word."""

PLAIN_HEADERS = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
HTML_HEADERS = PLAIN_HEADERS.replace("plain", "html")
_ALTERNATIVE_BOUNDARY = "=_kairan"  # base64 has no underscore, so no part can contain the boundary (RFC 2046 5.1.1)
ALTERNATIVE_HEADERS = f'Content-Type: multipart/alternative; boundary="{_ALTERNATIVE_BOUNDARY}"\r\n'

_FRAME = len("=?utf-8?b??=")
_LINE = 72
_LINE_OCTETS = _LINE // 4 * 3


def encode_header(name: str, text: str) -> str:
    """Return `Name: text` folded, without line end; text is one line (`merge.one_line`)."""
    used = len(name) + 2
    return f"{name}: {text if _needs_no_encoding(text, MAX_LINE - used) else encoded_words(text, used)}"


def encode_mailbox(name: str, addr_spec: str, used: int) -> str:
    """Return `"name" <address>` (RFC 5322 3.4) for a line with `used` columns taken; without name no brackets."""
    if not name:
        return addr_spec
    shown = encode_phrase(name, used)
    column = len(shown) - shown.rfind("\n") if "\n" in shown else used + len(shown)
    fold = " " if column + len(addr_spec) + 3 <= MAX_LINE else "\r\n "
    return f"{shown}{fold}<{addr_spec}>"


def encode_phrase(text: str, used: int) -> str:
    """Return a display name as a quoted string, or as encoded words if needed."""
    if not _needs_no_encoding(text, MAX_LINE - used - 2):
        return encoded_words(text, used)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _needs_no_encoding(text: str, room: int) -> bool:
    return len(text) <= room and text.isascii() and text.isprintable() and "=?" not in text


def encoded_words(text: str, used: int) -> str:
    """Return text as folded encoded words; `used` columns of the first line are taken."""
    raw = text.encode("utf-8")
    words = []
    start, room = 0, _octets_that_fit(MAX_LINE - used)
    while start < len(raw):
        end = _end_of_character(raw, start + room)
        words.append(f"=?utf-8?b?{b2a_base64(raw[start:end], newline=False).decode('ascii')}?=")
        start, room = end, _octets_that_fit(MAX_LINE - 1)
    return "\r\n ".join(words)


def _octets_that_fit(columns: int) -> int:
    """Return how many octets fit into an encoded word of so many columns, at least one character."""
    return max(4, (columns - _FRAME) // 4 * 3)


def _end_of_character(raw: bytes, end: int) -> int:
    """Move an end back to a character boundary (RFC 3629 3)."""
    while end < len(raw) and raw[end] & 0xC0 == 0x80:
        end -= 1
    return min(end, len(raw))


class SharedStart(NamedTuple):
    """The encoded beginning of many bodies: complete base64 lines, and the remaining octets."""

    lines: bytes
    left: bytes


EMPTY_START = SharedStart(b"", b"")


def encode_shared_start(text: str) -> SharedStart:
    raw = _octets_of(text)
    whole = len(raw) - len(raw) % _LINE_OCTETS
    return SharedStart(_lines(raw[:whole]), raw[whole:])


def encode_body(text: str, after: SharedStart = EMPTY_START) -> bytes:
    """Encode a text after its shared beginning as base64 lines, with CRLF line ends."""
    return after.lines + _lines(after.left + _octets_of(text))


def alternative_body(text: bytes, html: bytes, kind: str = HTML_HEADERS) -> bytes:
    """Return the body of a multipart/alternative from two encoded parts.

    kind: the headers of the second part, if it is more than HTML.
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
_ENCODED_OCTETS = 57
_PIECE = 60


def attachment_parts(files: Iterable[tuple[str, str, bytes]]) -> bytes:
    """Encode files (name, media type, content) as parts, with the closing boundary."""
    return b"".join(_attachment_part(*one) for one in files) + f"\r\n--{_MIXED_BOUNDARY}--\r\n".encode()


def mixed_body(headers: str, body: bytes, attachments: bytes) -> bytes:
    """Return the body of a multipart/mixed: the text part with its headers, and the attachments."""
    return f"--{_MIXED_BOUNDARY}\r\n{headers}\r\n".encode() + body + attachments


def _attachment_part(name: str, kind: str, content: bytes) -> bytes:
    old = encoded_words(name, len(' name="'))
    head = (
        f"\r\n--{_MIXED_BOUNDARY}\r\n"
        f'Content-Type: {kind};\r\n name="{old}"\r\n'
        f"Content-Disposition: attachment{_filename_parameter(name)}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return _base64_part(head, content)


def _base64_part(head: str, content: bytes) -> bytes:
    lines = (
        b2a_base64(content[at : at + _ENCODED_OCTETS], newline=False) for at in range(0, len(content), _ENCODED_OCTETS)
    )
    return head.encode("ascii") + b"\r\n".join(lines)


def _filename_parameter(name: str) -> str:
    """Return the filename parameter; percent-encoded characters are never split."""
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
"""Types that every mail program shows."""


def inline_image_parts(pictures: Iterable[tuple[str, str, bytes]], domain: str) -> bytes:
    """Encode images (id, media type, content) as parts, with the closing boundary."""
    made = (_inline_image_part(number, *one, domain) for number, one in enumerate(pictures, 1))
    return b"".join(made) + f"\r\n--{_RELATED_BOUNDARY}--\r\n".encode()


def related_body(html: bytes, images: bytes) -> bytes:
    """Return the body of a multipart/related: the encoded HTML and the images."""
    return f"--{_RELATED_BOUNDARY}\r\n{HTML_HEADERS}\r\n".encode() + html + images


def _inline_image_part(number: int, image_id: str, kind: str, content: bytes, domain: str) -> bytes:
    head = (
        f"\r\n--{_RELATED_BOUNDARY}\r\n"
        f"Content-Type: {kind}\r\n"
        f"Content-ID: <{image_id}@{domain}>\r\n"
        f'Content-Disposition: inline; filename="picture-{number}.{EXTENSIONS[kind]}"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return _base64_part(head, content)
