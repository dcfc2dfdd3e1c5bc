"""E-mail addresses: parse, compare and quote them; read address headers; our own addresses with VERP tags.

RFC 5321 4.1.2 (syntax in commands), RFC 5322 3.4 (syntax in headers) and 4.4 (routes), RFC 6854 (groups in From),
RFC 2142 (role addresses), RFC 4648 6 (base32), RFC 5233 (plus addresses). Until 2009 Japanese carriers issued
addresses that break RFC 5322 (`a..b@`, `a.@`, `.a@`), and people still use them. They are stored unquoted, and
quoted in headers and commands.
"""

import base64
import binascii
import hmac
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, NamedTuple

from i18n import N_
from mail import charsets

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_LIST_LOCAL = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?")
_VERP_TAG = re.compile(r"[a-z2-7]{24}")

# RFC 2142 3-5, and the two names under which mail systems themselves write.
_ROLE_LOCAL_PARTS = frozenset(
    (
        *("info", "marketing", "sales", "support"),
        *("abuse", "noc", "security"),
        *("postmaster", "hostmaster", "usenet", "news", "webmaster", "www", "uucp", "ftp"),
        *("mailer-daemon", "root"),
    )
)

MAX_ADDRESS_LENGTH = 254
"""Octets; longer addresses do not fit into RCPT (RFC 5321 4.5.3.1.3)."""


class BadAddress(ValueError):
    """Not a deliverable e-mail address. `message`: source string for `say`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def parse_address(raw: str) -> str:
    """Return the address in text from a person or a file.

    The result is unquoted, with the local part in its case and the domain in lower-case ASCII. Accepts full-width
    letters, invisible characters, `mailto:`, `Name <address>`, 。 for a dot, and local parts whose dots break RFC 5322.
    Raises BadAddress.
    """
    local, domain_part = _split_address(_strip_decoration(raw))
    local = unquote_local_part(local)
    if not _LOCAL.fullmatch(local):
        raise BadAddress(N_("This e-mail address holds a character that cannot stand in one."))
    address = f"{local}@{_clean_domain(domain_part)}"
    if len(address) > MAX_ADDRESS_LENGTH:
        raise BadAddress(N_("This e-mail address is too long."))
    return address


def _strip_decoration(raw: str) -> str:
    """Remove what keyboards, spreadsheets and mail programs add around an address."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", raw)).replace("。", ".").strip()
    if text.endswith(">") and "<" in text:
        text = text[text.rindex("<") + 1 : -1].strip()
    if text[:7].lower() == "mailto:":
        text = text[7:].partition("?")[0].strip()
    return text


def _split_address(text: str) -> tuple[str, str]:
    if not text:
        raise BadAddress(N_("Please enter an e-mail address."))
    local, at, domain_part = text.rpartition("@")
    if not at or not local or not domain_part:
        raise BadAddress(N_("This e-mail address is not complete. It needs a name, @ and a domain."))
    return local, domain_part


def _clean_domain(text: str) -> str:
    """Return a domain in lower-case ASCII (RFC 5891); reserved domains are allowed."""
    from email_validator import EmailNotValidError, validate_email  # slow to load, wanted where somebody types

    # The checker refuses *.invalid, but samples and trials live in reserved domains, so it is shown *.test.
    seen = re.sub(r"(?i)(^|\.)invalid$", r"\1test", text)
    try:
        checked = validate_email(f"x@{seen}", check_deliverability=False, test_environment=True).ascii_domain
    except EmailNotValidError:
        raise BadAddress(N_("The part after the @ is not right. Please check it.")) from None
    return text.lower() if seen != text else checked.lower()


def unquote_local_part(local: str) -> str:
    """Unquote a local part (RFC 5321 4.1.2 Quoted-string)."""
    found = _QUOTED.fullmatch(local)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else local


def comparison_key(address: str) -> str:
    """Return the key for comparing addresses: unquoted, lower case."""
    local, _, domain_part = address.strip().rpartition("@")
    return f"{unquote_local_part(local)}@{domain_part}".lower()


def violates_rfc(address: str) -> bool:
    """Tell whether the local part breaks RFC 5322 if unquoted (`a..b`, `.a`, `a.`)."""
    return not _DOT_ATOM.fullmatch(unquote_local_part(address.rpartition("@")[0]))


