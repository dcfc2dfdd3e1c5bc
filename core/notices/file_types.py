"""Accept uploaded files by content: PDF, photos without metadata, and Office files without macros.

The file name must agree with the content. SVG, HTML and old Office files can hold programs; many phones cannot open
HEIF photos: all four are refused.

Photos are rewritten segment by segment, because phones store place and time in them. Pixel data is copied and never
decoded; only the segments that the display needs stay (colours, orientation). Data after the end of the picture (the
film of a "live" photo) is dropped. JPEG: ITU-T T.81 annex B; Exif 2.3 4.5 and 4.6. PNG: RFC 2083, PNG 3rd edition 5.
WebP: RFC 9649 2.
"""

import io
import os
import re
import secrets
import struct
import time
import unicodedata
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import config
from core.errors import DomainError
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
_HEIF = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif"}
_MAX_ZIP_ENTRIES = 5000
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


class UnfitFile(DomainError):
    """The file was refused; `message` says why and what to do instead."""


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file as it is stored. `cleaned`: metadata was removed from a photo."""

    name: str
    kind: str
    content: bytes
    cleaned: bool = False


def check_file(name: str, content: bytes) -> CheckedFile:
    """Return the file as it is to be stored. Raises UnfitFile."""
    safe_name = safe_filename(name)
    if not content:
        raise UnfitFile(N_("“%(name)s” is empty."), name=safe_name)
    kind = detect_media_type(content)
    ending = safe_name.rpartition(".")[2].lower() if "." in safe_name else ""
    values = {"name": safe_name, "ending": f".{ending}" if ending else "–"}
    if kind is None:
        raise UnfitFile(_rejection_message(ending, content), **values)
    if not _extension_fits(ending, kind):
        raise UnfitFile(DISGUISED, **values)
    try:
        clean = strip_metadata(kind, content) if kind in _PHOTOS else content
    except DamagedPhoto as error:
        raise UnfitFile(_BROKEN, name=safe_name) from error
    return CheckedFile(_with_extension(safe_name, ending, kind), kind, clean, cleaned=clean != content)


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
    """Return the media type of the content; None if files of this type are refused."""
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return _office_kind(content) or ("application/pdf" if _is_pdf_after_other_bytes(content) else None)


def _is_pdf_after_other_bytes(content: bytes) -> bool:
    """Return whether a PDF begins within the first 1024 bytes, as readers accept it; not after a program or markup."""
    before, mark, _ = content[:1024].partition(b"%PDF-")
    return bool(mark) and b"<" not in before and not before.startswith((b"MZ", b"\x7fELF", b"#!", b"PK"))


def _office_kind(content: bytes) -> str | None:
    names = _zip_names(content)
    if "[Content_Types].xml" not in names or _has_macros(names):
        return None
    return next((kind for start, (kind, _) in _OFFICE.items() if any(name.startswith(start) for name in names)), None)


def _zip_names(content: bytes) -> list[str]:
    """Return the names of the members of a ZIP file without unpacking it; nothing for other files."""
    if not content.startswith(b"PK\x03\x04"):
        return []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.namelist()[:_MAX_ZIP_ENTRIES]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return []


def _has_macros(names: list[str]) -> bool:
    return any(name.lower().endswith(("vbaproject.bin", ".exe", ".js", ".vbs")) for name in names)


def _rejection_message(ending: str, content: bytes) -> str:
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF:
        return _APPLE
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        return _OLD_OFFICE
    if _has_macros(_zip_names(content)):
        return _MACROS
    return DISGUISED if any(ending in endings for endings in ALLOWED_TYPES.values()) else _OTHER


def _extension_fits(ending: str, kind: str) -> bool:
    """Say whether the extension fits the content. Any photo extension fits any photo: phones mix them up."""
    if kind in _PHOTOS:
        return any(ending in endings for endings in _PHOTOS.values())
    return ending in ALLOWED_TYPES[kind]


def _with_extension(name: str, ending: str, kind: str) -> str:
    return name if ending in ALLOWED_TYPES[kind] else name[: -len(ending)] + ALLOWED_TYPES[kind][0]


def safe_filename(name: str) -> str:
    """Return a name that is safe on every system: without folders and without invisible or bidirectional controls."""
    bare = name.replace("\\", "/").rpartition("/")[2]
    visible = "".join(char for char in bare if unicodedata.category(char) not in ("Cf", "Cc", "Cs", "Co", "Cn"))
    flat = " ".join(_NOT_IN_NAMES.sub("_", unicodedata.normalize("NFC", visible)).split()).strip(". ")
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
    """The photo is truncated or malformed."""


def strip_metadata(kind: str, content: bytes) -> bytes:
    """Return a photo (`image/jpeg`, `image/png`, `image/webp`) without its metadata. Idempotent. Raises DamagedPhoto."""
    cleaner = {"image/jpeg": _jpeg, "image/png": _png, "image/webp": _webp}[kind]
    try:
        return b"".join(cleaner(content))
    except (struct.error, IndexError) as error:
        raise DamagedPhoto(kind) from error


def pixel_count(kind: str, content: bytes) -> int:
    """Return the number of pixels in the header of a complete JPEG or PNG; 0 if the header is missing."""
    if kind == "image/png":
        width, height = map(int, struct.unpack_from(">II", content, 16))
        return width * height
    place = 2
    while match := _JPEG_MARKER.match(content, place):
        mark, place = match[1][0], match.end()
        if 0xC0 <= mark <= 0xCF and mark not in _NOT_SOF_MARKERS:
            height, width = map(int, struct.unpack_from(">HH", content, place + 3))
            return width * height
        place += struct.unpack_from(">H", content, place)[0]
    return 0


# ── JPEG ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _jpeg(raw: bytes) -> Iterator[bytes]:
    """Yield the segments to keep, up to the end of the picture."""
    if raw[:2] != b"\xff\xd8":
        raise DamagedPhoto("jpeg")
    yield raw[:2]
    place, has_scan = 2, False
    while True:
        match = _JPEG_MARKER.match(raw, place)
        if match is None:
            raise DamagedPhoto("jpeg")
        mark, place = match[1][0], match.end()
        if mark == 0xD9:
            if not has_scan:
                raise DamagedPhoto("jpeg")
            yield b"\xff\xd9"
            return
        end = place + struct.unpack_from(">H", raw, place)[0]
        segment = raw[place:end]
        if end > len(raw) or len(segment) < 2:
            raise DamagedPhoto("jpeg")
        yield _clean_segment(mark, segment)
        place = end
        if mark == 0xDA:  # scan data follow the scan header, up to the next marker
            next_marker = _JPEG_MARKER.search(raw, end)
            if next_marker is None:
                raise DamagedPhoto("jpeg")
            yield raw[end : next_marker.start()]
            place, has_scan = next_marker.start(), True


def _clean_segment(mark: int, segment: bytes) -> bytes:
    """Return what stays of a segment: the orientation of Exif, the colour profile of other application segments."""
    if mark == 0xE1:
        return _orientation_only(segment)
    is_metadata = 0xE0 <= mark <= 0xEF or mark == 0xFE
    is_colour = mark in (0xE0, 0xEE) or (mark == 0xE2 and segment[2:14] == b"ICC_PROFILE\0")
    return b"" if is_metadata and not is_colour else bytes((0xFF, mark)) + segment


def _orientation_only(segment: bytes) -> bytes:
    """Return an Exif segment that holds only the orientation; nothing for the default orientation."""
    side = _orientation(segment[8:]) if segment[2:8] == b"Exif\0\0" else 1
    if side == 1:
        return b""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, side, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff


def _orientation(tiff: bytes) -> int:
    """Return tag 0x0112 of the first directory; 1 (upright) if it is missing or invalid."""
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


# ── storing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def data_folder(name: str) -> Path:
    """Return a folder of the data directory that only Kairan's own user may read."""
    folder = config.current_config().data / name
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically and flushed to disk, mode 0600."""
    partial = path.with_name(f".{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def delete_old_files(folder: Path, wanted: Collection[str], grace_s: float) -> int:
    """Delete the files of a folder that are not wanted and not newer than `grace_s`; return how many.

    The age comes from the file system, since tests and the demo move the clock of Kairan.
    """
    old = [
        path for path in folder.iterdir() if path.name not in wanted and time.time() - path.stat().st_mtime > grace_s
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
