"""Backups of the whole data folder as one file, and when the last one was made.

The file is a gzipped tar: a checked copy of the database, keys, attachments and all other files. The last entry is a
manifest with SHA-256 sums and the number of rows of each table. It is opened and compared before it gets its name.
Locks, queue, rate limits and the practice outbox stay out. `core.system.restore` reads it back.
"""

import fcntl
import gzip
import hashlib
import io
import json
import os
import shlex
import shutil
import socket
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import clock
from config import PROJECT_DIR, Config, current_config
from core import audit, disk_space, quarantine, schema
from database import optional_write
from models import AuditLog, Organization

MANIFEST = "kairan-backup.json"
MANIFEST_FORMAT = 1
DATABASE_NAME = "kairan.db"
EXCLUDED_NAMES = ("run", "backups", "outbox", "imports", "lock", "restoring", quarantine.FILE_NAME, MANIFEST)
EXCLUDED_PREFIXES = ("kairan.db", "huey.db", "limits.db", "old-")
COPIES_KEPT = 5
"""How many backups made before a large change stay; the oldest are deleted."""
COPY_OCTETS = 2**20
OVERDUE_AFTER = timedelta(days=2)
"""More than one nightly backup has been missed when the last one is older."""
MADE, COPIED, FAILED = "house.backed_up", "house.backup_copied", "house.backup_failed"
"""Actions in the audit log; a failure counts until one of the others follows it."""


class InvalidBackup(Exception):
    """This file is no whole backup; the message says why."""


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup: its file, octets, and how many files it holds."""

    path: Path
    octets: int
    files: int


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """When the last backup was made (None: never), whether that is too long ago, and the command that makes one.

    octets: its size (0: unknown); failure: why the newest attempt failed, "" if it did not.
    """

    last: datetime | None
    old: bool
    command: str
    octets: int = 0
    failure: str = ""

    @property
    def needs_attention(self) -> bool:
        return self.old or bool(self.failure)


def create_backup(config: Config, target: Path, now: datetime) -> BackupResult:
    """Write everything into a file (0600), or under a name of its own into a folder. Safe while Kairan runs.

    The file appears whole, opened and compared, or not at all. What a killed process left is removed.
    Raises OSError, schema.DatabaseDamaged, InvalidBackup.
    """
    if target.is_dir():
        target = target / f"kairan-{clock.to_local(now):%Y%m%d-%H%M%S}.tar.gz"
    part = target.with_name(f".{target.name}.kairan-part")
    copy = config.data / "backups" / f".copy-{os.getpid()}.db"
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    _remove_leftovers(target.parent, copy.parent)
    try:
        with _locked_file(part) as raw, _locked_file(copy):
            schema.copy_database(config.database, copy)
            files = _write_archive(config, raw, copy, now)
            copy.unlink()  # so that checking needs no more room than writing
            verify_backup(part, copy)
            os.replace(part, target)
    except OSError as error:
        disk_space.note_if_full(error)
        raise
    finally:
        part.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    result = BackupResult(target, target.stat().st_size, files)
    with optional_write():
        audit.log_action(None, MADE, detail={"files": files, "octets": result.octets})
    return result


@contextmanager
def _locked_file(path: Path) -> Iterator[IO[bytes]]:
    """Create a file (0600) that is locked as long as its process writes it."""
    with open(os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600), "w+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


def _remove_leftovers(*folders: Path) -> None:
    """Remove the unfinished files of processes that were killed; those of living ones are locked."""
    for folder in folders:
        for path in (*folder.glob(".*.kairan-part"), *folder.glob(".copy-*.db*")):
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink(missing_ok=True)
            except OSError:
                continue


def create_backup_before(what: str, now: datetime) -> Path:
    """Write `data/backups/before-<what>-<time>.tar.gz` and return it. Raises as `create_backup`."""
    folder = current_config().data / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"before-{what}-{clock.to_local(now):%Y%m%d-%H%M%S}.tar.gz"
    create_backup(current_config(), path, now)
    for old in sorted(folder.glob(f"before-{what}-*.tar.gz"))[:-COPIES_KEPT]:
        old.unlink()
    return path


def _write_archive(config: Config, raw: IO[bytes], copy: Path, now: datetime) -> int:
    sums: dict[str, str] = {}
    with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as tar:
        for name, path in ((DATABASE_NAME, copy), *_other_files(config.data)):
            try:
                with path.open("rb") as file:
                    sums[name] = _add_entry(tar, name, file, os.fstat(file.fileno()).st_size, now)
            except FileNotFoundError:  # an inbound message that was handled meanwhile
                continue
        listed = {
            "format": MANIFEST_FORMAT,
            "made_at": now.isoformat(timespec="seconds"),
            "made_on": {"host": socket.gethostname(), "data": str(config.data)},
            "files": sums,
            "rows": count_rows(copy),
        }
        content = json.dumps(listed, indent=1).encode()
        _add_entry(tar, MANIFEST, io.BytesIO(content), len(content), now)
    raw.flush()
    os.fsync(raw.fileno())
    return len(sums)


def count_rows(database: Path) -> dict[str, int]:
    """Return {table: rows} of a database file that nobody writes to."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)) as tables:
        names = [
            name for (name,) in tables.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        return {name: tables.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in names}  # noqa: S608


def verify_backup(file: Path, copy: Path) -> dict[str, int]:
    """Open a backup, compare each file with the manifest, check the database and count its rows; return the counts.

    copy: where the database is unpacked meanwhile. Raises InvalidBackup, schema.DatabaseDamaged, OSError.
    """
    try:
        with tarfile.open(file, "r:gz") as tar:
            sums = {entry.name: _copy_entry(tar, entry, copy) for entry in tar}
            listed = json.loads(tar.extractfile(MANIFEST).read())  # type: ignore[union-attr]
        sums.pop(MANIFEST)
        if sums != listed["files"]:
            raise InvalidBackup(f"{file} is damaged: its files are not those of its list.")
        schema.check_integrity(copy)
        counted = count_rows(copy)
        if counted != listed["rows"]:
            raise InvalidBackup(f"{file} is damaged: its tables hold other numbers of rows than its list.")
        return counted
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, ValueError, KeyError, AttributeError) as wrong:
        raise InvalidBackup(f"{file} is no whole backup of Kairan ({type(wrong).__name__}).") from wrong
    finally:
        copy.unlink(missing_ok=True)


