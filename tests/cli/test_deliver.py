"""`flask deliver` and the mail door as processes (design 4: exit 0 handled, 67 no such address, 75 try later)."""

import smtplib
import sqlite3
import subprocess
import sys

import pytest

from config import PROJECT_DIR
from database import db
from models import MailingList
from tests.cast_mail import DOMAIN, mail
from tests.mail.smtp_servers import free_port
from tests.processes import Parts, parts, until

LIST = f"list@{DOMAIN}"
RAW = mail("x@example.jp", LIST, "宣伝", "本文")


@pytest.fixture
def house(config):
    """An installation of its own with one list; its DNS is a port where nobody answers."""
    MailingList.create(name="名簿", address="list")
    db.close()
    with parts(config.data, mail_domain=DOMAIN, dns=f"127.0.0.1:{free_port()}") as made:
        yield made


def deliver(house: Parts, raw: bytes, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "cli", "deliver", *options],
        cwd=PROJECT_DIR,
        env=house.environ,
        input=raw,
        capture_output=True,
        timeout=60,
    )


def rows(house: Parts) -> list[tuple]:
    with sqlite3.connect(f"{house.environ['KAIRAN_DATA']}/kairan.db") as file:
        return file.execute("SELECT kind, outcome, envelope_sender FROM inbound_message").fetchall()


def test_exit_codes_and_streams(house):
    done = deliver(house, RAW, "--recipient", LIST, "--sender", "x@example.jp")
    assert (done.returncode, done.stdout) == (0, b"")
    assert rows(house) == [("stray", "held", "x@example.jp")]
    assert deliver(house, RAW, "--recipient", LIST, "--sender", "x@example.jp").returncode == 0, "the same again"
    assert len(rows(house)) == 1
    for unknown in (f"nobody@{DOMAIN}", "list@other.example", f"b-{'a' * 24}@{DOMAIN}"):
        gone = deliver(house, RAW, "--recipient", unknown)
        assert (gone.returncode, gone.stdout) == (67, b"") and gone.stderr
    assert deliver(house, RAW).returncode == 2, "wrong usage"


def test_machines_have_no_sender(house):
    assert deliver(house, RAW, "--recipient", LIST, "--sender", "<>").returncode == 0
    assert rows(house) == [("machine", "dropped", "")]


def test_a_database_that_cannot_be_written_means_later(house):
    with sqlite3.connect(f"{house.environ['KAIRAN_DATA']}/kairan.db") as file:
        file.execute("CREATE TRIGGER full BEFORE INSERT ON inbound_message BEGIN SELECT RAISE(ABORT, 'no room'); END")
    put_off = deliver(house, RAW, "--recipient", LIST)
    assert put_off.returncode == 75 and b"Traceback" not in put_off.stderr


def test_a_poison_mail_is_put_off_twice_and_then_taken(house):
    """What cannot be handled must not come back for ever."""
    with sqlite3.connect(f"{house.environ['KAIRAN_DATA']}/kairan.db") as file:
        file.execute("CREATE TRIGGER sick BEFORE INSERT ON letter BEGIN SELECT RAISE(ABORT, 'sick'); END")
    join = f"list-join@{DOMAIN}"
    raw = mail("x@example.jp", join)
    codes = [deliver(house, raw, "--recipient", join, "--sender", "x@example.jp").returncode for _ in range(4)]
    assert codes == [75, 75, 0, 0]
    assert rows(house)[0][1] == "quarantined"


def test_the_door_is_a_part_of_its_own(house):
    port = free_port()
    house.environ["KAIRAN_INLET"] = f"lmtp://127.0.0.1:{port}"
    serving = house.start("serve", "--only", "inlet")

    def answers() -> bool:
        try:
            with smtplib.LMTP("127.0.0.1", port, timeout=5) as client:
                client.sendmail("x@example.jp", [LIST], RAW.replace(b"\n", b"\r\n"))
        except OSError:
            return False
        return True

    assert until(answers, 30, 0.2), house.said()
    assert until(lambda: rows(house) and rows(house)[0][1] == "held", 20), house.said()
    serving.terminate()
    assert serving.wait(30) == 0


@pytest.mark.parametrize("inlet", ["", "nonsense", "pop3://127.0.0.1:110"])
def test_a_door_without_a_place_is_refused_with_a_sentence(house, inlet):
    house.environ["KAIRAN_INLET"] = inlet
    refused = house.run("serve", "--only", "inlet")
    assert refused.returncode == 1
    assert "KAIRAN_INLET" in refused.stderr and "Traceback" not in refused.stderr
