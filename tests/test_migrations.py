"""A database of every released version is upgraded to the tables of `models.py`, and no value is lost."""

import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from peewee import SqliteDatabase

import clock
import config as ground
import models
from cli import common
from core import install, scheduler, schema
from core.accounts import accounts
from core.delivery.letter_tags import decode_letter_tag
from core.imports import jobs
from core.rollover import year_end
from core.settings import load_settings
from database import db, open_database
from mail.address import make_old_verp_tag
from migrations.helpers import ColumnMismatch, Source, rewrite, set_check
from models import Job, Letter, Membership, Notice, Rollover, User
from tests import cast, smarthost
from tests.schema_shape import schema_shape
from tools import release_fixture
from tools.migration import is_released

RELEASES = Path(__file__).parent / "releases"
VERSIONS = sorted(path.name.removesuffix(".sql.gz") for path in RELEASES.glob("*.sql.gz"))
NEWEST = max(schema.MIGRATIONS_DIR.glob("[0-9]*.py"))
ADVICE = (
    "models.py and the migrations differ. "
    + (
        "Write a new migration"
        if is_released(NEWEST)
        else f"Run `python -m tools.migration --into migrations/{NEWEST.name}`, name renamed columns in its SOURCES,"
        " and repeat new names in RENAMED of this test"
    )
    + " (docs/migrations.md)."
)

# Written a second time, apart from the migration. Tables and columns that are not named keep their name.
RENAMED_TABLES = {
    "applicant": "queued_signup",
    "bucket": "throttle_bucket",
    "collection": "imap_status",
    "cover": "delivery_membership",
    "digest": "digest_subscription",
    "had": "step_sent",
    "incoming": "inbound_message",
    "link": "tracked_link",
    "log": "audit_log",
    "old_link": "expired_link",
    "opened": "attachment_view",
    "sample": "notice_template",
    "sender": "allowed_sender",
    "step": "drip_step",
    "sums": "notice_stats",
    "terms": "consent_text",
    "visit": "page_view",
}
RENAMED = {
    "applicant": "sure address_proven",
    "attachment": "gone_at file_deleted_at",
    "collection": "well_at last_success_at",
    "delivery": "in_charge_id class_teacher_id, read_how read_via, told_at phoned_at, told_by_id phoned_by_id, strange_at misdirected_at",
    "letter": "newest is_current, again auto_resent, handed_at handed_over_at, next_at next_attempt_at,"
    " useful_until expires_at",
    "mailing_list": "join_day_until signup_caps_off_until, second_person requires_approval, test_booked last_test_month,"
    " test_by_id monthly_test_user_id, test_day monthly_test_day, test_minute monthly_test_minute,"
    " waits_since awaiting_roster_since",
    "membership": "joined_route joined_via, in_charge_id class_teacher_id",
    "notice": "in_charge from_class_teacher, begin_at send_at, corrects_id correction_of_id, follows_id follow_up_to_id, forgotten_at purged_at,"
    " held_why hold_reason, of_step_id drip_step_id, paused_why pause_reason, replies_to_id reply_to_user_id,"
    " sends_as_id sender_user_id, step wizard_step, tells digest_settings",
    "organization": "forget_from purge_starts_at, forget_year purge_before_year, ready_at set_up_at,"
    " renewal_told renewal_reminders_sent, road mail_mode, second_person requires_approval, well_told last_health_email",
    "person": "address_state_by address_state_notice_id, told_state reported_address_state",
    "reminder": "begin_at send_at",
    "sender": "tried_at last_post_at, tried_how last_auth_method",
    "session": "device agent",
    "step": "paused_why pause_reason",
    "user": "email_wanted pending_email",
}
SPLIT_OFF = {
    "asked_id": ("notice_review", "requested_from_id", None),
    "asked_at": ("notice_review", "requested_at", None),
    "asked_mark": ("notice_review", "fingerprint", ""),
    "approved_by_id": ("notice_review", "reviewed_by_id", None),
    "word": ("notice_review", "note", ""),
    "word_by": ("notice_review", "note_by", ""),
    "remind_every_s": ("reminder_rule", "every_s", 0),
    "remind_times": ("reminder_rule", "times", 1),
    "remind_before": ("reminder_rule", "before_deadline", 0),
    "track_opens": ("notice_tracking", "opens", 0),
    "track_clicks": ("notice_tracking", "clicks", 0),
    "tracked": ("notice_tracking", "totals", None),
}
"""Columns of `notice` in version 0.1 that moved: table, column, value of a notice without a row there."""
CHANGED = {("job", "detail"), ("rollover", "undo"), ("log", "action")}
"""Columns whose values the migration changes; tests of their own look at them."""


