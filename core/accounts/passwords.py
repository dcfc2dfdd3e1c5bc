"""Passwords of organizers: their hash, and the one rule they must keep.

argon2id with 19 MiB, two passes, one lane: the smaller profile of the OWASP password storage sheet, so that eight
threads do not fill a small server. The rule is length and not being common (NIST SP 800-63B 5.1.1.2), nothing else.
"""

import re
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from i18n import N_

ARGON2_PARAMETERS = {"time_cost": 2, "memory_cost": 19456, "parallelism": 1}
MIN_LENGTH = 12
MAX_LENGTH = 200
"""Characters; a longer one would only make the server work."""

hasher = PasswordHasher(**ARGON2_PARAMETERS)

_COMMON = (
    "password",
    "passwort",
    "passw0rd",
    "pasuwado",
    "パスワード",
    "qwerty",
    "qwertyuiop",
    "asdfgh",
    "asdfghjkl",
    "zxcvbn",
    "zxcvbnm",
    "1qaz2wsx",
    "qazwsx",
    "iloveyou",
    "aishiteru",
    "admin",
    "administrator",
    "welcome",
    "letmein",
    "monkey",
    "dragon",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "master",
    "shadow",
    "superman",
    "trustno1",
    "changeme",
    "secret",
    "sakura",
    "arigato",
    "konnichiwa",
    "doraemon",
    "pokemon",
    "naruto",
    "kairan",
    "school",
    "gakkou",
    "gakko",
    "shougakkou",
    "shogakko",
    "sensei",
    "test",
    "login",
    "default",
    "hello",
    "freedom",
    "whatever",
)
_KEYBOARD_ROWS = (
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "あいうえおかきくけこ",
)


class WeakPassword(ValueError):
    """This password is too easy to guess; `message` says why, for `say`."""

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message)
        self.message, self.values = message, values


def check_password_strength(password: str, *own: str) -> None:
    """Raise WeakPassword unless the password keeps the rule. `own`: names and addresses that must not be the core."""
    if len(password) < MIN_LENGTH:
        raise WeakPassword(
            N_("Please use at least %(n)s characters. A few long words in a row are good."), n=MIN_LENGTH
        )
    if len(password) > MAX_LENGTH:
        raise WeakPassword(N_("This password is too long. %(n)s characters are enough."), n=MAX_LENGTH)
    plain = _casefolded(password)
    if _is_repetitive(plain) or _is_common(plain):
        raise WeakPassword(N_("This password is one of the first that anybody would try. Please choose another."))
    if len(_without(plain, own)) < 6:
        raise WeakPassword(N_("This password is little more than a name. Please choose another."))


def _casefolded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _is_repetitive(plain: str) -> bool:
    """Say whether few different characters, or one short piece, make up the whole: 「aaaa…」, 「abcabc…」."""
    return len(set(plain)) < 5 or re.fullmatch(r"(.{1,6}?)\1+(.{0,5})", plain) is not None


def _is_common(plain: str) -> bool:
    """Say whether little is left once the commonest words and rows of keys are taken out."""
    rest = _without(re.sub(r"[\W_]", "", plain), _COMMON)
    for row in _KEYBOARD_ROWS:
        for direction in (row, row[::-1]):
            rest = re.sub("|".join(direction[at : at + 4] + ".?" for at in range(len(direction) - 3)), "", rest)
    return len(rest.strip("0123456789")) < 4 and len(rest) < 8


def _without(plain: str, words: tuple[str, ...]) -> str:
    pieces = {part for word in words for part in re.split(r"[\s@.]+", _casefolded(word)) if len(part) > 1}
    for piece in sorted(pieces, key=len, reverse=True):
        plain = plain.replace(piece, "")
    return plain


def hash_password(password: str) -> str:
    """Return the argon2id hash to keep."""
    return hasher.hash(password)


def verify_password(kept: str | None, password: str) -> bool:
    """Say whether the password belongs to the kept hash; takes the same time when there is none."""
    try:
        return hasher.verify(kept or _dummy_hash(hasher), password[: MAX_LENGTH + 1]) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _dummy_hash(maker: PasswordHasher) -> str:
    return maker.hash("nobody has this password")


def needs_rehash(kept: str) -> bool:
    """Say whether a hash was made with other parameters than today's."""
    return hasher.check_needs_rehash(kept)
