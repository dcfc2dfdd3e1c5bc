"""Check the links in a notice with a request from the server (field 5.3 no. 2).

The author chooses the URLs, so the request must not reach this machine or its network (SSRF). Only http and https on
their default ports and public addresses are requested. The connection goes to the checked address (DNS rebinding),
each redirect is checked again, and nothing of the response is shown.
"""

import errno
import http.client
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from ipaddress import ip_address, ip_network
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
"""Statuses that servers send to bots; a browser gets the page."""


_NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM, errno.ENETDOWN)
_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "100.64.0.0/10", "192.88.99.0/24", "168.63.129.16/32"),
            *(
                "::/96",
                "64:ff9b::/96",
                "64:ff9b:1::/48",
                "100::/64",
                "2001::/23",
                "3fff::/20",
                "5f00::/16",
                "fec0::/10",
            ),
        ),
    )
)
"""Networks whose addresses lead elsewhere (NAT64, IPv4-compatible, relays) or nowhere; `is_global` of Python allows some.

IANA registries of special-purpose addresses; RFC 3879 (fec0::/10), RFC 6052 and 8215 (64:ff9b), RFC 9602 (5f00::/16),
RFC 9637 (3fff::/20). Microsoft's cloud answers machines at 168.63.129.16.
"""


class _Inconclusive(Exception):
    """The server has no network, or the address may not be requested."""


def external_urls(notice: Notice) -> list[str]:
    """Return the URLs in the words of a notice, without those of Kairan."""
    wording, own_url = notice.wording, load_settings().base_url
    urls = (url for _, url in links.split_at_urls(f"{wording.subject}\n{wording.text}") if url)
    return [url for url in urls if not url.startswith(own_url)]


def dead_links(urls: Iterable[str]) -> list[str]:
    """Return the URLs that definitely fail. Requests run in parallel, for a few seconds at most."""
    distinct = list(dict.fromkeys(urls))[:MAX_LINKS]
    if not distinct:
        return []
    with ThreadPoolExecutor(len(distinct)) as pool:
        return [url for url, ok in zip(distinct, pool.map(_is_reachable, distinct), strict=True) if ok is False]


def _is_reachable(url: str) -> bool | None:
    """Say whether a URL works; None if that is unknown."""
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
    """Return status and Location of one request."""
    host = (parts.hostname or "").encode("idna").decode("ascii")
    if parts.scheme not in PORTS or (parts.port or PORTS[parts.scheme]) != PORTS[parts.scheme] or parts.username:
        raise _Inconclusive
    with closing(_connect(host, parts.scheme)) as connection:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"})
        response = connection.getresponse()
        return response.status, response.getheader("Location") or ""


def _connect(host: str, scheme: str) -> http.client.HTTPConnection:
    """Connect to the address that was checked, not to the name."""
    connection = http.client.HTTPConnection(host, PORTS[scheme], timeout=TIMEOUT_S)
    try:
        raw = socket.create_connection((_resolve_public_address(host), PORTS[scheme]), TIMEOUT_S)
    except OSError as error:
        if error.errno in _NO_NETWORK:
            raise _Inconclusive from error
        raise
    connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if scheme == "https" else raw
    return connection


def _resolve_public_address(host: str) -> str:
    """Resolve a name to a public address, IPv4 first. Raises _Inconclusive if any address is not public."""
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)):
            raise
        raise _Inconclusive from error
    addresses = [str(info[4][0]) for info in infos]
    if not addresses or not all(map(is_public_address, addresses)):
        raise _Inconclusive
    return next((address for address in addresses if ":" not in address), addresses[0])


def is_public_address(address: str) -> bool:
    """Say whether an address is on the public internet; an address embedded in IPv6 must be public too."""
    ip = ip_address(address.partition("%")[0])
    embedded = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    if embedded is not None:
        return is_public_address(str(embedded))
    if any(ip in network for network in _NOT_PUBLIC if network.version == ip.version):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or getattr(ip, "teredo", None))