def unpack(version: str, path: Path) -> Path:
    """Write the database of a released version."""
    with closing(sqlite3.connect(path)) as tables:
        tables.executescript(gzip.decompress((RELEASES / f"{version}.sql.gz").read_bytes()).decode())
    os.chmod(path, 0o600)
    return path


def new_home(table: str, column: str) -> tuple[str, str]:
    """Return the table and column where a value of version 0.1 is now."""
    names = dict(pair.split() for pair in RENAMED.get(table, "").split(",") if pair)
    return RENAMED_TABLES.get(table, table), names.get(column, column)


def upgrade(database: SqliteDatabase) -> list[str]:
    try:
        return schema.upgrade_schema(database, lambda migration: None)
    except ColumnMismatch as wrong:
        pytest.fail(f"{wrong}\n{ADVICE}")


@pytest.fixture
def old(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """The database of version 0.1, not upgraded yet."""
    yield open_database(unpack("0.1", tmp_path / "old.db"))
    db.close()


@pytest.fixture
def installation(tmp_path: Path, key_box: Path) -> Iterator[ground.Config]:
    """A data folder of version 0.1."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    shutil.copytree(key_box, data / "keys")
    unpack("0.1", data / "kairan.db")
    yield ground.set_current_config(ground.Config(data=data))
    db.close()


@pytest.fixture
def upgraded(installation: ground.Config) -> ground.Config:
    """The data folder of version 0.1, upgraded as by a start."""
    install.prepare_data_folder(installation)
    return installation


@pytest.fixture
def more_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder of migrations, to add one."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS_DIR, folder)
    monkeypatch.setattr(schema, "MIGRATIONS_DIR", folder)
    return folder


# ── the schema ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upgraded_database_has_the_tables_of_a_new_one(version, tmp_path):
    fresh = open_database(tmp_path / "fresh.db")
    schema.upgrade_schema(fresh, lambda migration: pytest.fail("an empty database is not copied"))
    expected = schema_shape(fresh)
    fresh.close()
    database = open_database(unpack(version, tmp_path / "old.db"))
    pending = schema.pending_migrations(database)
    assert upgrade(database) == pending and schema.pending_migrations(database) == []
    found = schema_shape(database)
    differing = {part: found[part] ^ expected[part] for part in expected if found[part] != expected[part]}
    assert differing == {}, ADVICE
    assert len(expected["indexes"]) > 80 and len(expected["checks"]) >= 7
    assert database.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.pragma("foreign_keys") == 1
    db.close()


def test_the_models_make_no_other_tables_than_a_new_database(tmp_path):
    """`create_tables` and the runner's way to a new database are the same."""
    database = open_database(tmp_path / "fresh.db")
    schema.upgrade_schema(database, lambda migration: None)
    shape = schema_shape(database)
    assert shape["tables"] == {model._meta.table_name for model in models.TABLES}
    assert [one.path for one in schema.Runner(database, str(schema.MIGRATIONS_DIR)).status() if not one.applied] == []
    db.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_released_migration_is_frozen(version):
    released = json.loads((RELEASES / f"{version}.json").read_text("utf-8"))["migrations"]
    now = {name: hashlib.sha256((schema.MIGRATIONS_DIR / f"{name}.py").read_bytes()).hexdigest() for name in released}
    assert now == released, "a released migration has been edited; write a new one instead"


# ── the rows ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", VERSIONS)
def test_every_row_is_still_there(version, tmp_path):
    before = json.loads((RELEASES / f"{version}.json").read_text("utf-8"))["rows"]
    database = open_database(unpack(version, tmp_path / "old.db"))
    upgrade(database)
    after = {
        name: database.execute_sql(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in database.get_tables()
    }
    expected = {RENAMED_TABLES.get(name, name): count for name, count in before.items()}
    assert {name: after[name] for name in expected} == expected
    assert not [name for name, count in expected.items() if count == 0]
    db.close()


def test_every_value_of_every_column_is_carried_over(old):
    columns = [
        (table, row[1])
        for table in old.get_tables()
        if table != "schema_migration"
        for row in old.execute_sql(f'PRAGMA table_xinfo("{table}")').fetchall()
    ]
    before = {
        (table, column): old.execute_sql(f'SELECT id, "{column}" FROM "{table}"').fetchall()
        for table, column in columns
    }
    upgrade(old)
    for (table, column), rows in before.items():
        if table == "notice" and column in SPLIT_OFF:
            there, name, default = SPLIT_OFF[column]
            kept = dict(old.execute_sql(f'SELECT notice_id, "{name}" FROM "{there}"').fetchall())
            assert {number: kept.get(number, default) for number, _ in rows} == dict(rows), column
            assert len(kept) < len(rows) and any(value != default for value in kept.values()), column
            continue
        there, name = new_home(table, column)
        found = old.execute_sql(f'SELECT t.id, t."{name}" FROM "{there}" AS t').fetchall()
        if (table, column) not in CHANGED:
            assert sorted(found) == sorted(rows), (table, column)
    assert len(before) > 300


def test_undo_keeps_old_values_under_the_new_column_names(old):
    was = json.loads(old.execute_sql("SELECT detail FROM job WHERE detail LIKE '%joined_route%'").fetchone()[0])
    upgrade(old)
    now = Job.get(Job.state == "done").detail
    assert was["written"]["made"] == now["written"]["made"] and was["counts"] == now["counts"]
    (renamed,) = (row for row, _ in now["written"]["changed"]["membership"].values() if "joined_via" in row)
    assert renamed["joined_via"] == "copy" and "joined_route" not in renamed


def test_undo_of_a_rollover_gets_the_new_column_names_too(old):
    number, text = old.execute_sql("SELECT id, undo FROM rollover WHERE undo LIKE '%written%'").fetchone()
    undo = json.loads(text)
    undo["roster"]["written"][0]["changed"]["membership"]["1"] = [{"joined_route": "copy", "relation": "母"}, "digest"]
    undo["roster"]["written"][0]["changed"]["person"]["1"] = [{"told_state": "fine"}, "digest"]
    old.execute_sql("UPDATE rollover SET undo = ? WHERE id = ?", (json.dumps(undo, ensure_ascii=False), number))
    upgrade(old)
    (changed,) = (
        log["changed"] for log in Rollover.get_by_id(number).undo["roster"] if "1" in log["changed"]["membership"]
    )
    assert changed["membership"]["1"] == [{"joined_via": "copy", "relation": "母"}, "digest"]
    assert changed["person"]["1"] == [{"reported_address_state": "fine"}, "digest"]
    (end,) = (log["changed"] for log in Rollover.get_by_id(number).undo["end"])
    assert {row: [old["state"], old["class_teacher"]] for row, (old, _) in end["membership"].items()} == undo["end"][
        "places"
    ]
    assert {row: old["join_code"] for row, (old, _) in end["list"].items()} == undo["end"]["lists"]


def test_waiting_imports_and_rosters_get_the_new_field_name(old):
    old.execute_sql("UPDATE job SET detail = json_set(detail, '$.mapping[1]', 'in_charge') WHERE state = 'ready'")
    roster = json.dumps({"filename": "a.csv", "rows": [{"number": 2, "in_charge": "山田"}], "decided": {}})
    old.execute_sql("UPDATE rollover SET roster = ?", (roster,))
    actions = old.execute_sql("SELECT COUNT(*) FROM log WHERE action = 'list.in_charge_set'").fetchone()[0]
    upgrade(old)
    assert Job.get(Job.state == "ready").detail["mapping"][1] == "class_teacher"
    assert Rollover.get().roster["rows"] == [{"number": 2, "class_teacher": "山田"}]
    now = models.AuditLog.select().where(models.AuditLog.action == "list.class_teacher_set").count()
    assert now == actions > 0
    assert not models.AuditLog.select().where(models.AuditLog.action == "list.in_charge_set").exists()


def test_undo_of_an_old_rollover_keeps_who_left_again_before_or_after_the_upgrade(old):
    number, text = old.execute_sql("SELECT id, undo FROM rollover WHERE undo LIKE '%written%'").fetchone()
    undo = json.loads(text)
    before, after, other = [row for row in undo["end"]["places"] if row not in undo["roster"]["opened"]][:3]
    again = "UPDATE membership SET left_at = left_at + 1 WHERE id = ?"
    old.execute_sql(again, (before,))
    upgrade(old)
    old.execute_sql(again, (after,))
    Notice.update(started_at=None).execute()
    for _ in ("roster", "end"):
        year_end.undo_step(Rollover.get_by_id(number), None)
    states = [Membership.get_by_id(int(row)).state for row in (before, after, other)]
    assert states == ["left", "left", undo["end"]["places"][other][0]]


def test_an_import_of_the_old_version_can_be_undone(upgraded):
    job = Job.get(Job.state == "done")
    numbers = [int(one) for one in job.detail["written"]["made"]["membership"]]
    back, _ = jobs.undo_import(job, User.get(), job.made_at)
    assert back and Membership.select().where(Membership.id.in_(numbers)).count() < len(numbers)
    assert Membership.select().where(Membership.joined_via == "copy", Membership.state == "left").exists()


def test_a_rollover_of_the_old_version_can_be_undone(installation):
    with closing(sqlite3.connect(installation.database)) as tables:
        (kept,) = (
            json.loads(text) for (text,) in tables.execute("SELECT undo FROM rollover WHERE undo LIKE '%roster%'")
        )
    install.prepare_data_folder(installation)
    Notice.update(started_at=None).execute()
    rollover = Rollover.get(Rollover.state == "done", Rollover.undo != {})
    year_end.undo_step(rollover, None)
    year_end.undo_step(Rollover.get_by_id(rollover.id), None)
    assert Rollover.get_by_id(rollover.id).state == "undone"
    grades = {str(one.id): [one.name, one.kana, one.grade, one.class_name] for one in models.Child.select()}
    assert {number: grades[number] for number in kept["roster"]["children"]} == kept["roster"]["children"]
    states = {str(one.id): one.state for one in Membership.select()}
    ended = {number: state for number, (state, _) in kept["end"]["places"].items()}
    assert {number: states[number] for number in ended} == ended and "active" in ended.values()


# ── the pages and the worker on an upgraded database ─────────────────────────────────────────────────────────────


@pytest.fixture
def administrator(one_app, upgraded):
    """A browser in which an administrator of the old installation is logged in."""
    accounts.set_password(User.get(User.name == "小川 守"), cast.PASSWORD, now=clock.now())
    kept = dict(one_app.config)
    one_app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    browser = one_app.test_client()
    assert browser.post("/login", data={"name": "小川 守", "password": cast.PASSWORD}).status_code == 303
    yield browser
    one_app.config.clear()
    one_app.config.update(kept)


def crawl(browser, start: str) -> dict[str, int]:
    """GET a page and all pages linked from there, one of each shape; return {path: status}."""
    waiting, seen, found = [start], {start}, {}
    while waiting:
        path = waiting.pop(0)
        answer = browser.get(path)
        found[path] = answer.status_code
        if "text/html" not in answer.headers.get("Content-Type", ""):
            continue
        for link in re.findall(r'href="(/[^"#]*)', answer.get_data(as_text=True)):
            shape = re.sub(r"\d+", "0", urlsplit(link).path)
            if shape not in seen and not shape.startswith("/static/"):
                seen.add(shape)
                waiting.append(link.replace("&amp;", "&"))
    return found


@pytest.mark.timeout(300)
def test_an_administrator_can_open_every_page(administrator):
    found = crawl(administrator, "/")
    assert {path: status for path, status in found.items() if status not in (200, 302, 303)} == {}
    main = {"/", "/lists", "/history", "/figures", "/users", "/admin"}
    assert main <= {path for path, status in found.items() if status == 200}
    assert any(re.fullmatch(r"/notices/\d+/board", path) for path in found), sorted(found)
    assert len(found) > 80


def test_every_notice_and_reader_page_opens(administrator):
    for notice in Notice.select():
        assert administrator.get(f"/history/{notice.id}").status_code in (200, 302, 303, 404), notice.state
    reader = administrator.application.test_client()
    tokens = [row.token for row in models.Delivery.select().where(models.Delivery.reason == "").limit(40)]
    for token in tokens:
        for page in ("r", "u"):
            assert reader.get(f"/{page}/{token}").status_code in (200, 303, 410), (page, token)


def test_scheduler_and_worker_go_on_with_the_old_rows(upgraded):
    scheduler.run_due_jobs(clock.now())
    assert load_settings().lacks_route and not smarthost.drained()  # it has sent real letters: they wait for a server
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        assert smarthost.drained() and host.mails
    assert not Letter.select().where(Letter.state == "waiting", Letter.next_attempt_at <= clock.now()).exists()


# ── the runner ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_opening_again_changes_nothing(upgraded):
    before = schema_shape(db.obj)
    install.prepare_data_folder(upgraded)
    assert schema_shape(db.obj) == before and schema.pending_migrations(db.obj) == []
    assert len(list((upgraded.data / "backups").iterdir())) == 1


def test_the_copy_kept_is_the_database_from_before(upgraded):
    (copy,) = (upgraded.data / "backups").iterdir()
    with closing(sqlite3.connect(copy)) as tables:
        assert tables.execute("SELECT COUNT(*) FROM sums").fetchone()[0] == 1
    assert copy.stat().st_mode & 0o777 == 0o600 and copy.name.startswith("before-0002_")


@pytest.mark.parametrize("empty", [False, True], ids=["old", "empty"])
def test_several_processes_start_at_once(installation, empty):
    """One of them upgrades; the others wait and go on."""
    if empty:
        installation.database.unlink()
    environ = {**os.environ, "KAIRAN_DATA": str(installation.data)}
    command = [sys.executable, "-m", "cli", "init"]
    started = [
        subprocess.Popen(
            command, cwd=ground.PROJECT_DIR, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    said = [one.communicate(timeout=100) for one in started]
    assert [one.returncode for one in started] == [0, 0, 0, 0], said
    with closing(sqlite3.connect(installation.database)) as tables:
        applied = [name for (name,) in tables.execute("SELECT name FROM schema_migration ORDER BY name")]
    assert applied == sorted(path.stem for path in schema.MIGRATIONS_DIR.glob("[0-9]*.py"))
    assert len(list(installation.data.glob("backups/*"))) == (0 if empty else 1)


def test_a_database_that_was_upgraded_meanwhile_is_left_alone(old, monkeypatch):
    """Another process finishes the upgrade between the first look and the transaction."""
    look, path = schema._pending, old.database

    def slow_look(runner):
        names = look(runner)
        monkeypatch.setattr(schema, "_pending", look)
        other = SqliteDatabase(path, pragmas={"journal_mode": "wal", "foreign_keys": 1})
        assert schema.upgrade_schema(other, lambda migration: None) == names
        other.close()
        return names

    monkeypatch.setattr(schema, "_pending", slow_look)
    assert schema.upgrade_schema(old, lambda migration: pytest.fail("nothing is to be copied")) == []
    assert old.execute_sql("SELECT COUNT(*) FROM schema_migration").fetchone()[0] == 2


def test_while_the_old_version_runs_nothing_is_changed(installation, monkeypatch):
    monkeypatch.setattr(install, "STOP_WAIT_S", 0.2)
    with (installation.data / "lock").open("a") as running:
        fcntl.flock(running, fcntl.LOCK_SH)
        with pytest.raises(install.StillRunning):
            install.prepare_data_folder(installation)
    with closing(sqlite3.connect(installation.database)) as tables:
        assert tables.execute("SELECT COUNT(*) FROM sums").fetchone()[0] == 1
    install.prepare_data_folder(installation)
    assert "notice_stats" in db.get_tables()


def test_a_database_of_a_later_version_is_refused(old):
    old.execute_sql("INSERT INTO schema_migration (name, applied) VALUES ('0999_later', '2030-01-01')")
    with pytest.raises(schema.NewerDatabase, match="0999_later"):
        upgrade(old)
    assert "sums" in old.get_tables()


@pytest.mark.parametrize(
    ("migration", "told"),
    [
        ("DELETE FROM notice", "refers to a missing row of notice"),
        ("UPDATE role SET kind = 'nonsense'", "CHECK"),
        ("UPDATE no_table SET x = 1", "no such table"),
    ],
)
def test_a_migration_that_fails_changes_nothing(old, more_migrations, migration, told):
    (more_migrations / "0900_bad.py").write_text(f'def up(migrator, db):\n    db.execute_sql("{migration}")\n')
    before = schema_shape(old)
    with pytest.raises(schema.UpgradeFailed, match=told):
        upgrade(old)
    assert schema_shape(old) == before and old.pragma("foreign_keys") == 1
    assert old.execute_sql("SELECT COUNT(*) FROM notice").fetchone()[0] > 20


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (install.StillRunning("/data"), "Stop Kairan first"),
        (install.DataLocked("/data"), "upgrading its database"),
        (schema.NewerDatabase("0999_later"), "newer Kairan"),
        (schema.UpgradeFailed("CHECK constraint failed"), "nothing in it was changed"),
    ],
)
def test_a_command_says_in_one_line_why_it_cannot_open_the_database(wrong, told, capsys):
    with pytest.raises(SystemExit) as ended, common.errors_in_one_line():
        raise wrong
    said = capsys.readouterr()
    assert ended.value.code == 1 and told in said.err and said.err.count("\n") == 1 and said.out == ""


# ── the helpers of migrations ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ({}, "no source for .'letters_total'.*not carried over .'sent'"),
        ({"sums": Source("sums", {"letters_total": "1"})}, "not carried over .'sent'"),
        ({"sums": Source("sums", gone=("sent",))}, "no source for .'letters_total'"),
    ],
)
def test_rewrite_refuses_a_forgotten_column(old, sources, told):
    (sql,) = old.execute_sql("SELECT sql FROM sqlite_master WHERE name = 'sums'").fetchone()
    old.pragma("foreign_keys", 0)
    with pytest.raises(ColumnMismatch, match=told), old.atomic():
        rewrite(old, [sql.replace('"sent"', '"letters_total"')], sources)
    assert "new sums" not in old.get_tables()


