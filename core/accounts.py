"""Organizers' accounts: names, addresses, passwords, who is disabled, and everybody's own practice list."""

import re
import unicodedata
from datetime import datetime

from peewee import IntegrityError

import clock
import models
from core import history, passwords, sessions
from core.sessions import user_of_session
from mail import address
from models import Organization, User
from words import N_

__all__ = ["Refused", "add_user", "named", "user_of_session"]

_NAME = re.compile(r"[^\x00-\x1f\x7f@]{1,60}")


class Refused(Exception):
    """An account cannot be made or changed so; `message` says why for `say`, `field` names the field."""

    def __init__(self, field: str, message: str, **values: object) -> None:
        super().__init__(message)
        self.field, self.message, self.values = field, message, values


def name_key(name: str) -> str:
    """Return the form in which two user names are compared: width, case and spaces do not count."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", name)).casefold()


def add_user(
    name: str,
    *,
    email: str | None = None,
    password: str | None = None,
    language: str = "ja",
    now: datetime | None = None,
) -> User:
    """Add an organizer who may do nothing yet. Without a password only a link from a letter opens the account.

    Raises Refused if the name or the address is taken or unusable, or the password too easy.
    """
    shown, mail = clean_name(name), clean_email(email)
    if password is not None:
        check_password(password, shown, mail)
    try:
        with models.db.atomic():
            return User.create(
                name=shown,
                name_key=name_key(shown),
                email=mail,
                email_key=address.key(mail) if mail else None,
                password=passwords.hashed(password) if password else None,
                language=language,
                created_at=now or clock.now(),
            )
    except IntegrityError as taken:
        raise _taken(taken) from taken


def _taken(error: IntegrityError) -> Refused:
    if "email_key" in str(error):
        return Refused("email", N_("Another account already has this e-mail address."))
    return Refused("name", N_("Another account already has this user name."))


def clean_name(raw: str) -> str:
    """Return a user name as it is shown; raise Refused if it cannot be one (an @ would read as an address)."""
    shown = " ".join(unicodedata.normalize("NFC", raw).split())
    if not _NAME.fullmatch(shown):
        raise Refused("name", N_("Please enter a user name: 1 to 60 characters, without @."))
    return shown


def clean_email(raw: str | None) -> str | None:
    """Return the address in a field that may be empty; raise Refused if it is none."""
    if not (raw or "").strip():
        return None
    try:
        return address.clean(raw or "")
    except address.BadAddress as wrong:
        raise Refused("email", wrong.message) from wrong


def check_password(password: str, name: str, email: str | None) -> None:
    """Raise Refused unless the password keeps the rule of `core.passwords`."""
    try:
        passwords.check(password, name, email or "", Organization.the().name)
    except passwords.WeakPassword as weak:
        raise Refused("password", weak.message, **weak.values) from weak


def named(typed: str) -> User | None:
    """Return the user with this user name or e-mail address; None if there is none."""
    if "@" in typed:
        return User.get_or_none(User.email_key == address.key(unicodedata.normalize("NFKC", typed)))
    return User.get_or_none(User.name_key == name_key(typed))


def set_password(user: User, password: str, now: datetime, *, keep: models.Session | None = None) -> None:
    """Give a new password; every other session ends and every link in a letter is dead."""
    check_password(password, user.name, user.email)
    with models.db.atomic():
        User.update(password=passwords.hashed(password), link_serial=User.link_serial + 1).where(
            User.id == user.id
        ).execute()
        sessions.end_all(user, now, but=keep)
        history.log(user, "password.changed", user.id, kind="user")
