"""The ledger of a worker: a reply once read survives kill -9, a locked database and a full disk; none counts twice."""

import os
import random
import resource
import signal
import sqlite3
import tarfile
from contextlib import closing

import pytest
from click.testing import CliRunner

import clock
import database
from cli.backup import backup
from core import audit
from core.delivery import ledger, lifecycle, queue
from core.notices import start, workflow
from core.settings import load_settings
from database import db, millis
from models import Letter, Person
from tests import smarthost
from tests.processes import parts, until
from tests.smarthost import begun, confirmed, fresh, never, sender, states, written

OWNER = "sender-x"


@pytest.fixture
def claimed(school, hanako):
    """Return a notice whose four letters one worker has claimed, and their ids."""
    smarthost.send_by(smarthost.closed_port())
    notice = begun(hanako, [school.lists["1-1"]])
    return notice, queue.claim_batch(OWNER, "boot", load_settings(), clock.now())


def line(answered, following, *, code=250, enhanced="2.0.0", text="2.0.0 taken", phase="end", attempts=0):
    now = millis(clock.now())
    return ledger.Line(now, answered, attempts, False, code, enhanced, text, phase, following)


def recovered():
    return lifecycle.recover_orphans(lambda owner: owner == OWNER, "boot", clock.now(), str)


def state_of(number):
    return Letter.get_by_id(number).state


# what a dead worker leaves


def test_what_a_dead_worker_read_is_in_the_tables_before_its_letters_are_settled(claimed, config):
    notice, (one, two, three, four) = claimed
    book = ledger.Ledger(OWNER)
    assert book.append(line(0, one)) and book.append(line(one, two)) and book.append(line(two, three))
    assert states(notice) == {"sending": 4}
    assert recovered() == 2
    assert [state_of(number) for number in (one, two, three, four)] == ["accepted", "accepted", "unknown", "waiting"]
    first = Letter.get_by_id(one)
    assert (first.code, first.enhanced, first.text, first.attempts) == (250, "2.0.0", "2.0.0 taken", 1)
    assert first.handed_over_at and first.done_at
    assert list((config.data / "run").glob("ledger-*")) == []


def test_a_refusal_in_the_ledger_of_a_dead_worker_has_its_consequences_once(claimed):
    notice, (one, two, *_) = claimed
    book = ledger.Ledger(OWNER)
    book.append(line(0, one))
    book.append(line(one, 0, code=550, enhanced="5.1.1", text="5.1.1 user unknown", phase="rcpt"))
    book.append(line(0, two))
    book.append(line(two, 0, code=451, enhanced="4.3.0", text="4.3.0 later", phase="rcpt"))
    for _ in range(2):
        with db.atomic():
            assert ledger.replay(OWNER, str)
    refused, deferred = Letter.get_by_id(one), Letter.get_by_id(two)
    assert (refused.state, refused.reason, refused.attempts) == ("refused", "unknown_user", 1)
    assert Person.get_by_id(refused.person_id).address_state == "bounced"
    assert (deferred.state, deferred.owner, deferred.attempts) == ("deferred", "", 1)
    assert [row.action for row in audit.AuditLog.select()].count("person.bounced") == 1


def test_a_line_counts_once_however_often_it_is_carried(claimed):
    notice, (one, two, *_) = claimed
    book = ledger.Ledger(OWNER)
    book.append(line(0, one))
    book.append(line(one, two))
    for _ in range(2):
        with ledger.all_carried(str):
            pass
    assert (state_of(one), Letter.get_by_id(one).attempts) == ("accepted", 1)
    book.carry(str)
    assert (Letter.get_by_id(one).attempts, book.lines) == (1, [])
    assert not ledger._path(OWNER).read_bytes().strip(b"\0")


def test_a_line_of_an_earlier_attempt_does_not_fit_the_next_one(claimed):
    """After a power cut the disk may hold an older ledger than tables."""
    _, (one, *_) = claimed
    ledger.Ledger(OWNER).append(line(one, 0, code=451, text="later", phase="rcpt"))
    Letter.update(attempts=1).where(Letter.id == one).execute()
    recovered()
    assert (state_of(one), Letter.get_by_id(one).attempts) == ("waiting", 1)


def test_a_torn_last_line_does_not_count(claimed):
    _, (one, two, three, four) = claimed
    book = ledger.Ledger(OWNER)
    for given in (line(0, one), line(one, two), line(two, three)):
        book.append(given)
    path, end = ledger._path(OWNER), book._end
    path.write_bytes(path.read_bytes()[: end - 7] + bytes(ledger.SIZE_OCTETS - end + 7))
    recovered()
    assert [state_of(number) for number in (one, two, three, four)] == ["accepted", "unknown", "waiting", "waiting"]


