"""What migrations share. Change it only so that every released migration still does the same."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from peewee import SqliteDatabase


class ColumnMismatch(Exception):
    """A column of the old table is not carried over, or a column of the new table has no source."""


@dataclass(frozen=True)
class Source:
    """Which old table fills a new one, where names differ.

    values: {new column: SQL expression over the old row}; columns that keep their name need no entry. gone: old columns
    that are dropped. part: the new table takes a few columns of an old table that lives on. where: SQL condition.
    """

    table: str
    values: dict[str, str] = field(default_factory=dict)
    where: str = "1"
    gone: tuple[str, ...] = ()
    part: bool = False


def rewrite(db: SqliteDatabase, statements: Iterable[str], sources: dict[str, Source] | None = None) -> None:
    """Rebuild SQLite tables: create each under another name, fill it from the old one, drop that, rename, index.

    statements: CREATE TABLE and CREATE INDEX as SQLite shall keep them. Write names in `values` and `where` without
    double quotes: SQLite takes an unknown quoted name for a text. Raises ColumnMismatch; the runner then rolls back.
    Foreign keys must be off (the runner sees to it), or DROP TABLE would delete the rows that refer to the table.
    """
    if db.pragma("foreign_keys"):
        raise RuntimeError("foreign keys are on")
    statements, sources = list(statements), sources or {}
    tables = {name: sql for sql in statements if (name := _created_table(sql))}
    present = set(db.get_tables())
    for name, sql in tables.items():
        db.execute_sql(sql.replace(f'"{name}"', f'"new {name}"', 1))
    replaced = set()
    for name in tables:
        if name not in sources and name not in present:
            continue  # a new table, still empty
        source = sources.get(name) or Source(name)
        _copy_rows(db, name, source)
        replaced.add(source.table)
    for name in (replaced | set(tables)) & present:
        db.execute_sql(f'DROP TABLE "{name}"')
    for name in tables:
        db.execute_sql(f'ALTER TABLE "new {name}" RENAME TO "{name}"')
    for sql in statements:
        if not _created_table(sql):
            db.execute_sql(sql)


def _copy_rows(db: SqliteDatabase, name: str, source: Source) -> None:
    columns, old = _columns(db, f"new {name}"), set(_columns(db, source.table))
    values = {one: f'"{one}"' for one in columns if one in old and not source.part} | source.values
    used = set(values) | {word for sql in source.values.values() for word in re.findall(r"\w+", sql)}
    without_source = [one for one in columns if one not in values and not (source.part and one == "id")]
    not_carried = set() if source.part else old - used - set(source.gone)
    if without_source or not_carried:
        raise ColumnMismatch(
            f"table {name}: no source for {without_source}, old columns not carried over {sorted(not_carried)}"
        )
    names = ", ".join(f'"{one}"' for one in values)
    db.execute_sql(
        f'INSERT INTO "new {name}" ({names}) SELECT {", ".join(values.values())} FROM "{source.table}"'
        f" WHERE {source.where} ORDER BY id"
    )


def change_json(db: SqliteDatabase, table: str, column: str, change: Callable[[object], object]) -> None:
    """Apply a function to every JSON value of a column; NULL and unchanged rows are left alone."""
    rows = db.execute_sql(f'SELECT id, "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL').fetchall()
    for number, text in rows:
        if (new := change(before := json.loads(text))) != before:
            db.execute_sql(
                f'UPDATE "{table}" SET "{column}" = ? WHERE id = ?', (json.dumps(new, ensure_ascii=False), number)
            )


def set_check(migrator, db, table: str, name: str, condition: str) -> None:
    """Give a table a named CHECK, replacing the one of that name. For SQLite and PostgreSQL.

    The condition has at most one more pair of parentheses inside, as in `state IN ('a', 'b')`.
    """
    check = f'CONSTRAINT "{name}" CHECK ({condition})'
    if not isinstance(db, SqliteDatabase):
        db.execute_sql(f'ALTER TABLE "{table}" DROP CONSTRAINT IF EXISTS "{name}"')
        db.execute_sql(f'ALTER TABLE "{table}" ADD {check}')
        return
    rows = db.execute_sql(
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC", (table,)
    )
    create, *indexes = (sql for (sql,) in rows.fetchall())
    rest = re.sub(rf',? CONSTRAINT "{name}" CHECK \((?:[^()]|\([^()]*\))*\)', "", create)
    rewrite(db, [f"{rest.rstrip().removesuffix(')')}, {check})", *indexes])


def _created_table(sql: str) -> str:
    found = re.match(r'CREATE TABLE "(\w+)"', sql)
    return found[1] if found else ""


def _columns(db: SqliteDatabase, table: str) -> list[str]:
    return [row[1] for row in db.execute_sql(f'PRAGMA table_xinfo("{table}")').fetchall()]
