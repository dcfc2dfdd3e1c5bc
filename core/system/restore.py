"""Restore a backup, or a copy of the database made before an upgrade, into the data folder.

A restored copy is in quarantine (`core.quarantine`) until an administrator takes over: it may be a rehearsal. A notice
that was being sent waits for a user, because its letters may have left since the backup was made. All users are
logged out.
"""

import gzip
import json
import os
import shutil
import sqlite3
import tarfile
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

import clock
from config import Config
from core import audit, install, quarantine, schema
from core.backup import COPY_OCTETS, DATABASE_NAME, MANIFEST, MANIFEST_FORMAT, HashingReader, InvalidBackup
from core.delivery import holding
from database import db
from models import PENDING_STATES, Letter, LetterState, Notice, NoticeState, Session, User

NOT_REPLACED = ("run", "backups", "lock", "restoring", quarantine.FILE_NAME)
_WRONG_MANIFEST = (ValueError, KeyError, TypeError, AttributeError)
SQLITE_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """When the backup was made, where the earlier data lies, and how many notices are now held."""

    made_at: str
    kept: Path | None
    asking: int


def restore_backup(config: Config, file: Path, now: datetime) -> RestoreResult:
    """Replace the data folder's content by a backup; the earlier content is moved to a folder `old-…` in it.

    A copy of the database alone replaces the database alone; keys and files stay.
    Raises InvalidBackup (nothing was changed then), install.DataLocked, OSError.
    """
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    install.lock_exclusive(config.data)
    fresh = config.data / "restoring"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    try:
        origin = _unpack_archive(file, fresh)
        _check_database(fresh / DATABASE_NAME)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    quarantine.begin(config.data, replace(origin, since=now.isoformat(timespec="seconds")))
    kept = _swap_data(config.data, fresh, now)
    install.prepare_data_folder(config)
    with db.atomic():
        asking = _hold_unsent(now)
        Session.delete().execute()
        audit.log_action(None, "house.restored", detail={"asking": asking})
    return RestoreResult(origin.state_of, kept, asking)


def take_over(by: User | None, now: datetime) -> Path | None:
    """Declare this copy the real installation: letters leave again, mail is fetched. Idempotent.

    Notices that became due meanwhile are held, and service letters that were written meanwhile are cancelled.
    Return the data folder of the installation from which the backup came, if it is on this machine: it is in
    quarantine now.
    """
    origin = quarantine.load()
    if origin is None:
        return None
    with db.atomic():
        asking = _hold_unsent(now)
        audit.log_action(by, "house.taken_over", detail={"asking": asking})
    try:
        replaced = quarantine.mark_replaced(origin, now)
    except OSError:
        replaced = None
    quarantine.end()
    return replaced


def _unpack_archive(file: Path, into: Path) -> quarantine.Quarantine:
    """Unpack a backup and compare every file with the manifest; return when and where it was made."""
    with file.open("rb") as opened:
        start = opened.read(len(SQLITE_MAGIC))
    if start == SQLITE_MAGIC:
        shutil.copyfile(file, into / DATABASE_NAME)
        made_at = datetime.fromtimestamp(file.stat().st_mtime, clock.now().tzinfo).isoformat(timespec="seconds")
        return quarantine.Quarantine(state_of=made_at)
    try:
        with tarfile.open(file, "r:gz") as tar:
            sums = {entry.name: _extract_entry(tar, entry, into) for entry in tar}
        listed = json.loads((into / MANIFEST).read_text("utf-8"))
        wanted, made_at, made_on = listed["files"], str(listed["made_at"]), listed.get("made_on") or {}
        origin = quarantine.Quarantine(
            state_of=made_at, host=str(made_on.get("host", "")), data=str(made_on.get("data", ""))
        )
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, OSError, *_WRONG_MANIFEST) as wrong:
        raise InvalidBackup(f"{file} is no whole backup of Kairan ({type(wrong).__name__}).") from wrong
    if listed.get("format") != MANIFEST_FORMAT:
        raise InvalidBackup(f"{file} was made by a newer Kairan.")
    sums.pop(MANIFEST, None)
    if sums != wanted or DATABASE_NAME not in wanted:
        raise InvalidBackup(f"{file} is damaged: its files are not those of its list.")
    (into / MANIFEST).unlink()
    return origin


def _extract_entry(tar: tarfile.TarFile, entry: tarfile.TarInfo, into: Path) -> str:
    """Write one file of the archive (0600). Raises ValueError for anything but a plain file inside the folder."""
    place = PurePosixPath(entry.name)
    opened = tar.extractfile(entry) if entry.isreg() else None
    if opened is None or place.is_absolute() or ".." in place.parts:
        raise ValueError(entry.name)
    target = into / place
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hashed = HashingReader(opened)
    with open(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as written:
        shutil.copyfileobj(hashed, written, COPY_OCTETS)
    return hashed.hexdigest()


def _check_database(database: Path) -> None:
    """Raise InvalidBackup if the database is damaged, not one of Kairan, or of a later version."""
    try:
        schema.check_integrity(database)
        with sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True) as tables:
            applied = {name for (name,) in tables.execute("SELECT name FROM schema_migration")}
            tables.execute("SELECT id FROM organization")
        tables.close()
    except schema.DatabaseDamaged as wrong:
        raise InvalidBackup(f"The database in the backup is damaged: {wrong}") from wrong
    except sqlite3.DatabaseError as wrong:
        raise InvalidBackup("The database in the backup is not one of Kairan.") from wrong
    known = {path.stem for path in schema.MIGRATIONS_DIR.glob("[0-9]*.py")}
    if applied - known:
        raise InvalidBackup("The backup was made by a newer Kairan; install that version first.")


def _swap_data(data: Path, fresh: Path, now: datetime) -> Path | None:
    """Move the present data aside and the backup in; a database alone replaces only the database."""
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


def _hold_unsent(now: datetime) -> int:
    """Hold the notices whose letters may have left meanwhile, and cancel service letters; return how many notices."""
    going = Notice.state.in_((NoticeState.SENDING, NoticeState.PAUSED))
    due = (
        Notice.state.in_((NoticeState.SCHEDULED, NoticeState.HELD))
        & (Notice.send_at <= now)
        & Notice.hold_reason.in_(("", "window"))
    )
    asking = list(Notice.select().where(going | due))
    Notice.update(state=NoticeState.PAUSED).where(Notice.state == NoticeState.SENDING).execute()
    for notice in asking:
        holding.hold_notice(notice, "late", now)
    Letter.update(state=LetterState.CANCELLED, done_at=now, payload={}).where(
        Letter.delivery.is_null(), Letter.state.in_(PENDING_STATES)
    ).execute()
    return len(asking)
