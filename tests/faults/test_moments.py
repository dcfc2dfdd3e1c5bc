"""Sender processes that die at each step of a letter, and what a machine does to them: letters counted at the receiver."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import clock
import config as ground
from core.delivery import lifecycle
from core.delivery.lifecycle import letters_possibly_twice
from core.notices import workflow
from database import db, open_database
from mail import address as addresses
from models import Letter, LetterState
from tests import smarthost
from tests.faults import times
from tests.faults.matrix import ENDED, Outcome, _fork_sender, audience
from tests.faults.receiver import Fault, Receiver
from tests.full_disk import locked
from tests.processes import until
from tests.smarthost import begun, fresh, later

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(180)]

COUNTS = os.environ.get("KAIRAN_FAULTS_COUNTS")
WHOLE = os.environ.get("KAIRAN_FAULTS") == "whole"
LETTERS = 60 if WHOLE else 24


class Senders:
    """An installation whose letters go to a receiver by processes of their own."""

    def __init__(self, config: ground.Config, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = ground.set_current_config(replace(config, smtp=receiver.url(), rate=0, domain_rate=0))
        times.shorten_waits(monkeypatch.setattr, times.PATIENT_S)
        self.running: list[int] = []

    def start(self, count: int = 1) -> None:
        db.close()
        self.running += [_fork_sender(self.config) for _ in range(count)]

    def kill(self) -> None:
        """End all by kill -9."""
        for process in self.running:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        self.running.clear()

    def stop(self) -> None:
        for process in self.running:
            os.kill(process, signal.SIGTERM)
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in self.running]
        self.running.clear()
        assert set(codes) <= {0, -signal.SIGTERM}  # one that was still starting knows no orderly end yet


@pytest.fixture
def receiver():
    with Receiver() as made:
        yield made


@pytest.fixture
def senders(school, config, receiver, monkeypatch):
    audience(school, LETTERS)
    made = Senders(config, receiver, monkeypatch)
    yield made
    made.kill()


def counted(name: str, notice, receiver: Receiver, recovery: str = "by itself") -> Outcome:
    """Count at the receiver against the tables; write the row; every number must be true."""
    kept = Counter(addresses.comparison_key(one) for one in receiver.stored)
    twice = {letter.delivery_id for letter in letters_possibly_twice(notice)}
    found = Outcome(name, LETTERS, arrived=len(kept), recovery=recovery)
    for letter in Letter.select().where(Letter.notice == notice, Letter.is_current == True):
        count = kept[addresses.comparison_key(letter.address)]
        found.unknown_and_said += letter.state == LetterState.UNKNOWN
        found.lost += letter.state == LetterState.ACCEPTED and not count
        if letter.state not in (LetterState.ACCEPTED, LetterState.UNKNOWN):
            found.wrong.append(f"{letter.address} is {letter.state}")
        if count > 1:
            found.doubled_and_said += letter.delivery_id in twice
            found.doubled_in_silence += letter.delivery_id not in twice
    if COUNTS:
        Path(COUNTS, f"moment-{name.replace(' ', '-').replace('/', '-')}.json").write_text(json.dumps(found.as_row()))
    assert (found.lost, found.doubled_in_silence, found.wrong) == (0, 0, [])
    return found


def finished(notice) -> bool:
    return until(lambda: fresh(notice).state in ENDED, 60, every=0.05)


PLACES = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "content", "end", "RSET")


@pytest.mark.parametrize("urgent", [False, True], ids=["ordinary", "urgent"])
@pytest.mark.parametrize("place", PLACES if WHOLE else ("RCPT", "end"))
def test_kill_9_while_the_server_is_asked(place, urgent, school, receiver, senders):
    """The process dies while it waits for the answer to this command."""
    receiver.fault = Fault(place, "hang", after=5 if place not in ("greeting", "EHLO", "RSET") else 0)
    if place == "RSET":
        receiver.fault = Fault("RCPT", "550 5.1.1 user unknown", to="p00003")
    notice = begun(school.users["花子"], [school.lists["1-1"]], urgent=urgent)
    senders.start()
    assert until(lambda: receiver.met, 60)
    senders.kill()
    receiver.mend()
    if place == "RSET":
        Letter.update(state="waiting").where(Letter.notice == notice, Letter.state == "refused").execute()
    senders.start(2)
    assert finished(notice)
    senders.stop()
    found = counted(f"kill -9 at {place}{', urgent' * urgent}", notice, receiver)
    assert found.unknown_and_said <= (not urgent)


@pytest.mark.parametrize("urgent", [False, True], ids=["ordinary", "urgent"])
def test_kill_9_after_the_server_has_taken_the_letter(urgent, school, receiver, senders):
    receiver.fault = Fault("end", "stored hang", after=5)
    notice = begun(school.users["花子"], [school.lists["1-1"]], urgent=urgent)
    senders.start()
    assert until(lambda: receiver.met, 60)
    senders.kill()
    receiver.mend()
    senders.start(2)
    assert finished(notice)
    senders.stop()
    found = counted(f"kill -9 after the letter was taken{', urgent' * urgent}", notice, receiver)
    assert (found.unknown_and_said, found.doubled_and_said) == ((0, 1) if urgent else (1, 0))


def test_the_database_is_locked_while_letters_are_sent(school, config, receiver, senders):
    receiver.fault = Fault("end", "slow")
    notice = begun(school.users["花子"], [school.lists["1-1"]])
    senders.start(2)
    assert until(lambda: len(receiver.stored) >= 3, 60)
    with locked(config.database):
        before = len(receiver.stored)
        time.sleep(4)
        assert len(receiver.stored) <= before + 2 * 100
    receiver.mend()
    assert finished(notice)
    senders.stop()
    found = counted("database locked for 4 s", notice, receiver)
    assert (found.unknown_and_said, found.arrived) == (0, LETTERS)


def test_the_network_is_cut_and_comes_back(school, config, receiver, senders, monkeypatch):
    times.quicken_clock(monkeypatch.setattr, 60)
    receiver.fault = Fault("end", "slow")
    notice = begun(school.users["花子"], [school.lists["1-1"]])
    senders.start(2)
    assert until(lambda: len(receiver.stored) >= 3, 60)
    receiver.fault = Fault("greeting", "reset")
    receiver.cut()
    assert until(lambda: fresh(notice).pause_reason, 60)
    receiver.mend()
    assert finished(notice)
    senders.stop()
    found = counted("network cut while sending", notice, receiver)
    assert found.unknown_and_said <= 2


@pytest.mark.parametrize("hours", [1, -1, 25, -25])
def test_the_clock_jumps_while_letters_are_sent(hours, school, receiver, senders):
    """A process that starts after the jump meets rows of the other time."""
    receiver.fault = Fault("RCPT", "451 4.3.0 later", after=5)
    notice = begun(school.users["花子"], [school.lists["1-1"]])
    senders.start()
    assert until(lambda: smarthost.states(notice).get("deferred"), 60)
    senders.stop()
    receiver.mend()
    later(hours=hours)
    for _ in range(4):  # a letter waits an hour at most, whatever the clock said when it was deferred
        senders.start(2)
        until(lambda: fresh(notice).state in ENDED, 5, every=0.05)
        senders.stop()
        later(hours=1.1)
    assert fresh(notice).state == "sent"
    assert counted(f"clock {hours:+} h while letters are deferred", notice, receiver).arrived == LETTERS


def test_a_power_cut_in_mid_sending(school, config, receiver, senders, tmp_path):
    """The files as they are at one moment, on a machine that was started again: nothing is lost, what is unclear is said."""
    receiver.fault = Fault("end", "slow")
    notice = begun(school.users["花子"], [school.lists["1-1"]])
    senders.start(2)
    assert until(lambda: len(receiver.stored) >= 5, 60)
    for process in senders.running:
        os.kill(process, signal.SIGSTOP)
    copy = tmp_path / "copy"
    db.close()
    shutil.copytree(config.data, copy, symlinks=True)
    for process in senders.running:
        os.kill(process, signal.SIGCONT)
    senders.kill()
    receiver.mend()
    senders.config = ground.set_current_config(replace(senders.config, data=copy))
    open_database(senders.config.database)
    Letter.update(boot="another boot").where(Letter.state == "sending").execute()
    senders.start(2)
    assert finished(notice)
    senders.stop()
    found = counted("power cut in mid-sending", notice, receiver, "one button")
    assert found.unknown_and_said >= 1
    assert workflow.resend_unknown(fresh(notice), None, clock.now()) == found.unknown_and_said
    senders.start(2)
    assert finished(notice) and smarthost.states(notice) == {"accepted": LETTERS}
    senders.stop()
    assert len(set(receiver.stored)) == LETTERS
    assert lifecycle.letters_possibly_twice(notice).count() == found.unknown_and_said
    assert timedelta(0) <= clock.now() - fresh(notice).finished_at
