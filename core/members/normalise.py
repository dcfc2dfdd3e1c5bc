"""Normal forms of what people type about members: names, kana, grade, class, telephone number, language, address.

Names are trimmed, never NFKC (髙 stays, ㈱ stays); kana become full-width katakana (field.md 3.6).
"""

import re
import unicodedata
from typing import Any

from core.errors import DomainError
from core.settings import load_settings
from i18n import N_
from mail import address as addresses
from mail import domain_typos
from mail.address import OwnAddresses

CHILD_ITEMS = frozenset(("地区", "登校班", "通学班", "出席番号", "district", "walking group"))
"""Custom items that belong to the child, not to the guardian's membership in one list."""

_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_DECOMPOSED = re.compile("[^\uf900-\ufaff][\u0300-\u036f\u3099\u309a]+|[\u1100-\u11ff]+")
_KANJI_DIGITS = str.maketrans("一二三四五六七八九", "123456789")
_LANGUAGE_CODES = {"ja": "ja", "日本語": "ja", "japanese": "ja", "en": "en", "英語": "en", "english": "en"}


def to_katakana(text: str) -> str:
    return "".join(chr(ord(char) + 0x60) if "ぁ" <= char <= "ゖ" else char for char in text)


def compose_text(text: str) -> str:
    """Compose decomposed letters and drop variation selectors. Compatibility ideographs stay, unlike in NFC (\ufa19)."""
    plain = _VARIATION_SELECTORS.sub("", text)
    return _DECOMPOSED.sub(lambda match: unicodedata.normalize("NFC", match[0]), plain)


def normalise_text(text: str) -> str:
    """Trim a text, make each run of spaces (U+3000 too) one space, drop control and bidi characters, cut at 200."""
    return " ".join(_CONTROL_CHARACTERS.sub("", compose_text(text)).split())[:200]


def normalise_kana(text: str) -> str:
    """Return a reading as full-width katakana with single spaces: ﾔﾏﾀﾞ, やまだ and ヤマダ are one."""
    return to_katakana(normalise_text(unicodedata.normalize("NFKC", text)))


def normalise_grade(text: str) -> str:
    """Return a grade in short: 「1年」, 「１」, 「第1学年」, 「一年生」 are all 「1」."""
    plain = normalise_text(unicodedata.normalize("NFKC", text))
    match = re.fullmatch(
        r"(?:小学?|第)?([0-9]{1,2}(?=\.0$)|[0-9]{1,2}|[一二三四五六七八九])(?:学年|年生|年|th|st|nd|rd|\.0)?", plain
    )
    return str(int(match[1].translate(_KANJI_DIGITS))) if match else plain


def normalise_class(text: str) -> str:
    """Return a class in short: 「1組」 and 「１」 are 「1」, 「Ａ組」 is 「A」."""
    plain = normalise_text(unicodedata.normalize("NFKC", text))
    match = re.fullmatch(r"(.+?)(?:組|クラス|学級)", plain)
    short = match[1] if match else plain
    if re.fullmatch(r"[0-9]{1,2}(?:\.0)?", short):
        return str(int(float(short)))
    return short.translate(_KANJI_DIGITS) if len(short) == 1 else short


def normalise_phone(text: str, mend: bool = True) -> str:
    """Return a telephone number in half-width; `mend` restores the leading 0 that Excel removed."""
    plain = re.sub(r"[‐‑–—−ー－]", "-", normalise_text(unicodedata.normalize("NFKC", text)))[:40]
    plain = re.sub(r"^'|(?<=[0-9]{9})\.0$", "", plain)
    return f"0{plain}" if mend and re.fullmatch(r"[1-9][0-9]{8,9}", plain) else plain


def language_code(text: str) -> str:
    """Return ja or en for the name of a language, '' for an unknown one."""
    return _LANGUAGE_CODES.get(normalise_text(text).casefold(), "")


def parse_address(typed: str) -> str:
    """Return a clean address. Raises DomainError."""
    try:
        return addresses.parse_address(typed)
    except addresses.BadAddress as wrong:
        raise DomainError(wrong.message, "address") from wrong


def parse_member_address(typed: str, own: OwnAddresses | None = None) -> str:
    """Return a clean address that is none of Kairan's own (`own`, else loaded). Raises DomainError."""
    clean = parse_address(typed)
    if (own or load_settings().own_addresses).owns(clean):
        raise DomainError(N_("This is an address of Kairan itself, so it cannot be a member."), "address")
    return clean


def meant_address(typed: str) -> str:
    """Return the address that was probably meant, if the domain has a typing error; '' if nothing is odd."""
    return domain_typos.suggest_address(typed)


def address_fields(address: str) -> dict[str, Any]:
    """Return the columns of a person that follow from a clean address ('' for none)."""
    return {
        "address": address or None,
        "address_key": addresses.comparison_key(address) if address else None,
        "violates_rfc": bool(address) and addresses.violates_rfc(address),
    }


def has_lost_character(name: str) -> bool:
    """Say whether a character of a name was lost when a file was saved (CP932 turns 𠮷 into ?)."""
    return "?" in name or "〓" in name


def is_same_name(one: str, other: str) -> bool:
    """Say whether two names are the same, spaces aside, a lost character standing for any."""
    one, other = one.replace(" ", ""), other.replace(" ", "")
    if one == other or len(one) != len(other):
        return one == other
    return all(a == b or a in "?〓" or b in "?〓" for a, b in zip(one, other, strict=True))
