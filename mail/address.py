"""Mail addresses: those that people type and carriers once issued, and our own addresses that carry a mark.

RFC 5321 4.1.2 (syntax in commands), RFC 5322 3.4 (syntax in headers), RFC 2142 (names that every
domain keeps for its administrators), RFC 4648 6 (base32). Until 2009 Japanese carriers issued
addresses that break RFC 5322 (`a..b@`, `a.@`, `.a@`) and people still use them: they are stored
unquoted, and quoted wherever a header or a command holds them.
"""

import base64
import binascii
import hmac
import re
import unicodedata

from i18n import N_

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
"""Octets of an address that still fits into a RCPT command (RFC 5321 4.5.3.1.3)."""


class BadAddress(ValueError):
    """This is not an e-mail address that a letter can go to; `message` says why, in English, for `say`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def parse_address(raw: str) -> str:
    """Return the address in what a person typed or a file held.

    The result is unquoted, its local part in the case as typed, its domain in lower-case ASCII.
    Takes full-width letters, invisible characters, `mailto:`, `Name <address>`, the Japanese full
    stop for a dot, and local parts that break RFC 5322 by their dots only. Raises BadAddress.
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
    """Undo what keyboards, spreadsheets and mail programs do around an address."""
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
    """Return a domain in lower-case ASCII (RFC 5891 for Japanese ones), reserved ones too."""
    from email_validator import EmailNotValidError, validate_email  # slow to load, wanted where somebody types

    # The checker refuses *.invalid, but samples and trials live in reserved domains, so it is shown *.test.
    seen = re.sub(r"(?i)(^|\.)invalid$", r"\1test", text)
    try:
        checked = validate_email(f"x@{seen}", check_deliverability=False, test_environment=True).ascii_domain
    except EmailNotValidError:
        raise BadAddress(N_("The part after the @ is not right. Please check it.")) from None
    return text.lower() if seen != text else checked.lower()


def unquote_local_part(local: str) -> str:
    """Return a local part without its quotes and backslashes (RFC 5321 4.1.2 Quoted-string)."""
    found = _QUOTED.fullmatch(local)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else local


def comparison_key(address: str) -> str:
    """Return the form in which two addresses are compared: unquoted, all lower case."""
    local, _, domain_part = address.strip().rpartition("@")
    return f"{unquote_local_part(local)}@{domain_part}".lower()


def violates_rfc(address: str) -> bool:
    """Tell whether the local part breaks RFC 5322 unless it is quoted (`a..b`, `.a`, `a.`)."""
    return not _DOT_ATOM.fullmatch(unquote_local_part(address.rpartition("@")[0]))


def quote_if_needed(address: str) -> str:
    """Return the address as headers and SMTP commands need it: local part quoted if it breaks RFC 5322."""
    local, _, domain_part = address.rpartition("@")
    local = unquote_local_part(local)
    if _DOT_ATOM.fullmatch(local):
        return f"{local}@{domain_part}"
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + f'"@{domain_part}'


def domain_of(address: str) -> str:
    """Return the domain of an address in lower case."""
    return address.rpartition("@")[2].lower()


def mask_address(address: str) -> str:
    """Return an address for pages that must not show it whole: `a***@example.com`."""
    local, _, domain_part = address.rpartition("@")
    return f"{local[:1]}***@{domain_part}"


def is_valid_list_local_part(local_part: str) -> bool:
    """Tell whether a list may have this local part.

    1 to 40 of a-z 0-9 . - _, a letter or digit at both ends, no `..`.
    """
    return bool(_LIST_LOCAL.fullmatch(local_part)) and ".." not in local_part


def is_reserved_local_part(local_part: str) -> bool:
    """Tell whether a local part belongs to Kairan itself or, by RFC 2142, to the administrators."""
    name = local_part.lower()
    return (
        name in _ROLE_LOCAL_PARTS
        or name.startswith(("b-", "r-"))
        or name.endswith(("-leave", "-request"))
        or "-join" in name
    )


def make_verp_tag(number: int, secret: bytes) -> str:
    """Return a letter's mark, which opens no page.

    8 base32 characters of its number (below 2**40) and 16 of an 80-bit HMAC-SHA256.
    """
    plain = number.to_bytes(5, "big")
    return base64.b32encode(plain + _mac(plain, secret)).decode("ascii").lower()


def _mac(plain: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"kairan letter " + plain, "sha256")[:10]


def decode_verp_tag(text: str, secret: bytes) -> int | None:
    """Return the letter's number in a mark, whatever its case; None if it is not one of ours."""
    lowered = text.strip().lower()
    if not _VERP_TAG.fullmatch(lowered):
        return None
    try:
        whole = base64.b32decode(lowered.upper())
    except binascii.Error:
        return None
    genuine = hmac.compare_digest(whole[5:], _mac(whole[:5], secret))
    return int.from_bytes(whole[:5], "big") if genuine else None


def return_path(number: int, secret: bytes, domain: str) -> str:
    """Return the envelope sender of one letter, to which its bounces come."""
    return f"b-{make_verp_tag(number, secret)}@{domain}"


def reply_address(number: int, secret: bytes, domain: str) -> str:
    """Return the Reply-To of one letter."""
    return f"r-{make_verp_tag(number, secret)}@{domain}"


def message_id(number: int, secret: bytes, domain: str) -> str:
    """Return the Message-ID of one letter, the same at every try (RFC 5322 3.6.4), in its angle brackets."""
    return f"<{make_verp_tag(number, secret)}@{domain}>"
