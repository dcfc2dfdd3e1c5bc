"""The encodings of a letter: header text and names as encoded words, the body as base64.

RFC 2047 (encoded words: at most 75 characters each, never a part of a character), RFC 5322 2.2.3
(folding), RFC 2045 6.8 (base64 of text whose lines end in CRLF). Lines stay below 76 characters.
"""

from binascii import b2a_base64
from typing import NamedTuple

MAX_LINE = 75
"""Characters of a header line that holds an encoded word; RFC 2047 2 allows 76."""

PLAIN_HEADERS = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
HTML_HEADERS = PLAIN_HEADERS.replace("plain", "html")
_BOUNDARY = (
    "=_kairan"  # base64 holds no underscore, so that no part can hold the line between the parts (RFC 2046 5.1.1)
)
ALTERNATIVE_HEADERS = f'Content-Type: multipart/alternative; boundary="{_BOUNDARY}"\r\n'

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
        f"--{_BOUNDARY}\r\n{PLAIN_HEADERS}\r\n".encode()
        + text
        + f"\r\n--{_BOUNDARY}\r\n{kind}\r\n".encode()
        + html
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )


def _octets_of(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8")


def _lines(raw: bytes) -> bytes:
    whole = b2a_base64(raw, newline=False)
    lines = [whole[at : at + _LINE] for at in range(0, len(whole), _LINE)]
    return b"\r\n".join([*lines, b""])
