"""Do the web addresses in a notice answer? Asked by the server, and only of public places (field 5.3 no. 2).

Whoever writes a notice decides what is fetched, so the request must not reach this machine or its neighbours:
only http and https on their own ports, only addresses of the public internet, connected to the very address that
was examined (a name may point elsewhere a moment later), redirects examined anew, nothing of the answer shown.
"""

import errno
import http.client
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from ipaddress import ip_address
from urllib.parse import SplitResult, urljoin, urlsplit

from core.settings import load_settings
from mail.html import links
from models import Notice

TIMEOUT_S = 4.0
MAX_LINKS = 6
MAX_REDIRECTS = 3
PORTS = {"http": 80, "https": 443}
USER_AGENT = "Kairan link check"
_BOT_BLOCKED_STATUSES = {401, 403, 405, 406, 429, 999}
"""Refusals that are meant for machines like us: a person's browser gets the page."""


class _Inconclusive(Exception):
    """Nothing can be said: no network here, or no place that may be asked."""


def external_urls(notice: Notice) -> list[str]:
    """Return the web addresses in the words of a notice, but for our own."""
    wording, ours = notice.wording, load_settings().base_url
    found = (url for _, url in links.split_at_urls(f"{wording.subject}\n{wording.text}") if url)
    return [url for url in found if not url.startswith(ours)]


def dead_links(urls: Iterable[str]) -> list[str]:
    """Return those of some web addresses that surely do not answer; asked side by side, for a few seconds at most."""
    asked = list(dict.fromkeys(urls))[:MAX_LINKS]
    if not asked:
        return []
    with ThreadPoolExecutor(len(asked)) as pool:
        return [url for url, answers in zip(asked, pool.map(_is_reachable, asked), strict=True) if answers is False]


def _is_reachable(url: str) -> bool | None:
    """Say whether an address answers; None if nothing can be said."""
    try:
        return _follow_redirects(url)
    except _Inconclusive:
        return None
    except (OSError, http.client.HTTPException, ValueError):
        return False


def _follow_redirects(url: str) -> bool:
    for _ in range(MAX_REDIRECTS + 1):
        status, target = _request_status(urlsplit(url))
        if not (300 <= status < 400 and target):
            return status < 400 or status in _BOT_BLOCKED_STATUSES
        url = urljoin(url, target)
    return True


def _request_status(parts: SplitResult) -> tuple[int, str]:
    """Return the status of one request, and where it leads on."""
    host = (parts.hostname or "").encode("idna").decode("ascii")
    if parts.scheme not in PORTS or (parts.port or PORTS[parts.scheme]) != PORTS[parts.scheme] or parts.username:
        raise _Inconclusive
    with closing(_connect(host, parts.scheme)) as line:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line.request("GET", path, headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"})
        answer = line.getresponse()
        return answer.status, answer.getheader("Location") or ""


def _connect(host: str, scheme: str) -> http.client.HTTPConnection:
    """Return a connection to the very address that was found to be public."""
    line = http.client.HTTPConnection(host, PORTS[scheme], timeout=TIMEOUT_S)
    try:
        raw = socket.create_connection((_resolve_public_address(host), PORTS[scheme]), TIMEOUT_S)
    except OSError as refused:
        if _is_local_network_error(refused):
            raise _Inconclusive from refused
        raise
    line.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if scheme == "https" else raw
    return line


def _is_local_network_error(refused: OSError) -> bool:
    """Say whether this machine has no network, rather than the other not being there."""
    return refused.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM, errno.ENETDOWN)


def _resolve_public_address(host: str) -> str:
    """Look a name up; return an address on the public internet. Raises _Unknown for any other place."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as unknown:
        if unknown.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)):
            raise
        raise _Inconclusive from unknown
    addresses = [str(one[4][0]) for one in found]
    if not addresses or not all(is_public_address(one) for one in addresses):
        raise _Inconclusive
    return next((one for one in addresses if ":" not in one), addresses[0])


def is_public_address(address: str) -> bool:
    """Say whether an address lies on the public internet: not here, not in this network, no way around it."""
    found = ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    teredo = getattr(found, "teredo", None)
    if inner is not None:
        return is_public_address(str(inner))
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified or teredo)
