"""The database file: upgrade its tables to this version, copy it, check it."""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from peewee import Database, DatabaseError, SqliteDatabase
from playhouse.migrations import Runner

from config import PROJECT_DIR
from database import is_full_error
from models import TABLES

MIGRATIONS_DIR = PROJECT_DIR / "migrations"
COPIES_KEPT = 5
"""How many copies made before an upgrade stay in `data/backups/`."""
POSTGRES_LOCK = 5208
"""Key of the advisory lock that an upgrade holds on PostgreSQL."""


class NewerDatabase(Exception):
    """A later version has upgraded this database; the message names the migrations unknown here."""


class UpgradeFailed(Exception):
    """A migration failed and was rolled back; the message says why."""


class DatabaseDamaged(Exception):
    """The database file is inconsistent; the message quotes SQLite."""


# ── upgrade ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pending_migrations(database: Database) -> list[str]:
    """Return the names of the migrations to run. Raises NewerDatabase."""
    return _pending(Runner(database, str(MIGRATIONS_DIR)))


def _pending(runner: Runner) -> list[str]:
    migrations = runner.status()
    if unknown := [one.name for one in migrations if one.path is None]:
        raise NewerDatabase(", ".join(unknown))
    return [one.name for one in migrations if not one.applied]


def upgrade_schema(database: Database, keep_copy: Callable[[str], object]) -> list[str]:
    """Run all pending migrations in one transaction; return their names. An empty database gets today's tables.

    Idempotent, also when several processes call it at once: the others wait and then find nothing to run.
    `keep_copy` gets the name of the first migration, before an existing database is changed.
    Raises NewerDatabase, UpgradeFailed.
    """
    runner = Runner(database, str(MIGRATIONS_DIR))
    if not _pending(runner):
        return []
    with runner.migrator.migration_context():  # foreign keys off, then one write transaction around all files
        if not isinstance(database, SqliteDatabase):
            database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (POSTGRES_LOCK,))
        names = _pending(runner)  # read again under the lock: another process may have finished meanwhile
        if not names:
            return []
        if not runner.applied():
            database.create_tables(TABLES)
            return list(runner.fake())
        keep_copy(names[0])
        try:
            runner.up()
        except DatabaseError as wrong:
            raise UpgradeFailed(str(wrong)) from wrong
        if isinstance(database, SqliteDatabase) and (stray := _find_stray_row(database)):
            raise UpgradeFailed(stray)
    return names


def _find_stray_row(database: SqliteDatabase | sqlite3.Connection) -> str:
    """Return a sentence about a row whose foreign key points nowhere, "" if there is none."""
    run = database.execute_sql if isinstance(database, SqliteDatabase) else database.execute
    found = run("PRAGMA foreign_key_check").fetchone()
    return f"a row of {found[0]} refers to a missing row of {found[2]}" if found else ""


# ── copies ───────────────────────────────────────────────────────────────────────────────────────────────────────


def copy_database(database: Path, copy: Path) -> None:
    """Copy a database that may be in use (SQLite's backup), mode 0600, and check it. Raises DatabaseDamaged, OSError."""
    os.close(os.open(copy, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    with (
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if not is_full_error(error):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(copy)) from error
    check_integrity(copy)


def check_integrity(database: Path) -> None:
    """Check a database file that nobody writes to. Raises DatabaseDamaged."""
    connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    try:
        found = connection.execute("PRAGMA integrity_check(5)").fetchall()
        stray = _find_stray_row(connection)
    except sqlite3.DatabaseError as wrong:
        raise DatabaseDamaged(str(wrong)) from wrong
    finally:
        connection.close()
    if found != [("ok",)]:
        raise DatabaseDamaged("; ".join(str(line) for (line,) in found))
    if stray:
        raise DatabaseDamaged(stray)


def copy_before_migration(database: Path, migration: str, now: datetime) -> Path:
    """Copy the database into `backups/` beside it and return the copy; the oldest copies are deleted."""
    folder = database.parent / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    copy = folder / f"before-{migration}-{now:%Y%m%d-%H%M%S}.db"
    copy_database(database, copy)
    for old in sorted(folder.glob("before-*.db"), key=lambda one: one.stat().st_mtime)[:-COPIES_KEPT]:
        old.unlink()
    return copy
