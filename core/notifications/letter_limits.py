"""Limits of the letters that a person can cause by a button: for each user and kind, and for each target address.

Scheduled letters, notices, and letters with a limit of their own (log-in, sign-up, preference page) do not count here.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from core import rate_limits
from core.errors import DomainError
from i18n import N_
from mail import address as addresses
from models import User

HOUR_S, DAY_S = 3600, 86400


class Caused(StrEnum):
    """What a user's action sends. Each kind counts apart."""

    SENDER_TRIAL = "sender trial"
    MEMBER_TEST = "member test"
    NOTICE_TEST = "notice test"
    OWN_COPY = "own copy"
    MAIL_TEST = "mail test"
    HEALTH = "health"
    INVITATION = "invitation"
    NEW_EMAIL = "new email"
    DIRECT_MESSAGE = "direct message"
    REVIEW = "review"
    ADDRESS_CHANGE = "address change"
    APPROVAL = "approval"


PER_USER_AND_HOUR = {
    Caused.SENDER_TRIAL: 30,
    Caused.MEMBER_TEST: 30,
    Caused.NOTICE_TEST: 30,
    Caused.OWN_COPY: 60,
    Caused.MAIL_TEST: 20,
    Caused.HEALTH: 6,
    Caused.INVITATION: 60,
    Caused.NEW_EMAIL: 5,
    Caused.DIRECT_MESSAGE: 60,
    Caused.REVIEW: 60,
    Caused.ADDRESS_CHANGE: 300,
    Caused.APPROVAL: 1000,
}
PER_ADDRESS = ((HOUR_S, 10), (DAY_S, 20))
"""(seconds, letters) to one address, of all kinds and users together."""


class TooManyLetters(DomainError):
    """The limit is reached. `wait`: until the next letter."""

    message = N_("Enough letters of this kind have gone out for now. The next one can go in %(minutes)s min.")
    hours = N_("Enough letters of this kind have gone out for now. The next one can go in %(hours)s h.")

    def __init__(self, wait: timedelta) -> None:
        minutes = max(1, -(-int(wait.total_seconds()) // 60))
        if minutes < 120:
            super().__init__(minutes=minutes)
        else:
            super().__init__(self.hours, hours=-(-minutes // 60))
        self.wait = wait


def count_letter(kind: Caused, by: User | None, to: str | None, now: datetime) -> None:
    """Count a letter before it is made. Raises TooManyLetters.

    by: None for the terminal. to: the address; None if the letter goes to `by`.
    """
    names = []
    if by is not None:
        names.append((f"letters by user:{kind}:{by.id}", HOUR_S, PER_USER_AND_HOUR[kind]))
    if to is not None:
        key = addresses.comparison_key(to)
        names += [(f"letters to address:{window}:{key}", window, most) for window, most in PER_ADDRESS]
    if full := [name for name, _, most in names if rate_limits.hit_count(name, now) >= most]:
        raise TooManyLetters(max(rate_limits.window_rest(name, now) for name in full))
    for name, window, _ in names:
        rate_limits.record_hit(name, now, window)


def allows_letter(kind: Caused, by: User | None, to: str | None, now: datetime) -> bool:
    """Count a letter that is left out without a word above the limit, because the page shows the same."""
    try:
        count_letter(kind, by, to, now)
    except TooManyLetters:
        return False
    return True