def test_rewrite_refuses_to_drop_tables_while_foreign_keys_are_on(old):
    with pytest.raises(RuntimeError, match="foreign keys"):
        rewrite(old, [])


def test_set_check_replaces_the_condition_and_keeps_rows_and_indexes(old):
    before = schema_shape(old)
    old.pragma("foreign_keys", 0)
    with old.atomic():
        set_check(None, old, "letter", "letter_round", "round < 3")
        set_check(None, old, "letter", "letter_round", "round IN (1, 2)")
    after = schema_shape(old)
    assert after["checks"] - before["checks"] == {("letter", "letter_round", "(roundin(1,2))")}
    assert {part: rows for part, rows in after.items() if part != "checks"} == {
        part: rows for part, rows in before.items() if part != "checks"
    }
    assert old.execute_sql("SELECT COUNT(*) FROM letter").fetchone()[0] > 200


def test_set_check_adds_a_state_to_a_table_of_today(upgraded):
    before = schema_shape(db.obj)
    db.pragma("foreign_keys", 0)
    with db.atomic():
        set_check(
            None,
            db.obj,
            "notice",
            "notice_state",
            f"state IN {tuple(one.value for one in models.NoticeState) + ('archived',)}",
        )
    after = schema_shape(db.obj)
    assert [name for _, name, _ in before["checks"] ^ after["checks"]] == ["notice_state", "notice_state"]
    Notice.update(state="archived").where(Notice.state == "sent").execute()
    assert Notice.select().where(Notice.state == "archived").exists()


