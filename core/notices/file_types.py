"""What a file really is, by its content: the few kinds that families can open and that cannot act by themselves.

The name that it came with is only asked whether it says the same. SVG, HTML and old Office files are refused: they
can hold programs; so are photos that only Apple's phones open.
"""

import io
import re
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from i18n import N_

MAX_NAME_CHARS = 80
_OFFICE = {
    "word/": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    "xl/": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    "ppt/": ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
}
_PHOTOS = {"image/jpeg": ("jpg", "jpeg"), "image/png": ("png",), "image/webp": ("webp",)}
ALLOWED_TYPES: dict[str, tuple[str, ...]] = {
    "application/pdf": ("pdf",),
    **_PHOTOS,
    **{kind: (ending,) for kind, ending in _OFFICE.values()},
}
"""Media type → endings of names, the usual one first."""
ACCEPT_ATTRIBUTE = ",".join(f".{ending}" for endings in ALLOWED_TYPES.values() for ending in endings)
_HEIF = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif"}
_MAX_ZIP_ENTRIES = 5000
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


class UnfitFile(Exception):
    """A file that is not taken; `message` says why and what to do instead, `values` fill its places."""

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message)
        self.message = message
        self.values = values


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file as it is kept: safe name, media type, content; `cleaned`: a photo told more than its picture."""

    name: str
    kind: str
    content: bytes
    cleaned: bool = False


def check_file(name: str, content: bytes) -> CheckedFile:
    """Return a file as it may be kept. Raises UnfitFile with the sentence for who chose it."""
    shown = safe_filename(name)
    if not content:
        raise UnfitFile(N_("“%(name)s” is empty."), name=shown)
    kind = detect_media_type(content)
    ending = shown.rpartition(".")[2].lower() if "." in shown else ""
    values = {"name": shown, "ending": f".{ending}" if ending else "–"}
    if kind is None:
        raise UnfitFile(_rejection_message(ending, content), **values)
    if not _extension_fits(ending, kind):
        raise UnfitFile(DISGUISED, **values)
    clean = _strip_photo_metadata(shown, kind, content)
    return CheckedFile(_with_extension(shown, ending, kind), kind, clean, cleaned=clean != content)


DISGUISED = N_(
    "“%(name)s” is not what its ending %(ending)s says, so it was not taken. "
    "Open it in the program that it was made with and save it again as a PDF."
)
_OTHER = N_("“%(name)s” was not taken. PDF, photos (JPEG, PNG, WebP) and Word, Excel or PowerPoint files can be added.")
_APPLE = N_(
    "“%(name)s” is a photo in Apple's own format, which many phones cannot open. Please choose it on the iPhone itself "
    "(it is then changed by itself), or save it as JPEG."
)
_OLD_OFFICE = N_("“%(name)s” is an old Office file, which can hold programs. Please save it as a PDF, .docx or .xlsx.")
_MACROS = N_("“%(name)s” holds macros, that is a program. Please save it as a PDF, or without macros.")
_BROKEN = N_("“%(name)s” is damaged or not whole. Please save it again and choose it once more.")


def detect_media_type(content: bytes) -> str | None:
    """Return the media type that the content shows, None for everything that is not taken."""
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return _office_kind(content)


def _office_kind(content: bytes) -> str | None:
    names = _zip_names(content)
    if "[Content_Types].xml" not in names or _has_macros(names):
        return None
    return next((kind for start, (kind, _) in _OFFICE.items() if any(one.startswith(start) for one in names)), None)


def _zip_names(content: bytes) -> list[str]:
    """Return the names inside a ZIP file; nothing is unpacked."""
    if not content.startswith(b"PK\x03\x04"):
        return []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return packed.namelist()[:_MAX_ZIP_ENTRIES]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return []


def _has_macros(names: list[str]) -> bool:
    return any(one.lower().endswith(("vbaproject.bin", ".exe", ".js", ".vbs")) for one in names)


def _rejection_message(ending: str, content: bytes) -> str:
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF:
        return _APPLE
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        return _OLD_OFFICE
    if _has_macros(_zip_names(content)):
        return _MACROS
    return DISGUISED if any(ending in endings for endings in ALLOWED_TYPES.values()) else _OTHER


def _extension_fits(ending: str, kind: str) -> bool:
    """Say whether a name's ending fits the content; phones mix up the kinds of photos, which harms nobody."""
    if kind in _PHOTOS:
        return any(ending in endings for endings in _PHOTOS.values())
    return ending in ALLOWED_TYPES[kind]


def _strip_photo_metadata(name: str, kind: str, content: bytes) -> bytes:
    if kind not in _PHOTOS:
        return content
    try:
        return strip_metadata(kind, content)
    except DamagedPhoto as broken:
        raise UnfitFile(_BROKEN, name=name) from broken


def _with_extension(name: str, ending: str, kind: str) -> str:
    return name if ending in ALLOWED_TYPES[kind] else name[: -len(ending)] + ALLOWED_TYPES[kind][0]


def safe_filename(name: str) -> str:
    """Return a name that is safe on every system and shows what it is: no folders, no signs that turn or hide text."""
    bare = name.replace("\\", "/").rpartition("/")[2]
    seen = "".join(one for one in bare if unicodedata.category(one) not in ("Cf", "Cc", "Cs", "Co", "Cn"))
    flat = " ".join(_NOT_IN_NAMES.sub("_", unicodedata.normalize("NFC", seen)).split()).strip(". ")
    stem, dot, ending = flat.rpartition(".")
    if dot and len(ending) <= 5:
        return f"{stem[: MAX_NAME_CHARS - 6].rstrip('. ') or 'file'}.{ending}"
    return flat[:MAX_NAME_CHARS] or "file"


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
