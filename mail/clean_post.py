"""Clean the text of a post for all members (design decision 6, N-07).

Removed: other recipients, quoted letters and their headers with addresses, and links with a reader's token.
Attachments are removed elsewhere; the writer is told.
"""

import re
import unicodedata

MAX_TEXT_CHARS = 20_000
MAX_SUBJECT_CHARS = 200
MAX_READ_CHARS = 10 * MAX_TEXT_CHARS
"""Characters that are read at all: quoted letters may stand before the writer's own text."""
MAX_LINE_CHARS = 1000
"""A longer line is a paragraph. It is no quotation and introduces none."""

_QUOTE = re.compile(r"^\s*(?:[>＞|｜]\s?)")
_ATTRIBUTION = re.compile(
    r"^\s*(?:On\b.{0,200}\bwrote:|.{0,200}(?:のメール|さんは書きました|wrote)[:：]"
    r"|\d{4}[年/.-]\d{1,2}.{0,160}<[^<>\s]+@[^<>\s]+>.{0,20}[:：]?)\s*$"
)
_BORDER = re.compile(
    r"^\s*(?:-{2,}\s*(?:Original Message|Forwarded message|元のメッセージ|転送メッセージ|Original|Forward)\s*-{2,}"
    r"|Begin forwarded message:|転送されたメッセージ:)\s*$",
    re.IGNORECASE,
)
_HEADER_LINE = re.compile(
    r"^\s*[*]?(?:From|To|Cc|Bcc|Sent|Date|Reply-To|差出人|送信者|宛先|送信日時|日付|日時|件名|Subject|CC|BCC)[*]?\s*[:：]",
    re.IGNORECASE,
)
_PRIVATE_PATHS = "[raucop]|notices/cancel|notices/call-off|mail|login/letter|invitation|password|account/email|setup"
_REPLY_PREFIX = re.compile(r"^\s*(?:re|aw|sv|antw|返信|返)\s*(?:\[\d+\]|\^\d+)?\s*[:：]", re.IGNORECASE)


def looks_like_reply(subject: str, refers_to_ours: bool) -> bool:
    """Tell whether a message answers a letter, by its references or its subject."""
    return refers_to_ours or _REPLY_PREFIX.match(unicodedata.normalize("NFKC", subject)) is not None


def clean_subject_and_text(subject: str, text: str, base_url: str) -> tuple[str, str]:
    """Return the cleaned subject and text; an empty one is filled from the other (T-15).

    base_url: of our pages, whose links with tokens are removed.
    """
    body = _without_links(_without_quotes(text), base_url).strip()[:MAX_TEXT_CHARS]
    title = " ".join(_without_links(subject, base_url).split())[:MAX_SUBJECT_CHARS]
    if not title and body:
        title = " ".join(body.splitlines()[0].split())[:60]
    return title, body or title


def _without_quotes(text: str) -> str:
    """Remove quoted lines, their introductions, and addresses above a forwarded letter; keep its text."""
    lines_left: list[str] = []
    lines = text[:MAX_READ_CHARS].replace("\r\n", "\n").split("\n")
    for place, line in enumerate(lines):
        if len(line) > MAX_LINE_CHARS or not (
            _QUOTE.match(line) or _BORDER.match(line) or _introduces_quote(line, lines[place + 1 : place + 4])
        ):
            lines_left.append(line.rstrip())
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(_without_header_block(lines_left)))


def _introduces_quote(line: str, after: list[str]) -> bool:
    """Tell whether a line introduces a quote ("On … wrote:") with a quoted line close below."""
    return _ATTRIBUTION.match(line) is not None and any(_QUOTE.match(one) for one in after)


def _without_header_block(lines: list[str]) -> list[str]:
    """Remove header lines with addresses where three or more header lines stand together."""
    block = [place for place, line in enumerate(lines) if _HEADER_LINE.match(line[:MAX_LINE_CHARS])]
    crowded = {
        place
        for number, place in enumerate(block)
        if sum(abs(place - other) <= 4 for other in block[max(0, number - 4) : number + 5]) >= 3
    }
    return [line for place, line in enumerate(lines) if place not in crowded or "@" not in line]


def _without_links(text: str, base_url: str) -> str:
    """Remove our links that carry a token: anybody who opens one could answer for a family or log in as its user."""
    host = re.escape(base_url.partition("://")[2]) or r"\0"
    return re.sub(rf"(?i)(?:https?://)?{host}/(?:{_PRIVATE_PATHS})/[A-Za-z0-9._~%/?=&-]*", "", text)
