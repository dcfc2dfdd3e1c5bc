"""The words of a notice with decoration (HTML letters, X-15): off, on, and what is kept of what somebody wrote.

`Wording.text` is always the whole of the words as plain text. So whoever looks for dates, merge fields or addresses,
searches the history, or reads letters without HTML, finds everything there.
"""

import hashlib
import os
import re
import secrets
import time
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import config as ground
from core.notices import attachments, file_types
from core.notices.attachments import MEBIBYTE, format_bytes
from core.notices.file_types import UnfitFile
from i18n import N_
from mail import mime_encoding
from mail.html import sanitizer, text_part
from models import Notice, NoticeTemplate, Wording

MAX_TEXT_CHARS = 50_000
MISSING_ALT_TEXT = N_("Write in a few words what each picture shows, for those who do not see it.")
IMAGES_TOO_LARGE = N_("The pictures are larger than 2 MB together. Please take one out or choose smaller ones.")
TEXT_TOO_LONG = N_("The text is longer than 50,000 characters.")


def normalize_body(fields: dict[str, Any], language: str) -> dict[str, Any]:
    """Return the fields of a wording or sample as they are kept: cleaned HTML and the text made from it, or text."""
    if "html" in fields:
        return {**fields, **clean_html(fields["html"], language)}
    return {**fields, "decorated": False} if "text" in fields else fields


def clean_html(html: str, language: str) -> dict[str, Any]:
    """Return `html`, `text` and `decorated` for what came from an editor or a clipboard."""
    words = sanitizer.sanitize_html(html, existing_ids(sanitizer.PICTURE_ID.findall(html)))
    return {"html": words.html(), "text": text_part.render_text(words, language), "decorated": True}


def is_too_long(html: str, language: str) -> bool:
    """Say whether decorated words are more than a letter may hold, or more tags than anybody writes."""
    if len(html) > sanitizer.MAX_HTML_CHARS or html.count("<") > sanitizer.MAX_TAGS:
        return True
    kept = clean_html(html, language)
    return (
        len(kept["text"]) > MAX_TEXT_CHARS or len(kept["html"]) > sanitizer.MAX_HTML_CHARS
    )  # each stretch of a link repeats its address


def initial_html(wording: Wording | NoticeTemplate, language: str) -> str:
    """Return the HTML with which decoration begins: what it was before, if the text is still the same."""
    if wording.html and clean_html(wording.html, language)["text"].strip() == wording.text.strip():
        return wording.html
    return sanitizer.document_from_text(wording.text).html()


def append_image(wording: Wording, mark: str, alt: str) -> str:
    """Return the HTML of a wording with a picture behind its words."""
    return f'{wording.html}<div><img src="cid:{mark}" alt="{escape(alt)}"></div>'


def html_of(wording: Wording | NoticeTemplate) -> str:
    """Return the words as HTML, "" for a text letter."""
    return wording.html if wording.decorated else ""


def html_error(notice: Notice, wording: Wording) -> str:
    """Say what decorated words lack before they can go; an urgent notice does not wait for a description (law 7)."""
    html = html_of(wording)
    if image_bytes(html) > MAX_TOTAL_BYTES:
        return IMAGES_TOO_LARGE
    return MISSING_ALT_TEXT if 'alt=""' in html and not notice.urgent else ""


def image_ids_of_notice(notice: Notice) -> list[str]:
    """Return the marks of the pictures in a notice."""
    return image_ids_of_wording(notice.wording)


def image_ids_of_wording(wording: Wording) -> list[str]:
    """Return the marks of the pictures among words."""
    return image_ids(html_of(wording))


def text_length_without_images(wording: Wording) -> int:
    """Return how many characters decorated words have without their pictures and the descriptions of these."""
    return len("".join(text_part.render_text(sanitizer.sanitize_html(html_of(wording)), wording.language).split()))


MAX_IMAGE_BYTES = MEBIBYTE
MAX_TOTAL_BYTES = 2 * MEBIBYTE
"""Octets of one picture, and of all of a notice: they go inside every letter, and many phones load them by air."""
MAX_UPLOAD_BYTES = 12 * MEBIBYTE
MAX_PIXELS = 30_000_000
"""A small file can unfold to gigabytes on every family's phone."""
UPLOAD_GRACE_S = 24 * 3600
_CID_SRC = re.compile(r'src="cid:(p-[0-9a-f]{32})@[^"]*"')
_CID = re.compile(r"cid:(p-[0-9a-f]{32})")
_NOT_AN_IMAGE = N_("“%(name)s” is no picture that every mail program shows. Please choose a JPEG or PNG.")
_TOO_MANY_PIXELS = N_("“%(name)s” has more dots than phones can show. Please make it smaller.")
_TOO_LARGE = N_("“%(name)s” has %(size)s; a picture in a letter may have %(most)s. Please make it smaller.")


