"""Password hashing and the password rule.

argon2id with 19 MiB, two passes, one lane: the smaller profile of the OWASP password storage cheat sheet. Eight threads
fit into a small server. The rule: length, and not common (NIST SP 800-63B 5.1.1.2).
"""

import re
import unicodedata
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import DomainError
from i18n import N_

ARGON2_PARAMETERS: dict[str, Any] = {"time_cost": 2, "memory_cost": 19456, "parallelism": 1}
MIN_LENGTH = 12
MAX_LENGTH = 200
"""Characters; a limit on the work of hashing."""

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


def check_password_strength(password: str, *own: str) -> None:
    """Raise DomainError unless the password keeps the rule. `own`: names that must not make up most of it."""
    if len(password) < MIN_LENGTH:
        raise DomainError(
            N_("Please use at least %(n)s characters. A few long words in a row are good."), "password", n=MIN_LENGTH
        )
    if len(password) > MAX_LENGTH:
        raise DomainError(N_("This password is too long. %(n)s characters are enough."), "password", n=MAX_LENGTH)
    plain = _casefolded(password)
    if _is_repetitive(plain) or _is_common(plain):
        raise DomainError(N_("This password is too common. Please choose another."), "password")
    if len(_without(plain, own)) < 6:
        raise DomainError(N_("This password is mostly a name. Please choose another."), "password")


def _casefolded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _is_repetitive(plain: str) -> bool:
    """Say whether the password has few different characters or repeats a short piece: 「aaaa…」, 「abcabc…」."""
    return len(set(plain)) < 5 or re.fullmatch(r"(.{1,6}?)\1+(.{0,5})", plain) is not None


def _is_common(plain: str) -> bool:
    """Say whether little is left after removing the commonest words and keyboard rows."""
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
    return hasher.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Compare a password with its hash, in the same time when there is no hash."""
    try:
        return hasher.verify(password_hash or _dummy_hash(hasher), password[: MAX_LENGTH + 1]) and bool(password_hash)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _dummy_hash(maker: PasswordHasher) -> str:
    return maker.hash("no account has this password")


def needs_rehash(password_hash: str) -> bool:
    """Say whether a hash was made with other parameters than ours."""
    return hasher.check_needs_rehash(password_hash)
