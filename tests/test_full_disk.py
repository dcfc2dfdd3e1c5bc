"""A disk that becomes full while Kairan works: every part refuses in words, nothing is lost, all goes on with room."""

import smtplib
import subprocess
import sys

import pytest

import clock
import config as ground
from core.notices import start
from core.system import nightly_backup
from database import db
from tests import cast, smarthost
from tests.full_disk import fill_database, installed_on, small_disk
from tests.mail.smtp_servers import free_port
from tests.processes import parts, until
from tests.smarthost import confirmed, fresh, states, written

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(180)]

LETTERS = 2000
LIST = "1nen1kumi@mail.school.example"


MAIL = b"From: hanako@example.jp\r\nSubject: x\r\n\r\n" + b"words\r\n" * 2000


def assert_commands_refuse(house, folder, roster) -> None:
    """One line on stderr, exit 1, no file left."""
    for command in (
        ("backup", str(folder / "backup.tar.gz")),
        ("member", "import", "1nen1kumi", str(roster)),
        ("user", "add", "新人", "--role", "viewer", "--list", "1nen1kumi"),
    ):
        refused = house.run(*command)
        assert (refused.returncode, refused.stdout) == (1, ""), refused
        assert ("disk is full" in refused.stderr or "No space" in refused.stderr) and refused.stderr.count("\n") == 1
    assert not list(folder.glob("*backup*")) and not list((folder / "data").glob("backups/.*"))


def assert_mail_waits(house, port: int) -> None:
    """The mail server in front keeps the mail: exit 75 of its pipe, 452 by LMTP."""
    piped = subprocess.run(
        [sys.executable, "-m", "cli", "deliver", "--recipient", LIST],
        input=MAIL,
        cwd=ground.PROJECT_DIR,
        env=house.environ,
        capture_output=True,
    )
    assert piped.returncode == 75, piped
    with smtplib.LMTP("127.0.0.1", port, timeout=30) as door, pytest.raises(smtplib.SMTPDataError, match="452"):
        door.sendmail("hanako@example.jp", [LIST], MAIL)


def test_full_disk_loses_no_letter_and_every_command_says_so(tmp_path, mould):
    """Letters are counted at the receiver; the senders wait instead of ending."""
    with small_disk(tmp_path / "disk") as disk, installed_on(disk, mould) as config:
        school = cast.build()
        smarthost.families(school.lists["2-1"], LETTERS - 3)
        smarthost.send_by(smarthost.closed_port())  # a real notice: only its start is told here
        notice = confirmed(written(school.users["守"], [school.lists["2-1"]]), school.users["守"])
        start.start_due_notices(clock.now())
        roster, port_in = tmp_path / "roster.csv", free_port()
        roster.write_text("氏名,メール\n" + "".join(f"山田{n},y{n}@example.com\n" for n in range(2000)), "utf-8")
        with (
            smarthost.running() as (host, port),
            parts(
                config.data,
                smtp=f"smtp://127.0.0.1:{port}",
                rate=0,
                mail_domain=config.mail_domain,
                inlet=f"lmtp://127.0.0.1:{port_in}",
            ) as house,
        ):
            house.log = tmp_path / "parts.log"  # the usual place is on the disk that becomes full
            processes = [house.start(name) for name in ("send-letters", "send-letters", "bell", "mail-door")]
            assert until(lambda: len(host.mails) >= 100, 60, every=0.003), house.said()
            disk.fill()
            fill_database(config.database)
            assert until(lambda: "cannot be written" in house.said(), 20), (
                len(host.mails),
                states(notice),
                house.said(),
            )
            assert_commands_refuse(house, disk.path, roster)
            assert_mail_waits(house, port_in)
            assert 100 <= len(host.mails) < LETTERS
            assert [process.poll() for process in processes] == [None] * 4, house.said()
            disk.free()
            assert until(lambda: fresh(notice).state == "sent", 90), (states(notice), house.said())
            assert states(notice) == {"accepted": LETTERS}
            assert len(host.mails) == LETTERS and set(host.times().values()) == {1}
            with smtplib.LMTP("127.0.0.1", port_in, timeout=30) as door:
                assert door.sendmail("hanako@example.jp", [LIST], MAIL) == {}
            assert house.run("backup", str(tmp_path / "backup.tar.gz")).returncode == 0
            assert "Traceback" not in house.said(), house.said()
        db.close()


def test_no_nightly_backup_is_tried_on_a_full_disk(config, monkeypatch):
    monkeypatch.setattr("core.disk_space.MIN_FREE_BYTES", 2**60)
    nightly_backup.run_nightly_backup(clock.now())
    assert not (config.data / "backups").exists()
