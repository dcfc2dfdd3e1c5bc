"""Write down the tables of `models.py` as the first migration: the frozen beginning that every later one changes.

Only while nothing has been released: `python -m tools.initial_migration` writes `migrations/0001_initial.py` anew. Later
changes get files of their own, 0002 and so on.
"""

import re
import sys
from pathlib import Path

from peewee import SqliteDatabase

import models
from database import db

PLACE = Path(__file__).parent.parent / "migrations" / "0001_initial.py"
HEAD = '''"""The tables as they were in the first release: a frozen copy, so that later models may change freely."""

STATEMENTS = (
'''
TAIL = """)


def up(migrator, db):
    for statement in STATEMENTS:
        db.execute_sql(statement)
"""


def statements() -> list[str]:
    """Return what makes the present tables in an empty SQLite file, tables before their indexes."""
    database = SqliteDatabase(":memory:")
    db.initialize(database)
    db.create_tables(models.TABLES)
    rows = database.execute_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
    database.close()
    return [re.sub(r"\s+", " ", row[0]) for row in rows if "sqlite_sequence" not in row[0]]


def main() -> None:
    """Write the file."""
    PLACE.write_text(HEAD + "".join(f"    {one!r},\n" for one in statements()) + TAIL, "utf-8")
    sys.stdout.write(f"{PLACE.name}: {len(statements())} statements\n")


if __name__ == "__main__":
    main()
