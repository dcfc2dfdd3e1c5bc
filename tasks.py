"""The bell: huey wakes the worker early and once a minute; the tables alone say what is due (law 1).

Losing the queue's file loses nothing: the sweep finds every notice whose row says that it is due.
"""

import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

from huey import SqliteHuey, crontab

import clock
import config
from core import scheduler
from core.accounts import role_expiry
from core.notices import attachments, html_body
from core.reports import digests, stats, undeliverable
from core.responses import tracking
from core.retention import purge
from core.system import health_email
from database import db

log = logging.getLogger("kairan.tasks")

HOURLY_JOBS: tuple[Callable[[datetime], object], ...] = (
    undeliverable.notify_managers,
    health_email.send_due_emails,
    digests.send_due_digests,
    role_expiry.notify_expiring_roles,
    purge.warn_administrators,
    attachments.delete_expired_files,
    html_body.delete_unused_images,
    stats.refresh_recent_totals,
    stats.finalize_old_totals,
    tracking.delete_old_visits,
    purge.run_purge,
)


@cache
def get_huey(folder: Path) -> SqliteHuey:
    """Return the huey instance of a data folder, its three tasks registered."""
    huey = SqliteHuey("kairan", filename=str(folder / "huey.db"), fsync=True, results=False)
    huey.kairan_ring = huey.task(name="ring")(_run_due_jobs)
    huey.periodic_task(crontab(minute="*"), name="sweep")(_run_every_minute)
    huey.periodic_task(crontab(minute="7"), name="hourly")(_housekeeping)
    return huey


def _run_due_jobs() -> None:
    """Begin what is due, and the letters that follow joining; the sender processes see the letters by themselves."""
    db.connect(reuse_if_open=True)
    scheduler.run_due_jobs(clock.now())


def _run_every_minute() -> None:
    """Begin what is due, and ring for what begins before the next sweep: seven o'clock is seven, whatever was lost."""
    _run_due_jobs()
    for moment in scheduler.upcoming_start_times(clock.now()):
        wake_worker(moment)


def _housekeeping() -> None:
    """Once an hour: write the letters whose day or hour has come, and delete what nobody may see any more.

    What fails in one matter does not keep the others from their turn.
    """
    db.connect(reuse_if_open=True)
    for matter in HOURLY_JOBS:
        try:
            matter(clock.now())
        except Exception as fault:  # the worker goes on; what a fault says may hold an address and stays out of the log
            log.error("hourly: %s.%s failed (%s)", matter.__module__, matter.__qualname__, type(fault).__name__)


def wake_worker(at: datetime | None = None) -> None:
    """Wake the worker now, or at a moment (aware). A bell that cannot be rung is no harm: the sweep comes."""
    wait = (at - clock.now()).total_seconds() if at else 0
    try:
        huey = get_huey(config.current_config().data)
        if wait <= 0:
            huey.kairan_ring()
        else:
            huey.kairan_ring.schedule(delay=wait)
    except (OSError, sqlite3.Error) as silent:
        log.warning("the bell could not be rung (%s)", type(silent).__name__)
