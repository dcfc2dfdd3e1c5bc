"""Where a link of decorated words may lead: web pages, mail addresses, telephone numbers (RFC 3986, 6068, 3966)."""

import re
from urllib.parse import quote

from mail import merge

_WEB = re.compile(r"(https?)://([^/?#\s\\]+)([/?#].*)?", re.IGNORECASE | re.DOTALL)
_OTHER = re.compile(r"(mailto|tel):([A-Za-z0-9.!#$%&'*+/=?^_`{|}~@,;()-]{1,300})", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\]")
_KEPT = "/?#[]@!$&'()*+,;=%:~-._"
_LONGEST = 2000


def checked(raw: str) -> str:
    """Return a link's address as it may stand in a letter, "" for one that may not. Merge fields may stand behind the
    host, never in it.
    """
    raw = merge.plain(raw).replace("\n", "").replace("\t", "").strip()[:_LONGEST]
    if other := _OTHER.fullmatch(raw):
        return f"{other[1].lower()}:{other[2]}"
    web = _WEB.fullmatch(raw)
    where = _ascii_host(web[2]) if web else ""
    return f"{web[1].lower()}://{where}{_path(web[3] or '')}" if web and where else ""


def _ascii_host(authority: str) -> str:
    """Return host and port in ASCII; "" for a user name before it, which only serves to deceive, and for nonsense."""
    host, colon, port = authority.partition(":") if not authority.startswith("[") else (authority, "", "")
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    if not _HOST.fullmatch(host) or (colon and not (port.isascii() and port.isdecimal())):
        return ""
    return f"{host.lower()}{colon}{port}"


def _path(path: str) -> str:
    """Return what stands behind the host in ASCII, merge fields left as they are."""
    cut = merge.pieces(path)
    return "".join(f"{{{{{name}}}}}" if name else quote(text, safe=_KEPT) for text, name in cut)


def host(url: str) -> str:
    """Return the host that an address names, "" if it names none; `www.` before it says nothing."""
    web = _WEB.fullmatch(url)
    return web[2].lower().removeprefix("www.") if web else ""
