"""The nightly backup: made and compared by itself, kept for 14 nights, copied, told when it fails, restored elsewhere."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import clock
import config as ground
from config import PROJECT_DIR
from core import backup, install
from core.system import nightly_backup, second_copy
from database import db
from models import AuditLog, Letter, Organization
from tests.conftest import needs_part
from tests.processes import until

NIGHT = clock.from_local(datetime(2026, 10, 14, 2, 7))  # noqa: DTZ001


@pytest.fixture
def nightly(school, config):
    """An installation that has been set up; run the hourly job at some time."""
    Organization.update(set_up_at=NIGHT - timedelta(days=30)).execute()

    def run(at):
        clock.set_offset(0)
        clock.set_offset((at - clock.now()).total_seconds())
        nightly_backup.run_nightly_backup(at)

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def use(config, **settings):
    return ground.set_current_config(replace(config, **settings))


def test_one_backup_a_day_from_two_in_the_morning_and_14_are_kept(nightly, config):
    nightly(NIGHT - timedelta(hours=1))
    assert nightly_backup.list_backups() == []
    nightly(NIGHT)
    nightly(NIGHT + timedelta(hours=1))
    assert names(config.data / "backups") == ["nightly-20261014-020700.tar.gz"]
    (config.data / "backups" / "before-roster-20260401-000000.tar.gz").write_bytes(b"")
    for day in range(1, 16):
        nightly(NIGHT + timedelta(days=day))
    found = names(config.data / "backups")
    assert len(found) == 15 and found[0].startswith("before-roster") and found[1] == "nightly-20261016-020700.tar.gz"
    stored = nightly_backup.list_backups()[0]
    assert stored.made_at == NIGHT + timedelta(days=15) and stored.octets > 1000
    status = backup.current_status(NIGHT + timedelta(days=15))
    assert (status.octets, status.old, status.failure) == (stored.octets, False, "")


def test_failure_is_told_once_and_the_backup_is_made_up_for(nightly, config, monkeypatch):
    def fail(*args):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(backup, "create_backup", fail)
        for hours in range(5):
            nightly(NIGHT + timedelta(hours=hours))
    assert AuditLog.select().where(AuditLog.action == backup.FAILED).count() == 2, "it tries again after three hours"
    assert backup.current_status(NIGHT).failure == "Input/output error"
    letters = list(Letter.select().where(Letter.kind == "backup_failed"))
    assert [letter.address for letter in letters] == [school_admin()]
    assert letters[0].payload["why"] == "Input/output error"
    nightly(NIGHT + timedelta(hours=7))
    assert backup.current_status(NIGHT).failure == "" and len(nightly_backup.list_backups()) == 1


def school_admin():
    return "user0@school.example"


def test_copy_in_a_folder_is_compared_and_pruned(nightly, config, tmp_path):
    place = tmp_path / "other disk"
    place.mkdir()
    (place / "somebody's file").write_text("stays")
    use(config, backup_copy=str(place))
    for day in range(16):
        nightly(NIGHT + timedelta(days=day))
    assert len(names(place)) == 15 and (place / "somebody's file").exists()
    newest = nightly_backup.list_backups()[0].name
    assert (place / newest).read_bytes() == (config.data / "backups" / newest).read_bytes()
    assert (place / newest).stat().st_mode & 0o777 == 0o600


def test_missing_second_place_is_told_and_the_same_backup_is_copied_later(nightly, config, tmp_path):
    place = tmp_path / "not mounted"
    use(config, backup_copy=str(place))
    nightly(NIGHT)
    assert "No such file" in backup.current_status(NIGHT).failure and not place.exists()
    assert Letter.select().where(Letter.kind == "backup_failed").count() == 1
    place.mkdir()
    nightly(NIGHT + timedelta(hours=4))
    assert names(place) == names(config.data / "backups") == ["nightly-20261014-020700.tar.gz"]
    assert backup.current_status(NIGHT).failure == ""


def _listens(port):
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def bucket(tmp_path):
    """A bucket of a real S3-compatible server (moto), and its URL as `backup_copy`."""
    server = Path(sys.executable).parent / "moto_server"
    needs_part(server.exists(), "moto (requirements-dev.txt)")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with (tmp_path / "s3.log").open("wb") as log:
        running = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        assert until(lambda: _listens(port), 60, every=0.2)
        create = f"""import boto3; boto3.client("s3", endpoint_url="http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id="key", aws_secret_access_key="se/cret").create_bucket(Bucket="school-backups")"""
        subprocess.run([sys.executable, "-c", create], check=True, capture_output=True)
        yield f"s3+http://key:se%2Fcret@127.0.0.1:{port}/school-backups/kairan"
    finally:
        running.terminate()
        running.wait(10)


@pytest.mark.timeout(180)
def test_copy_in_a_bucket_can_be_opened_and_is_pruned(nightly, config, bucket, tmp_path):
    use(config, backup_copy=bucket)
    store = second_copy._open_bucket(second_copy.parse_bucket(bucket))
    for day in range(15):
        store.put(f"nightly-202609{day + 10}-020700.tar.gz", b"old")
    store.put("somebody's file", b"stays")
    nightly(NIGHT)
    assert backup.current_status(NIGHT).failure == ""
    held = sorted(entry["path"] for entry in store.list().collect())
    assert len(held) == 15 and "somebody's file" in held and held[-2] == "nightly-20261014-020700.tar.gz"
    (tmp_path / "fetched").write_bytes(bytes(store.get("nightly-20261014-020700.tar.gz").bytes()))
    assert backup.verify_backup(tmp_path / "fetched", tmp_path / "copy.db")["person"] > 10
    use(config, backup_copy=bucket.replace("school-backups", "no-such-bucket"))
    nightly(NIGHT + timedelta(days=1))
    failure = backup.current_status(NIGHT).failure
    assert "no-such-bucket" in failure and "cret" not in failure


@pytest.mark.parametrize(
    ("place", "fits"),
    [
        ("/mnt/backup", True),
        ("s3://key:secret@s3.example.com/bucket/kairan?region=ap-northeast-1", True),
        ("s3+http://key:secret@127.0.0.1:9000/bucket", True),
        ("s3+http://key:secret@s3.example.com/bucket", False),
        ("s3://s3.example.com/bucket", False),
        ("s3://key:secret@s3.example.com", False),
        ("backups", False),
        ("ftp://a:b@c/d", False),
    ],
)
def test_second_place_is_a_folder_or_a_bucket_with_its_keys(place, fits):
    if fits:
        assert ground.load_config({"KAIRAN_DATA": "/nowhere", "KAIRAN_BACKUP_COPY": place}).backup_copy == place
        assert "secret" not in second_copy.shown(place)
    else:
        with pytest.raises(ground.ConfigError, match="KAIRAN_BACKUP_COPY"):
            ground.load_config({"KAIRAN_DATA": "/nowhere", "KAIRAN_BACKUP_COPY": place})


_RESTORE = """
import json, os, sys
from pathlib import Path
import clock
from config import Config, set_current_config
from core import backup
from core.system import restore
from database import db
if os.geteuid() == 0:  # after the imports: Python itself may lie in a folder of root
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
data = Path(sys.argv[1])
config = set_current_config(Config(data=data))
restore.restore_backup(config, Path(sys.argv[2]), clock.now())
db.close()
print(json.dumps([os.geteuid(), backup.count_rows(data / "kairan.db")]))
"""


def test_restored_in_another_folder_by_another_user_every_table_has_its_rows(nightly, config, tmp_path):
    """What an administrator practises: the nightly file on another machine, under another account."""
    (config.data / "attachments").mkdir()
    (config.data / "attachments" / "1").write_bytes(b"%PDF map")
    nightly(NIGHT)
    made = config.data / "backups" / nightly_backup.list_backups()[0].name
    with tarfile.open(made) as tar:
        wanted = json.loads(tar.extractfile(backup.MANIFEST).read())["rows"]
    db.close()
    place = Path("/tmp") / f"kairan-restore-{os.getpid()}"  # noqa: S108  the folders of pytest are closed to others
    place.mkdir(mode=0o755)
    try:
        shutil.copyfile(made, place / "backup.tar.gz")
        (place / "home").mkdir()
        if os.geteuid() == 0:
            os.chown(place / "home", 65534, 65534)
        done = subprocess.run(
            [sys.executable, "-c", _RESTORE, place / "home" / "data", place / "backup.tar.gz"],
            cwd=PROJECT_DIR,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 0, done.stderr
        user, restored = json.loads(done.stdout)
        changed = {"audit_log", "session"}  # the restore is logged, and all users must log in again
        assert {table: rows for table, rows in restored.items() if table not in changed} == {
            table: rows for table, rows in wanted.items() if table not in changed
        }
        assert restored["audit_log"] == wanted["audit_log"] + 1 and wanted["person"] > 10
        assert user == (65534 if os.geteuid() == 0 else os.geteuid())
        if os.geteuid() == 0:
            assert (place / "home" / "data" / "attachments" / "1").read_bytes() == b"%PDF map"
    finally:
        shutil.rmtree(place)
    install.lock_shared(config.data)
