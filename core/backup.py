"""Backups of the whole data folder as one file, and when the last one was made.

The file is a gzipped tar: a checked copy of the database, keys, attachments, all other files, and last a manifest with
their SHA-256 sums. Locks, queue, rate limits and the practice outbox stay out. `core.system.restore` reads it back.
"""

import hashlib
import io
import json
import os
import shlex
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import clock
from config import PROJECT_DIR, Config, current_config
from core import audit, schema
from models import AuditLog, Organization

MANIFEST = "kairan-backup.json"
MANIFEST_FORMAT = 1
DATABASE_NAME = "kairan.db"
EXCLUDED_NAMES = ("run", "backups", "outbox", "imports", "lock", "restoring", MANIFEST)
EXCLUDED_PREFIXES = ("kairan.db", "huey.db", "limits.db", "old-")
COPIES_KEPT = 5
"""How many automatic backups of one kind stay; the oldest are deleted."""
OVERDUE_AFTER = timedelta(days=8)
"""A nightly or weekly backup has been missed when the last one is older."""


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup: its file, octets, and how many files it holds."""

    path: Path
    octets: int
    files: int


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """When the last backup was made (None: never), whether that is too long ago, and the command that makes one."""

    last: datetime | None
    old: bool
    command: str


def create_backup(config: Config, target: Path, now: datetime) -> BackupResult:
    """Write everything into a file (0600), or under a name of its own into a folder. Safe while Kairan runs.

    The file appears whole or not at all. Raises OSError, schema.DatabaseDamaged.
    """
    if target.is_dir():
        target = target / f"kairan-{clock.to_local(now):%Y%m%d-%H%M%S}.tar.gz"
    part = target.with_name(f".{target.name}.part")
    copy = config.data / "backups" / f".copy-{os.getpid()}.db"
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        schema.copy_database(config.database, copy)
        files = _write_archive(config, part, copy, now)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    audit.log_action(None, "house.backed_up", detail={"files": files})
    return BackupResult(target, target.stat().st_size, files)


def create_backup_before(what: str, now: datetime) -> Path:
    """Write `data/backups/before-<what>-<time>.tar.gz` and return it. Raises OSError, schema.DatabaseDamaged."""
    folder = current_config().data / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"before-{what}-{clock.to_local(now):%Y%m%d-%H%M%S}.tar.gz"
    create_backup(current_config(), path, now)
    for old in sorted(folder.glob(f"before-{what}-*.tar.gz"))[:-COPIES_KEPT]:
        old.unlink()
    return path


def _write_archive(config: Config, part: Path, copy: Path, now: datetime) -> int:
    sums: dict[str, str] = {}
    with open(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as tar:
            for name, path in ((DATABASE_NAME, copy), *_other_files(config.data)):
                try:
                    content = path.read_bytes()
                except FileNotFoundError:  # an inbound message that was handled meanwhile
                    continue
                sums[name] = _add_entry(tar, name, content, now)
            listed = {"format": MANIFEST_FORMAT, "made_at": now.isoformat(timespec="seconds"), "files": sums}
            _add_entry(tar, MANIFEST, json.dumps(listed, indent=1).encode(), now)
        raw.flush()
        os.fsync(raw.fileno())
    return len(sums)


def _other_files(data: Path) -> Iterator[tuple[str, Path]]:
    """Give name and place of every file besides the database."""
    for folder, folders, names in os.walk(data, followlinks=True):
        here = Path(folder)
        if here == data:
            folders[:] = [one for one in folders if not _is_excluded(one)]
        for name in sorted(names):
            if here != data or not _is_excluded(name):
                yield (here / name).relative_to(data).as_posix(), here / name


def _is_excluded(name: str) -> bool:
    return name in EXCLUDED_NAMES or name.startswith(EXCLUDED_PREFIXES)


def _add_entry(tar: tarfile.TarFile, name: str, content: bytes, now: datetime) -> str:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(now.timestamp())
    tar.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────


def current_status(now: datetime) -> BackupStatus:
    """Return the backup status. A new installation has as many days until its first backup as between two backups."""
    last = last_backup_at()
    since = last or Organization.load_row().set_up_at or now
    return BackupStatus(last, now - since > OVERDUE_AFTER, _backup_command())


def last_backup_at() -> datetime | None:
    """Return when the last backup was made, by an administrator, by cron or before a large change; None: never."""
    return (
        AuditLog.select(AuditLog.at).where(AuditLog.action == "house.backed_up").order_by(AuditLog.at.desc()).scalar()
    )


def newest_backup() -> Path | None:
    """Return the newest automatic backup, or None."""
    made = (current_config().data / "backups").glob("*.tar.gz")
    return max(made, key=lambda one: one.stat().st_mtime, default=None)


def _backup_command() -> str:
    """Return the command as it is typed on this machine, for its own data folder."""
    data = current_config().data
    named = "" if data == PROJECT_DIR / "data" else f"KAIRAN_DATA={shlex.quote(str(data))} "
    return f"{named}{shlex.quote(str(PROJECT_DIR / 'kairan'))} backup /var/backups/kairan/"
