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
from config import HERE, Config
from core import history, organization
from core.delivery import lifecycle
from core.house import occupied, snapshot
from database import db
from models import Letter, Notice, Session

LIST = "kairan-backup.json"
FORMAT = 1
DATABASE = "kairan.db"
LEFT_OUT = ("run", "backups", "outbox", "imports", "lock", "restoring", LIST)
STARTS_LEFT_OUT = ("kairan.db", "huey.db", "limits.db", "old-")
STAYS = ("run", "backups", "lock", "restoring")
SQLITE = b"SQLite format 3\0"


class Unusable(Exception):
    """This is no backup that can be restored; the message says why."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup: its file, octets, and how many files it holds."""

    path: Path
    octets: int
    files: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: of when, where the data from before lies, how many notices now ask."""

    made_at: str
    kept: Path | None
    asking: int


# ── making one ───────────────────────────────────────────────────────────────────────────────────────────────────


def make(config: Config, target: Path, now: datetime) -> Made:
    """Write everything into a file (0600), or under a name of its own into a folder. Safe while Kairan runs.

    The file appears whole or not at all. Raises OSError, snapshot.Damaged.
    """
    if target.is_dir():
        target = target / f"kairan-{clock.local(now):%Y%m%d-%H%M%S}.tar.gz"
    part = target.with_name(f".{target.name}.part")
    copy = config.data / "backups" / f".copy-{os.getpid()}.db"
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        snapshot.take(config.database, copy)
        files = _write(config, part, copy, now)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    history.log(None, "house.backed_up", detail={"files": files})
    return Made(target, target.stat().st_size, files)


def _write(config: Config, part: Path, copy: Path, now: datetime) -> int:
    sums: dict[str, str] = {}
    with open(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as tar:
            for name, path in ((DATABASE, copy), *_others(config.data)):
                try:
                    content = path.read_bytes()
                except FileNotFoundError:  # a mail that was read meanwhile
                    continue
                sums[name] = _put(tar, name, content, now)
            listed = {"format": FORMAT, "made_at": now.isoformat(timespec="seconds"), "files": sums}
            _put(tar, LIST, json.dumps(listed, indent=1).encode(), now)
        raw.flush()
        os.fsync(raw.fileno())
    return len(sums)


def _others(data: Path) -> Iterator[tuple[str, Path]]:
    """Give name and place of every file besides the database."""
    for folder, folders, names in os.walk(data, followlinks=True):
        here = Path(folder)
        if here == data:
            folders[:] = [one for one in folders if not _left_out(one)]
        for name in sorted(names):
            if here != data or not _left_out(name):
                yield (here / name).relative_to(data).as_posix(), here / name


def _left_out(name: str) -> bool:
    return name in LEFT_OUT or name.startswith(STARTS_LEFT_OUT)


def _put(tar: tarfile.TarFile, name: str, content: bytes, now: datetime) -> str:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(now.timestamp())
    tar.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


# ── and back ─────────────────────────────────────────────────────────────────────────────────────────────────────


def restore(config: Config, file: Path, now: datetime) -> Restored:
    """Put a backup in place of what the data folder holds; that is kept aside in a folder `old-…` of it.

    Also takes the copy of a database from before a change of the tables: then keys and files stay as they are.
    Raises Unusable (nothing was changed then), occupied.Occupied, OSError.
    """
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    occupied.alone(config.data)
    fresh = config.data / "restoring"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    try:
        made_at = _unpack(file, fresh)
        _check(fresh / DATABASE)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    kept = _change_places(config.data, fresh, now)
    organization.prepare(config)
    return Restored(made_at, kept, _calm(now))


def _unpack(file: Path, into: Path) -> str:
    """Unpack a backup and compare every file with the list; return when it was made."""
    with file.open("rb") as opened:
        start = opened.read(len(SQLITE))
    if start == SQLITE:
        shutil.copyfile(file, into / DATABASE)
        return datetime.fromtimestamp(file.stat().st_mtime, clock.now().tzinfo).isoformat(timespec="seconds")
    try:
        with tarfile.open(file, "r:gz") as tar:
            sums = {entry.name: _take_out(tar, entry, into) for entry in tar}
        listed = json.loads((into / LIST).read_text("utf-8"))
        wanted, made_at = listed["files"], listed["made_at"]
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, OSError, ValueError, KeyError, TypeError) as wrong:
        raise Unusable(f"{file} is no whole backup of Kairan ({type(wrong).__name__}).") from wrong
    if listed.get("format") != FORMAT:
        raise Unusable(f"{file} was made by a newer Kairan.")
    sums.pop(LIST, None)
    if sums != wanted or DATABASE not in wanted:
        raise Unusable(f"{file} is damaged: its files are not those of its list.")
    (into / LIST).unlink()
    return str(made_at)


def _take_out(tar: tarfile.TarFile, entry: tarfile.TarInfo, into: Path) -> str:
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


def _check(database: Path) -> None:
    """Refuse a database that does not hold together, is none of ours, or has tables of a later Kairan."""
    try:
        snapshot.check(database)
        with sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True) as tables:
            applied = {name for (name,) in tables.execute("SELECT name FROM schema_migration")}
            tables.execute("SELECT id FROM organization")
        tables.close()
    except snapshot.Damaged as wrong:
        raise Unusable(f"The database in the backup is damaged: {wrong}") from wrong
    except sqlite3.DatabaseError as wrong:
        raise Unusable("The database in the backup is not one of Kairan.") from wrong
    known = {path.stem for path in (HERE / "migrations").glob("[0-9]*.py")}
    if applied - known:
        raise Unusable("The backup was made by a newer Kairan; install that version first.")


def _change_places(data: Path, fresh: Path, now: datetime) -> Path | None:
    """Move what there is aside and the backup in; a database alone replaces only the database."""
    whole = (fresh / "keys").exists()
    there = [one for one in data.iterdir() if one.name not in STAYS and not one.name.startswith("old-")]
    moved = [one for one in there if whole or one.name.startswith(DATABASE)]
    aside = data / f"old-{clock.local(now):%Y%m%d-%H%M%S}"
    if moved:
        aside.mkdir(mode=0o700)
    for one in moved:
        os.rename(one, aside / one.name)
    for one in list(fresh.iterdir()):
        os.rename(one, data / one.name)
    fresh.rmdir()
    return aside if moved else None


def _calm(now: datetime) -> int:
    """Let nothing go out by itself that may have gone out since the backup, and log everybody out."""
    going = Notice.state.in_(("sending", "paused"))
    due = Notice.state.in_(("scheduled", "held")) & (Notice.begin_at <= now) & Notice.held_why.in_(("", "window"))
    with db.atomic():
        asking = list(Notice.select().where(going | due))
        Notice.update(state="paused").where(Notice.state == "sending").execute()
        for notice in asking:
            lifecycle.hold_notice(notice, "late", now)
        Letter.update(state="cancelled", done_at=now, payload={}).where(
            Letter.delivery.is_null(), Letter.state.in_(("waiting", "deferred", "sending"))
        ).execute()
        Session.delete().execute()
        history.log(None, "house.restored", detail={"asking": len(asking)})
    return len(asking)
