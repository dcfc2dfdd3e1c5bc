"""Codes of an authenticator app (TOTP, RFC 6238): six digits, 30 s. Each code is accepted once.

Few requests need `pyotp` and `cryptography`, so they are not imported at every start.
"""

import base64
import hmac
from datetime import datetime
from typing import TYPE_CHECKING

from config import current_config
from database import db
from models import TotpKey, User

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

STEP_S = 30
DRIFT_STEPS = 1
"""Steps by which the clock of the telephone may differ."""


def start_setup(user: User, now: datetime) -> None:
    """Make a new secret that counts once a code of it was typed. An unfinished earlier one is dropped."""
    import pyotp

    with db.atomic():
        TotpKey.delete().where(TotpKey.user == user, TotpKey.confirmed_at.is_null()).execute()
        TotpKey.create(user=user, secret=_cipher().encrypt(pyotp.random_base32().encode()).decode(), created_at=now)


def pending_key(user: User) -> TotpKey | None:
    """Return the secret that waits for its first code."""
    found: TotpKey | None = TotpKey.get_or_none(TotpKey.user == user, TotpKey.confirmed_at.is_null())
    return found


def active_key(user: User) -> TotpKey | None:
    found: TotpKey | None = TotpKey.get_or_none(TotpKey.user == user, TotpKey.confirmed_at.is_null(False))
    return found


def secret_of(key: TotpKey) -> str:
    """Return the secret in base32. Raises InvalidToken if it was encrypted with another key file."""
    return _cipher().decrypt(key.secret.encode()).decode()


def setup_url(key: TotpKey, user: User, organization: str) -> str:
    """Return the otpauth: URL that the QR code holds."""
    import pyotp

    return str(pyotp.TOTP(secret_of(key)).provisioning_uri(name=user.name, issuer_name=organization or "Kairan"))


def accept_code(key: TotpKey, code: str, now: datetime) -> bool:
    """Say whether a code is right and newer than the last accepted one; of two simultaneous calls, one succeeds."""
    step = _matching_step(key, code, now)
    if step is None:
        return False
    newer = TotpKey.id == key.id, TotpKey.last_step < step
    return bool(TotpKey.update(last_step=step).where(*newer).execute())


def _matching_step(key: TotpKey, code: str, now: datetime) -> int | None:
    """Return the time step of a code. All steps are compared, each in constant time."""
    import pyotp
    from cryptography.fernet import InvalidToken

    try:
        maker = pyotp.TOTP(secret_of(key), interval=STEP_S)
    except InvalidToken:
        return None
    current = int(now.timestamp()) // STEP_S
    found = None
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        if hmac.compare_digest(maker.generate_otp(step).encode(), code.encode()):
            found = step
    return found


def confirm_setup(key: TotpKey, now: datetime) -> None:
    """Put a new secret to use in place of an earlier one."""
    with db.atomic():
        TotpKey.delete().where(TotpKey.user == key.user_id, TotpKey.id != key.id).execute()
        TotpKey.update(confirmed_at=now).where(TotpKey.id == key.id).execute()


def _cipher() -> "Fernet":
    from cryptography.fernet import Fernet

    digest = hmac.digest(current_config().key("secret"), b"kairan totp", "sha256")
    return Fernet(base64.urlsafe_b64encode(digest))
