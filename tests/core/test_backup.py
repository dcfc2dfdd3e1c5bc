"""Everything as one file and back: whole, private, refused when damaged or in use, quiet afterwards (design 4)."""

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest

import clock
from config import PROJECT_DIR
from core import backup, install, schema
from core.accounts import sessions
from core.system import restore
from database import db
from models import AuditLog, Letter, Notice, Person, Session
from tests import cast_notices


@pytest.fixture
def made(school, config, tmp_path):
    """A backup of the small school with an attachment, and what must stay out."""
    (config.data / "attachments").mkdir()
    (config.data / "attachments" / "1").write_bytes(b"%PDF map")
    (config.data / "outbox" / "letter.eml").write_bytes(b"x")
    (config.data / "kairan.toml").write_text('mail_domain = "mail.school.example"\n')
    return backup.create_backup(config, tmp_path / "backup.tar.gz", clock.now())


@pytest.fixture
def elsewhere(config, tmp_path):
    """The settings of another machine with an empty data folder."""
    return replace(config, data=tmp_path / "new" / "data")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def names(path):
    with tarfile.open(path) as tar:
        return set(tar.getnames())


def test_a_backup_holds_what_counts_and_is_for_its_owner_alone(made, config):
    held = names(made.path)
    assert held == {
        "kairan.db",
        "keys/secret",
        "keys/session",
        "keys/dkim.pem",
        "attachments/1",
        "kairan.toml",
        backup.MANIFEST,
    }
    assert mode(made.path) == 0o600
    assert AuditLog.select().where(AuditLog.action == "house.backed_up").exists()
    assert clock.now() - backup.last_backup_at() < timedelta(minutes=1)
    assert not list(config.data.glob("backups/.copy-*")) and not list(made.path.parent.glob(".*-part"))


def test_backup_is_opened_and_its_rows_are_counted(made, config, tmp_path):
    counted = backup.verify_backup(made.path, tmp_path / "copy.db")
    assert counted["person"] == Person.select().count() > 10
    assert counted["schema_migration"] >= 2 and not (tmp_path / "copy.db").exists()


def test_unreadable_backup_gets_no_name(school, config, tmp_path, monkeypatch):
    counts = iter(({"person": 1}, {"person": 2}))
    monkeypatch.setattr(backup, "count_rows", lambda path: next(counts))
    with pytest.raises(backup.InvalidBackup, match="numbers of rows"):
        backup.create_backup(config, tmp_path / "b.tar.gz", clock.now())
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert backup.last_backup_at() is None


_KILLED = """
import os, signal, sys
from pathlib import Path
import clock, config
from core import backup, install
config.set_current_config(config.Config(data=Path(sys.argv[1])))
install.prepare_data_folder(config.current_config())
def verify(part, copy):
    print("written", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
backup.verify_backup = verify
backup.create_backup(config.current_config(), Path(sys.argv[2]), clock.now())
"""


def test_backup_that_was_killed_leaves_no_half_file(school, config, tmp_path):
    """kill -9 leaves a hidden file, never one by the name of a backup; the next backup removes it."""
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / ".other.part").write_text("of another program")
    done = subprocess.run([sys.executable, "-c", _KILLED, config.data, folder / "b.tar.gz"], cwd=PROJECT_DIR)
    assert done.returncode == -signal.SIGKILL
    assert sorted(path.name for path in folder.iterdir()) == [".b.tar.gz.kairan-part", ".other.part"]
    backup.create_backup(config, folder / "c.tar.gz", clock.now())
    assert sorted(path.name for path in folder.iterdir()) == [".other.part", "c.tar.gz"]
    assert list(config.data.glob("backups/.copy-*")) == []


