"""User accounts: names, e-mail addresses, passwords and practice lists."""

import re
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

from peewee import IntegrityError

import clock
import i18n
from core import audit, settings
from core.accounts import passwords, sessions
from core.errors import DomainError
from database import db
from i18n import N_
from mail import address
from models import MailingList, Membership, Organization, Person, Session, User

if TYPE_CHECKING:
    from models import Rows

_NAME = re.compile(r"[^\x00-\x1f\x7f@\u202a-\u202e\u2066-\u2069]{1,60}")


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
    """Add a user without a role. Without a password, only an e-mailed link opens the account.

    Raises DomainError for a name or address that is taken or invalid, and for a weak password.
    """
    shown, mail = clean_name(name), clean_email(email)
    if password is not None:
        check_password(password, shown, mail)
    try:
        with db.atomic():
            return User.create(
                name=shown,
                name_key=name_key(shown),
                email=mail,
                email_key=address.comparison_key(mail) if mail else None,
                password=passwords.hash_password(password) if password else None,
                language=language,
                created_at=now or clock.now(),
            )
    except IntegrityError as taken:
        raise _duplicate_error(taken) from taken


def _duplicate_error(error: IntegrityError) -> DomainError:
    if "email_key" in str(error):
        return DomainError(N_("Another account already has this e-mail address."), "email")
    return DomainError(N_("Another account already has this user name."), "name")


def clean_name(raw: str) -> str:
    """Return a user name as it is shown. Raises DomainError, also for an @: `find_user` takes that for an address."""
    shown = " ".join(unicodedata.normalize("NFC", raw).split())
    if not _NAME.fullmatch(shown):
        raise DomainError(N_("Please enter a user name: 1 to 60 characters, without @."), "name")
    return shown


def clean_email(raw: str | None) -> str | None:
    """Return the address in a field that may be empty. Raises DomainError."""
    if not (raw or "").strip():
        return None
    try:
        mail = address.parse_address(raw or "")
    except address.BadAddress as wrong:
        raise DomainError(wrong.message, "email") from wrong
    if _is_own_address(mail):
        raise DomainError(N_("This is an address of Kairan itself. Please enter one that a person reads."), "email")
    return mail


def _is_own_address(mail: str) -> bool:
    """Say whether mail to this address comes back to Kairan, which would make a loop."""
    local = settings.load_settings().own_addresses.local_part_of(mail)
    if not local:
        return local is not None  # "": the mailbox itself; None: not ours
    return address.is_reserved_local_part(local) or MailingList.select().where(MailingList.address == local).exists()


def check_password(password: str, name: str, email: str | None, organization: str | None = None) -> None:
    """Raise DomainError unless the password keeps the rule of `core.accounts.passwords`."""
    passwords.check_password_strength(password, name, email or "", organization or Organization.load_row().name)


def list_users() -> "Rows[User]":
    """Select the users by name, disabled ones last."""
    return User.select().order_by(User.disabled_at.is_null(False), User.name_key)


def find_user(typed: str) -> User | None:
    """Return the user with this user name or e-mail address."""
    if "@" in typed:
        condition = User.email_key == address.comparison_key(unicodedata.normalize("NFKC", typed))
    else:
        condition = User.name_key == name_key(typed)
    user: User | None = User.get_or_none(condition)
    return user


def set_password(user: User, password: str, now: datetime, *, keep: Session | None = None) -> None:
    """Set a new password; all sessions but `keep` end, and all e-mailed links expire. Raises DomainError."""
    check_password(password, user.name, user.email)
    store_password_hash(user, passwords.hash_password(password), now, keep=keep)


def store_password_hash(user: User, password_hash: str, now: datetime, *, keep: Session | None = None) -> None:
    """Store the hash of a new password, with the effects of `set_password`."""
    with db.atomic():
        User.update(password=password_hash, link_serial=User.link_serial + 1).where(User.id == user.id).execute()
        sessions.revoke_all_sessions(user, now, but=keep)
        audit.log_action(user, "password.changed", user.id, kind="user")


def change_account(user: User, *, now: datetime, **fields: str | None) -> None:
    """Change name, email, language or signature. Raises DomainError.

    A new address expires all e-mailed links and moves the practice list to it.
    """
    new: dict[str, object] = dict(fields)
    if "name" in fields:
        new["name"] = clean_name(fields["name"] or "")
        new["name_key"] = name_key(str(new["name"]))
    if "email" in fields:
        mail = clean_email(fields["email"])
        new |= {
            "email": mail,
            "email_key": address.comparison_key(mail) if mail else None,
            "link_serial": User.link_serial + 1,
        }
    try:
        with db.atomic():
            User.update(**new).where(User.id == user.id).execute()
            audit.log_action(user, "user.changed", user.id, detail={"fields": sorted(fields)})
    except IntegrityError as taken:
        raise _duplicate_error(taken) from taken
    ensure_practice_list(User.get_by_id(user.id), now)


# ── the practice list ────────────────────────────────────────────────────────────────────────────────────────────


def ensure_practice_list(user: User, now: datetime) -> MailingList | None:
    """Return the practice list, which reaches only this user; None without an e-mail address. Idempotent."""
    if not user.email:
        return None
    with db.atomic():
        name = i18n.say(user.language, N_("Practice (reaches only you)"))
        fields = {"name": name, "address": f"practice-{user.id}", "created_at": now}
        practice_list, _ = MailingList.get_or_create(practice_of=user, defaults=fields)
        person = _person_for_user(user, now)
        Membership.delete().where(Membership.list == practice_list, Membership.person != person).execute()
        Membership.get_or_create(person=person, list=practice_list, defaults={"joined_at": now})
    return practice_list


def _person_for_user(user: User, now: datetime) -> Person:
    """Return the person with the user's address; add one if no family has it."""
    fields = {
        "name": user.name,
        "address": user.email,
        "violates_rfc": address.violates_rfc(user.email or ""),
        "language": user.language,
        "created_at": now,
    }
    return Person.get_or_create(address_key=user.email_key, defaults=fields)[0]
