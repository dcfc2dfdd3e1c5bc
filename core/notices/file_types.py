"""What a file really is, by its content: the few kinds that families can open and that cannot act by themselves.

The name that it came with is only asked whether it says the same. SVG, HTML and old Office files are refused: they
can hold programs; so are photos that only Apple's phones open.
"""

import io
import re
import unicodedata
import zipfile
from dataclasses import dataclass

from core.notices import photo_metadata
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
        return photo_metadata.strip_metadata(kind, content)
    except photo_metadata.DamagedPhoto as broken:
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
