"""Links that letters carry to organizers: log in, a new password, an invitation. Signed, short-lived, used once.

The link names the user's `link_serial`, which grows with every use and every new password: one use kills them all.
Mail scanners open links, so nothing happens before a button on the page is pressed (design, law 3).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadSignature, URLSafeSerializer

import config as ground
from core import audit, rate_limits
from core.accounts import accounts
from core.accounts.logins import NETWORK_WINDOW_S, TooManyAttempts
from core.notifications.notify import notify
from core.settings import load_settings
from database import millis
from i18n import N_
from models import User

PER_ACCOUNT = 3
PER_NETWORK = 10


@dataclass(frozen=True, slots=True)
class LinkPurpose:
    """How long a link of this kind works, and the path of its page."""

    good_for: timedelta
    path: str


PURPOSES = {
    "login": LinkPurpose(timedelta(minutes=15), "/login/letter/"),
    "password": LinkPurpose(timedelta(hours=1), "/password/"),
    "invitation": LinkPurpose(timedelta(hours=72), "/invitation/"),
    "email": LinkPurpose(timedelta(hours=72), "/account/email/"),
}


class InvalidLink(Exception):
    """The link was used, is too old, or was never ours."""

    message = N_("This link does not work any more. Each link works once and for a limited time.")


def sign_link_token(user: User, purpose: str, now: datetime) -> str:
    """Return the signed text of a link for one user and one purpose."""
    ends = now + PURPOSES[purpose].good_for
    return _signer(purpose).dumps([user.id, user.link_serial, millis(ends)])


def link_url(user: User, purpose: str, now: datetime) -> str:
    """Return the whole address of the link's page."""
    return f"{load_settings().base_url}{PURPOSES[purpose].path}{sign_link_token(user, purpose, now)}"


def user_by_token(text: str, purpose: str, now: datetime) -> User:
    """Return whose link this is, changing nothing. Raises InvalidLink."""
    try:
        number, serial, ends = _signer(purpose).loads(text)
    except (BadSignature, ValueError, TypeError) as wrong:
        raise InvalidLink(InvalidLink.message) from wrong
    user = User.get_or_none(User.id == number, User.link_serial == serial, User.disabled_at.is_null())
    if user is None or ends <= millis(now):
        raise InvalidLink(InvalidLink.message)
    return user


def redeem_token(text: str, purpose: str, now: datetime) -> User:
    """Return whose link this is and make it dead, exactly once even when pressed twice. Raises InvalidLink."""
    user = user_by_token(text, purpose, now)
    serial = user.link_serial
    changed = (
        User.update(link_serial=serial + 1)
        .where(User.id == user.id, User.link_serial == serial, User.disabled_at.is_null())
        .execute()
    )
    if not changed:
        raise InvalidLink(InvalidLink.message)
    audit.log_action(user, f"{purpose}.used", user.id, kind="user")
    return User.get_by_id(user.id)


def _signer(purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(ground.current_config().key("secret"), salt=f"kairan.{purpose}")


# ── letters ──────────────────────────────────────────────────────────────────────────────────────────────────────


def request_link(purpose: str, typed: str, address: str | None, now: datetime) -> None:
    """Send a link to the account named by user name or e-mail, if there is one; nobody learns whether.

    `address` is the remote one. Raises TooMany when its network asked too often, known names or not.
    """
    network = f"{purpose}:{rate_limits.client_network(address)}"
    if rate_limits.record_hit(network, now, NETWORK_WINDOW_S) > PER_NETWORK:
        raise TooManyAttempts(timedelta(seconds=NETWORK_WINDOW_S))
    user = accounts.find_user(typed)
    if user is None or not user.email or not user.is_active:
        return
    if rate_limits.record_hit(f"{purpose}:{user.id}", now, PURPOSES[purpose].good_for.total_seconds()) <= PER_ACCOUNT:
        send_link(user, purpose, now)


def send_link(user: User, purpose: str, now: datetime, **values: str) -> None:
    """Put the letter with the link in the queue. The user must have an e-mail address."""
    notify(purpose, user, now, to_name="", name=user.name, url=link_url(user, purpose, now), **values)
    audit.log_action(None, f"{purpose}.sent", user.id, kind="user")
