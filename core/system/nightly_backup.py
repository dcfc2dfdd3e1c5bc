"""The nightly backup: made, opened and compared by itself, kept for 14 nights, copied to a second place if one is set."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import clock
from config import current_config
from core import audit, backup, disk_space, rate_limits, schema
from core.accounts import who_can
from core.delivery import ledger
from core.notices.merge_fields import display_subject
from core.notifications.notify import notify_users
from core.settings import is_set_up, load_settings
from core.system import second_copy
from database import optional_write

NIGHTS_KEPT = 14
FIRST_HOUR = 2
"""Local hour from which the backup of the day is due; a machine that was off makes it later."""
RETRY_AFTER = timedelta(hours=2, minutes=30)
"""The job runs once an hour: the third run after a failure tries again, also if it starts some seconds earlier."""
ALERT_INTERVAL_S = 86400
_NAME = re.compile(r"nightly-\d{8}-\d{6}\.tar\.gz")


@dataclass(frozen=True, slots=True)
class StoredBackup:
    """A nightly backup on this machine."""

    name: str
    octets: int
    made_at: datetime


def run_nightly_backup(now: datetime) -> None:
    """Make the backup of the day if it is due, and copy it. A failure is told to the administrators once a day."""
    failed = backup.last_failure()
    if not _may_run(now) or (failed and timedelta(0) <= now - failed.at < RETRY_AFTER):
        return
    made_today = next((stored for stored in list_backups() if stored.name.startswith(_prefix(now))), None)
    if made_today and not failed:
        return
    try:
        path = _folder() / made_today.name if made_today else _make_backup(now)
        if place := current_config().backup_copy:
            second_copy.copy_backup(place, path, _names_to_delete)
            with optional_write():
                audit.log_action(None, backup.COPIED, detail={"name": path.name})
    except (OSError, schema.DatabaseDamaged, backup.InvalidBackup, second_copy.CopyFailed) as error:
        _record_failure(error, now)


def _may_run(now: datetime) -> bool:
    return clock.to_local(now).hour >= FIRST_HOUR and is_set_up() and not disk_space.is_full()


def _prefix(now: datetime) -> str:
    return f"nightly-{clock.to_local(now):%Y%m%d}-"


def _make_backup(now: datetime) -> Path:
    folder = _folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{_prefix(now)}{clock.to_local(now):%H%M%S}.tar.gz"
    with optional_write():
        ledger.carry_waiting(display_subject)
    backup.create_backup(current_config(), path, now)
    for name in _names_to_delete(one.name for one in folder.iterdir()):
        (folder / name).unlink(missing_ok=True)
    return path


def _folder() -> Path:
    return current_config().data / "backups"


def second_place() -> str:
    """Return where copies go, without keys; "" if no second place is set."""
    return second_copy.shown(current_config().backup_copy)


def _names_to_delete(names: Iterable[str]) -> list[str]:
    """Return the names of nightly backups beyond the newest 14; other names are not ours."""
    return sorted(name for name in names if _NAME.fullmatch(name))[:-NIGHTS_KEPT]


def list_backups() -> list[StoredBackup]:
    """Return the nightly backups on this machine, newest first."""
    found = []
    for path in _folder().glob("nightly-*.tar.gz"):
        if _NAME.fullmatch(path.name):
            moment = datetime.strptime(path.name[8:23], "%Y%m%d-%H%M%S")  # noqa: DTZ007  made aware at once
            found.append(StoredBackup(path.name, path.stat().st_size, clock.from_local(moment)))
    return sorted(found, key=lambda stored: stored.name, reverse=True)


def backup_path(name: str) -> Path | None:
    """Return the file of a nightly backup; None for any other name."""
    path = _folder() / name
    return path if _NAME.fullmatch(name) and path.is_file() else None


def _record_failure(error: Exception, now: datetime) -> None:
    why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    with optional_write():
        audit.log_action(None, backup.FAILED, detail={"why": why[:300]})
        if rate_limits.record_hit("backup failed", now, ALERT_INTERVAL_S) == 1:
            url = f"{load_settings().base_url}/admin/health"
            notify_users("backup_failed", who_can.administrators(), now, why=why[:300], url=url)