def quote_if_needed(address: str) -> str:
    """Quote the local part for headers and SMTP commands if it breaks RFC 5322."""
    local, _, domain_part = address.rpartition("@")
    local = unquote_local_part(local)
    if _DOT_ATOM.fullmatch(local):
        return f"{local}@{domain_part}"
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + f'"@{domain_part}'


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()


def mask_address(address: str) -> str:
    """Return a masked address: `a***@example.com`."""
    local, _, domain_part = address.rpartition("@")
    return f"{local[:1]}***@{domain_part}"


def is_valid_list_local_part(local_part: str) -> bool:
    """Tell whether a list may have this local part.

    1 to 40 of a-z 0-9 . - _, with a letter or digit at both ends and no `..`.
    """
    return bool(_LIST_LOCAL.fullmatch(local_part)) and ".." not in local_part


def is_reserved_local_part(local_part: str) -> bool:
    """Tell whether a local part is reserved for Kairan or by RFC 2142."""
    name = local_part.lower()
    return (
        name in _ROLE_LOCAL_PARTS
        or name.startswith(("b-", "r-"))
        or name.endswith(("-leave", "-request"))
        or "-join" in name
    )


TagPurpose = Literal["return", "reply", "id"]
"""What a VERP tag is for: return path (reports), reply address, Message-ID (which letter a mail answers)."""
_MAC_PREFIXES: dict[TagPurpose, bytes] = {"return": b"kairan return ", "reply": b"kairan reply ", "id": b"kairan id "}
RETURN_TAG_HEADER = "X-Kairan-Letter"
"""Header of our letters with the tag of the return path: a returned message carries it, a reply does not."""
_OLD_MAC_PREFIX = b"kairan letter "
"""Of tags without a purpose: the same tag was return path, reply address and Message-ID."""


def make_verp_tag(number: int, purpose: TagPurpose, secret: bytes) -> str:
    """Return the VERP tag of a letter for one purpose; it opens no page.

    8 base32 characters of the number (below 2**40) and 16 of an 80-bit HMAC-SHA256 over purpose and number. Replies
    show the reply address and the Message-ID to others, so a tag of one purpose is invalid for the others.
    """
    return _make_tag(number, _MAC_PREFIXES[purpose], secret)


def make_old_verp_tag(number: int, secret: bytes) -> str:
    """Return the tag without a purpose that letters carried in version 0.1."""
    return _make_tag(number, _OLD_MAC_PREFIX, secret)


def _make_tag(number: int, prefix: bytes, secret: bytes) -> str:
    plain = number.to_bytes(5, "big")
    return base64.b32encode(plain + _mac(plain, prefix, secret)).decode("ascii").lower()


def _mac(plain: bytes, prefix: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, prefix + plain, "sha256")[:10]


def decode_verp_tag(text: str, purpose: TagPurpose, secret: bytes) -> int | None:
    """Return the letter number of a VERP tag in any case; None if the tag is invalid for this purpose."""
    return _decode_tag(text, _MAC_PREFIXES[purpose], secret)


def decode_old_verp_tag(text: str, secret: bytes) -> int | None:
    """Return the letter number of a tag without a purpose; None if the tag is invalid."""
    return _decode_tag(text, _OLD_MAC_PREFIX, secret)


def _decode_tag(text: str, prefix: bytes, secret: bytes) -> int | None:
    lowered = text.strip().lower()
    if not _VERP_TAG.fullmatch(lowered):
        return None
    try:
        whole = base64.b32decode(lowered.upper())
    except binascii.Error:
        return None
    genuine = hmac.compare_digest(whole[5:], _mac(whole[:5], prefix, secret))
    return int.from_bytes(whole[:5], "big") if genuine else None


def return_path(number: int, secret: bytes, domain: str) -> str:
    """Return the envelope sender of a letter, which receives its bounces."""
    return f"b-{make_verp_tag(number, 'return', secret)}@{domain}"


def reply_address(number: int, secret: bytes, domain: str) -> str:
    return f"r-{make_verp_tag(number, 'reply', secret)}@{domain}"


