"""The shape of an SQLite database, for comparison: column order, spelling and names of foreign keys do not matter."""

import re

from peewee import SqliteDatabase

RUNNERS_OWN = "schema_migration"
CHECK = re.compile(r"(?:CONSTRAINT \"(\w+)\" )?CHECK (\((?:[^()]|\([^()]*\))*\))")


def schema_shape(db: SqliteDatabase) -> dict[str, set]:
    """Return tables, columns, foreign keys, indexes and CHECKs as sets that can be compared."""
    tables = sorted(set(db.get_tables()) - {RUNNERS_OWN})
    return {
        "tables": set(tables),
        "columns": {
            (table, one.name, one.data_type.upper(), one.null, one.primary_key, one.default)
            for table in tables
            for one in db.get_columns(table)
        },
        "foreign keys": {
            (table, one.column, one.dest_table, one.dest_column, one.on_delete)
            for table in tables
            for one in db.get_foreign_keys(table)
        },
        "indexes": {(table, one.name, _fold(one.sql)) for table in tables for one in db.get_indexes(table) if one.sql},
        "checks": {(table, name, _fold(check)) for table in tables for name, check in _checks(db, table)},
    }


def _fold(sql: str) -> str:
    """Return SQL without quotes of names, white space and IF NOT EXISTS."""
    return re.sub(r"\s+|\"", "", sql.replace("IF NOT EXISTS ", "")).lower()


def _checks(db: SqliteDatabase, table: str) -> list[tuple[str, str]]:
    (sql,) = db.execute_sql("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    return CHECK.findall(sql)
