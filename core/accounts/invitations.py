"""Inviting a user: account, role and e-mail in one transaction."""

from datetime import date, datetime

from core import audit
from core.accounts import accounts, login_links, passwords, roles
from core.errors import DomainError
from database import db
from i18n import N_
from models import User


def invite_user(
    name: str, email: str, *, language: str, kind: str, list_id: int, until: date | None, by: User, now: datetime
) -> User:
    """Add the account with its role and send the invitation. Raises DomainError."""
    if accounts.clean_email(email) is None:
        raise DomainError(N_("Please enter an e-mail address: the invitation is sent there."), "email")
    with db.atomic():
        user = accounts.add_user(name, email=email, language=language, now=now)
        roles.grant_role(user, kind, list_id, until=until, by=by)
        audit.log_action(by, "user.invited", user.id)
        login_links.send_link(user, "invitation", now, by=by.name)
    return user


def is_invitation_pending(user: User) -> bool:
    return user.password is None and user.seen_at is None and user.disabled_at is None


def resend_invitation(user: User, *, by: User, now: datetime) -> bool:
    """Send the invitation with a new link; False if it was accepted meanwhile."""
    if not is_invitation_pending(user) or not user.email:
        return False
    login_links.send_link(user, "invitation", now, by=by.name)
    return True


def set_password_by_link(token: str, purpose: str, password: str, now: datetime) -> User:
    """Accept an invitation or replace a forgotten password. All sessions end.

    Raises InvalidLink, or DomainError (the link then still works).
    """
    user = login_links.user_by_token(token, purpose, now)
    accounts.check_password(password, user.name, user.email)
    password_hash = passwords.hash_password(password)
    with db.atomic():
        user = login_links.redeem_token(token, purpose, now)
        accounts.store_password_hash(user, password_hash, now)
        accounts.ensure_practice_list(user, now)
    return user
