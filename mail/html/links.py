"""Links in user text: find URLs, clean link targets, and compare a target with the words that show it.

RFC 3986 (URI), 6068 (mailto), 3966 (tel).
"""

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

from mail import merge

_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", re.IGNORECASE)


def split_at_urls(text: str) -> list[tuple[str, str | None]]:
    """Split a text at its URLs; the joined pieces equal the text.

    Only ASCII belongs to a URL, so 「。」, 「、」 and 「）」 end it; so do a full stop and an unpaired bracket.
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
    """Cut trailing punctuation off a URL, in linear time."""
    too_many = {")": url.count(")") - url.count("("), "]": url.count("]") - url.count("[")}
    end = len(url)
    while (last := url[end - 1]) in ".,;:!?'*" or too_many.get(last, 0) > 0:
        end -= 1
        if last in too_many:
            too_many[last] -= 1
    return url[:end]


# ── link targets ─────────────────────────────────────────────────────────────────────────────────────────────────────

_WEB = re.compile(r"(https?)://([^/?#\s\\]+)([/?#].*)?", re.IGNORECASE | re.DOTALL)
_OTHER = re.compile(r"(mailto|tel):([A-Za-z0-9.!#$%&'*+/=?^_`{|}~@,;()-]{1,300})", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\]")
_MARKUP = re.compile("[<>&\"']")  # no field in an address may hold what could end the address
_UNQUOTED = "/?#[]@!$&'()*+,;=%:~-._"
_LONGEST = 2000


def clean_href(raw: str) -> str:
    """Return a link target fit for a letter, "" if it is not allowed. Merge fields may follow the host only."""
    raw = merge.clean_text(raw).replace("\n", "").replace("\t", "").strip()[:_LONGEST]
    if other := _OTHER.fullmatch(raw):
        return f"{other[1].lower()}:{other[2]}"
    web = _WEB.fullmatch(raw)
    where = _ascii_host(web[2]) if web else ""
    return f"{web[1].lower()}://{where}{_path(web[3] or '')}" if web and where else ""


def _ascii_host(authority: str) -> str:
    """Return host and port in ASCII; "" if invalid, or with a user name, which only deceives."""
    host, colon, port = authority.partition(":") if not authority.startswith("[") else (authority, "", "")
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    if not _HOST.fullmatch(host) or (colon and not (port.isascii() and port.isdecimal())):
        return ""
    return f"{host.lower()}{colon}{port}"


def _path(path: str) -> str:
    """Return the path in ASCII, with merge fields unchanged."""
    cut = merge.split_fields(path)
    fields = (name if name and not _MARKUP.search(name) else None for _, name in cut)
    whole = zip(cut, fields, strict=True)
    return "".join(f"{{{{{name}}}}}" if name else quote(piece.text, safe=_UNQUOTED) for piece, name in whole)


def host_of_url(url: str) -> str:
    """Return the host of a URL without `www.`, "" if there is none."""
    web = _WEB.fullmatch(url)
    return web[2].lower().removeprefix("www.") if web else ""


_WIDE = {code + 0xFEE0: code for code in range(0x21, 0x7F)} | {ord(one): "." for one in "。｡"}
_BARE = re.compile(r"(?<![@\w.-])(?:[\w-]+\.)+([a-z]{2,24})(?![\w-])", re.IGNORECASE)
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,9}[a-z]{2,24}(?![\w-])", re.IGNORECASE)
_JOINERS = "\u200d\u200c"
_FILE_EXTENSIONS = set(
    [
        "pdf",
        "doc",
        "docx",
        "xls",
        "xlsx",
        "ppt",
        "pptx",
        "csv",
        "txt",
        "jpg",
        "jpeg",
        "png",
        "gif",
        "webp",
        "heic",
        "zip",
        "html",
        "htm",
    ]
)


def find_bare_hosts(words: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and host where text names a host without `https://`: readers take 「www.example.jp」 for a link.

    Full-width characters count as ASCII; file names are skipped.
    """
    for found in _BARE.finditer(words.translate(_WIDE)):
        if found[1].lower() not in _FILE_EXTENSIONS:
            yield found.start(), found.end(), found[0].lower().removeprefix("www.")


def find_bare_names(words: str) -> Iterator[tuple[int, int, str]]:
    """Yield the mail addresses and hosts that text names without `https://`, in order."""
    mails = ((one.start(), one.end(), one[0].lower()) for one in _MAIL.finditer(words.translate(_WIDE)))
    return iter(sorted([*mails, *find_bare_hosts(words)]))


def link_matches_text(url: str, named: str) -> bool:
    """Tell whether a link leads to the host or mail address that its text names; true without link."""
    if url.startswith("tel:") or not url:
        return True
    if url.startswith("mailto:"):
        mail = url.removeprefix("mailto:").partition("?")[0].lower()
        return named in (mail, mail.rpartition("@")[2])
    return host_of_url(url) == named


def looks_like_host(words: str) -> bool:
    """Tell whether text looks like a URL, complete or without scheme."""
    return "://" in words.translate(_WIDE) or any(find_bare_hosts(words))


def strip_invisible(words: str) -> str:
    """Remove invisible characters from link text, which could hide a host name from `find_bare_hosts`.

    Joiners inside an emoji stay.
    """
    return "".join(
        one
        for at, one in enumerate(words)
        if unicodedata.category(one) != "Cf" or (one in _JOINERS and at and not words[at - 1].isalnum())
    )
