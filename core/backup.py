"""Everything that Kairan keeps as one file, and back (design 4: `flask backup`, `flask restore`).

The file is a gzipped tar: a checked copy of the database, the keys, attachments and whatever else lies in the data
folder, and last of all a list of these with their sums. What does not count after a restore (locks, queue, limits,
outbox) stays out. What is restored is quiet first: a notice that was being sent asks before it goes on, because its
letters may have left since; nobody stays logged in.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

import clock
from config import PROJECT_DIR, Config
from core import audit, data_lock, db_snapshot, settings
from core.delivery import lifecycle
from database import db
from models import Letter, Notice, Session

MANIFEST = "kairan-backup.json"
MANIFEST_FORMAT = 1
DATABASE_NAME = "kairan.db"
EXCLUDED_NAMES = ("run", "backups", "outbox", "imports", "lock", "restoring", MANIFEST)
EXCLUDED_PREFIXES = ("kairan.db", "huey.db", "limits.db", "old-")
NOT_REPLACED = ("run", "backups", "lock", "restoring")
SQLITE_MAGIC = b"SQLite format 3\0"


class InvalidBackup(Exception):
    """This is no backup that can be restored; the message says why."""


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup: its file, octets, and how many files it holds."""

    path: Path
    octets: int
    files: int


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What was restored: of when, where the data from before lies, how many notices now ask."""

    made_at: str
    kept: Path | None
    asking: int


# ── making one ───────────────────────────────────────────────────────────────────────────────────────────────────


def create_backup(config: Config, target: Path, now: datetime) -> BackupResult:
    """Write everything into a file (0600), or under a name of its own into a folder. Safe while Kairan runs.

    The file appears whole or not at all. Raises OSError, snapshot.Damaged.
    """
    if target.is_dir():
        target = target / f"kairan-{clock.to_local(now):%Y%m%d-%H%M%S}.tar.gz"
    part = target.with_name(f".{target.name}.part")
    copy = config.data / "backups" / f".copy-{os.getpid()}.db"
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        db_snapshot.copy_database(config.database, copy)
        files = _write_archive(config, part, copy, now)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    audit.log_action(None, "house.backed_up", detail={"files": files})
    return BackupResult(target, target.stat().st_size, files)


def _write_archive(config: Config, part: Path, copy: Path, now: datetime) -> int:
    sums: dict[str, str] = {}
    with open(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as tar:
            for name, path in ((DATABASE_NAME, copy), *_other_files(config.data)):
                try:
                    content = path.read_bytes()
                except FileNotFoundError:  # a mail that was read meanwhile
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


# ── and back ─────────────────────────────────────────────────────────────────────────────────────────────────────


def restore_backup(config: Config, file: Path, now: datetime) -> RestoreResult:
    """Put a backup in place of what the data folder holds; that is kept aside in a folder `old-…` of it.

    Also takes the copy of a database from before a change of the tables: then keys and files stay as they are.
    Raises Unusable (nothing was changed then), occupied.Occupied, OSError.
    """
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_lock.lock_exclusive(config.data)
    fresh = config.data / "restoring"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    try:
        made_at = _unpack_archive(file, fresh)
        _check_database(fresh / DATABASE_NAME)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    kept = _swap_data(config.data, fresh, now)
    settings.prepare_data_folder(config)
    return RestoreResult(made_at, kept, _hold_restored_notices(now))


def _unpack_archive(file: Path, into: Path) -> str:
    """Unpack a backup and compare every file with the list; return when it was made."""
    with file.open("rb") as opened:
        start = opened.read(len(SQLITE_MAGIC))
    if start == SQLITE_MAGIC:
        shutil.copyfile(file, into / DATABASE_NAME)
        return datetime.fromtimestamp(file.stat().st_mtime, clock.now().tzinfo).isoformat(timespec="seconds")
    try:
        with tarfile.open(file, "r:gz") as tar:
            sums = {entry.name: _extract_entry(tar, entry, into) for entry in tar}
        listed = json.loads((into / MANIFEST).read_text("utf-8"))
        wanted, made_at = listed["files"], listed["made_at"]
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, OSError, ValueError, KeyError, TypeError) as wrong:
        raise InvalidBackup(f"{file} is no whole backup of Kairan ({type(wrong).__name__}).") from wrong
    if listed.get("format") != MANIFEST_FORMAT:
        raise InvalidBackup(f"{file} was made by a newer Kairan.")
    sums.pop(MANIFEST, None)
    if sums != wanted or DATABASE_NAME not in wanted:
        raise InvalidBackup(f"{file} is damaged: its files are not those of its list.")
    (into / MANIFEST).unlink()
    return str(made_at)


def _extract_entry(tar: tarfile.TarFile, entry: tarfile.TarInfo, into: Path) -> str:
    """Write one file of the archive (0600); nothing but plain files inside the folder is taken."""
    place = PurePosixPath(entry.name)
    opened = tar.extractfile(entry) if entry.isreg() else None
    if opened is None or place.is_absolute() or ".." in place.parts:
        raise ValueError(entry.name)
    target = into / place
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = opened.read()
    with open(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as written:
        written.write(content)
    return hashlib.sha256(content).hexdigest()


def _check_database(database: Path) -> None:
    """Refuse a database that does not hold together, is none of ours, or has tables of a later Kairan."""
    try:
        db_snapshot.check_integrity(database)
        with sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True) as tables:
            applied = {name for (name,) in tables.execute("SELECT name FROM schema_migration")}
            tables.execute("SELECT id FROM organization")
        tables.close()
    except db_snapshot.DatabaseDamaged as wrong:
        raise InvalidBackup(f"The database in the backup is damaged: {wrong}") from wrong
    except sqlite3.DatabaseError as wrong:
        raise InvalidBackup("The database in the backup is not one of Kairan.") from wrong
    known = {path.stem for path in (PROJECT_DIR / "migrations").glob("[0-9]*.py")}
    if applied - known:
        raise InvalidBackup("The backup was made by a newer Kairan; install that version first.")


def _swap_data(data: Path, fresh: Path, now: datetime) -> Path | None:
    """Move what there is aside and the backup in; a database alone replaces only the database."""
    whole = (fresh / "keys").exists()
    there = [one for one in data.iterdir() if one.name not in NOT_REPLACED and not one.name.startswith("old-")]
    moved = [one for one in there if whole or one.name.startswith(DATABASE_NAME)]
    aside = data / f"old-{clock.to_local(now):%Y%m%d-%H%M%S}"
    if moved:
        aside.mkdir(mode=0o700)
    for one in moved:
        os.rename(one, aside / one.name)
    for one in list(fresh.iterdir()):
        os.rename(one, data / one.name)
    fresh.rmdir()
    return aside if moved else None


def _hold_restored_notices(now: datetime) -> int:
    """Let nothing go out by itself that may have gone out since the backup, and log everybody out."""
    going = Notice.state.in_(("sending", "paused"))
    due = Notice.state.in_(("scheduled", "held")) & (Notice.send_at <= now) & Notice.hold_reason.in_(("", "window"))
    with db.atomic():
        asking = list(Notice.select().where(going | due))
        Notice.update(state="paused").where(Notice.state == "sending").execute()
        for notice in asking:
            lifecycle.hold_notice(notice, "late", now)
        Letter.update(state="cancelled", done_at=now, payload={}).where(
            Letter.delivery.is_null(), Letter.state.in_(("waiting", "deferred", "sending"))
        ).execute()
        Session.delete().execute()
        audit.log_action(None, "house.restored", detail={"asking": len(asking)})
    return len(asking)