def test_it_is_whole_while_somebody_writes(school, config, tmp_path):
    """A transaction that is open meanwhile is not in it, and does not keep it waiting."""
    other = sqlite3.connect(config.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE person SET name = 'halb'")
    schema.copy_database(config.database, tmp_path / "copy.db")
    other.execute("ROLLBACK")
    other.close()
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT COUNT(*) FROM person WHERE name = 'halb'").fetchone() == (0,)
    copy.close()


def test_a_folder_takes_one_for_each_day(school, config, tmp_path):
    found = backup.create_backup(config, tmp_path, clock.now()).path
    assert found.parent == tmp_path and found.name.startswith("kairan-20") and found.name.endswith(".tar.gz")


def test_restored_on_a_new_machine_everything_is_there(made, elsewhere):
    done = restore.restore_backup(elsewhere, made.path, clock.now())
    assert done.kept is None and Person.select().where(Person.name == "青山 健太").exists()
    assert (elsewhere.data / "attachments" / "1").read_bytes() == b"%PDF map"
    assert mode(elsewhere.data) == 0o700 and mode(elsewhere.data / "keys" / "secret") == 0o600
    assert mode(elsewhere.database) == 0o600 and not (elsewhere.data / "restoring").exists()


def test_what_was_there_is_kept_aside(made, config):
    Person.update(name="später").execute()
    (config.data / "attachments" / "2").write_bytes(b"later")
    done = restore.restore_backup(config, made.path, clock.now())
    assert not Person.select().where(Person.name == "später").exists()
    assert (done.kept / "attachments" / "2").exists() and not (config.data / "attachments" / "2").exists()
    with sqlite3.connect(done.kept / "kairan.db") as old:
        assert old.execute("SELECT COUNT(*) FROM person WHERE name = 'später'").fetchone()[0]
    old.close()


def test_nothing_goes_out_by_itself_and_nobody_stays_logged_in(school, config, tmp_path):
    """Letters may have left after the backup was made: what was under way asks."""
    now = clock.now()
    going = cast_notices.send([school.lists["1-1"]], state="sending").notice
    due, later = (cast_notices.send([school.lists["1-1"]], state="scheduled").notice for _ in range(2))
    for notice, minutes in ((due, 10), (later, 600)):
        Notice.update(started_at=None, send_at=now + timedelta(minutes=minutes)).where(Notice.id == notice.id).execute()
    Letter.create(
        kind="login",
        address="a@example.com",
        domain="example.com",
        payload={"url": "x"},
        made_at=now,
        next_attempt_at=now,
        expires_at=now + timedelta(hours=1),
    )
    sessions.start_session(school.users["花子"], now=now)
    made = backup.create_backup(config, tmp_path / "b.tar.gz", now)
    done = restore.restore_backup(config, made.path, now + timedelta(minutes=20))
    state = {one.id: (one.state, one.hold_reason) for one in Notice.select()}
    assert (state[going.id], state[due.id]) == (("held", "late"), ("held", "late"))
    assert state[later.id] == ("scheduled", "") and done.asking == 2
    assert Session.select().count() == 0
    letter = Letter.get(Letter.kind == "login")
    assert (letter.state, letter.payload) == ("cancelled", {})


def test_a_running_kairan_is_not_restored_over(made, config):
    running = os.open(config.data / "lock", os.O_RDWR)
    install.fcntl.flock(running, install.fcntl.LOCK_SH)
    with pytest.raises(install.DataLocked):
        restore.restore_backup(config, made.path, clock.now())
    os.close(running)
    assert Person.select().where(Person.name == "青山 健太").exists()


def test_while_it_is_restored_nobody_else_opens_it(config):
    restoring = os.open(config.data / "lock", os.O_RDWR)
    install.lock_exclusive(config.data)
    install._lock_file.close()
    (config.data / "restoring").mkdir()
    install.fcntl.flock(restoring, install.fcntl.LOCK_EX)
    with pytest.raises(install.DataLocked):
        install.prepare_data_folder(config)
    os.close(restoring)
    install.prepare_data_folder(config)


def changed(path, name, content):
    """Return the backup with one file changed, added or (content None) gone."""
    other = path.with_name("other.tar.gz")
    with tarfile.open(path) as old, tarfile.open(other, "w:gz") as new:
        for entry in old:
            held = old.extractfile(entry).read()
            if entry.name == name:
                continue
            new.addfile(entry, BytesIO(held))
        if content is not None:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            new.addfile(entry, BytesIO(content))
    return other


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("keys/secret", b"another"),
        ("keys/secret", None),
        ("kairan.db", b"SQLite format 3\0" + b"\0" * 5000),
        (backup.MANIFEST, None),
        (backup.MANIFEST, b"{}"),
        (backup.MANIFEST, b'{"format": 2, "made_at": "", "files": {}}'),
        ("../outside", b"x"),
        ("/outside", b"x"),
        ("extra", b"not in the list"),
    ],
)
def test_a_changed_backup_is_refused_and_nothing_is_touched(made, config, name, content):
    Person.update(name="now").execute()
    with pytest.raises(restore.InvalidBackup):
        restore.restore_backup(config, changed(made.path, name, content), clock.now())
    install.prepare_data_folder(config)
    assert Person.select().where(Person.name == "now").exists()
    assert not (config.data / "restoring").exists() and not (config.data.parent / "outside").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08broken"])
