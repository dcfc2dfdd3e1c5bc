"""Take out of a text what no member may see: mail addresses of others, and links or tokens of Kairan.

Link scanners and redirectors rewrite links in ways that no list covers. So each run of signs is decoded repeatedly in
all usual ways: percent signs, base64, quoted-printable, HTML entities, full-width signs, URLDefense. A match in any
decoding counts.
"""

import binascii
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote

MARK = "［…］"
"""Stands where an address was."""

MAX_DECODED_CHARS = 200_000
"""Characters of all decodings of one run; a longer run is taken out."""
MAX_DECODINGS = 300
_MAX_ROUNDS = 12

_PRIVATE_PATHS = "[raucop]|notices/cancel|notices/call-off|mail|login/letter|invitation|password|account/email|setup"
_LONG_PATHS = (
    r"/(?:notices/cancel|notices/call-off|mail/[a-z]{3,10}|login/letter|invitation|password|account/email|setup)"
    r"/[A-Za-z0-9._~-]{16,}|/p/(?:new/)?[A-Za-z0-9_-]{32}(?![\w-])"
)

_HIDDEN_SIGNS = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
_SIGNS = rf"(?:[!-~！-～{_HIDDEN_SIGNS}]|(?<=[A-Za-z0-9])[。｡](?=[A-Za-z0-9]))+"
_RUN = re.compile(_SIGNS)
"""A run of signs that may be a link or an address: ASCII, also full-width, with invisible signs between."""

