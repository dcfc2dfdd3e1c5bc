"""Background tasks (huey): run due jobs on request, every minute, and housekeeping every hour.

The tables alone say what is due (law 1). If huey's file is lost, the periodic task still finds every due notice.
"""

import logging
import os
import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

from huey import Huey, crontab
from huey.storage import SqliteStorage
from peewee import OperationalError

import clock
import config
from core import disk_space, quarantine, scheduler
from core.accounts import devices, kept_forms, role_expiry, sessions
from core.notices import attachments, html_body
from core.reports import digests, stats, undeliverable
from core.responses import tracking
from core.retention import purge
from core.system import health_email, nightly_backup
from database import db, is_write_refused

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
    sessions.delete_old_sessions,
    kept_forms.delete_old_forms,
    devices.delete_old_devices,
    nightly_backup.run_nightly_backup,
    purge.run_purge,
)


class QueueFile(SqliteStorage):
    """huey's queue in an SQLite file. A file that was deleted or replaced is made and opened again, in every process.

    The journal is no WAL: a process that closes a deleted file would delete the WAL of its successor.
    """

    _conn: sqlite3.Connection | None
    _file_id: tuple[int, int] | None = None

    @property
    def conn(self) -> sqlite3.Connection:
        if self._conn is not None and self._file_id != self._find_file():
            self._conn.close()
            self._conn = None
        if self._conn is None:
            connection: sqlite3.Connection = self._create_connection()
            for statement in self.ddl:
                connection.execute(statement)
            self._conn, self._file_id = connection, self._find_file()
        return self._conn

    def _find_file(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.filename)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino


@cache
def get_huey(folder: Path) -> Huey:
    """Return the huey instance of a data folder, its three tasks registered."""
    file = str(folder / "huey.db")
    huey = Huey("kairan", storage_class=QueueFile, filename=file, fsync=True, journal_mode="truncate", results=False)
    huey.kairan_run_due_jobs = huey.task(name="ring")(_run_due_jobs)
    huey.periodic_task(crontab(minute="*"), name="sweep")(_run_every_minute)
    huey.periodic_task(crontab(minute="7"), name="hourly")(_housekeeping)
    return huey


def _run_due_jobs() -> None:
    """Run the due jobs. Workers find new letters by themselves.

    While the database cannot be written, the jobs wait for the next run.
    """
    db.connect(reuse_if_open=True)
    try:
        scheduler.run_due_jobs(clock.now())
    except (OperationalError, OSError) as fault:
        if not disk_space.note_if_full(fault) and not is_write_refused(fault):
            raise
        log.warning("the due jobs wait (%s)", fault)


def _run_every_minute() -> None:
    """Run the due jobs, and schedule a run for each notice or reminder that starts within the next minute."""
    _run_due_jobs()
    for moment in scheduler.upcoming_start_times(clock.now()):
        wake_worker(moment)


def _housekeeping() -> None:
    """Run the hourly jobs. A failing job does not stop the others.

    Not in a restored copy: it would also write its backups over those of the real installation.
    """
    if quarantine.is_active():
        return
    db.connect(reuse_if_open=True)
    for job in HOURLY_JOBS:
        try:
            job(clock.now())
        except Exception as fault:  # its text may hold an address and is not logged
            log.error("hourly: %s.%s failed (%s)", job.__module__, job.__qualname__, type(fault).__name__)


def wake_worker(at: datetime | None = None) -> None:
    """Run the due jobs now, or at an aware moment. If enqueueing fails, log it; the periodic task runs within a minute."""
    wait = (at - clock.now()).total_seconds() if at else 0
    try:
        huey = get_huey(config.current_config().data)
        if wait <= 0:
            huey.kairan_run_due_jobs()
        else:
            huey.kairan_run_due_jobs.schedule(delay=wait)
    except (OSError, sqlite3.Error) as fault:
        log.warning("the due jobs could not be enqueued (%s)", type(fault).__name__)