def test_what_is_no_backup_is_refused(config, tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(restore.InvalidBackup):
        restore.restore_backup(config, tmp_path / "file", clock.now())


def test_a_cut_off_backup_is_refused(made, config):
    made.path.write_bytes(made.path.read_bytes()[:-2000])
    with pytest.raises(restore.InvalidBackup):
        restore.restore_backup(config, made.path, clock.now())


def test_a_later_kairans_backup_is_refused(school, config, tmp_path):
    db.execute_sql("INSERT INTO schema_migration (name, applied) VALUES ('0999_later', '2030-01-01')")
    made = backup.create_backup(config, tmp_path / "b.tar.gz", clock.now())
    with pytest.raises(restore.InvalidBackup, match="newer Kairan"):
        restore.restore_backup(config, made.path, clock.now())


def test_a_restore_that_was_cut_off_is_said_and_can_be_repeated(made, config):
    os.rename(config.database, config.data / "gone")
    (config.data / "restoring").mkdir()
    with pytest.raises(install.IncompleteRestore):
        install.prepare_data_folder(config)
    restore.restore_backup(config, made.path, clock.now())
    assert Person.select().where(Person.name == "青山 健太").exists()


def test_before_the_tables_change_a_copy_is_kept(school, config, tmp_path, monkeypatch):
    """An update brings a change: the copy has the tables from before, the database those of after."""
    shutil.copytree(schema.MIGRATIONS_DIR, tmp_path / "migrations")
    more = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE more (id INTEGER)')\n"
    (tmp_path / "migrations" / "0900_more.py").write_text(more)
    monkeypatch.setattr(schema, "MIGRATIONS_DIR", tmp_path / "migrations")
    install.prepare_data_folder(config)
    (copy,) = (config.data / "backups").iterdir()
    assert copy.name.startswith("before-0900_more-") and mode(copy) == 0o600
    assert "more" in db.get_tables()
    with sqlite3.connect(copy) as before:
        assert not before.execute("SELECT 1 FROM sqlite_master WHERE name = 'more'").fetchone()
    before.close()
    install.prepare_data_folder(config)
    assert len(list((config.data / "backups").iterdir())) == 1


def test_only_the_newest_copies_are_kept(school, config):
    folder = config.data / "backups"
    for number in range(schema.COPIES_KEPT + 2):
        copy = schema.copy_before_migration(config.database, f"{number:04}_more", clock.now())
    assert len(list(folder.iterdir())) == schema.COPIES_KEPT and copy.exists()


def test_a_copy_of_the_database_is_restored_alone(school, config):
    copy = schema.copy_before_migration(config.database, "0002_more", clock.now())
    Person.update(name="now").execute()
    (config.data / "keys-stay").write_text("x")
    done = restore.restore_backup(config, copy, clock.now())
    assert not Person.select().where(Person.name == "now").exists()
    assert (config.data / "keys-stay").exists() and (done.kept / "kairan.db").exists()
