"""The second factor of a user: passkeys, an authenticator app, recovery codes. Optional; off until the user adds one.

It is asked for at login on a new device, and before a sensitive action. On a known device nothing asks for it before a
notice (design, law 7).
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import i18n
from core import audit, rate_limits
from core.accounts import passkeys, recovery_codes, totp
from core.accounts.logins import TooManyAttempts
from core.accounts.who_can import holders_for_lists
from core.errors import DomainError
from core.notifications.notify import notify
from core.settings import load_settings
from database import db
from i18n import N_
from models import Device, Passkey, RecoveryCode, Session, TotpKey, User

CONFIRMATION_LIFETIME = timedelta(minutes=10)
"""Time after which a sensitive action asks again."""
MAX_LETTERS = 20
"""Letters about changes and used codes to one user in an hour."""
PASSKEYS_PER_WINDOW = 30
PASSKEY_WINDOW_S = 600


class WrongCode(DomainError):
    message = N_("This code is not right, or it was used already. Please wait for the next one.")


class WrongRecoveryCode(DomainError):
    message = N_("This recovery code is not right, or it was used already.")


@dataclass(frozen=True, slots=True)
class Methods:
    """What a user has set up. `recovery_codes`: how many are unused."""

    app: bool
    passkeys: int
    recovery_codes: int

    @property
    def is_on(self) -> bool:
        return self.app or self.passkeys > 0


def methods_of(user: User) -> Methods:
    return Methods(
        app=totp.active_key(user) is not None,
        passkeys=len(passkeys.passkeys_of(user)),
        recovery_codes=recovery_codes.count_unused(user),
    )


def is_on(user: User) -> bool:
    return methods_of(user).is_on


def users_with_second_factor() -> set[int]:
    """Return the ids of all users who have set one up."""
    apps = TotpKey.select(TotpKey.user).where(TotpKey.confirmed_at.is_null(False)).tuples()
    keys = Passkey.select(Passkey.user).tuples()
    return {row[0] for row in [*apps, *keys]}


def is_required(user: User, device: Device | None) -> bool:
    """Say whether a login on this device (None: an unknown one) needs the second factor."""
    return (device is None or device.second_factor_at is None) and is_on(user)


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def check_code(user: User, session: Session, typed: str, now: datetime) -> None:
    """Accept a code of the app or a recovery code, and use it up. Raises WrongCode, WrongRecoveryCode, TooManyAttempts.

    Failures count per kind of code: on a known device for this device, else for all unknown devices together.
    """
    code = re.sub(r"[\s\-‐-―−ー]", "", unicodedata.normalize("NFKC", typed)).lower()
    if re.fullmatch(r"[0-9]{1,8}", code):
        key = totp.active_key(user)
        _throttled("totp", user, session, now, lambda: key is not None and totp.accept_code(key, code, now), WrongCode)
        return
    _throttled("recovery", user, session, now, lambda: recovery_codes.accept_code(user, code, now), WrongRecoveryCode)
    left = recovery_codes.count_unused(user)
    audit.log_action(user, "recovery_code.used", user.id, kind="user", detail={"left": left})
    _notify(user, now, lambda spoken: i18n.say(spoken, _EVENTS["code"], left=left))


def _throttled(
    kind: str, user: User, session: Session, now: datetime, check: Callable[[], bool], wrong: type[DomainError]
) -> None:
    name = f"wrong code:{kind}:{_place(session)}:{user.id}"
    if wait := rate_limits.retry_after(name, now):
        raise TooManyAttempts(wait)
    # Counted before the check, so that simultaneous tries are not free.
    failures = rate_limits.record_failure(name, now)
    if check():
        rate_limits.reset_count(name)
        return
    if failures == rate_limits.FREE_FAILURES:
        audit.log_action(user, "second_factor.refused", user.id, kind="user", detail={"tries": failures})
        if session.awaits_second_factor:
            _notify(user, now, _event("guessed"))
    raise wrong


def _place(session: Session) -> str:
    """Return the part of a limit key that keeps known devices apart from all new ones."""
    known = session.device_id is not None and not session.awaits_second_factor
    return f"device {session.device_id}" if known else "new devices"


def check_passkey(user: User, session: Session, party: passkeys.RelyingParty, credential: str, now: datetime) -> None:
    """Accept the answer of a passkey. Raises PasskeyRefused, TooManyAttempts."""
    tries = rate_limits.record_hit(f"passkey answers:{_place(session)}:{user.id}", now, PASSKEY_WINDOW_S)
    if tries > PASSKEYS_PER_WINDOW:
        raise TooManyAttempts(timedelta(seconds=PASSKEY_WINDOW_S))
    passkeys.check_passkey(user, session, party, credential, now)


def is_confirmed(session: Session, now: datetime) -> bool:
    """Say whether password or second factor were shown in this session a short while ago."""
    return session.confirmed_at is not None and now - session.confirmed_at < CONFIRMATION_LIFETIME


def record_confirmation(session: Session, now: datetime) -> None:
    Session.update(confirmed_at=now).where(Session.id == session.id).execute()


# ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def confirm_app(user: User, session: Session, typed: str, now: datetime) -> list[str]:
    """Put a new authenticator app to use by its first code.

    Return the recovery codes if they are new. Raises WrongCode, TooManyAttempts.
    """
    key, code = totp.pending_key(user), re.sub(r"\s", "", unicodedata.normalize("NFKC", typed))
    _throttled(
        "totp-setup", user, session, now, lambda: key is not None and totp.accept_code(key, code, now), WrongCode
    )
    assert key is not None  # noqa: S101
    with db.atomic():
        was_on = is_on(user)
        totp.confirm_setup(key, now)
        return _added(user, session, "app", was_on, now)


def add_passkey(
    user: User, session: Session, party: passkeys.RelyingParty, credential: str, name: str, now: datetime
) -> list[str]:
    """Add a passkey. Return the recovery codes if they are new. Raises PasskeyRefused, DomainError."""
    was_on = is_on(user)
    passkeys.add_passkey(user, session, party, credential, name, now)  # outside: a refusal uses up the challenge too
    with db.atomic():
        return _added(user, session, "passkey", was_on, now)


def _added(user: User, session: Session, method: str, was_on: bool, now: datetime) -> list[str]:
    """Write down a new method. With the first one, all other devices become new ones."""
    audit.log_action(user, "second_factor.added", user.id, kind="user", detail={"method": method})
    _notify(user, now, _event(method))
    if not was_on:
        Device.update(second_factor_at=None).where(Device.user == user).execute()
    Device.update(second_factor_at=now).where(Device.id == session.device_id).execute()
    if was_on and recovery_codes.count_unused(user):
        return []
    return recovery_codes.replace_codes(user, now)


def replace_recovery_codes(user: User, now: datetime) -> list[str]:
    """Make ten new recovery codes; the earlier ones end."""
    with db.atomic():
        codes = recovery_codes.replace_codes(user, now)
        audit.log_action(user, "recovery_code.replaced", user.id, kind="user")
        _notify(user, now, _event("codes"))
    return codes


def remove_app(user: User, now: datetime) -> None:
    """Stop accepting the codes of the app. Idempotent."""
    with db.atomic():
        if TotpKey.delete().where(TotpKey.user == user).execute():
            _removed(user, now)


def remove_passkey(passkey: Passkey, now: datetime) -> None:
    with db.atomic():
        if Passkey.delete().where(Passkey.id == passkey.id).execute():
            _removed(passkey.user, now)


def _removed(user: User, now: datetime) -> None:
    """Write down a removed method. Without any, the recovery codes end too."""
    audit.log_action(user, "second_factor.removed", user.id, kind="user")
    if is_on(user):
        _notify(user, now, _event("removed"))
    else:
        RecoveryCode.delete().where(RecoveryCode.user == user).execute()
        _notify(user, now, _event("off"))


def reset(user: User, now: datetime, *, by: User | None) -> bool:
    """Remove the whole second factor of a user who cannot reach it. `by`: None for the terminal. False if there is none.

    An e-mail tells the user.
    """
    if not is_on(user):
        return False
    with db.atomic():
        for table in (TotpKey, Passkey, RecoveryCode):
            table.delete().where(table.user == user).execute()
        audit.log_action(by, "second_factor.reset", user.id, kind="user")
        _notify(user, now, _event("reset"))
    return True


# ── letters ──────────────────────────────────────────────────────────────────────────────────────────────────────


_EVENTS = {
    "app": N_("An authenticator app was added to your account."),
    "passkey": N_("A passkey was added to your account."),
    "codes": N_("New recovery codes were made. The earlier ones no longer work."),
    "code": N_("A recovery code was used to log in or to confirm. %(left)s are left."),
    "removed": N_("A passkey or the authenticator app was removed from your account."),
    "off": N_("Two-step verification was turned off: your password is enough again."),
    "reset": N_("An administrator turned off your two-step verification. You can set it up again on the page below."),
    "guessed": N_("Somebody entered your password on a new device, and then wrong codes. Nothing was opened."),
}


def _event(name: str) -> Callable[[str], str]:
    return lambda spoken: i18n.say(spoken, _EVENTS[name])


def _notify(user: User, now: datetime, what: Callable[[str], str]) -> None:
    if not user.email or rate_limits.record_hit(f"second factor letter:{user.id}", now, 3600) > MAX_LETTERS:
        return
    config = load_settings()
    notify(
        "second-factor",
        user,
        now,
        name=user.name,
        what=what,
        url=f"{config.base_url}/account",
        administrators=", ".join(holders_for_lists("admin", ()).names) or config.contact,
    )