def _copy_entry(tar: tarfile.TarFile, entry: tarfile.TarInfo, copy: Path) -> str:
    """Return the SHA-256 of an entry; the database is also written to `copy`."""
    opened = tar.extractfile(entry)
    if opened is None:
        raise ValueError(entry.name)
    hashed = HashingReader(opened)
    if entry.name != DATABASE_NAME:
        while hashed.read(COPY_OCTETS):
            pass
        return hashed.hexdigest()
    with open(os.open(copy, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as written:
        shutil.copyfileobj(hashed, written, COPY_OCTETS)
    return hashed.hexdigest()


class HashingReader:
    """Reads a file and computes its SHA-256 on the way: a database may be larger than the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._sum = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read as a file does."""
        block = self._file.read(size)
        self._sum.update(block)
        return block

    def hexdigest(self) -> str:
        return self._sum.hexdigest()


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


def _add_entry(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int, now: datetime) -> str:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(now.timestamp())
    hashed = HashingReader(file)
    tar.addfile(entry, hashed)
    return hashed.hexdigest()


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────


def current_status(now: datetime) -> BackupStatus:
    """Return the backup status. A new installation has as many days until its first backup as between two backups."""
    last, failed = _last_entry(MADE), last_failure()
    since = (last.at if last else None) or Organization.load_row().set_up_at or now
    return BackupStatus(
        last.at if last else None,
        now - since > OVERDUE_AFTER,
        _backup_command(),
        last.detail.get("octets", 0) if last else 0,
        failed.detail.get("why", "") if failed else "",
    )


def last_backup_at() -> datetime | None:
    """Return when the last backup was made: at night, by an administrator or before a large change; None: never."""
    last = _last_entry(MADE)
    return last.at if last else None


def last_failure() -> AuditLog | None:
    """Return the entry of a failed nightly backup or second copy, if none has succeeded since."""
    newest = _last_entry(MADE, COPIED, FAILED)
    return newest if newest and newest.action == FAILED else None


def _last_entry(*actions: str) -> AuditLog | None:
    entry: AuditLog | None = (
        AuditLog.select().where(AuditLog.action.in_(actions)).order_by(AuditLog.at.desc(), AuditLog.id.desc()).first()
    )
    return entry


def newest_backup() -> Path | None:
    """Return the newest automatic backup, or None."""
    made = (current_config().data / "backups").glob("*.tar.gz")
    return max(made, key=lambda one: one.stat().st_mtime, default=None)


def _backup_command() -> str:
    """Return the command as it is typed on this machine, for its own data folder."""
    data = current_config().data
    named = "" if data == PROJECT_DIR / "data" else f"KAIRAN_DATA={shlex.quote(str(data))} "
    return f"{named}{shlex.quote(str(PROJECT_DIR / 'kairan'))} backup /var/backups/kairan/"
