"""Changing a user's e-mail address: confirmed by a link sent to the new one, reported to the old one (T-11).

Links for a new password go to this address, so a misprint would hand the account to a stranger.
"""

from datetime import datetime

from core import audit
from core.accounts import accounts, login_links
from core.accounts.who_can import holders_for_lists
from core.errors import DomainError
from core.notifications.letter_limits import Caused, count_letter
from core.notifications.notify import notify
from core.settings import load_settings
from i18n import N_
from mail import address
from models import User

LINK_PURPOSE = "email"


def request_email_change(user: User, typed: str | None, now: datetime) -> bool:
    """Send the confirmation link to a new address. Raises DomainError.

    Return False if the change took effect at once: no address, or the present one in another spelling.
    """
    wanted = accounts.clean_email(typed)
    if wanted is None or address.comparison_key(wanted) == user.email_key:
        _replace_email(user, wanted, now)
        return False
    if User.select().where(User.email_key == address.comparison_key(wanted), User.id != user.id).exists():
        raise DomainError(N_("Another account already has this e-mail address."), "email")
    count_letter(Caused.NEW_EMAIL, user, wanted, now)
    User.update(pending_email=wanted, link_serial=User.link_serial + 1).where(User.id == user.id).execute()
    _send_confirmation(User.get_by_id(user.id), now)
    audit.log_action(user, "user.email_asked", user.id, kind="user")
    return True


def resend_email_change(user: User, now: datetime) -> None:
    """Send the confirmation link once more; older links still work. Raises TooManyLetters."""
    assert user.pending_email  # noqa: S101
    count_letter(Caused.NEW_EMAIL, user, user.pending_email, now)
    _send_confirmation(user, now)


def _send_confirmation(user: User, now: datetime) -> None:
    url = login_links.link_url(user, LINK_PURPOSE, now)
    notify(LINK_PURPOSE, str(user.pending_email), now, language=user.language, name=user.name, url=url)


def cancel_email_change(user: User) -> None:
    """Drop the unconfirmed address and expire its link."""
    User.update(pending_email=None, link_serial=User.link_serial + 1).where(User.id == user.id).execute()


def confirm_email_change(token: str, now: datetime) -> User:
    """Set the new address by the link sent there, once. Raises InvalidLink, DomainError."""
    user = login_links.redeem_token(token, LINK_PURPOSE, now)
    if not user.pending_email:
        raise login_links.InvalidLink
    _replace_email(user, user.pending_email, now)
    return User.get_by_id(user.id)


def _replace_email(user: User, new: str | None, now: datetime) -> None:
    """Change the address and notify the old one, without naming the new one."""
    old = user.email
    accounts.change_account(user, now=now, email=new, pending_email=None)
    if old and (new is None or address.comparison_key(old) != address.comparison_key(new)):
        names = ", ".join(holders_for_lists("admin", ()).names) or load_settings().contact
        notify("email-changed", old, now, language=user.language, name=user.name, administrators=names)
