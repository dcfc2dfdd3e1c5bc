"""Authenticate the From domain of an incoming message: DKIM checked here, or our mail server's own results.

RFC 6376 (DKIM), 8301 (no SHA-1), 7489 (alignment, policy discovery), 8601 (Authentication-Results). Anybody can write
any From, so nothing is distributed because of From alone (design decision 6). Unreadable input counts as unproven.
There is no public suffix list. Two domains are aligned if they are equal, or if one is below the other. The upper one
must not be a suffix under which strangers register. This is stricter than DMARC.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mail import address
from mail.charsets import decode_base64
from mail.message import has_regular_header, header_names

# ── DNS and DMARC ────────────────────────────────────────────────────────────────────────────────────────────────────

if TYPE_CHECKING:
    from dns.resolver import Resolver

TxtLookup = Callable[[str], list[str]]
"""name → TXT records, each joined; [] if there are none. Raises DnsError without an answer."""

TIMEOUT_S = 5.0
MAX_QUERIES = 5
"""Lookups per policy; RFC 7489 needs two, and a domain may have a hundred labels."""
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
    """The DNS gave no usable answer in time."""


def txt_resolver(server: str = "", timeout_s: float = TIMEOUT_S) -> TxtLookup:
    """Return a lookup by the name server at host:port; "": the system's."""
    import dns.exception  # a large library, and most processes never ask
    import dns.name
    import dns.resolver

    def lookup(name: str) -> list[str]:
        try:
            found = make_resolver(server, timeout_s).resolve(name.rstrip("."), "TXT", lifetime=timeout_s)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.name.BadLabelType, dns.name.LabelTooLong):
            return []
        except (dns.exception.DNSException, OSError, UnicodeError) as silent:
            raise DnsError(type(silent).__name__) from silent
        return [b"".join(one.strings).decode("utf-8", "replace") for one in found]

    return lookup


def make_resolver(server: str, timeout_s: float) -> "Resolver":
    """Return a new resolver for host:port; "": the system's."""
    import dns.resolver

    resolver = dns.resolver.Resolver(configure=not server)
    if server:
        host, _, port = server.rpartition(":")
        resolver.nameservers, resolver.port = [(host or port).strip("[]")], int(port) if host else 53
    resolver.timeout = timeout_s / 2
    return resolver


def is_public_suffix(domain: str) -> bool:
    """Tell whether anybody may register names directly below this domain (a small, careful rule)."""
    labels = domain.lower().strip(".").split(".")
    if len(labels) < 2:
        return True
    top, second = labels[-1], labels[-2]
    if top == "jp" and second in _PREFECTURES:
        return len(labels) <= 3  # `city.prefecture.jp` holds strangers, and looks like a name below `prefecture.jp`
    return len(labels) == 2 and len(top) == 2 and second in _SECOND_LEVEL


def is_aligned(domain: str, with_domain: str, strict: bool = False) -> bool:
    """Tell whether two domains are aligned: equal, or one below the other."""
    one, other = domain.lower().strip("."), with_domain.lower().strip(".")
    if not one or one == other:
        return bool(one)
    upper = min(one, other, key=len)
    below = max(one, other, key=len).endswith(f".{upper}")
    return below and not strict and not is_public_suffix(upper)


def find_policy(domain: str, lookup: TxtLookup) -> dict[str, str]:
    """Return the tags of the DMARC record for a domain or its nearest parent; {} if there is none."""
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


# ── authentication ───────────────────────────────────────────────────────────────────────────────────────────────────

MAX_SIGNATURES = 5
CLOCK_TOLERANCE = timedelta(hours=1)
"""A signature made later than this from now is refused: clocks of mail servers differ."""
CONTENT_FIELDS = ("subject", "date", "content-type", "content-transfer-encoding", "mime-version")
"""Header fields that decide what readers of a message see."""
MAX_HEADER_BYTES = 65536
_SINGLE_HEADERS = (b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"mime-version", b"content-type")
_FIELD = re.compile(rb"(?<![^\r\n])([!-9;-~]++)[ \t]*+:((?:[^\r\n]|\r?\n[ \t])*)\r?\n?")
"""Anchored at a line start: without it, one line of 64 kB without a colon took a minute."""


