"""Photos without what they tell about place, time and camera: JPEG, PNG and WebP rewritten part by part.

A phone writes into every photo where it was taken. The picture itself is copied octet by octet and never decoded;
kept are only the parts that are needed to show it rightly (colours, and which side is up). What stands behind the
end of a picture (a second photo, the film of a "live" one) is left out, too.

JPEG: ITU-T T.81 annex B; Exif 2.3 4.5 and 4.6. PNG: RFC 2083, PNG 3rd edition 5. WebP: RFC 9649 2.
"""

import re
import struct
from collections.abc import Iterator

_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_NOT_SOF_MARKERS = (0xC4, 0xC8, 0xCC)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"bKGD"),
    *(b"pHYs", b"acTL", b"fcTL", b"fdAT"),
}
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_WEBP_METADATA_FLAGS = 0b0000_1100  # of the flags of VP8X: holds Exif, holds XMP


class DamagedPhoto(ValueError):
    """This is no whole photo of its kind."""


def strip_metadata(kind: str, content: bytes) -> bytes:
    """Return a photo (`image/jpeg`, `image/png`, `image/webp`) without what it tells beside the picture.

    Raises Damaged. Repeating changes nothing more.
    """
    cleaner = {"image/jpeg": _jpeg, "image/png": _png, "image/webp": _webp}[kind]
    try:
        return b"".join(cleaner(content))
    except (struct.error, IndexError) as short:
        raise DamagedPhoto(kind) from short


def pixel_count(kind: str, content: bytes) -> int:
    """Return how many dots a whole JPEG or PNG says that it has; 0 for one that cannot be shown."""
    if kind == "image/png":
        width, height = map(int, struct.unpack_from(">II", content, 16))
        return width * height
    place = 2
    while found := _JPEG_MARKER.match(content, place):
        mark, place = found[1][0], found.end()
        if 0xC0 <= mark <= 0xCF and mark not in _NOT_SOF_MARKERS:
            height, width = map(int, struct.unpack_from(">HH", content, place + 3))
            return width * height
        place += struct.unpack_from(">H", content, place)[0]
    return 0


# ── JPEG ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _jpeg(raw: bytes) -> Iterator[bytes]:
    """Give the segments to keep, up to the end of the picture."""
    if raw[:2] != b"\xff\xd8":
        raise DamagedPhoto("jpeg")
    yield raw[:2]
    place, seen = 2, False
    while True:
        found = _JPEG_MARKER.match(raw, place)
        if found is None:
            raise DamagedPhoto("jpeg")
        mark, place = found[1][0], found.end()
        if mark == 0xD9:
            if not seen:
                raise DamagedPhoto("jpeg")
            yield b"\xff\xd9"
            return
        end = place + struct.unpack_from(">H", raw, place)[0]
        segment = raw[place:end]
        if end > len(raw) or len(segment) < 2:
            raise DamagedPhoto("jpeg")
        yield _clean_segment(mark, segment)
        place = end
        if mark == 0xDA:  # behind the header of a scan come its data, up to the next real mark
            after = _JPEG_MARKER.search(raw, end)
            if after is None:
                raise DamagedPhoto("jpeg")
            yield raw[end : after.start()]
            place, seen = after.start(), True


def _clean_segment(mark: int, segment: bytes) -> bytes:
    """Return a segment as it stays: of Exif the side that is up, of the other notes the colours alone."""
    if mark == 0xE1:
        return _orientation_only(segment)
    tells = 0xE0 <= mark <= 0xEF or mark == 0xFE
    colours = mark in (0xE0, 0xEE) or (mark == 0xE2 and segment[2:14] == b"ICC_PROFILE\0")
    return b"" if tells and not colours else bytes((0xFF, mark)) + segment


def _orientation_only(segment: bytes) -> bytes:
    """Return an Exif segment that says which side is up and nothing else; nothing if it is the usual one."""
    side = _orientation(segment[8:]) if segment[2:8] == b"Exif\0\0" else 1
    if side == 1:
        return b""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, side, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff


def _orientation(tiff: bytes) -> int:
    """Read tag 0x0112 of the first directory; 1 (as it is) where it is missing or senseless."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for number in range(min(count, 200)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * number)
            if tag == 0x0112 and kind == 3:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


# ── PNG, WebP ────────────────────────────────────────────────────────────────────────────────────────────────────


def _png(raw: bytes) -> Iterator[bytes]:
    if raw[:8] != _PNG:
        raise DamagedPhoto("png")
    yield _PNG
    place = 8
    while True:
        size, kind = struct.unpack_from(">I4s", raw, place)
        end = place + 12 + size
        if end > len(raw):
            raise DamagedPhoto("png")
        if kind in _PNG_KEPT:
            yield raw[place:end]
        if kind == b"IEND":
            return
        place = end


def _webp(raw: bytes) -> Iterator[bytes]:
    head, size, name = struct.unpack_from("<4sI4s", raw)
    if head != b"RIFF" or name != b"WEBP" or size + 8 > len(raw):
        raise DamagedPhoto("webp")
    chunks = b"".join(_webp_chunks(raw, size + 8))
    yield struct.pack("<4sI4s", b"RIFF", len(chunks) + 4, b"WEBP")
    yield chunks


def _webp_chunks(raw: bytes, whole: int) -> Iterator[bytes]:
    place = 12
    while place < whole:
        kind, size = struct.unpack_from("<4sI", raw, place)
        end = place + 8 + size + size % 2
        if place + 8 + size > whole:
            raise DamagedPhoto("webp")
        chunk = raw[place:end]
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes((chunk[8] & ~_WEBP_METADATA_FLAGS,)) + chunk[9:]
        if kind in _WEBP_KEPT:
            yield chunk
        place = end
