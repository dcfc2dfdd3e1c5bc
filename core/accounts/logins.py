"""The password and its throttling (T-11, E-05).

Failures count per account and network, so that an attacker elsewhere does not lock the user out. A device on which the
user logged in before has its own count. Unknown names, wrong passwords and disabled accounts get the same answer after
the same work.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from core import audit, rate_limits
from core.accounts import accounts, devices, passwords
from core.errors import DomainError
from database import is_write_refused, optional_write
from i18n import N_
from models import User

PER_NETWORK = 20
NETWORK_WINDOW_S = 600


class WrongCredentials(DomainError):
    """The user name or the password is wrong, or the account is disabled; the answer does not say which."""

    message = N_("The user name or the password is not right.")


class TooManyAttempts(DomainError):
    """Too many failures from this account, device or network; `wait`: until the next try."""

    message = N_("There were too many wrong tries. Please wait %(minutes)s min and try again.")

    def __init__(self, wait: timedelta) -> None:
        super().__init__(minutes=max(1, -(-int(wait.total_seconds()) // 60)))
        self.wait = wait


@dataclass(frozen=True, slots=True)
class LoginClient:
    """The client of a login: remote address, cookie of known devices, user agent."""

    address: str | None
    device_cookie: str | None = None
    agent: str = ""


def verify_login(name: str, password: str, client: LoginClient, *, now: datetime) -> User:
    """Return the user of this name (or e-mail) and password. Raises WrongCredentials, TooManyAttempts."""
    return _verify(accounts.find_user(name), name, password, client, now)


def confirm_password(user: User, password: str, client: LoginClient, *, now: datetime) -> None:
    """Check the password of a logged-in user, before a sensitive action. Raises as `verify_login` does."""
    _verify(user, user.name, password, client, now)


def _verify(user: User | None, typed: str, password: str, client: LoginClient, now: datetime) -> User:
    account, network = _limit_keys(user, typed, client, now)
    # Counted before the check, so that simultaneous tries are not free.
    failures = _count_try(account, network, now)
    valid = passwords.verify_password(user.password if user else None, password)
    if not valid or user is None or not user.is_active:
        with optional_write():
            _record_failure(user, failures, network, now)
        raise WrongCredentials
    _tries_unsaved.pop(account, None)
    with optional_write():
        rate_limits.reset_count(account)
    with optional_write():
        _rehash_if_outdated(user, password)
    return user


_tries_unsaved: dict[str, int] = {}
"""Tries by limit key, in this process alone: while the file of counts cannot be written."""
MAX_UNSAVED = 10_000


def _count_try(account: str, network: str | None, now: datetime) -> int:
    """Count a try; return how many. While counts cannot be written, this process counts and stops at the sixth."""
    try:
        _check_throttle(account, network, now)
        failures = rate_limits.record_failure(account, now)
    except (sqlite3.OperationalError, OSError) as error:
        if not is_write_refused(error):
            raise
    else:
        _tries_unsaved.clear()
        return failures
    tries = _tries_unsaved.get(account, 0) + 1
    if tries > rate_limits.FREE_FAILURES or len(_tries_unsaved) >= MAX_UNSAVED:
        raise TooManyAttempts(rate_limits.FIRST_LOCKOUT)
    _tries_unsaved[account] = tries
    return tries


def _limit_keys(user: User | None, typed: str, client: LoginClient, now: datetime) -> tuple[str, str | None]:
    """Return the limit keys of the account and of the network.

    A known device has its own count of the account, and none of the network.
    """
    account = str(user.id) if user else f"?{accounts.name_key(typed)}"
    device = devices.find_device(user, client.device_cookie, now)
    if device:
        return f"password of device:{account}:{device.id}", None
    network = rate_limits.client_network(client.address)
    return f"password of account:{account}:{network}", f"passwords of network:{network}"


def _check_throttle(account: str, network: str | None, now: datetime) -> None:
    if wait := rate_limits.retry_after(account, now):
        raise TooManyAttempts(wait)
    if network and rate_limits.hit_count(network, now) >= PER_NETWORK:
        raise TooManyAttempts(timedelta(seconds=NETWORK_WINDOW_S))


def _record_failure(user: User | None, failures: int, network: str | None, now: datetime) -> None:
    if network:
        rate_limits.record_hit(network, now, NETWORK_WINDOW_S)
    if failures == rate_limits.FREE_FAILURES:
        audit.log_action(user, "login.refused", user.id if user else None, detail={"tries": failures})


def _rehash_if_outdated(user: User, password: str) -> None:
    """Hash the password again if its hash was made with other parameters."""
    if user.password and passwords.needs_rehash(user.password):
        User.update(password=passwords.hash_password(password)).where(
            User.id == user.id, User.password == user.password
        ).execute()
