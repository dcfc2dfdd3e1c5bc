"""E-mailed links for users: login, new password, invitation, new address. Signed, short-lived, used once.

The link contains the user's `link_serial`. Each use and each new password increment it, which expires all older links.
Mail scanners open links, so a link acts only when its page's button is pressed (design, law 3).
"""

from datetime import date, datetime, timedelta
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from config import current_config
from core import audit, rate_limits
from core.accounts import accounts, passwords, roles
from core.accounts.logins import NETWORK_WINDOW_S, TooManyAttempts
from core.errors import DomainError
from core.notifications import letter_limits, link_requests
from core.notifications.kinds import KINDS
from core.notifications.letter_limits import Caused
from core.notifications.notify import notify
from core.settings import load_settings
from database import db, millis
from i18n import N_
from models import LinkRequest, User

PER_ACCOUNT = 3
PER_NETWORK = 10


PATHS = {"login": "/login/letter/", "password": "/password/", "invitation": "/invitation/", "email": "/account/email/"}
"""Page of each purpose. The kind of letter of the same name says how long the link works."""


class InvalidLink(DomainError):
    """The link was used, has expired, or was never issued."""

    message = N_("This link does not work any more. Each link works once and for a limited time.")


def sign_link_token(user: User, purpose: str, now: datetime) -> str:
    expires_at = now + KINDS[purpose].expires_after
    return _signer(purpose).dumps([user.id, user.link_serial, millis(expires_at)])


def link_url(user: User, purpose: str, now: datetime) -> str:
    return f"{load_settings().base_url}{PATHS[purpose]}{sign_link_token(user, purpose, now)}"


def user_by_token(token: str, purpose: str, now: datetime) -> User:
    """Return the user of a link without using it up. Raises InvalidLink."""
    try:
        user_id, serial, expires_at = _signer(purpose).loads(token)
    except (BadSignature, ValueError, TypeError) as error:
        raise InvalidLink from error
    user: User | None = User.get_or_none(User.id == user_id, User.link_serial == serial, User.disabled_at.is_null())
    if user is None or expires_at <= millis(now):
        raise InvalidLink
    return user


def redeem_token(token: str, purpose: str, now: datetime) -> User:
    """Return the user of a link and use it up; of two simultaneous calls, one succeeds. Raises InvalidLink."""
    user = user_by_token(token, purpose, now)
    serial = user.link_serial
    changed = (
        User.update(link_serial=serial + 1)
        .where(User.id == user.id, User.link_serial == serial, User.disabled_at.is_null())
        .execute()
    )
    if not changed:
        raise InvalidLink
    audit.log_action(user, f"{purpose}.used", user.id, kind="user")
    user = User.get_by_id(user.id)
    return user


def _signer(purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(current_config().key("secret"), salt=f"kairan.{purpose}")


# ── letters ──────────────────────────────────────────────────────────────────────────────────────────────────────


def request_link(purpose: str, typed: str, address: str | None, now: datetime) -> None:
    """Queue a link for the account with this name or e-mail address, whether there is one or not.

    `address`: the remote one. Raises TooManyAttempts after too many requests from its network, with or without success.
    """
    network = rate_limits.client_network(address)
    if rate_limits.record_hit(f"link request:{purpose}:{network}", now, NETWORK_WINDOW_S) > PER_NETWORK:
        raise TooManyAttempts(timedelta(seconds=NETWORK_WINDOW_S))
    link_requests.enqueue_request(purpose, typed, now)


def send_requested_links(now: datetime) -> int:
    """Send the queued links to those accounts that exist. The scheduler calls this."""
    return link_requests.process_requests(("login", "password"), _send_requested, now)


def _send_requested(row: LinkRequest, now: datetime) -> None:
    user, purpose = accounts.find_user(row.typed), row.purpose
    if user is None or not user.email or not user.is_active:
        return
    lifetime = KINDS[purpose].expires_after.total_seconds()
    if rate_limits.record_hit(f"link letter:{purpose}:{user.id}", now, lifetime) <= PER_ACCOUNT:
        send_link(user, purpose, now)


def send_link(user: User, purpose: str, now: datetime, **values: Any) -> None:
    """Send the e-mail with the link. The user must have an e-mail address."""
    notify(purpose, user, now, to_name="", name=user.name, url=link_url(user, purpose, now), **values)
    audit.log_action(None, f"{purpose}.sent", user.id, kind="user")


# ── invitations ──────────────────────────────────────────────────────────────────────────────────────────────────


def invite_user(
    name: str, email: str, *, language: str, kind: str, list_id: int, until: date | None, by: User, now: datetime
) -> User:
    """Add the account with its role and send the invitation. Raises DomainError."""
    if accounts.clean_email(email) is None:
        raise DomainError(N_("Please enter an e-mail address: the invitation is sent there."), "email")
    with db.atomic():
        letter_limits.count_letter(Caused.INVITATION, by, email, now)
        user = accounts.add_user(name, email=email, language=language, now=now)
        roles.grant_role(user, kind, list_id, until=until, by=by)
        audit.log_action(by, "user.invited", user.id)
        send_link(user, "invitation", now, by=by.name)
    return user


def is_invitation_pending(user: User) -> bool:
    return user.password is None and user.seen_at is None and user.disabled_at is None


def resend_invitation(user: User, *, by: User, now: datetime) -> bool:
    """Send the invitation with a new link; False if it was accepted meanwhile. Raises TooManyLetters."""
    if not is_invitation_pending(user) or not user.email:
        return False
    letter_limits.count_letter(Caused.INVITATION, by, user.email, now)
    send_link(user, "invitation", now, by=by.name)
    return True


def set_password_by_link(token: str, purpose: str, password: str, now: datetime) -> User:
    """Accept an invitation or replace a forgotten password. All sessions end.

    Raises InvalidLink, or DomainError (the link then still works).
    """
    user = user_by_token(token, purpose, now)
    accounts.check_password(password, user.name, user.email)
    password_hash = passwords.hash_password(password)
    with db.atomic():
        user = redeem_token(token, purpose, now)
        accounts.store_password_hash(user, password_hash, now)
        accounts.ensure_practice_list(user, now)
    return user
