"""Password login and its throttling (T-11, E-05).

Failures count per account and network, so that an attacker elsewhere does not lock the user out. A device on which the
user logged in before has its own count. Unknown names, wrong passwords and disabled accounts get the same answer after
the same work.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadSignature, URLSafeSerializer

from config import current_config
from core import audit, rate_limits
from core.accounts import accounts, passwords, sessions
from core.errors import DomainError
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
    """The client of a login: remote address, device token of an earlier login, user agent."""

    address: str | None
    device_token: str | None = None
    agent: str = ""


def log_in(name: str, password: str, client: LoginClient, *, now: datetime, remember: bool = False) -> User:
    """Check name (or e-mail) and password and start a session. Raises WrongCredentials, TooManyAttempts."""
    user = accounts.find_user(name)
    return sessions.start_session(
        _verify(user, name, password, client, now), now=now, remember=remember, device=client.agent
    )


def confirm_password(user: User, password: str, client: LoginClient, *, now: datetime) -> None:
    """Check the password of a logged-in user, before a change of e-mail or password. Raises as `log_in` does."""
    _verify(user, user.name, password, client, now)


def _verify(user: User | None, typed: str, password: str, client: LoginClient, now: datetime) -> User:
    account, network = _account_key(user, typed, client), _network_key(user, client)
    _check_throttle(account, network, now)
    # Counted before the check, so that simultaneous tries are not free.
    failures = rate_limits.record_failure(account, now)
    valid = passwords.verify_password(user.password if user else None, password)
    if not valid or user is None or not user.is_active:
        _record_failure(user, failures, network, now)
        raise WrongCredentials
    rate_limits.reset_count(account)
    _rehash_if_outdated(user, password)
    return user


def _account_key(user: User | None, typed: str, client: LoginClient) -> str:
    """Return the limit key of the account on this device, else in this network."""
    account = str(user.id) if user else f"?{accounts.name_key(typed)}"
    device = device_by_token(client.device_token, user)
    return (
        f"password of device:{account}:{device}"
        if device
        else f"password of account:{account}:{rate_limits.client_network(client.address)}"
    )


def _network_key(user: User | None, client: LoginClient) -> str | None:
    """Return the limit key of the network; None for a known device."""
    known = device_by_token(client.device_token, user)
    return None if known else f"passwords of network:{rate_limits.client_network(client.address)}"


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


# ── known devices ────────────────────────────────────────────────────────────────────────────────────────────────


def sign_device_token(user: User) -> str:
    """Return a signed cookie value: this user has logged in on this device."""
    return _signer().dumps([user.id, secrets.token_hex(8)])


def device_by_token(token: str | None, user: User | None) -> str | None:
    """Return the device id in a token if it is genuine and this user's; else None."""
    if not token or user is None:
        return None
    try:
        user_id, device = _signer().loads(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return str(device) if user_id == user.id else None


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_config().key("secret"), salt="kairan.device")
