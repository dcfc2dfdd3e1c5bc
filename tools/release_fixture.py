"""Write tests/releases/VERSION.sql.gz and VERSION.json: a database of this version, with rows in every table.

Run once for each release, in the checkout of its tag: python -m tools.release_fixture 0.2
`tests/test_migrations.py` upgrades each of these databases. They hold the sample school and nothing real.
"""

import gzip
import hashlib
import json
import re
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from peewee import BlobField, ForeignKeyField, IntegrityError

import clock
import config as ground
from core import demo, install, schema
from core.imports import jobs
from core.retention import purge
from core.rollover import new_roster, year_end
from database import UtcMillisField, db
from models import (
    TABLES,
    BaseModel,
    Child,
    Job,
    MailingList,
    Membership,
    Notice,
    NoticeTracking,
    Person,
    Rollover,
    User,
)

RELEASES = Path(__file__).parent.parent / "tests" / "releases"
CHECKED_VALUES = re.compile(r"CHECK \(\"?(\w+)\"? IN \(([^()]*)\)\)")


def fill(now: Any) -> None:
    """Fill an empty installation: sample school, stored JSON, a row in each table, every CHECK value."""
    demo.fill_demo(now)
    admin = User.select().order_by(User.id).get()
    _purge_a_notice(now)
    _roll_over(admin, now)
    _import_with_undo(admin, now)
    fill_empty_tables()
    spread_checked_values()


def _purge_a_notice(now: Any) -> None:
    """Purge a notice, which stores a summary and tracking totals (JSON)."""
    notice = Notice.select().where(Notice.state == "sent").order_by(Notice.id).get()
    NoticeTracking.create(notice=notice, opens=True, clicks=True)
    purge._close_and_summarize(notice, now)


def _roll_over(admin: User, now: Any) -> None:
    """Run a year end and a new roster, then start the next rollover."""
    rollover = year_end.begin_rollover(admin, now)
    year_end.end_year(rollover, admin, now, fingerprint=year_end.preview_year_end(rollover).fingerprint)
    rollover = Rollover.get_by_id(rollover.id)
    lines = ["児童氏名,学年,組,保護者氏名,メールアドレス", "新入 一子,1,1,新入 二郎,shinnyu@example.com"]
    lines += [
        f"{one.name},{int(one.grade) + 1},{one.class_name},,"
        for one in Child.select().where(Child.grade.in_(("1", "2", "3", "4", "5")), Child.class_name != "")
    ]
    new_roster.upload_roster(rollover, content="\n".join(lines).encode(), filename="新年度.csv")
    rollover = Rollover.get_by_id(rollover.id)
    new_roster.apply_roster(rollover, admin, now, fingerprint=new_roster.preview_roster(rollover).fingerprint)
    year_end.begin_rollover(admin, now)


def _import_with_undo(admin: User, now: Any) -> None:
    """Import a new family, a returning family and a changed relation, so that the undo log has all kinds of entries."""
    club = MailingList.get(MailingList.name == "かえで原FC")
    here = Membership.select().join(Person).where(Membership.list == club, Person.address.is_null(False)).limit(2)
    back, changed = here.order_by(Membership.id)
    Membership.update(state="left", left_at=now).where(Membership.id == back.id).execute()
    lines = ["保護者氏名,メールアドレス,続柄,児童氏名,学年,組", "試し 花,hana@example.com,母,試し 一,6,1"]
    for one, relation in ((back, "母"), (changed, "祖父")):
        child = f"{one.child.name},{one.child.grade},{one.child.class_name}" if one.child else ",,"
        lines.append(f"{one.person.name},{one.person.address},{relation},{child}")
    job = jobs.create_import(club, admin, content="\n".join(lines).encode(), filename="部員.csv", now=now)
    jobs.start_import(job, admin, fingerprint=jobs.preview_import(job, now, admin)[1].fingerprint, now=now)
    assert Job.get_by_id(job.id).state == "done"


