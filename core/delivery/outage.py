"""Trouble on the road: the mail server cannot be reached or does not let us in. Notices pause, no attempt is counted.

What stood still for too long is held and asked about (decision 8), whether the road is open again or not.
"""

from datetime import datetime, timedelta

from peewee import fn

from core.delivery import lifecycle
from database import db, millis
from models import Notice


def pause_notices(why: str, now: datetime) -> None:
    """Pause every notice being sent: the mail server cannot be reached or does not let us in.

    `paused_at` stays from the first trouble until a letter gets through (`forget_trouble`), so that a server which
    takes our call and hangs up again and again counts as standing still, too.
    """
    since = fn.COALESCE(Notice.paused_at, millis(now))
    Notice.update(state="paused", pause_reason=why, paused_at=since, serial=Notice.serial + 1).where(
        Notice.state == "sending"
    ).execute()


def resume_notices(now: datetime, late_s: int) -> None:
    """Go on after trouble; what stood still for too long is held and asked instead."""
    with db.atomic():
        hold_overdue_paused(now, late_s)
        Notice.update(state="sending", pause_reason="", serial=Notice.serial + 1).where(
            Notice.state == "paused"
        ).execute()


def hold_overdue_paused(now: datetime, late_s: int) -> None:
    """Hold notices that trouble of ours has kept back for too long (decision 8)."""
    too_long = now - timedelta(seconds=late_s)
    for notice in list(Notice.select().where(Notice.state == "paused", Notice.paused_at < too_long)):
        lifecycle.hold_notice(notice, "late", now)


def clear_outage() -> None:
    """Note that letters get through again."""
    Notice.update(paused_at=None).where(Notice.state == "sending", Notice.paused_at.is_null(False)).execute()


def has_paused_notices() -> bool:
    """Say whether a notice stands still because of trouble on the road."""
    return Notice.select().where(Notice.state == "paused").exists()
