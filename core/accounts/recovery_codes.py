"""Recovery codes: ten words of twelve signs (60 bit) that replace a lost second factor, each once.

They are shown when they are made. The table stores a keyed hash.
"""

import hmac
import secrets
from datetime import datetime

from config import current_config
from database import db
from models import RecoveryCode, User

COUNT = 10
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without i, l, o, 0 and 1, which look alike on paper."""
LENGTH = 12


def replace_codes(user: User, now: datetime) -> list[str]:
    """Make ten new codes; the earlier ones end. Return them as they are printed: 「abcd-efgh-jkmn」."""
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(COUNT)]
    with db.atomic():
        RecoveryCode.delete().where(RecoveryCode.user == user).execute()
        for code in codes:
            RecoveryCode.create(user=user, digest=_digest(user, code), created_at=now)
    return ["-".join(code[at : at + 4] for at in range(0, LENGTH, 4)) for code in codes]


def accept_code(user: User, code: str, now: datetime) -> bool:
    """Use up a code, without hyphens and in lower case; of two simultaneous calls, one succeeds."""
    unused = RecoveryCode.user == user, RecoveryCode.digest == _digest(user, code), RecoveryCode.used_at.is_null()
    return bool(RecoveryCode.update(used_at=now).where(*unused).execute())


def count_unused(user: User) -> int:
    return int(RecoveryCode.select().where(RecoveryCode.user == user, RecoveryCode.used_at.is_null()).count())


def _digest(user: User, code: str) -> str:
    return hmac.digest(current_config().key("secret"), f"kairan recovery {user.id} {code}".encode(), "sha256").hex()
