"""Read the content of an opaque signed S/MIME part (RFC 8551 3.5.2, RFC 5652 5.1). The signature is not checked.

`cryptography` writes and decrypts CMS, but does not read signed content. So this walks the BER itself, which may
have indefinite lengths and a content in several pieces.
"""

from collections.abc import Iterator
from typing import NamedTuple

_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_DATA = bytes.fromhex("2a864886f70d010701")
_MAX_DEPTH = 12


class _Value(NamedTuple):
    """One BER value. tag: its first octet; content: octets; end: where it ends."""

    tag: int
    content: bytes
    end: int


def signed_content(octets: bytes) -> bytes | None:
    """Return the signed MIME entity; None if this is no readable signed-data. Never raises."""
    try:
        return _signed_content(octets)
    except (IndexError, ValueError, RecursionError):
        return None


def _signed_content(octets: bytes) -> bytes | None:
    outer = list(_values(_value(octets, 0).content))
    if outer[0].content != _SIGNED_DATA:
        return None
    signed = _value(outer[1].content, 0)
    inner = next(value for value in _values(signed.content) if value.tag == 0x30)
    kind, *rest = _values(inner.content)
    return _octet_string(_value(rest[0].content, 0)) if kind.content == _DATA and rest else None


def _octet_string(value: _Value) -> bytes:
    if value.tag == 0x04:
        return value.content
    if value.tag != 0x24:
        raise ValueError("no octet string")
    return b"".join(_octet_string(piece) for piece in _values(value.content))


def _values(octets: bytes) -> Iterator[_Value]:
    place = 0
    while place < len(octets):
        value = _value(octets, place)
        yield value
        place = value.end


def _value(octets: bytes, start: int, depth: int = 0) -> _Value:
    """Read the value at this place. Raises IndexError or ValueError if it is cut or broken."""
    if depth > _MAX_DEPTH:
        raise ValueError("too deep")
    tag, length, place = octets[start], octets[start + 1], start + 2
    if length == 0x80:
        begin = place
        while octets[place : place + 2] != b"\x00\x00":
            place = _value(octets, place, depth + 1).end
        return _Value(tag, octets[begin:place], place + 2)
    if length > 0x80:
        count = length & 0x7F
        length, place = int.from_bytes(octets[place : place + count], "big"), place + count
    if place + length > len(octets):
        raise ValueError("cut")
    return _Value(tag, octets[place : place + length], place + length)
