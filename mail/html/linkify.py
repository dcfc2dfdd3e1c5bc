"""Web addresses in a text that people wrote (RFC 3986), for pages and HTML parts that make them links."""

import re

_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", re.IGNORECASE)


def split_at_urls(text: str) -> list[tuple[str, str | None]]:
    """Cut a text at its web addresses; joined again, the pieces are the text.

    Only ASCII belongs to an address, so 「。」, 「、」 and 「）」 end it; so do a full stop and an unpaired bracket.
    """
    found: list[tuple[str, str | None]] = []
    end = 0
    for match in _URL.finditer(text):
        url = _trimmed(match[0])
        found += [(text[end : match.start()], None), (url, url)]
        end = match.start() + len(url)
    found.append((text[end:], None))
    return [piece for piece in found if piece[0]]


def _trimmed(url: str) -> str:
    """Return an address without what only stands behind it; each sign is looked at once, however many there are."""
    too_many = {")": url.count(")") - url.count("("), "]": url.count("]") - url.count("[")}
    end = len(url)
    while (last := url[end - 1]) in ".,;:!?'*" or too_many.get(last, 0) > 0:
        end -= 1
        if last in too_many:
            too_many[last] -= 1
    return url[:end]
