"""Print the CREATE statements of the tables in `models.py`, to be pasted into a migration as frozen text.

python -m tools.migration                      every table
python -m tools.migration notice letter        these tables with their indexes
python -m tools.migration --into FILE          write them into STATEMENTS of an unreleased migration that lists all tables
"""

import gzip
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from peewee import SqliteDatabase

from database import db
from models import TABLES

RELEASES = Path(__file__).parent.parent / "tests" / "releases"
BLOCK = re.compile(r"^STATEMENTS = \(\n.*?^\)\n", re.MULTILINE | re.DOTALL)


def create_statements(tables: Sequence[str] = ()) -> list[str]:
    """Return the CREATE statements for SQLite: tables before indexes, white space folded."""
    database, bound = SqliteDatabase(":memory:"), db.obj
    db.initialize(database)
    db.create_tables(TABLES)
    rows = database.execute_sql(
        "SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
    ).fetchall()
    database.close()
    db.initialize(bound)
    return [re.sub(r"\s+", " ", sql) for table, sql in rows if not tables or table in tables]


def is_released(migration: Path) -> bool:
    """Say whether a released version contains this migration."""
    return any(
        f"'{migration.stem}'" in gzip.open(dump, "rt", encoding="utf-8").read() for dump in RELEASES.glob("*.gz")
    )


def write_into(migration: Path) -> None:
    if is_released(migration):
        sys.exit(f"{migration.name} is released and stays as it is; write a new migration (docs/migrations.md).")
    lines = "".join(f"    {one!r},\n" for one in create_statements())
    source, found = BLOCK.subn(lambda _: f"STATEMENTS = (\n{lines})\n", migration.read_text("utf-8"))
    if found != 1:
        sys.exit(f"{migration.name} has no STATEMENTS = ( … ) of its own.")
    migration.write_text(source, "utf-8")


def main(words: Sequence[str]) -> None:
    if words[:1] == ["--into"] and len(words) == 2:
        write_into(Path(words[1]))
    else:
        sys.stdout.write("".join(f"    {one!r},\n" for one in create_statements(words)))


if __name__ == "__main__":
    main(sys.argv[1:])