_LABEL = r"[^\W_](?:[\w-]{0,62})"
_ADDRESS = re.compile(
    rf"(?:\"[^\"\n]{{1,64}}\"|[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,128}}|(?:(?![A-Za-z])[^\W\d_]){{1,40}})"
    rf"@(?:(?:{_LABEL}\.){{1,8}}(?:xn--[a-z0-9-]{{2,59}}|[A-Za-z]{{2,24}}|みんな|コム|クラウド|ストア|ファッション|セール|日本)"
    r"|\[[0-9A-Fa-f:.v]{4,60}\])",
    re.IGNORECASE,
)
_LETTER_TOKEN = re.compile(r"(?<![a-z0-9])(?:[a-z2-7]{26}|[a-z2-7]{24})(?![a-z0-9])", re.IGNORECASE)
_SIGNED_TOKEN = re.compile(r"(?<![\w-])\.?[A-Za-z0-9_-]{2,}\.(?:[A-Za-z0-9_-]{2,}\.)?[A-Za-z0-9_-]{27}(?![\w-])")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may stay. addresses: lower case. host: of our pages, with its port."""

    addresses: frozenset[str]
    host: str

    def is_allowed(self, address: str) -> bool:
        """Tell whether an address may stay; signs that are no part of it may stand directly before it."""
        found = address.lower().rstrip(".")
        return any(
            found.endswith(known) and (len(found) == len(known) or found[-len(known) - 1] in "!#$%&'*/=?^`{|}~")
            for known in self.addresses
        )


def remove_private_text(text: str, allowed: Allowed) -> tuple[str, bool]:
    """Return the text without tokens and foreign addresses, and whether an address was taken out."""
    had_address = False
    for _ in range(_MAX_ROUNDS):
        before = text
        text, wrapped = _remove_wrapped(text, allowed)
        text, found = _remove_in_runs(text, allowed)
        had_address |= wrapped or found
        if text == before:
            return text, had_address
    return "\n".join(line for line in text.split("\n") if _RUN.search(line) is None), True


def _remove_in_runs(text: str, allowed: Allowed) -> tuple[str, bool]:
    addresses: list[str] = []

    def cleaned(match: re.Match[str]) -> str:
        run = match[0]
        kinds = _find_private(run, allowed)
        if not kinds:
            return run
        if "address" in kinds:
            addresses.append(run)
        if "token" in kinds:
            return MARK if "address" in kinds else ""
        shorter = _ADDRESS.sub(lambda found: found[0] if allowed.is_allowed(found[0]) else MARK, run)
        return MARK if shorter == run else shorter

    text = _UNICODE_ADDRESS.sub(lambda found: _without_unicode_address(found, allowed, addresses), text)
    return _RUN.sub(cleaned, text), bool(addresses)


_UNICODE_ADDRESS = re.compile(
    rf"\"[^\"\n]{{1,64}}\"[@＠][\w.．-]{{3,200}}|[\w.+-]{{1,100}}[@＠](?:{_LABEL}[.．]){{1,8}}[\w-]{{2,63}}",
    re.IGNORECASE,
)


def _without_unicode_address(found: re.Match[str], allowed: Allowed, addresses: list[str]) -> str:
    """Take out an address with signs outside ASCII, of which a run is only a part."""
    whole = unicodedata.normalize("NFKC", found[0])
    address = _ADDRESS.search(whole)
    if address is None or allowed.is_allowed(address[0]):
        return found[0]
    if address[0].isascii() and not whole.startswith('"'):
        return found[0]  # Japanese words directly before an address
    addresses.append(found[0])
    return MARK


def _remove_wrapped(text: str, allowed: Allowed) -> tuple[str, bool]:
    """Take out what a line break cut in two or three: a token or an address that only the joined lines show."""
    lines = text.split("\n")
    had_address = False
    for place in range(len(lines) - 1):
        for last in (place + 1, place + 2):
            spans = _wrapped_spans(lines, place, last)
            if spans is None:
                break
            pieces = [lines[number][start:end] for number, start, end in spans]
            kinds = _shown_only_joined(pieces, allowed)
            if kinds:
                had_address |= "address" in kinds
                for number, start, end in spans:
                    lines[number] = lines[number][:start] + lines[number][end:]
                break
    return "\n".join(lines), had_address


_TAIL = re.compile(rf"{_SIGNS}(?=[ \t]*\Z)")
_HEAD = re.compile(rf"[ \t]*(?:>[ \t]*)*(?P<run>{_SIGNS})")


def _wrapped_spans(lines: list[str], first: int, last: int) -> list[tuple[int, int, int]] | None:
    """Return (line, start, end) of the runs that would be one run without line breaks; None if there are none."""
    if last >= len(lines):
        return None
    tail = _TAIL.search(lines[first][-300:])
    if tail is None:
        return None
    shift = max(0, len(lines[first]) - 300)
    spans = [(first, tail.start() + shift, tail.end() + shift)]
    for number in range(first + 1, last + 1):
        head = _HEAD.match(lines[number])
        if head is None or (number < last and lines[number][head.end() :].strip()):
            return None
        spans.append((number, *head.span("run")))
    return spans


def _shown_only_joined(pieces: list[str], allowed: Allowed) -> set[str]:
    bare = [_without_allowed(piece, allowed) for piece in pieces]
    joined = "".join(piece.removesuffix("=") for piece in bare[:-1]) + bare[-1]
    alone = set().union(*(_private_pieces(piece, allowed) for piece in bare))
    whole = _private_pieces(joined, allowed)
    return {kind for kind, value in whole - alone if kind == "token" or not _is_grown(value, alone)}


def _is_grown(address: str, alone: set[tuple[str, str]]) -> bool:
    """Tell whether an address is one of a single line to which the next line's word was joined."""
    return any(kind == "address" and (value in address or address in value) for kind, value in alone)


def _without_allowed(run: str, allowed: Allowed) -> str:
    return _ADDRESS.sub(lambda found: " " if allowed.is_allowed(found[0]) else found[0], run)


def _find_private(run: str, allowed: Allowed) -> set[str]:
    return {kind for kind, _ in _private_pieces(run, allowed)}


def _private_pieces(run: str, allowed: Allowed) -> set[tuple[str, str]]:
    """Return (kind, text) of what any decoding of a run shows. kind: "address" or "token"."""
    if len(run) < 5:
        return set()
    found: set[tuple[str, str]] = set()
    for text in _decodings(run):
        if text is None:
            return {("token", run)}
        found |= {("address", one[0].lower()) for one in _ADDRESS.finditer(text) if not allowed.is_allowed(one[0])}
        found |= {("token", token) for token in _tokens(text, run, allowed)}
    return found