@pytest.mark.parametrize("octet", [b"?", b"\0"])
def test_after_a_damaged_line_any_claimed_letter_may_have_left(claimed, octet):
    _, (one, two, three, four) = claimed
    book = ledger.Ledger(OWNER)
    for given in (line(0, one), line(one, two), line(two, three)):
        book.append(given)
    raw = ledger._path(OWNER).read_bytes()
    middle = raw.index(b"\n", raw.index(b"\n") + 1) - 5
    ledger._path(OWNER).write_bytes(raw[:middle] + octet + raw[middle + 1 :])
    recovered()
    assert {state_of(number) for number in (one, three, four)} == {"unknown"}
    assert state_of(two) == ("accepted" if octet == b"?" else "unknown")


def test_a_long_reply_in_any_script_fits_a_line():
    given = line(1, 2, text="満杯🈵" * 125 + '"\\\n')
    assert ledger._decode(given.encode() + bytes(50)) == ([given], True)
    assert len(given.encode()) < ledger.MAX_LINE_OCTETS


# stopping


def test_who_stops_letters_knows_what_has_left(claimed, hanako):
    notice, (one, two, three, four) = claimed
    book = ledger.Ledger(OWNER)
    assert book.append(line(0, one)) and book.append(line(one, two))
    assert workflow.stop_sending(notice, hanako, clock.now()) == 2
    assert not book.append(line(two, three)) and not book.append(line(0, four))
    book.carry(str)
    assert states(notice) == {"accepted": 2, "cancelled": 2}


@pytest.mark.xdist_group("processes")
@pytest.mark.timeout(120)
def test_what_is_called_stopped_has_not_left_with_two_workers_at_once(school, config):
    """Counted at the receiver: it got each letter that is not called stopped once, and no other."""
    dice = random.Random(7)
    mamoru = school.users["守"]
    smarthost.families(school.lists["2-1"], 297)
    with (
        smarthost.running() as (host, port),
        parts(config.data, smtp=f"smtp://127.0.0.1:{port}", rate=0, mail_domain=config.mail_domain) as house,
    ):
        smarthost.send_by(port)
        for _ in range(2):
            house.start("send-letters")
        for _ in range(4):
            host.mails.clear()
            notice = confirmed(written(mamoru, [school.lists["2-1"]], urgent=True), mamoru)
            start.start_due_notices(clock.now())
            wanted = dice.randrange(1, 200)
            assert until(lambda wanted=wanted: len(host.mails) >= wanted, 60, every=0.002), house.said()
            cancelled = workflow.stop_sending(fresh(notice), mamoru, clock.now())
            assert until(lambda notice=notice: "sending" not in states(notice)), states(notice)
            assert states(notice) == {"cancelled": cancelled, "accepted": 300 - cancelled} and cancelled
            assert sorted(host.to()) == sorted(
                row.address for row in Letter.select().where(Letter.notice == notice, Letter.state == "accepted")
            )


# a locked database, a full disk


class Lock:
    """The right to write, held by another connection."""

    def __init__(self, path):
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def take(self):
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self):
        self._connection.execute("ROLLBACK")
        self._connection.close()


@pytest.mark.parametrize("urgent", [False, True])
def test_while_the_database_is_locked_replies_are_kept_and_the_worker_waits(
    school, config, hanako, monkeypatch, urgent
):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
    lock, waits = Lock(config.database), []
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        host.rules["suzuki@example.com"] = "550 5.1.1 unknown user"
        notice = begun(hanako, [school.lists["1-1"]], urgent=urgent)
        heart = sender()

        def waited(fault):
            waits.append(str(fault))
            if len(waits) == 4:
                lock.release()

        monkeypatch.setattr(heart, "_wait_for_storage", waited)
        monkeypatch.setattr(heart, "_recheck_batch", _then(heart._recheck_batch, lock.take))
        assert heart.run_once(never) == 4
        heart.close()
    assert waits == ["database is locked"] * 4
    assert states(notice) == {"accepted": 3, "refused": 1} and len(host.mails) == 3
    assert not Letter.select().where(Letter.auto_resent == True).exists()


def _then(do, after):
    def both(*given):
        result = do(*given)
        after()
        return result

    return both


