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

from core.organization import settings
from mail import links
from models import Notice

TIMEOUT_S = 4.0
MOST = 6
REDIRECTS = 3
PORTS = {"http": 80, "https": 443}
AGENT = "Kairan link check"
_ANSWERS_ALL_THE_SAME = {401, 403, 405, 406, 429, 999}
"""Refusals that are meant for machines like us: a person's browser gets the page."""


class _Unknown(Exception):
    """Nothing can be said: no network here, or no place that may be asked."""


def named_in(notice: Notice) -> list[str]:
    """Return the web addresses in the words of a notice, but for our own."""
    wording, ours = notice.wording, settings().base_url
    found = (url for _, url in links.cut(f"{wording.subject}\n{wording.text}") if url)
    return [url for url in found if not url.startswith(ours)]


def silent(urls: Iterable[str]) -> list[str]:
    """Return those of some web addresses that surely do not answer; asked side by side, for a few seconds at most."""
    asked = list(dict.fromkeys(urls))[:MOST]
    if not asked:
        return []
    with ThreadPoolExecutor(len(asked)) as pool:
        return [url for url, answers in zip(asked, pool.map(_answers, asked), strict=True) if answers is False]


def _answers(url: str) -> bool | None:
    """Say whether an address answers; None if nothing can be said."""
    try:
        return _ask(url)
    except _Unknown:
        return None
    except (OSError, http.client.HTTPException, ValueError):
        return False


def _ask(url: str) -> bool:
    for _ in range(REDIRECTS + 1):
        status, target = _status(urlsplit(url))
        if not (300 <= status < 400 and target):
            return status < 400 or status in _ANSWERS_ALL_THE_SAME
        url = urljoin(url, target)
    return True


def _status(parts: SplitResult) -> tuple[int, str]:
    """Return the status of one request, and where it leads on."""
    host = (parts.hostname or "").encode("idna").decode("ascii")
    if parts.scheme not in PORTS or (parts.port or PORTS[parts.scheme]) != PORTS[parts.scheme] or parts.username:
        raise _Unknown
    with closing(_connected(host, parts.scheme)) as line:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line.request("GET", path, headers={"User-Agent": AGENT, "Accept": "*/*", "Connection": "close"})
        answer = line.getresponse()
        return answer.status, answer.getheader("Location") or ""


def _connected(host: str, scheme: str) -> http.client.HTTPConnection:
    """Return a connection to the very address that was found to be public."""
    line = http.client.HTTPConnection(host, PORTS[scheme], timeout=TIMEOUT_S)
    try:
        raw = socket.create_connection((_public_address(host), PORTS[scheme]), TIMEOUT_S)
    except OSError as refused:
        if _is_our_fault(refused):
            raise _Unknown from refused
        raise
    line.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if scheme == "https" else raw
    return line


def _is_our_fault(refused: OSError) -> bool:
    """Say whether this machine has no network, rather than the other not being there."""
    return refused.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM, errno.ENETDOWN)


def _public_address(host: str) -> str:
    """Look a name up; return an address on the public internet. Raises _Unknown for any other place."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as unknown:
        if unknown.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)):
            raise
        raise _Unknown from unknown
    addresses = [str(one[4][0]) for one in found]
    if not addresses or not all(is_public(one) for one in addresses):
        raise _Unknown
    return next((one for one in addresses if ":" not in one), addresses[0])


def is_public(address: str) -> bool:
    """Say whether an address lies on the public internet: not here, not in this network, no way around it."""
    found = ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    teredo = getattr(found, "teredo", None)
    if inner is not None:
        return is_public(str(inner))
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified or teredo)