def message_id(number: int, secret: bytes, domain: str) -> str:
    """Return the Message-ID with angle brackets; it is the same at every attempt (RFC 5322 3.6.4)."""
    return f"<{make_verp_tag(number, 'id', secret)}@{domain}>"


_REWRITTEN_SENDERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:b?prvs|msprvs1)=[^=@]{4,40}=(?P<local>[^@]+)@(?P<domain>[^@]+)",  # BATV
        r"btv1==[^=@]+==(?P<local>[^@]+)@(?P<domain>[^@]+)",  # BATV of Barracuda
        r"srs0[=+-][^=@]+=[^=@]+=(?P<domain>[^=@]+)=(?P<local>[^@]+)@[^@]+",  # SRS
        r"srs1[=+-][^=@]+=[^=@]+==[^=@]+=[^=@]+=(?P<domain>[^=@]+)=(?P<local>[^@]+)@[^@]+",
        r"(?P<local>[^+@]+)\+caf_=[^@]+@(?P<domain>[^@]+)",  # Gmail's forwarding
    )
)


def original_sender(envelope: str) -> str:
    """Return the envelope sender without what servers add against forged bounces (BATV) and at forwarding (SRS)."""
    bare = envelope.strip("<> ")
    for pattern in _REWRITTEN_SENDERS:
        if found := pattern.fullmatch(bare):
            return f"{found['local']}@{found['domain']}"
    return bare


# ── address headers ──────────────────────────────────────────────────────────────────────────────────────────────────

MAX_CHARS = 64 * 1024
MAX_MAILBOXES = 500
"""Further mailboxes of a header are ignored."""


class Mailbox(NamedTuple):
    """A decoded display name ("" if none) and an address: local part unquoted, domain in lower case."""

    name: str
    address: str


_TOKEN = re.compile(
    r"\"(?:[^\"\\]|\\.)*\"?"  # a quoted string, its end perhaps missing
    r"|[<>,;:()\\]"
    r"|[^\"<>,;:()\\]+",
    re.DOTALL,
)
_QUOTED_LOCAL = r"\"(?:[^\"\\\s]|\\.){1,64}\""
# In a header, everything but delimiters belongs to the address: a part of it would be another address.
_IN_HEADER = re.compile(rf"(?:{_QUOTED_LOCAL}|[^\s\"<>,;:()@\[\]\\]{{1,128}})@[^\s\"<>,;:()@\\]{{1,255}}")
# In sentences, above all Japanese ones, words stand directly beside an address.
_IN_TEXT = re.compile(rf"(?:{_QUOTED_LOCAL}|[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,128}})@[A-Za-z0-9_.\[\]-]{{1,255}}")


def parse_address_list(raw: bytes) -> list[Mailbox]:
    """Return the mailboxes of a raw address header. Never raises.

    Anything that can be read as one more address counts as one: "exactly one sender" is a question of trust.
    """
    mailboxes = []
    for entry in _entries(charsets.unfold_header(raw[:MAX_CHARS])):
        mailboxes += _mailboxes(entry)
        if len(mailboxes) >= MAX_MAILBOXES:
            break
    return mailboxes[:MAX_MAILBOXES]


def find_addresses(text: str) -> list[str]:
    """Return the addresses in a text, each once, in order."""
    matches = (match[0] for match in _IN_TEXT.finditer(text[:MAX_CHARS]))
    return list(
        dict.fromkeys(
            _normal_form(one) for one in matches if _is_valid_length(one) and "." in one.rpartition("@")[2].strip(".")
        )
    )


def _in_header(text: str) -> list[str]:
    return list(
        dict.fromkeys(_normal_form(match[0]) for match in _IN_HEADER.finditer(text) if _is_valid_length(match[0]))
    )


@dataclass(slots=True)
class _Entry:
    """An entry of an address list: the text before, inside and behind its angle brackets."""

    before: str = ""
    inside: str = ""
    behind: str = ""
    comment: str = ""


