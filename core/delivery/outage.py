"""An outage: the mail server cannot be reached or refuses the login. Notices pause and no attempt is counted.

A notice that was paused for too long is held for a decision of its organizer (decision 8), whether the outage is over
or not.
"""

from datetime import datetime, timedelta

from peewee import fn

from core.delivery import throttle
from core.delivery.lifecycle import hold_notice
from database import db, millis
from models import Notice, NoticeState, ThrottleBucket

SLOW_SHOWN_FOR = timedelta(seconds=20)
"""A worker notes a slow server every 15 s while it waits."""


def pause_notices(reason: str, now: datetime) -> None:
    """Pause every notice that is being sent.

    `paused_at` stays from the first failure until a letter gets its reply (`clear_outage`). So a server that accepts
    connections and closes them again and again counts as an outage, too.
    """
    since = fn.COALESCE(Notice.paused_at, millis(now))
    Notice.update(state=NoticeState.PAUSED, pause_reason=reason, paused_at=since, serial=Notice.serial + 1).where(
        Notice.state == NoticeState.SENDING
    ).execute()


def resume_notices(now: datetime, late_s: int) -> None:
    """Resume the paused notices; hold those that were paused for too long."""
    with db.atomic():
        hold_overdue_paused(now, late_s)
        Notice.update(state=NoticeState.SENDING, pause_reason="", serial=Notice.serial + 1).where(
            Notice.state == NoticeState.PAUSED
        ).execute()


def hold_overdue_paused(now: datetime, late_s: int) -> None:
    """Hold notices that an outage has delayed for too long (decision 8)."""
    oldest = now - timedelta(seconds=late_s)
    for notice in list(Notice.select().where(Notice.state == NoticeState.PAUSED, Notice.paused_at < oldest)):
        hold_notice(notice, "late", now)


def clear_outage() -> None:
    """Note that letters get through again."""
    Notice.update(paused_at=None).where(Notice.state == NoticeState.SENDING, Notice.paused_at.is_null(False)).execute()


def has_paused_notices() -> bool:
    return Notice.select().where(Notice.state == NoticeState.PAUSED).exists()


def note_slow_server(now: datetime) -> None:
    """Note that a worker waits long for an answer of the mail server."""
    ThrottleBucket.insert(name=throttle.SLOW_SERVER, at=now).on_conflict(
        conflict_target=[ThrottleBucket.name], update={ThrottleBucket.at: now}
    ).execute()


def is_server_slow(now: datetime) -> bool:
    """Return whether a worker waits long for an answer at the moment."""
    noted = ThrottleBucket.get_or_none(ThrottleBucket.name == throttle.SLOW_SERVER)
    return noted is not None and abs(now - noted.at) < SLOW_SHOWN_FOR
