"""Questions to the DNS about mail, and whether two domains belong to the same organization.

RFC 7489 3.1 (alignment), 6.6.3 (policy discovery); RFC 6376 3.6.2. No list of public suffixes is carried: two domains
are taken for the same organization's only if they are equal or one lies below the other, and the upper one is no
suffix under which strangers register. That is stricter than DMARC: neighbours below one suffix are never taken for one.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dns.resolver import Resolver

TxtLookup = Callable[[str], list[str]]
"""The TXT records of a name, each joined; empty if there are none. Raises Trouble if nobody answered in time."""

TIMEOUT_S = 5.0
MAX_QUERIES = 5
"""Names asked for one policy; a domain of a hundred labels must not mean a hundred questions (RFC 7489 asks two)."""
_SECOND_LEVEL = frozenset(
    (
        *("co", "ne", "or", "ac", "ed", "go", "lg", "ad", "gr"),
        *("com", "org", "net", "edu", "gov", "mil", "nom", "gob", "gouv", "ltd", "plc", "sch"),
    )
)
_PREFECTURES = frozenset(
    (
        *("hokkaido", "aomori", "iwate", "miyagi", "akita", "yamagata", "fukushima", "ibaraki", "tochigi", "gunma"),
        *("saitama", "chiba", "tokyo", "kanagawa", "niigata", "toyama", "ishikawa", "fukui", "yamanashi", "nagano"),
        *("gifu", "shizuoka", "aichi", "mie", "shiga", "kyoto", "osaka", "hyogo", "nara", "wakayama", "tottori"),
        *("shimane", "okayama", "hiroshima", "yamaguchi", "tokushima", "kagawa", "ehime", "kochi", "fukuoka", "saga"),
        *("nagasaki", "kumamoto", "oita", "miyazaki", "kagoshima", "okinawa"),
        *("kawasaki", "kitakyushu", "kobe", "nagoya", "sapporo", "sendai", "yokohama"),
    )
)


class DnsError(Exception):
    """The DNS did not answer in time, or not sensibly: nothing can be said now."""


def txt_resolver(server: str = "", timeout_s: float = TIMEOUT_S) -> TxtLookup:
    """Return how to ask a resolver at host:port; "": the system's."""
    import dns.exception  # a large library, and most processes never ask
    import dns.name
    import dns.resolver

    def lookup(name: str) -> list[str]:
        try:
            found = _make_resolver(server, timeout_s).resolve(name.rstrip("."), "TXT", lifetime=timeout_s)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.name.BadLabelType, dns.name.LabelTooLong):
            return []
        except (dns.exception.DNSException, OSError, UnicodeError) as silent:
            raise DnsError(type(silent).__name__) from silent
        return [b"".join(one.strings).decode("utf-8", "replace") for one in found]

    return lookup


def _make_resolver(server: str, timeout_s: float) -> "Resolver":
    """Return a resolver for host:port, made anew since its settings may change."""
    import dns.resolver

    asked = dns.resolver.Resolver(configure=not server)
    if server:
        host, _, port = server.rpartition(":")
        asked.nameservers, asked.port = [(host or port).strip("[]")], int(port) if host else 53
    asked.timeout = timeout_s / 2
    return asked


def is_public_suffix(domain: str) -> bool:
    """Tell whether strangers may register names directly below this domain (a small, careful rule)."""
    labels = domain.lower().strip(".").split(".")
    if len(labels) < 2:
        return True
    top, second = labels[-1], labels[-2]
    if top == "jp" and second in _PREFECTURES:
        return len(labels) <= 3  # `city.prefecture.jp` holds strangers, and looks like a name below `prefecture.jp`
    return len(labels) == 2 and len(top) == 2 and second in _SECOND_LEVEL


def is_aligned(domain: str, with_domain: str, strict: bool = False) -> bool:
    """Tell whether two domains speak for each other: equal, or one lies below the other."""
    one, other = domain.lower().strip("."), with_domain.lower().strip(".")
    if not one or one == other:
        return bool(one)
    upper = min(one, other, key=len)
    below = max(one, other, key=len).endswith(f".{upper}")
    return below and not strict and not is_public_suffix(upper)


def find_policy(domain: str, lookup: TxtLookup) -> dict[str, str]:
    """Return the tags of the DMARC record that governs a domain (its own, else that of a parent); empty: none."""
    labels = domain.lower().strip(".").split(".")
    starts = range(len(labels) - 1)
    for start in (*starts[:1], *starts[1:][1 - MAX_QUERIES :]):
        parent = ".".join(labels[start:])
        if start and is_public_suffix(parent):
            break
        if found := _parse_record(lookup(f"_dmarc.{parent}")):
            return found
    return {}


def _parse_record(texts: list[str]) -> dict[str, str]:
    marked = [text for text in texts if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text)]
    if len(marked) != 1:
        return {}
    pairs = (part.partition("=") for part in marked[0].split(";"))
    return {name.strip().lower(): value.strip().lower() for name, _, value in pairs if name.strip()}
