"""The words of a notice with decoration (HTML letters, X-15): off, on, and what is kept of what somebody wrote.

`Wording.text` is always the whole of the words as plain text. So whoever looks for dates, merge fields or addresses,
searches the history, or reads letters without HTML, finds everything there.
"""

from html import escape
from typing import Any

from core.notices import inline_images
from i18n import N_
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
    words = sanitizer.sanitize_html(html, inline_images.existing_ids(sanitizer.PICTURE_ID.findall(html)))
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
    if inline_images.total_bytes(html) > inline_images.MAX_TOTAL_BYTES:
        return IMAGES_TOO_LARGE
    return MISSING_ALT_TEXT if 'alt=""' in html and not notice.urgent else ""


def image_ids_of_notice(notice: Notice) -> list[str]:
    """Return the marks of the pictures in a notice."""
    return image_ids_of_wording(notice.wording)


def image_ids_of_wording(wording: Wording) -> list[str]:
    """Return the marks of the pictures among words."""
    return inline_images.image_ids(html_of(wording))


def text_length_without_images(wording: Wording) -> int:
    """Return how many characters decorated words have without their pictures and the descriptions of these."""
    return len("".join(text_part.render_text(sanitizer.sanitize_html(html_of(wording)), wording.language).split()))
