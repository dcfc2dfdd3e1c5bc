"""Web addresses in a text that people wrote (RFC 3986), for pages and HTML parts that make them links."""

import re

_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", re.IGNORECASE)


def cut(text: str) -> list[tuple[str, str | None]]:
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
    while url[-1] in ".,;:!?'*" or (url[-1] in ")]" and url.count(url[-1]) > url.count("(["[")]".index(url[-1])])):
        url = url[:-1]
    return url
