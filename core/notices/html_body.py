"""HTML bodies of notices and templates, and their inline images (X-15).

`Wording.text` always holds the complete plain text, also of an HTML body: search, content checks, merge fields and
text-only readers need it.

An inline image is identified by the hash of its content, and the HTML names the images in use. A copied notice
therefore shows the same images, and only a client that knows the content can guess an id. Content is stored in
`data/pictures`.
"""

import hashlib
import os
import re
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from core.notices import attachments, file_types
from core.notices.attachments import MEBIBYTE, format_bytes
from core.notices.file_types import UnfitFile
from i18n import N_
from mail import mime_encoding
from mail.html import sanitizer, text_part
from models import Notice, NoticeTemplate, Wording

MAX_TEXT_CHARS = 50_000
MAX_ALT_CHARS = sanitizer.MAX_ALT_CHARS
MISSING_ALT_TEXT = N_("Write in a few words what each picture shows, for those who do not see it.")
IMAGES_TOO_LARGE = N_("The pictures are larger than 2 MB together. Please take one out or choose smaller ones.")
TEXT_TOO_LONG = N_("The text is longer than 50,000 characters.")
MAX_IMAGE_BYTES = MEBIBYTE
MAX_TOTAL_BYTES = 2 * MEBIBYTE
"""Limits of one image and of all images of a notice: every letter encloses them, and phones load mail over the air."""
MAX_UPLOAD_BYTES = 12 * MEBIBYTE
MAX_PIXELS = 30_000_000
"""A small file can decode to gigabytes in the reader's mail program."""
UPLOAD_GRACE_S = 24 * 3600
_CID_SRC = re.compile(r'src="cid:(p-[0-9a-f]{32})@[^"]*"')
_CID = re.compile(r"cid:(p-[0-9a-f]{32})")
_NOT_AN_IMAGE = N_("“%(name)s” is no picture that every mail program shows. Please choose a JPEG or PNG.")
_TOO_MANY_PIXELS = N_("“%(name)s” has more dots than phones can show. Please make it smaller.")
_TOO_LARGE = N_("“%(name)s” has %(size)s; a picture in a letter may have %(most)s. Please make it smaller.")


def normalize_body(fields: dict[str, Any], language: str) -> dict[str, Any]:
    """Return the fields of a wording or template as they are stored: `html` is sanitized and sets `text`."""
    if "html" in fields:
        return {**fields, **clean_html(fields["html"], language)}
    return {**fields, "decorated": False} if "text" in fields else fields


def clean_html(html: str, language: str) -> dict[str, Any]:
    """Sanitize HTML from the editor or the clipboard; return `html`, `text` and `decorated`."""
    document = sanitizer.sanitize_html(html, existing_ids(sanitizer.PICTURE_ID.findall(html)))
    return {"html": document.html(), "text": text_part.render_text(document, language), "decorated": True}


def is_too_long(html: str, language: str) -> bool:
    """Check the size before and after sanitizing: each run of a link repeats its URL."""
    if len(html) > sanitizer.MAX_HTML_CHARS or html.count("<") > sanitizer.MAX_TAGS:
        return True
    cleaned = clean_html(html, language)
    return len(cleaned["text"]) > MAX_TEXT_CHARS or len(cleaned["html"]) > sanitizer.MAX_HTML_CHARS


def initial_html(wording: Wording | NoticeTemplate, language: str) -> str:
    """Return the HTML that the editor starts with: the previous HTML if its text is unchanged, else the plain text."""
    if wording.html and clean_html(wording.html, language)["text"].strip() == wording.text.strip():
        return wording.html
    return sanitizer.document_from_text(wording.text).html()


def append_image(wording: Wording, image_id: str, alt: str) -> str:
    return f'{wording.html}<div><img src="cid:{image_id}" alt="{escape(alt)}"></div>'


def html_of(wording: Wording | NoticeTemplate) -> str:
    """Return the HTML body; "" for plain text."""
    return wording.html if wording.decorated else ""


def html_error(notice: Notice, wording: Wording) -> str:
    """Return why the HTML body cannot be sent, or "". An urgent notice may lack image descriptions (law 7)."""
    html = html_of(wording)
    if image_bytes(html) > MAX_TOTAL_BYTES:
        return IMAGES_TOO_LARGE
    return MISSING_ALT_TEXT if 'alt=""' in html and not notice.urgent else ""