# ── the fixture of the next release ──────────────────────────────────────────────────────────────────────────────


def test_the_tool_makes_a_database_with_every_table_and_every_checked_value(config, tmp_path):
    release_fixture.fill(clock.now())
    for table in models.TABLES:
        for column, values in release_fixture.checked_values(table).items():
            found = {row[0] for row in table.select(getattr(table, column)).distinct().tuples()}
            assert found >= set(values), (table, column)
    db.close()
    rows = release_fixture.dump(config.database, "next", tmp_path)
    assert set(rows) == {table._meta.table_name for table in models.TABLES} and 0 not in rows.values()
    with closing(sqlite3.connect(":memory:")) as tables:
        tables.executescript(gzip.decompress((tmp_path / "next.sql.gz").read_bytes()).decode())
        assert tables.execute("SELECT COUNT(*) FROM letter").fetchone()[0] == rows["letter"]
        undo_logs = [
            json.loads(text) for (text,) in tables.execute("SELECT detail FROM job UNION ALL SELECT undo FROM rollover")
        ]
    assert [log for log in undo_logs if "joined_via" in json.dumps(log)] and [
        log for log in undo_logs if log.get("roster")
    ]


def test_letters_of_version_0_1_keep_their_return_and_reply_addresses(upgraded):
    """They carry one tag for all purposes; letters made from now on do not."""
    since = models.Organization.load_row().tags_have_purpose_since
    assert since is not None
    settings = load_settings()
    number = models.Letter.select(models.Letter.id).order_by(models.Letter.id.desc()).scalar()
    tag = make_old_verp_tag(number, settings.secret)
    assert [decode_letter_tag(tag, purpose, settings) for purpose in ("return", "reply", "id")] == [number] * 3
    models.Letter.update(made_at=since).where(models.Letter.id == number).execute()
    assert decode_letter_tag(tag, "return", settings) is None
