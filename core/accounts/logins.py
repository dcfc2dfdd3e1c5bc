"""Logging in with a password, and the waiting that guessing costs (T-11, E-05, docs: defences, "Login guessing").

Wrong tries count per account and network, so that a guesser elsewhere keeps nobody out of the own account; a device
on which the user logged in before counts for itself. Unknown names, wrong passwords and disabled accounts get the
same answer after the same work.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadSignature, URLSafeSerializer

import config as ground
from core import audit, rate_limits
from core.accounts import accounts, passwords, sessions
from i18n import N_
from models import User

PER_NETWORK = 20
NETWORK_WINDOW_S = 600


class WrongCredentials(Exception):
    """User name and password do not belong together, or the account is disabled: nobody is told which."""

    message = N_("The user name or the password is not right.")


class TooManyAttempts(Exception):
    """There were too many wrong tries from here; `wait` says how long to rest."""

    message = N_("There were too many wrong tries. Please wait %(minutes)s min and try again.")

    def __init__(self, wait: timedelta) -> None:
        super().__init__(self.message)
        self.wait = wait

    @property
    def values(self) -> dict[str, object]:
        return {"minutes": max(1, -(-int(self.wait.total_seconds()) // 60))}


@dataclass(frozen=True, slots=True)
class LoginClient:
    """Who knocks: the remote address, the device mark of an earlier login (or None), the name of the browser."""

    address: str | None
    mark: str | None = None
    agent: str = ""


def log_in(name: str, password: str, visitor: LoginClient, *, now: datetime, remember: bool = False) -> User:
    """Check name (or e-mail) and password and open a session. Raises WrongLogin or TooMany, the same for all."""
    user = accounts.find_user(name)
    door, network = _attempt_key(user, name, visitor), _network_key(user, visitor)
    _check_throttle(door, network, now)
    # Counted before it is checked, so that tries at the same moment cannot all be free.
    tries = rate_limits.record_failure(door, now)
    if not passwords.verify_password(user.password if user else None, password) or user is None or not user.is_active:
        _record_failure(user, tries, network, now)
        raise WrongCredentials(WrongCredentials.message)
    rate_limits.reset_count(door)
    _rehash_if_outdated(user, password)
    return sessions.start_session(user, now=now, remember=remember, device=visitor.agent)


def confirm_password(user: User, password: str, visitor: LoginClient, *, now: datetime) -> None:
    """Check the password of somebody who is logged in, before e-mail or password change. Raises as `log_in` does."""
    door, network = _attempt_key(user, user.name, visitor), _network_key(user, visitor)
    _check_throttle(door, network, now)
    tries = rate_limits.record_failure(door, now)
    if not passwords.verify_password(user.password, password):
        _record_failure(user, tries, network, now)
        raise WrongCredentials(WrongCredentials.message)
    rate_limits.reset_count(door)


def _attempt_key(user: User | None, typed: str, visitor: LoginClient) -> str:
    """Name what wrong tries are counted on: the account from this device, else from this network."""
    who = str(user.id) if user else f"?{accounts.name_key(typed)}"
    device = device_by_token(visitor.mark, user)
    return f"login:{who}:device:{device}" if device else f"login:{who}:{rate_limits.client_network(visitor.address)}"


def _network_key(user: User | None, visitor: LoginClient) -> str | None:
    """Name the network to count on; None for a device that is known."""
    return None if device_by_token(visitor.mark, user) else f"login:{rate_limits.client_network(visitor.address)}"


def _check_throttle(door: str, network: str | None, now: datetime) -> None:
    if rest := rate_limits.retry_after(door, now):
        raise TooManyAttempts(rest)
    if network and rate_limits.hit_count(network, now) >= PER_NETWORK:
        raise TooManyAttempts(timedelta(seconds=NETWORK_WINDOW_S))


def _record_failure(user: User | None, tries: int, network: str | None, now: datetime) -> None:
    if network:
        rate_limits.record_hit(network, now, NETWORK_WINDOW_S)
    if tries == rate_limits.FREE_FAILURES:
        audit.log_action(user, "login.refused", user.id if user else None, detail={"tries": tries})


def _rehash_if_outdated(user: User, password: str) -> None:
    """Make the hash anew if it is from times with other parameters."""
    if user.password and passwords.needs_rehash(user.password):
        User.update(password=passwords.hash_password(password)).where(
            User.id == user.id, User.password == user.password
        ).execute()


# ── known devices ────────────────────────────────────────────────────────────────────────────────────────────────


def sign_device_token(user: User) -> str:
    """Return a signed mark for a cookie: this user has logged in on this device."""
    return _signer().dumps([user.id, secrets.token_hex(8)])


def device_by_token(mark: str | None, user: User | None) -> str | None:
    """Return the device in a mark if it is genuine and this user's; else None."""
    if not mark or user is None:
        return None
    try:
        number, device = _signer().loads(mark)
    except (BadSignature, ValueError, TypeError):
        return None
    return device if number == user.id else None


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(ground.current_config().key("secret"), salt="kairan.device")
