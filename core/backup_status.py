"""What is kept safe: when the last backup was made, and one by itself before something that touches everybody."""

import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import clock
import config as ground
from models import AuditLog, Organization

COPIES_KEPT = 5  # backups of one kind; the oldest go
OVERDUE_AFTER = timedelta(days=8)
"""A nightly or weekly backup has been missed when the last one is older."""


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """When the last backup was made (None: never), whether that is too long ago, and the command that makes one."""

    last: datetime | None
    old: bool
    command: str


def current_status(now: datetime) -> BackupStatus:
    """Say how safe everything is. A new house has as many days for its first backup as an old one between two."""
    last = last_backup_at()
    since = last or Organization.load_row().set_up_at or now
    return BackupStatus(last, now - since > OVERDUE_AFTER, _backup_command())


def last_backup_at() -> datetime | None:
    """Return when the last backup was made, by hand, by night or before a great change; None: never."""
    return (
        AuditLog.select(AuditLog.at).where(AuditLog.action == "house.backed_up").order_by(AuditLog.at.desc()).scalar()
    )


def _backup_command() -> str:
    """Return the command as it is typed on this machine, for its own data folder."""
    data = ground.current_config().data
    named = "" if data == ground.PROJECT_DIR / "data" else f"KAIRAN_DATA={shlex.quote(str(data))} "
    return f"{named}{shlex.quote(str(ground.PROJECT_DIR / 'kairan'))} backup /var/backups/kairan/"


def backup_before(what: str, now: datetime) -> Path:
    """Write `data/backups/before-<what>-<time>.tar.gz` and return it. Raises OSError, snapshot.Damaged."""
    from core import backup  # once a year: pages do not load it for every process

    folder = ground.current_config().data / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"before-{what}-{clock.to_local(now):%Y%m%d-%H%M%S}.tar.gz"
    backup.create_backup(ground.current_config(), path, now)
    for old in sorted(folder.glob(f"before-{what}-*.tar.gz"))[:-COPIES_KEPT]:
        old.unlink()
    return path


def newest_backup() -> Path | None:
    """Return the backup that was made last by itself, for whoever looks where it is."""
    made = (ground.current_config().data / "backups").glob("*.tar.gz")
    return max(made, key=lambda one: one.stat().st_mtime, default=None)