def test_while_the_disk_is_full_replies_are_kept_and_the_worker_waits(school, config, hanako, monkeypatch):
    """No file of this process may grow: SQLite's log cannot, the ledger need not."""
    limits, waits = resource.getrlimit(resource.RLIMIT_FSIZE), []
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        notice = begun(hanako, [school.lists["1-1"]])
        heart = sender()

        def fill():
            size = max(ledger.SIZE_OCTETS, os.path.getsize(f"{config.database}-wal"))
            with closing(sqlite3.connect(config.database)) as other:  # the log is full to its last octet
                while os.path.getsize(f"{config.database}-wal") <= size:
                    other.execute("UPDATE organization SET postal = postal || 'x'")
                    other.commit()
            resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(f"{config.database}-wal"), limits[1]))

        def waited(fault):
            waits.append(str(fault))
            if len(waits) == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

        monkeypatch.setattr(heart, "_wait_for_storage", waited)
        monkeypatch.setattr(heart, "_recheck_batch", _then(heart._recheck_batch, fill))
        try:
            assert heart.run_once(never) == 4
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        heart.close()
    assert len(waits) == 3
    assert states(notice) == {"accepted": 4} and len(host.mails) == 4


@pytest.mark.xdist_group("processes")
@pytest.mark.timeout(90)
def test_kill_9_while_the_database_is_locked_loses_no_reply(school, config):
    mamoru = school.users["守"]
    smarthost.families(school.lists["2-1"], 57)
    with (
        smarthost.running() as (host, port),
        parts(config.data, smtp=f"smtp://127.0.0.1:{port}", rate=0, mail_domain=config.mail_domain) as house,
    ):
        smarthost.send_by(port)
        lock = Lock(config.database)
        notice = confirmed(written(mamoru, [school.lists["2-1"]], urgent=True), mamoru)
        start.start_due_notices(clock.now())
        process = house.start("send-letters")
        assert until(lambda: len(host.mails) >= 3, 30, every=0.001), house.said()
        lock.take()
        assert until(lambda: _waits_to_carry(config), 20, every=0.001), house.said()
        process.kill()
        process.wait(10)
        taken = len(host.mails)
        lock.release()
        assert drained_by(house)
        assert states(notice) == {"accepted": 60} and taken < len(host.mails)
        assert max(host.times().values()) == 1
        assert not Letter.select().where(Letter.auto_resent == True).exists()


def _waits_to_carry(config):
    """Tell whether the worker has written a reply after which no letter leaves before the tables have it."""
    raw = b"".join(path.read_bytes() for path in (config.data / "run").glob("ledger-*"))
    lines, _ = ledger._decode(raw)
    return bool(lines) and not lines[-1].following


def drained_by(house):
    ended = house.run("work", "--drain")
    return ended.returncode == 0 or pytest.fail(ended.stderr)


@pytest.mark.xdist_group("processes")
@pytest.mark.timeout(90)
def test_a_worker_told_to_end_while_the_database_is_locked_leaves_its_ledger_to_the_next(school, config):
    mamoru = school.users["守"]
    smarthost.families(school.lists["2-1"], 57)
    with (
        smarthost.running() as (host, port),
        parts(config.data, smtp=f"smtp://127.0.0.1:{port}", rate=0, mail_domain=config.mail_domain) as house,
    ):
        smarthost.send_by(port)
        lock = Lock(config.database)
        notice = confirmed(written(mamoru, [school.lists["2-1"]]), mamoru)
        start.start_due_notices(clock.now())
        process = house.start("send-letters")
        assert until(lambda: len(host.mails) >= 3, 30, every=0.001), house.said()
        lock.take()
        assert until(lambda: _waits_to_carry(config), 20, every=0.001), house.said()
        process.terminate()
        assert process.wait(12) == 0  # three tries of two seconds at most
        assert list((config.data / "run").glob("ledger-*"))
        lock.release()
        assert drained_by(house)
        assert states(notice) == {"accepted": 60} and len(host.mails) == 60
        assert not list((config.data / "run").glob("ledger-*"))


def test_signals_of_the_file_size_limit_are_ignored():
    """The test of the full disk stands on it: Python turns the signal into an error of the write."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN


def test_a_backup_holds_what_servers_answered_before_it(claimed, config, tmp_path):
    _, (one, two, *_) = claimed
    book = ledger.Ledger(OWNER)
    book.append(line(0, one))
    book.append(line(one, two))
    made = CliRunner().invoke(backup, [str(tmp_path / "all.tar.gz")], env={"KAIRAN_DATA": str(config.data)})
    assert made.exit_code == 0, made.output
    with tarfile.open(tmp_path / "all.tar.gz") as tar:
        tar.extract("kairan.db", tmp_path, filter="data")
    with closing(sqlite3.connect(tmp_path / "kairan.db")) as copied:
        found = dict(copied.execute("SELECT id, state FROM letter"))
        handed_over = copied.execute("SELECT handed_over_at FROM letter WHERE id = ?", (two,)).fetchone()
    assert (found[one], found[two]) == ("accepted", "sending") and handed_over[0]