def _entries(text: str) -> list[_Entry]:
    entries = [_Entry()]
    depth, angle = 0, False
    for sign in _TOKEN.findall(text):
        entry = entries[-1]
        if sign in "()":
            depth = max(0, depth + (1 if sign == "(" else -1))
        elif depth:
            entry.comment += f" {sign}"
        elif sign in "<>":
            angle = sign == "<"
            entry.inside += " "
        elif angle:
            entry.inside += sign
        elif sign in ",;":
            entries.append(_Entry())
        elif sign == ":":
            entry.before = ""  # the name of a group
        elif entry.inside:
            entry.behind += sign
        else:
            entry.before += sign
    return entries


def _mailboxes(entry: _Entry) -> list[Mailbox]:
    """Return the mailboxes of an entry. Text before angle brackets is a name, which may contain an @."""
    inside = entry.inside.strip()
    found = _in_header(inside.rpartition(":")[2] if inside.startswith("@") else inside)
    if found:
        name = _name(entry.before or entry.comment)
        return [Mailbox(name, one) for one in [*found, *_in_header(entry.behind)]]
    return [Mailbox(_name(entry.comment), one) for one in _in_header(f"{entry.before} {entry.behind}")]


def _name(text: str) -> str:
    """Return a display name, unquoted and decoded."""
    bare = re.sub(r"\"((?:[^\"\\]|\\.)*)\"?", lambda quoted: re.sub(r"\\(.)", r"\1", quoted[1]), text.strip())
    return re.sub(r"[\x00-\x1f\x7f]", "", charsets.decode_encoded_words(bare)).strip()[:200]


def _is_valid_length(text: str) -> bool:
    return len(text) <= MAX_ADDRESS_LENGTH + 2 and text.rpartition("@")[2].strip(".") != ""


def _normal_form(text: str) -> str:
    local, _, domain = text.rpartition("@")
    return f"{unquote_local_part(local)}@{domain.rstrip('.').lower()}"


# ── our own addresses ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """Our own addresses. domain: of all of them. id_domain: of Message-ID and List-Id, unique to this installation.

    mailbox: the single mailbox at a provider, "" if the whole domain is ours. A provider lets us send only from it.
    plus: mail to `name+anything@` reaches the mailbox (RFC 5233).
    """

    domain: str
    id_domain: str
    mailbox: str = ""
    plus: bool = False

    @property
    def has_list_addresses(self) -> bool:
        """Tell whether lists and letters have their own addresses."""
        return not self.mailbox or self.plus

    def address(self, local: str) -> str:
        """Return the address of a local part; the mailbox itself if there are no others."""
        if not self.mailbox:
            return f"{local}@{self.domain}"
        name = self.mailbox.rpartition("@")[0]
        return f"{name}+{local}@{self.domain}" if self.plus else self.mailbox

    def sender(self, local: str) -> str:
        """Return the From address: the list's own, or the mailbox."""
        return self.mailbox or f"{local}@{self.domain}"

    def return_path(self, number: int, secret: bytes) -> str:
        """Return the envelope sender of a letter. With a mailbox, reports are matched by Message-ID."""
        return self.mailbox or return_path(number, secret, self.domain)

    def local_part_of(self, address: str) -> str | None:
        """Return the local part of one of our addresses; "" for the mailbox itself, None for other addresses."""
        local, _, domain = address.strip().strip("<>").lower().rpartition("@")
        if domain != self.domain or not local:
            return None
        if not self.mailbox:
            return local
        name, plus, behind = unquote_local_part(local).partition("+")
        if name != self.mailbox.rpartition("@")[0].lower():
            return None
        return behind if self.plus and plus else ""

    def owns(self, address: str) -> bool:
        """Tell whether mail to this address comes back to us: no member, sender or organizer may have it."""
        return self.local_part_of(address) is not None or domain_of(address) == self.id_domain

    @property
    def allow_list_entry(self) -> str:
        """Return the domain or address that families must allow on their phones."""
        return self.mailbox or self.domain


def id_domain(mailbox: str, host: str) -> str:
    """Return the domain for Message-IDs beside a mailbox: the host of the pages, if it has a name."""
    if "." in host and re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}", host.lower()):
        return host.lower()
    name, _, domain = mailbox.lower().rpartition("@")
    return f"{re.sub(r'[^a-z0-9-]', '-', name).strip('-') or 'kairan'}.{domain}"