MethodResults = dict[str, tuple[str, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class AuthResult:
    """The authentication of the From domain. method: dkim, dmarc, spf, or "" if unproven.

    covered: lower-case names of the header fields every instance of which the proof covers; others may have been
    changed or added by anybody who passed the message on. dmarc_failed: our mail server reports a failure against the
    published policy. dns_failed: the DNS did not answer. signature: b= of the verified signature, the same in each copy.
    """

    method: str = ""
    dmarc_failed: bool = False
    dns_failed: bool = False
    covered: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    signature: bytes = field(default=b"", compare=False, repr=False)

    def __bool__(self) -> bool:
        return bool(self.method)


def authenticate_message(
    raw: bytes, author: str, lookup: TxtLookup, authserv_id: str = "", *, envelope: str = "", now: datetime
) -> AuthResult:
    """Authenticate a message as received. author: the single From address. envelope: the envelope sender."""
    from_domain = address.domain_of(author)
    fields = _fields(raw)
    if _count(fields, b"from") != 1 or any(_count(fields, name) > 1 for name in _SINGLE_HEADERS):
        return AuthResult()  # a second Subject or Content-Type could hide the signed one
    if not has_regular_header(raw):
        return AuthResult()  # dkimpy skips such a line, and we would show it as the first line of the body
    trusted = _trusted_results(fields, authserv_id)
    if not trusted and not any(_is_usable_signature(one, from_domain, False, now) for one in _signatures(fields)):
        return AuthResult()  # unprovable, so no DNS lookup: a flood of forged messages must not wait for name servers
    try:
        published = find_policy(from_domain, lookup)
    except DnsError:
        return AuthResult(dns_failed=True)
    reported = _aligned_method(trusted, from_domain, published)
    if reported and _came_from_author(trusted, author, envelope, published):
        return AuthResult(reported, covered=frozenset(_count_fields(raw, fields)))
    if not reported and trusted.get("dmarc", ("", {}))[0] == "fail" and published.get("p") in ("quarantine", "reject"):
        return AuthResult(dmarc_failed=True)
    own = _check_signatures(raw, fields, from_domain, lookup, published.get("adkim") == "s", now)
    return own if own or not reported else AuthResult(reported)


def _came_from_author(results: MethodResults, author: str, envelope: str, published: dict[str, str]) -> bool:
    """Tell whether a server of the author's domain handed the message over, with the author as envelope sender.

    SPF covers the last hop only. A forwarded message comes from another server or under another name. So here the
    header is as the author's provider sent it.
    """
    is_author = address.comparison_key(envelope or "@") == address.comparison_key(author)
    return is_author and _is_aligned_pass(results, "spf", address.domain_of(author), published)


def _count_fields(raw: bytes, fields: list[tuple[bytes, bytes]]) -> dict[str, int]:
    """Count the header fields by lower-case name. No signature covers a name that `mail.message` counts otherwise."""
    here, there = Counter(name.decode("ascii") for name, _ in fields), Counter(header_names(raw))
    return {name: here[name] if here[name] == there[name] else sys.maxsize for name in here | there}


def _fields(raw: bytes) -> list[tuple[bytes, bytes]]:
    """Return the raw header fields; [] if the header is too long."""
    head = re.split(rb"\r?\n\r?\n", raw[: MAX_HEADER_BYTES + 4], maxsplit=1)[0] + b"\r\n"
    if len(head) > MAX_HEADER_BYTES:
        return []
    return [(name.lower(), value) for name, value in _FIELD.findall(head)]


def _count(fields: list[tuple[bytes, bytes]], wanted: bytes) -> int:
    return sum(name == wanted for name, _ in fields)


def _with_crlf(raw: bytes) -> bytes:
    """Restore CRLF line ends of a message from a pipe; signatures cover CRLF."""
    return raw if b"\r\n" in raw else raw.replace(b"\n", b"\r\n")


# ── our own check of the signature ───────────────────────────────────────────────────────────────────────────────


def _check_signatures(
    raw: bytes, fields: list[tuple[bytes, bytes]], domain: str, lookup: TxtLookup, strict: bool, now: datetime
) -> AuthResult:
    """Verify the usable signatures until one is valid; the one that covers most is first."""
    dns_failed, present = False, _count_fields(raw, fields)
    candidates = [
        (_covered_names(value, present), index, value)
        for index, value in enumerate(_signatures(fields))
        if _is_usable_signature(value, domain, strict, now)
    ]
    for covered, index, value in sorted(candidates, key=lambda one: -len(one[0] & _FIELDS_IN_USE)):
        try:
            if _verify_signature(_with_crlf(raw), index, lookup):
                return AuthResult("dkim", covered=covered, signature=decode_base64(_tags(value)["b"].encode()))
        except DnsError:
            dns_failed = True
    return AuthResult(dns_failed=dns_failed)


_FIELDS_IN_USE = frozenset((*CONTENT_FIELDS, "to", "cc", "message-id"))


def _covered_names(value: bytes, present: dict[str, int]) -> frozenset[str]:
    """Return the names of which a signature covers every instance (RFC 6376 5.4.2: one for each mention in h=)."""
    signed = Counter(_signed_names(_tags(value)))
    return frozenset(name for name, number in present.items() if signed[name] >= number)


def _signed_names(tags: dict[str, str]) -> list[str]:
    return tags.get("h", "").lower().split(":")


def _signatures(fields: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [value for name, value in fields if name == b"dkim-signature"][:MAX_SIGNATURES]


def _is_usable_signature(value: bytes, domain: str, strict: bool, now: datetime) -> bool:
    """Tell whether a signature is aligned and in force, covers From and the whole body, and does not use SHA-1."""
    tags = _tags(value)
    return (
        is_aligned(tags.get("d", ""), domain, strict)
        and "from" in _signed_names(tags)
        and "l" not in tags
        and tags.get("a", "").lower() in ("rsa-sha256", "ed25519-sha256")
        and _is_in_force(tags, now.timestamp())
    )


def _is_in_force(tags: dict[str, str], now: float) -> bool:
    """Tell whether the signature was made before now (t=) and has not expired (x=)."""
    if any(not tags.get(name, "0").isdecimal() for name in ("t", "x")):
        return False
    made_at, expires_at = int(tags.get("t", "0")[:18]), int(tags.get("x", "0")[:18])
    return made_at <= now + CLOCK_TOLERANCE.total_seconds() and ("x" not in tags or now < expires_at)


def _tags(value: bytes) -> dict[str, str]:
    text = re.sub(r"\s+", "", value.decode("ascii", "replace"))
    return {name: rest for name, _, rest in (part.partition("=") for part in text.split(";")) if name}


def _verify_signature(raw: bytes, index: int, lookup: TxtLookup) -> bool:
    """Verify one signature. Unreadable input counts as unproven; only DnsError is raised."""

    import dkim  # with its resolver slow to load; only for mail that comes in

    def txt(name: bytes, timeout: int = 5) -> bytes | None:
        found = lookup(name.decode("ascii", "replace").rstrip("."))
        return found[0].encode("utf-8", "replace") if found else None

    try:
        return bool(dkim.DKIM(raw, minkey=1024).verify(index, dnsfunc=txt))
    except DnsError:
        raise
    except Exception:  # dkimpy raises exceptions of many families on broken keys and fields: all mean "not proven"
        return False


# ── what our own mail server says ────────────────────────────────────────────────────────────────────────────────

_METHOD = re.compile(r"\s*(dkim|dmarc|spf)\s*=\s*(\w+)(.*)", re.IGNORECASE | re.DOTALL)
_PROPERTY = re.compile(r"(header\.d|header\.i|header\.from|smtp\.mailfrom)\s*=\s*\"?([^\s\";]+)", re.IGNORECASE)
_COMMENT = re.compile(r"\([^()]*\)")


def _trusted_results(fields: list[tuple[bytes, bytes]], authserv_id: str) -> MethodResults:
    """Return the results of our own mail server: fields above the topmost Received with exactly our id.

    Method → (result, properties). Of several results of one method, any failure wins.
    """
    results: MethodResults = {}
    if not authserv_id:
        return results
    for name, value in fields:
        if name == b"received":
            break
        if name == b"authentication-results":
            for method, result, rest in _parse_results(value, authserv_id):
                known = results.get(method, ("", {}))[0]
                if not known or (known == "pass" and result != "pass"):
                    results[method] = result, rest
    return results


def _parse_results(value: bytes, authserv_id: str) -> list[tuple[str, str, dict[str, str]]]:
    text = value.decode("utf-8", "replace")
    while (bare := _COMMENT.sub(" ", text)) != text:
        text = bare
    identity, *rest = text.split(";")
    if not identity.split() or identity.split()[0].lower() != authserv_id.lower():
        return []
    matches = [match for part in rest if (match := _METHOD.fullmatch(part))]
    return [
        (one[1].lower(), one[2].lower(), {key.lower(): held.lower() for key, held in _PROPERTY.findall(one[3])})
        for one in matches
    ]


def _aligned_method(results: MethodResults, domain: str, published: dict[str, str]) -> str:
    """Return the trusted result that proves the domain (dmarc, dkim or spf, aligned with From), "" if none."""
    result, properties = results.get("dmarc", ("", {}))
    if result == "pass" and properties.get("header.from", domain) == domain:
        return "dmarc"
    if result == "fail":
        return ""
    return next((method for method in ("dkim", "spf") if _is_aligned_pass(results, method, domain, published)), "")


def _is_aligned_pass(results: MethodResults, method: str, domain: str, published: dict[str, str]) -> bool:
    key, strict = ("header.d", "adkim") if method == "dkim" else ("smtp.mailfrom", "aspf")
    result, properties = results.get(method, ("", {}))
    spoken_for = properties.get(key) or (properties.get("header.i", "") if method == "dkim" else "")
    return result == "pass" and is_aligned(spoken_for.rpartition("@")[2], domain, published.get(strict) == "s")
