"""Forms that met an ended session, kept for the user whose page they came from (docs/decisions/0089).

A kept form acts never by itself: the page shows it filled in, and the user presses again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from models import KeptForm, User

LIFETIME = timedelta(days=3)
MAX_FORMS = 10
"""Kept forms of one user. A further one takes the place of the oldest."""
MAX_CHARS = 1_000_000
_NEVER_KEPT = ("password", "code", "credential", "secret", "token", "kept")

OTHER_VERSION = "other-version"
"""Name of a field that marks the words of another window, overwritten by this user."""

Fields = Sequence[tuple[str, str]]


def without_secrets(fields: Fields) -> list[tuple[str, str]]:
    """Drop passwords, codes and form tokens."""
    return [(name, value) for name, value in fields if name != "old" and not any(part in name for part in _NEVER_KEPT)]


def keep_form(
    user: User,
    *,
    page: str,
    action: str,
    fields: Fields,
    has_files: bool,
    now: datetime,
    by_itself: bool = False,
    shown: bool = False,
) -> KeptForm | None:
    """Keep a posted form; None if it holds nothing or is too long.

    page, action: paths of the page and of the address that the form was posted to.
    by_itself: posted by a script; it replaces the form that the same page posted before.
    shown: a login does not lead to it.
    """
    kept = without_secrets(fields)
    if not kept or sum(len(value) for _, value in kept) > MAX_CHARS:
        return None
    if by_itself:
        KeptForm.delete().where(KeptForm.user == user, KeptForm.page == page, KeptForm.action == action).execute()
    row = KeptForm.create(user=user, page=page, action=action, fields=kept, has_files=has_files, shown=shown, at=now)
    newest = KeptForm.select(KeptForm.id).where(KeptForm.user == user).order_by(KeptForm.id.desc()).limit(MAX_FORMS)
    KeptForm.delete().where(KeptForm.user == user, KeptForm.id.not_in(newest)).execute()
    return row


def form_of_user(user: User, number: int, now: datetime) -> KeptForm | None:
    """Return a kept form of this user; None if it is another's or has expired."""
    row: KeptForm | None = KeptForm.get_or_none(
        KeptForm.id == number, KeptForm.user == user, KeptForm.at > now - LIFETIME
    )
    return row


def newest_unseen(user: User, now: datetime) -> KeptForm | None:
    """Return the newest kept form that was not shown yet."""
    row: KeptForm | None = (
        KeptForm.select()
        .where(KeptForm.user == user, KeptForm.at > now - LIFETIME, KeptForm.shown == False)
        .order_by(KeptForm.id.desc())
        .first()
    )
    return row


def mark_shown(row: KeptForm) -> None:
    KeptForm.update(shown=True).where(KeptForm.id == row.id, KeptForm.shown == False).execute()


def forget_form(user: User, number: int) -> None:
    """Delete a form that was posted again and taken."""
    KeptForm.delete().where(KeptForm.id == number, KeptForm.user == user).execute()


def delete_old_forms(now: datetime) -> int:
    """Delete expired forms; return how many."""
    return int(KeptForm.delete().where(KeptForm.at <= now - LIFETIME).execute())
