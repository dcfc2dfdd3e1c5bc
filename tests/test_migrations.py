"""Every installation, however old, ends with the tables that the models describe."""

import re
import sqlite3

from peewee import SqliteDatabase

import models
from core import install
from database import db


def shape(path) -> dict[str, str]:
    """Return every table and index of a file with its SQL, spaces folded; the runner's own table left out."""
    with sqlite3.connect(path) as tables:
        rows = tables.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    tables.close()
    ours = {name: re.sub(r"\s+", " ", sql) for name, sql in rows}
    return {name: sql for name, sql in ours.items() if not name.startswith(("schema_migration", "sqlite_"))}


def test_the_migrations_make_the_tables_of_the_models(config, tmp_path):
    made = SqliteDatabase(str(tmp_path / "models.db"))
    kept = db.obj
    db.initialize(made)
    db.create_tables(models.TABLES)
    made.close()
    db.initialize(kept)
    assert shape(config.database) == shape(tmp_path / "models.db")


def test_opening_again_changes_nothing(config):
    models.Organization.load_row()
    before = shape(config.database)
    install.open_and_upgrade(config)
    assert shape(config.database) == before and models.Organization.select().count() == 1