def image_ids_of_notice(notice: Notice) -> list[str]:
    return image_ids_of_wording(notice.wording)


def image_ids_of_wording(wording: Wording) -> list[str]:
    return image_ids(html_of(wording))


def text_length_without_images(wording: Wording) -> int:
    """Return the number of characters without image descriptions and white space."""
    return len("".join(text_part.render_text(sanitizer.sanitize_html(html_of(wording)), wording.language).split()))


# ── inline images ────────────────────────────────────────────────────────────────────────────────────────────────


def add_image(name: str, content: bytes) -> str:
    """Store an image without its metadata; return its id. Idempotent. Raises UnfitFile."""
    file = file_types.check_file(name, content)
    if file.kind not in mime_encoding.EXTENSIONS:
        raise UnfitFile(_NOT_AN_IMAGE, name=file.name)
    if not 0 < file_types.pixel_count(file.kind, file.content) <= MAX_PIXELS:
        raise UnfitFile(_TOO_MANY_PIXELS, name=file.name)
    if len(file.content) > MAX_IMAGE_BYTES:
        sizes = {"size": format_bytes(len(file.content)), "most": format_bytes(MAX_IMAGE_BYTES)}
        raise UnfitFile(_TOO_LARGE, name=file.name, **sizes)
    image_id = f"p-{hashlib.sha256(file.content).hexdigest()[:32]}"
    path = images_dir() / image_id
    if path.is_file():
        os.utime(path)  # restarts the grace period of an unused image
    else:
        file_types.write_file(path, file.content)
    return image_id


def images_dir() -> Path:
    return file_types.data_folder("pictures")


def image_ids(html: str) -> list[str]:
    """Return the ids of the images in an HTML body, in order, without duplicates."""
    return list(dict.fromkeys(_CID.findall(html)))


def image_path(image_id: str) -> Path | None:
    path = images_dir() / image_id
    return path if re.fullmatch(r"p-[0-9a-f]{32}", image_id) and path.is_file() else None


def media_type_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_types.detect_media_type(file.read(16)) or "application/octet-stream"


def existing_ids(image_ids: Iterable[str]) -> list[str]:
    """Return the ids whose images are stored, without duplicates."""
    return [image_id for image_id in dict.fromkeys(image_ids) if image_path(image_id)]


def image_bytes(html: str) -> int:
    """Return the total size of the images in an HTML body."""
    return sum(path.stat().st_size for image_id in image_ids(html) if (path := image_path(image_id)))


def encoded_images(html: str, domain: str) -> bytes:
    """Return the images as MIME parts, cached for all letters of a notice; b"" without images."""
    ids = tuple(existing_ids(image_ids(html)))
    return _encoded(ids, domain) if ids else b""


@lru_cache(maxsize=2)
def _encoded(ids: tuple[str, ...], domain: str) -> bytes:
    paths = [(image_id, path) for image_id in ids if (path := image_path(image_id))]
    images = ((image_id, media_type_of(path), path.read_bytes()) for image_id, path in paths)
    return mime_encoding.inline_image_parts(images, domain)


def embed_as_data_urls(html: str) -> str:
    """Replace cid: URLs by data: URLs, for a preview frame that may load nothing."""
    return _CID_SRC.sub(lambda match: f'src="{_data_url(match[1])}"', html)


def _data_url(image_id: str) -> str:
    path = image_path(image_id)
    return f"data:{media_type_of(path)};base64,{b64encode(path.read_bytes()).decode()}" if path else ""


def delete_unused_images(now: datetime) -> int:
    """Delete images that no body uses, and those of notices closed more than 30 days ago; return how many."""
    return file_types.delete_old_files(images_dir(), _ids_in_use(now), UPLOAD_GRACE_S)


def _ids_in_use(now: datetime) -> set[str]:
    """Return the ids in templates, drafts and notices whose files are still open."""
    templates = NoticeTemplate.select(NoticeTemplate.html).where(NoticeTemplate.html != "")
    ids = {image_id for row in templates for image_id in image_ids(row.html)}
    for row in Wording.select(Wording.html, Notice).join(Notice).where(Wording.html.contains("cid:p-")):
        if row.notice.started_at is None or attachments.closes_at(row.notice) + attachments.DELETE_AFTER_CLOSE > now:
            ids.update(image_ids(row.html))
    return ids