def add_image(name: str, content: bytes) -> str:
    """Keep a picture, without what a photo tells beside it; return its mark. Repeatable. Raises UnfitFile."""
    fit = file_types.check_file(name, content)
    if fit.kind not in mime_encoding.EXTENSIONS:
        raise UnfitFile(_NOT_AN_IMAGE, name=fit.name)
    if not 0 < file_types.pixel_count(fit.kind, fit.content) <= MAX_PIXELS:
        raise UnfitFile(_TOO_MANY_PIXELS, name=fit.name)
    if len(fit.content) > MAX_IMAGE_BYTES:
        raise UnfitFile(
            _TOO_LARGE, name=fit.name, size=format_bytes(len(fit.content)), most=format_bytes(MAX_IMAGE_BYTES)
        )
    mark = f"p-{hashlib.sha256(fit.content).hexdigest()[:32]}"
    _store_content(mark, fit.content)
    return mark


def _store_content(mark: str, content: bytes) -> None:
    """Write a picture whole and flushed; one that is there already becomes young again."""
    path = images_dir() / mark
    if path.is_file():
        os.utime(path)
        return
    part = images_dir() / f".{secrets.token_hex(8)}"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
    part.replace(path)


def images_dir() -> Path:
    """Return where the pictures lie; nobody but Kairan's own user may look in."""
    found = ground.current_config().data / "pictures"
    found.mkdir(mode=0o700, exist_ok=True)
    return found


def image_ids(html: str) -> list[str]:
    """Return the marks of the pictures that decorated words hold, each once, in their order."""
    return list(dict.fromkeys(_CID.findall(html)))


def image_path(mark: str) -> Path | None:
    """Return the file of a picture, None if there is none (any more)."""
    found = images_dir() / mark
    return found if re.fullmatch(r"p-[0-9a-f]{32}", mark) and found.is_file() else None


def media_type_of(path: Path) -> str:
    """Return the media type of a kept picture."""
    with path.open("rb") as file:
        return file_types.detect_media_type(file.read(16)) or "application/octet-stream"


def existing_ids(wanted: Iterable[str]) -> list[str]:
    """Return those of some marks whose pictures are kept."""
    return [mark for mark in dict.fromkeys(wanted) if image_path(mark)]


def image_bytes(html: str) -> int:
    """Return how many octets the pictures of decorated words have together."""
    return sum(path.stat().st_size for mark in image_ids(html) if (path := image_path(mark)))


def encoded_images(html: str, domain: str) -> bytes:
    """Return the pictures of decorated words as they go inside letters, encoded once for all; nothing without."""
    found = tuple(existing_ids(image_ids(html)))
    return _encoded(found, domain) if found else b""


@lru_cache(maxsize=2)
def _encoded(found: tuple[str, ...], domain: str) -> bytes:
    paths = [(mark, path) for mark in found if (path := image_path(mark))]
    return mime_encoding.inline_image_parts(
        ((mark, media_type_of(path), path.read_bytes()) for mark, path in paths), domain
    )


def embed_as_data_urls(html: str) -> str:
    """Return the HTML of a letter with its pictures in it, for a frame that may load nothing."""
    return _CID_SRC.sub(lambda found: f'src="{_data_url(found[1])}"', html)


def _data_url(mark: str) -> str:
    path = image_path(mark)
    return f"data:{media_type_of(path)};base64,{b64encode(path.read_bytes()).decode()}" if path else ""


def delete_unused_images(now: datetime) -> int:
    """Delete the pictures that no words hold any more, and those of notices closed a month ago; return how many."""
    wanted = _ids_in_use(now)
    old = [
        one
        for one in images_dir().iterdir()
        if time.time() - one.stat().st_mtime > UPLOAD_GRACE_S and one.name not in wanted
    ]
    for one in old:
        one.unlink(missing_ok=True)
    return len(old)


def _ids_in_use(now: datetime) -> set[str]:
    """Return the marks that stand in samples, drafts, and notices whose files are still open."""
    found = {
        mark
        for row in NoticeTemplate.select(NoticeTemplate.html).where(NoticeTemplate.html != "")
        for mark in image_ids(row.html)
    }
    for row in Wording.select(Wording.html, Notice).join(Notice).where(Wording.html.contains("cid:p-")):
        if row.notice.started_at is None or attachments.closes_at(row.notice) + attachments.DELETE_AFTER_CLOSE > now:
            found.update(image_ids(row.html))
    return found
