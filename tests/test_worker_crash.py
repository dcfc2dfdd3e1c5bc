"""kill -9 at any moment loses no letter and doubles none silently (design 5, crash rules; field 5.3.3)."""

import random
import signal
import threading
import time
from contextlib import suppress

import pytest

import clock
from core.notices import start, workflow
from core.notifications.notify import notify
from models import Letter, Notice
from tests import smarthost
from tests.mail.smtp_servers import ScriptedServer
from tests.processes import parts, until
from tests.smarthost import confirmed, drained, fresh, states, written

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(180)]


def kill_while_sending(school, config, *, letters, kills, urgent=False):
    """Send to so many readers by two sender processes, one of which dies again and again; return what came of it."""
    dice = random.Random(kills)
    smarthost.families(school.lists["2-1"], letters - 3)
    notice = confirmed(written(school.users["守"], [school.lists["2-1"]], urgent=urgent), school.users["守"])
    with (
        smarthost.running() as (host, port),
        parts(config.data, smtp=f"smtp://127.0.0.1:{port}", rate=0, mail_domain=config.mail_domain) as house,
    ):
        smarthost.send_by(port)
        start.start_due_notices(clock.now())
        senders = [house.start("send-letters"), house.start("send-letters")]
        for number in range(1, kills + 1):
            wanted = number * letters // (kills + 1) + dice.randrange(20)
            assert until(lambda wanted=wanted: len(host.mails) >= wanted, 60, every=0.003), house.said()
            one = dice.randrange(2)
            senders[one].kill()
            senders[one].wait(10)
            senders[one] = house.start("send-letters")
        assert until(lambda: fresh(notice).state == "sent", 60), (states(notice), house.said())
        for one in senders:
            one.send_signal(signal.SIGTERM)
        # one that was still starting knows no orderly end yet, and has claimed nothing
        assert {one.wait(20) for one in senders} <= {0, -signal.SIGTERM}
        assert "Traceback" not in house.said()
        return notice, host, port


def test_ten_kills_in_two_thousand_letters_lose_none_and_double_none(school, config):
    notice, host, _ = kill_while_sending(school, config, letters=2000, kills=10)
    found = states(notice)
    assert set(found) <= {"accepted", "unknown"} and sum(found.values()) == 2000
    assert found.get("unknown", 0) <= 10
    assert max(host.times().values()) == 1
    got = set(host.to())
    assert not [one.address for one in _in(notice, "accepted") if one.address not in got]
    again = {one.address for one in _in(notice, "unknown")}
    with smarthost.running() as (second, port):
        smarthost.send_by(port)
        assert workflow.resend_unknown(fresh(notice), None, clock.now()) == len(again)
        assert drained()
        assert set(second.to()) == again and max([1, *second.times().values()]) == 1
    assert states(notice) == {"accepted": 2000}


def test_an_urgent_notice_sends_what_is_unknown_again_by_itself_and_says_so(school, config):
    notice, host, _ = kill_while_sending(school, config, letters=500, kills=5, urgent=True)
    assert set(states(notice)) <= {"accepted", "unknown"}
    doubled = {one for one, times in host.times().items() if times > 1}
    marked = {
        _message_id(one, config) for one in Letter.select().where(Letter.notice == notice, Letter.auto_resent == True)
    }
    assert len(marked) <= 5 and doubled <= marked
    assert len(set(host.to())) + states(notice).get("unknown", 0) >= 500


def _in(notice: Notice, state: str) -> list[Letter]:
    return list(Letter.select().where(Letter.notice == notice, Letter.state == state))


def _message_id(letter: Letter, config) -> str:
    from mail import address

    return "Message-ID: " + address.message_id(letter.id, config.key("secret"), config.mail_domain)


def test_a_login_letter_waits_behind_nothing_after_a_crash(school, config):
    """What a dead sender held goes out with the next one; `work --drain` settles it before anything else."""
    letter = notify("login", "a@example.com", clock.now(), language="ja", url="x")
    Letter.update(state="sending", owner="sender-1-dead", boot="another boot").where(Letter.id == letter.id).execute()
    with (
        smarthost.running() as (host, port),
        parts(config.data, smtp=f"smtp://127.0.0.1:{port}", rate=0, mail_domain=config.mail_domain) as house,
    ):
        smarthost.send_by(port)
        ended = house.run("work", "--drain")
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
        assert host.to() == ["a@example.com"]
    assert (fresh(letter).state, fresh(letter).auto_resent) == ("accepted", True)


@pytest.mark.parametrize(("verb", "left"), [("RCPT", {"waiting": 4}), ("end", {"waiting": 3, "unknown": 1})])
def test_a_sender_process_ends_within_five_seconds_of_term_while_the_server_talks_on(school, config, verb, left):
    """No letter is lost, no attempt is counted, and the notice is not taken for interrupted."""
    talking = threading.Event()

    def endless(connection):
        talking.set()
        with suppress(OSError):
            while True:
                connection.sendall(b"250-and more\r\n")
                time.sleep(0.2)
        return False

    notice = confirmed(written(school.users["守"], [school.lists["1-1"]]), school.users["守"])
    with (
        ScriptedServer(**{verb: endless}) as route,
        parts(config.data, smtp=f"smtp://127.0.0.1:{route.port}", rate=0, mail_domain=config.mail_domain) as house,
    ):
        smarthost.send_by(route.port)
        start.start_due_notices(clock.now())
        worker = house.start("send-letters")
        assert talking.wait(60), house.said()
        worker.send_signal(signal.SIGTERM)
        told = time.monotonic()
        assert worker.wait(20) == 0 and time.monotonic() - told < 5
        assert "Traceback" not in house.said()
    heart = smarthost.sender()
    heart._recover_and_finish(clock.now())
    heart.close()
    assert states(notice) == left and fresh(notice).state == "sending"
    assert not Letter.select().where(Letter.notice == notice, Letter.attempts > 0).exists()