def _tokens(text: str, run: str, allowed: Allowed) -> Iterator[str]:
    yield from (one[0].lower() for one in _LETTER_TOKEN.finditer(text))
    yield from (one[0] for one in _SIGNED_TOKEN.finditer(text) if _is_random(one[0].rpartition(".")[2]))
    yield from (one[0] for one in re.finditer(_LONG_PATHS, text))
    host = allowed.host.lower()
    if host and host in text.lower():
        name = re.escape(host)
        yield from (one[0] for one in re.finditer(rf"(?i){name}/(?:{_PRIVATE_PATHS})(?:/|\Z)", text))
        elsewhere = re.search(r"(?i)https?://([^/?#\s\\]+)", text)
        if elsewhere and elsewhere[1].lower() != host and not re.search(rf"(?i){name}/j/", text):
            yield run  # a redirector may hide the rest of the link


def _is_random(text: str) -> bool:
    return text.lower() != text and text.upper() != text


# ── decodings ────────────────────────────────────────────────────────────────────────────────────────────────────


def _decodings(run: str) -> Iterator[str | None]:
    """Yield the run and all that it decodes to; None if that is too much to look at."""
    seen, waiting, left = {run}, [run], MAX_DECODED_CHARS
    yield run
    while waiting:
        text = waiting.pop()
        for decode in _DECODERS:
            for shown in decode(text):
                if shown in seen or len(shown) < 5:
                    continue
                left -= len(shown)
                if left < 0 or len(seen) > MAX_DECODINGS:
                    yield None
                    return
                seen.add(shown)
                waiting.append(shown)
                yield shown


def _normal(text: str) -> Iterator[str]:
    if not text.isascii():
        plain = re.sub(f"[{_HIDDEN_SIGNS}]", "", unicodedata.normalize("NFKC", text))
        yield re.sub(r"(?<=[A-Za-z0-9-])[。｡](?=[A-Za-z0-9])", ".", plain)


def _entities(text: str) -> Iterator[str]:
    if "&" in text:
        yield unescape(text)


def _percent(text: str) -> Iterator[str]:
    if "%" in text:
        yield unquote(text, errors="ignore")


def _quoted_printable(text: str) -> Iterator[str]:
    if re.search(r"=[0-9A-Fa-f]{2}", text):
        yield re.sub(r"=([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), text)


def _backslashes(text: str) -> Iterator[str]:
    if "\\" in text:
        yield re.sub(r"\\(?:u00|x)([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), text).replace("\\/", "/")


def _url_defense(text: str) -> Iterator[str]:
    """Decode URLDefense: version 2 writes %3A as -3A and / as _; version 3 writes rare signs as * (base64 behind)."""
    if re.search(r"-[0-9A-F]{2}", text):
        yield re.sub(r"-([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), text).replace("_", "/")
    found = re.search(r"__(.+?)__;([A-Za-z0-9_-]*)!", text)
    if found:
        signs = iter(_base64_octets(found[2], 0).decode("utf-8", "ignore"))
        yield re.sub(r"\*", lambda _: next(signs, ""), found[1])


def _base64(text: str) -> Iterator[str]:
    for found in _BASE64_RUN.finditer(text):
        for skipped in range(4):
            yield from _readable(_base64_octets(found[0], skipped))


_BASE64_RUN = re.compile(r"[A-Za-z0-9+/_-]{10,}")
_HEX_RUN = re.compile(r"(?:[0-9A-Fa-f]{2}){8,}")


def _base64_octets(text: str, skipped: int) -> bytes:
    bare = text[skipped:].replace("-", "+").replace("_", "/")
    bare = bare[: len(bare) - 1] if len(bare) % 4 == 1 else bare
    try:
        return binascii.a2b_base64(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        return b""


def _hex(text: str) -> Iterator[str]:
    for found in _HEX_RUN.finditer(text):
        yield from _readable(bytes.fromhex(found[0]))


def _readable(octets: bytes) -> Iterator[str]:
    """Yield the runs in the octets of ASCII, UTF-8 or UTF-16."""
    for one in _RUN.finditer(octets.replace(b"\x00", b"").decode("utf-8", "replace")):
        if len(one[0]) >= 5:
            yield one[0]


_DECODERS: tuple[Callable[[str], Iterator[str]], ...] = (
    *(_normal, _entities, _percent, _quoted_printable, _backslashes, _url_defense, _base64, _hex),
)