# ── by the shape of the tables alone ─────────────────────────────────────────────────────────────────────────────


def fill_empty_tables() -> None:
    """Insert a row into each empty table, parents first."""
    for table in TABLES:
        if not table.select().exists():
            table.create(**{one.name: _any_value(table, one) for one in _required_fields(table)})


def _required_fields(table: type[BaseModel]) -> list[Any]:
    fields = [one for one in table._meta.sorted_fields if one.name != "id"]
    return [one for one in fields if isinstance(one, ForeignKeyField) or (not one.null and one.default is None)]


def _any_value(table: type[BaseModel], field: Any) -> Any:
    if isinstance(field, ForeignKeyField):
        return field.rel_model.select().order_by(field.rel_model.id.desc()).first()
    if isinstance(field, UtcMillisField):
        return clock.now() + timedelta(days=1)
    if checked := checked_values(table).get(field.column_name):
        return checked[0]
    return b"\0" if isinstance(field, BlobField) else {"INT": 1}.get(field.field_type, "x")


def checked_values(table: type[BaseModel]) -> dict[str, list[str]]:
    """Return {column: values allowed by its CHECK}."""
    name = table._meta.table_name
    (sql,) = db.execute_sql("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchone()
    return {column: re.findall(r"'([^']*)'", values) for column, values in CHECKED_VALUES.findall(sql)}


def spread_checked_values() -> None:
    """Set each value of a CHECK on some row; copy a row if the table has too few."""
    for table in TABLES:
        for column, values in checked_values(table).items():
            for value in values:
                if not table.select().where(getattr(table, column) == value).exists():
                    _put_value(table, column, value)


def _put_value(table: type[BaseModel], column: str, value: str) -> None:
    """Change a row whose current value is not unique; else copy a row."""
    name = table._meta.table_name
    rows = db.execute_sql(
        f'SELECT id FROM "{name}" WHERE "{column}" IN (SELECT "{column}" FROM "{name}" GROUP BY 1 HAVING COUNT(*) > 1)'
        " ORDER BY id DESC"
    ).fetchall()
    for (number,) in rows:
        try:
            with db.atomic():
                db.execute_sql(f'UPDATE "{name}" SET "{column}" = ? WHERE id = ?', (value, number))
            return
        except IntegrityError:  # a partial unique index requires another row
            continue
    found = table.select().order_by(table.id.desc()).get()
    table.create(**{key: kept for key, kept in found.__data__.items() if key != "id"} | {column: value})


# ── writing it ───────────────────────────────────────────────────────────────────────────────────────────────────


def dump(database: Path, version: str, folder: Path) -> dict[str, int]:
    """Write the database as compressed SQL, and the expected row counts and migration digests."""
    with closing(sqlite3.connect(database)) as tables:
        text = "\n".join(tables.iterdump()) + "\n"
        names = [name for (name,) in tables.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        rows = {
            name: tables.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]
            for name in names
            if name not in ("schema_migration", "sqlite_sequence")
        }
    schema.check_integrity(database)
    files = sorted(schema.MIGRATIONS_DIR.glob("[0-9]*.py"))
    digests = {one.stem: hashlib.sha256(one.read_bytes()).hexdigest() for one in files}
    with (folder / f"{version}.sql.gz").open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(text.encode())
    (folder / f"{version}.json").write_text(json.dumps({"migrations": digests, "rows": rows}, indent=1) + "\n", "utf-8")
    return rows


def main(version: str) -> None:
    if (RELEASES / f"{version}.json").exists():
        sys.exit(f"Version {version} has its fixture already; a released one is never replaced.")
    with tempfile.TemporaryDirectory() as data:
        config = ground.set_current_config(ground.Config(data=Path(data)))
        install.prepare_data_folder(config)
        fill(clock.now())
        db.close()
        rows = dump(config.database, version, RELEASES)
    sys.stdout.write(f"{version}: {len(rows)} tables, {sum(rows.values())} rows\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
