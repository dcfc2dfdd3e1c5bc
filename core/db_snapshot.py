"""A copy of the database while others write to it, whole and checked; also taken before its tables change."""

import os
import sqlite3
from datetime import datetime
from pathlib import Path

COPIES_KEPT = 5
"""How many copies from before a change of the tables stay in `data/backups/`."""


class DatabaseDamaged(Exception):
    """The copy does not hold together; the message says what SQLite found."""


def copy_database(database: Path, copy: Path) -> None:
    """Copy a database as it is at this moment (SQLite's backup), for its owner alone. Raises Damaged, OSError."""
    os.close(os.open(copy, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as there, sqlite3.connect(copy) as here:
        there.backup(here)
        here.execute("PRAGMA journal_mode = DELETE")
    there.close()
    here.close()
    check_integrity(copy)


def check_integrity(database: Path) -> None:
    """Look through a database file. Raises Damaged."""
    looked_at = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    try:
        found = looked_at.execute("PRAGMA integrity_check(5)").fetchall()
        strays = looked_at.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as wrong:
        raise DatabaseDamaged(str(wrong)) from wrong
    finally:
        looked_at.close()
    if found != [("ok",)]:
        raise DatabaseDamaged("; ".join(str(line) for (line,) in found))
    if strays:
        raise DatabaseDamaged(f"a row of {strays[0]} belongs to nothing")


def copy_before_migration(database: Path, change: str, now: datetime) -> Path:
    """Keep a copy from before a change of the tables, in `backups/` beside the database; return it."""
    folder = database.parent / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    copy = folder / f"before-{change}-{now:%Y%m%d-%H%M%S}.db"
    copy_database(database, copy)
    for old in sorted(folder.glob("before-*.db"), key=lambda one: one.stat().st_mtime)[:-COPIES_KEPT]:
        old.unlink()
    return copy
