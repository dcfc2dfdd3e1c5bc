"""Inviting a colleague: the account, the role and the letter with the link, all or nothing."""

from datetime import date, datetime

from core import history
from core.organizers import accounts, mailed_links, passwords, roles
from database import db
from models import User
from words import N_


def invite(
    name: str, email: str, *, language: str, kind: str, list_id: int, until: date | None, by: User, now: datetime
) -> User:
    """Add the account with its role and send the invitation. Raises accounts.Refused, roles.BadRole."""
    if accounts.clean_email(email) is None:
        raise accounts.Refused("email", N_("Please enter an e-mail address: the invitation is sent there."))
    with db.atomic():
        user = accounts.add_user(name, email=email, language=language, now=now)
        roles.give(user, kind, list_id, until=until, by=by)
        history.log(by, "user.invited", user.id)
        mailed_links.send(user, "invitation", now, by=by.name)
    return user


def is_waiting(user: User) -> bool:
    """Say whether the invitation was not taken up yet."""
    return user.password is None and user.seen_at is None and user.disabled_at is None


def again(user: User, *, by: User, now: datetime) -> bool:
    """Send the invitation once more, with a new link; False if it was taken up meanwhile."""
    if not is_waiting(user) or not user.email:
        return False
    mailed_links.send(user, "invitation", now, by=by.name)
    return True


def choose_password(text: str, purpose: str, password: str, now: datetime) -> User:
    """Take up an invitation or replace a forgotten password: the link is used, every other session ends.

    Raises DeadLink, or accounts.Refused (the link then still works).
    """
    holder = mailed_links.holder(text, purpose, now)
    accounts.check_password(password, holder.name, holder.email)
    kept = passwords.hashed(password)
    with db.atomic():
        user = mailed_links.use(text, purpose, now)
        accounts.put_password(user, kept, now)
        accounts.practice_list(user, now)
    return user
