"""An organizer's new e-mail address: it counts once its letter was answered by a press, and the old one is told.

Links for a new password go to this address, so a misprint would hand the account to a stranger (T-11).
"""

from datetime import datetime

from core import history, service
from core.organization import settings
from core.organizers import accounts, mailed_links
from core.organizers.holders import of_lists
from mail import address
from models import User
from words import N_

PURPOSE = "email"


def ask(user: User, typed: str | None, now: datetime) -> bool:
    """Send the letter with the link to a new address; True if it has to be confirmed. Raises accounts.Refused.

    No address at all, or the present one written otherwise, counts at once.
    """
    wanted = accounts.clean_email(typed)
    if wanted is None or address.key(wanted) == user.email_key:
        old = user.email
        accounts.change(user, now=now, email=wanted, email_wanted=None)
        _tell(user, old, wanted, now)
        return False
    if User.select().where(User.email_key == address.key(wanted), User.id != user.id).exists():
        raise accounts.Refused("email", N_("Another account already has this e-mail address."))
    User.update(email_wanted=wanted, link_serial=User.link_serial + 1).where(User.id == user.id).execute()
    again(User.get_by_id(user.id), now)
    history.log(user, "user.email_asked", user.id, kind="user")
    return True


def again(user: User, now: datetime) -> None:
    """Send the letter to the wanted address; older links still work."""
    assert user.email_wanted  # noqa: S101
    service.send(
        PURPOSE,
        address=user.email_wanted,
        language=user.language,
        values={"name": user.name, "url": mailed_links.url(user, PURPOSE, now)},
        now=now,
        useful_s=int(mailed_links.PURPOSES[PURPOSE].good_for.total_seconds()),
    )


def give_up(user: User) -> None:
    """Forget a new address that was not confirmed; its link is dead."""
    User.update(email_wanted=None, link_serial=User.link_serial + 1).where(User.id == user.id).execute()


def confirm(mark: str, now: datetime) -> User:
    """Take the new address over by the link of its letter, once. Raises DeadLink, accounts.Refused."""
    user = mailed_links.use(mark, PURPOSE, now)
    if not user.email_wanted:
        raise mailed_links.DeadLink(mailed_links.DeadLink.message)
    old, wanted = user.email, user.email_wanted
    accounts.change(user, now=now, email=wanted, email_wanted=None)
    _tell(user, old, wanted, now)
    return User.get_by_id(user.id)


def _tell(user: User, old: str | None, new: str | None, now: datetime) -> None:
    """Write to the address that was taken off, without naming the new one."""
    if old and (new is None or address.key(old) != address.key(new)):
        values = {"name": user.name, "administrators": ", ".join(of_lists("admin", ()).names) or settings().contact}
        service.send("email-changed", address=old, language=user.language, values=values, now=now, useful_s=86400)
