"""The words of a notice with decoration (HTML letters, X-15): off, on, and what is kept of what somebody wrote.

`Wording.text` is always the whole of the words as plain text. So whoever looks for dates, merge fields or addresses,
searches the history, or reads letters without HTML, finds everything there.
"""

from html import escape
from typing import Any

from core.writing import pictures
from mail import rich, rich_text
from models import Notice, Sample, Wording
from words import N_

MOST_TEXT = 50_000
NO_ALT = N_("Write in a few words what each picture shows, for those who do not see it.")
TOO_HEAVY = N_("The pictures are larger than 2 MB together. Please take one out or choose smaller ones.")
TOO_LONG = N_("The text is longer than 50,000 characters.")


def settled(fields: dict[str, Any], language: str) -> dict[str, Any]:
    """Return the fields of a wording or sample as they are kept: cleaned HTML and the text made from it, or text."""
    if "html" in fields:
        return {**fields, **cleaned(fields["html"], language)}
    return {**fields, "decorated": False} if "text" in fields else fields


def cleaned(html: str, language: str) -> dict[str, Any]:
    """Return `html`, `text` and `decorated` for what came from an editor or a clipboard."""
    words = rich.read(html, pictures.there(rich.MARK.findall(html)))
    return {"html": words.html(), "text": rich_text.text(words, language), "decorated": True}


def too_long(html: str, language: str) -> bool:
    """Say whether decorated words are more than a letter may hold, or more tags than anybody writes."""
    if len(html) > rich.LONGEST or html.count("<") > rich.MOST_TAGS:
        return True
    kept = cleaned(html, language)
    return (
        len(kept["text"]) > MOST_TEXT or len(kept["html"]) > rich.LONGEST
    )  # each stretch of a link repeats its address


def begin(wording: Wording | Sample, language: str) -> str:
    """Return the HTML with which decoration begins: what it was before, if the text is still the same."""
    if wording.html and cleaned(wording.html, language)["text"].strip() == wording.text.strip():
        return wording.html
    return rich.of_text(wording.text).html()


def with_picture(wording: Wording, mark: str, alt: str) -> str:
    """Return the HTML of a wording with a picture behind its words."""
    return f'{wording.html}<div><img src="cid:{mark}" alt="{escape(alt)}"></div>'


def html_of(wording: Wording | Sample) -> str:
    """Return the words as HTML, "" for a text letter."""
    return wording.html if wording.decorated else ""


def gaps(notice: Notice, wording: Wording) -> str:
    """Say what decorated words lack before they can go; an urgent notice does not wait for a description (law 7)."""
    html = html_of(wording)
    if pictures.size(html) > pictures.MOST_TOGETHER:
        return TOO_HEAVY
    return NO_ALT if 'alt=""' in html and not notice.urgent else ""


def marks_of(notice: Notice) -> list[str]:
    """Return the marks of the pictures in a notice."""
    return marks_in(notice.wording)


def marks_in(wording: Wording) -> list[str]:
    """Return the marks of the pictures among words."""
    return pictures.marks(html_of(wording))


def words_beside(wording: Wording) -> int:
    """Return how many characters decorated words have without their pictures and the descriptions of these."""
    return len("".join(rich_text.text(rich.read(html_of(wording)), wording.language).split()))
