"""Outages: the server is away, hangs up, or a carrier blocks us (design 5, decision 8, field 3.4)."""

import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest

import clock
import models
from core.delivery import outage, queue, throttle
from core.notices import workflow
from core.settings import load_settings
from models import AuditLog, Letter, Person
from tests import smarthost
from tests.mail.smtp_servers import ScriptedServer
from tests.smarthost import begun, drained, fresh, later, letter_to, never, sender, states

NAOKI, MEGUMI = "naoki@example.jp", "megumi.@mobile.example.jp"


# outages


@pytest.mark.parametrize("why", ["connect", "greeting"])
def test_while_the_server_is_away_notices_pause_and_no_attempt_is_counted(school, hanako, why):
    smarthost.send_by(smarthost.closed_port())
    notice = begun(hanako, [school.lists["1-1"]])
    if why == "connect":
        smarthost.send_by(smarthost.closed_port())
        assert not drained()
    else:
        with ScriptedServer(greeting="554 not today") as route:
            smarthost.send_by(route.port)
            assert not drained()
    assert (fresh(notice).state, fresh(notice).pause_reason) == ("paused", why)
    assert {(one.state, one.attempts) for one in Letter.select().where(Letter.notice == notice)} == {("waiting", 0)}
    assert throttle.pause_reason(throttle.GLOBAL_BUCKET, clock.now()) == why


def test_it_goes_on_by_itself_when_the_server_is_back(school, hanako):
    port = smarthost.closed_port()
    smarthost.send_by(port)
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run_once(never)
    assert fresh(notice).state == "paused" and fresh(notice).paused_at
    heart._recover_and_finish(clock.now())
    assert fresh(notice).state == "paused"
    with smarthost.running(port) as (host, _):
        later(seconds=6)
        heart._recover_and_finish(clock.now())
        assert fresh(notice).state == "sending"
        heart.run_once(never)
        assert states(notice) == {"accepted": 4} and fresh(notice).paused_at is None
    heart.close()
    assert len(host.mails) == 4


def test_the_pauses_grow_while_the_server_stays_away(school, hanako):
    smarthost.send_by(smarthost.closed_port())
    begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run_once(never)
    waits = []
    for _ in range(7):
        until = models.ThrottleBucket.get(models.ThrottleBucket.name == throttle.GLOBAL_BUCKET).paused_until
        waits.append(round((until - clock.now()).total_seconds()))
        later(seconds=waits[-1] + 1)
        heart._recover_and_finish(clock.now())
    heart.close()
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_a_server_that_takes_the_call_and_hangs_up_again_and_again_counts_as_away(school, host, hanako):
    """Its pauses grow and after half an hour somebody is asked, though each call succeeds."""
    host.rules[""] = "cut"
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    for _ in range(60):
        heart.run_once(never)
        later(seconds=61)
        heart._recover_and_finish(clock.now())
    heart.close()
    assert (fresh(notice).state, fresh(notice).hold_reason) == ("held", "late")
    assert {(one.state, one.attempts) for one in Letter.select().where(Letter.notice == notice)} == {("waiting", 0)}


def test_a_server_that_hangs_after_the_content_does_not_make_letter_after_letter_unknown(school, host, hanako):
    host.rules[""] = "vanish"
    notice = begun(hanako, [school.lists["1-1"]])
    assert not drained()
    assert states(notice) == {"unknown": 2, "waiting": 2}
    assert (fresh(notice).state, fresh(notice).pause_reason) == ("paused", "broken")


@pytest.mark.proves("X-12")
def test_one_letter_at_which_the_server_hangs_up_does_not_keep_the_others(school, host, hanako):
    host.rules["aoyama"] = "cut"
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run_once(never)
    assert fresh(notice).state == "paused"
    later(seconds=6)
    heart._recover_and_finish(clock.now())
    heart.run_once(never)
    heart.close()
    assert states(notice) == {"accepted": 3, "waiting": 1}


@pytest.mark.parametrize(("verb", "left"), [("RCPT", {"waiting": 4}), ("end", {"waiting": 3, "unknown": 1})])
def test_a_sender_told_to_end_does_so_within_five_seconds_while_the_server_says_nothing(school, hanako, verb, left):
    """What was not handed over waits again; only a letter whose content is there is unknown. It is no outage."""
    smarthost.send_by(smarthost.closed_port())
    notice = begun(hanako, [school.lists["1-1"]])
    told = threading.Event()

    def endless(connection):
        told.set()
        with suppress(OSError):
            while True:
                connection.sendall(b"250-and more\r\n")
                time.sleep(0.5)
        return False

    with ScriptedServer(**{verb: endless}) as route:
        smarthost.send_by(route.port)
        heart = sender()
        ended = []

        def stopped():
            if told.is_set():
                ended.append(time.monotonic())
            return bool(ended)

        heart.run(stopped)
        assert time.monotonic() - ended[0] < 5
    assert states(notice) == left and fresh(notice).state == "sending"
    assert not Letter.select().where(Letter.notice == notice, Letter.attempts > 0).exists()


def test_while_the_server_is_slow_the_notice_says_so(school, hanako, as_):
    notice = begun(hanako, [school.lists["1-1"]])
    page = as_("花子")
    before = page.get(f"/notices/{notice.id}/board").text
    outage.note_slow_server(clock.now())
    after = page.get(f"/notices/{notice.id}/board").text
    later(seconds=21)
    words = "メールサーバーの返事が遅れています"
    assert (words in before, words in after) == (False, True)
    assert words not in page.get(f"/notices/{notice.id}/board").text


@pytest.mark.parametrize("back", [True, False])
def test_after_half_an_hour_of_standing_still_somebody_is_asked(school, hanako, back):
    """Design 1, decision 8."""
    port = smarthost.closed_port()
    smarthost.send_by(port)
    notice = begun(hanako, [school.lists["1-1"]])
    assert not drained()
    later(minutes=29)
    heart = sender()
    heart._recover_and_finish(clock.now())
    assert fresh(notice).state == "paused"
    later(minutes=1, seconds=1)
    with smarthost.running(port if back else 0) as (host, _):
        heart._recover_and_finish(clock.now())
        assert (fresh(notice).state, fresh(notice).hold_reason) == ("held", "late")
        heart.run_once(never)
        heart.close()
        assert host.mails == []
    with smarthost.running(port) as (host, _):
        workflow.release_held(fresh(notice), hanako, clock.now())
        assert drained()
        assert len(host.mails) == 4 and fresh(notice).state == "sent"


def test_draining_does_not_wait_for_a_paused_carrier(school, host, hanako):
    smarthost.families(school.lists["1-1"], 1, "docomo.ne.jp")
    throttle.pause_bucket("docomo.ne.jp", clock.now() + timedelta(hours=1), "carrier", clock.now())
    notice = begun(hanako, [school.lists["1-1"]])
    assert drained()
    assert states(notice) == {"accepted": 4, "waiting": 1}


def test_a_vanished_connection_leaves_one_letter_unknown_the_urgent_one_goes_once_more(school, host, hanako):
    host.rules["aoyama"] = "vanish"
    plain = begun(hanako, [school.lists["1-1"]])
    urgent = begun(hanako, [school.lists["1-1"]], urgent=True)
    assert drained()
    assert states(plain) == states(urgent) == {"accepted": 3, "unknown": 1}
    assert Counter(host.to())["aoyama.k@example.com"] == 3
    assert letter_to(urgent, "aoyama.k@example.com").auto_resent
    host.rules.clear()
    assert workflow.resend_unknown(fresh(plain), hanako, clock.now()) == 1
    assert drained()
    assert states(plain) == {"accepted": 4} and fresh(plain).state == "sent"


def test_trouble_forgotten_leaves_paused_notices_alone(school, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    outage.pause_notices("connect", clock.now())
    outage.clear_outage()
    assert fresh(notice).paused_at is not None
    assert not AuditLog.select().where(AuditLog.action == "notice.held_late").exists()


# the carrier guard, in a real run


def test_a_blocking_carrier_is_paused_and_nobody_is_registered(school, host, hanako):
    """Field 3.4: docomo's block looks like unknown users."""
    smarthost.families(school.lists["1-1"], 30, "docomo.ne.jp")
    host.rules["p0000"] = ""  # the first ten are taken
    host.rules["p00"] = "550 Unknown user"
    notice = begun(hanako, [school.lists["1-1"]])
    assert drained()
    assert Person.select().where(Person.address_state == "bounced", Person.address ** "p%").count() == 0
    assert states(notice) == {"accepted": 14, "deferred": 5, "waiting": 15}
    assert len([one for one in host.asked if one.startswith("p")]) == 15
    later(hours=1, seconds=1)
    host.rules.clear()
    assert drained()
    assert states(notice) == {"accepted": 34} and set(host.times().values()) == {1}


def test_two_senders_at_a_blocking_carrier_register_nobody(school, host, hanako):
    smarthost.families(school.lists["1-1"], 40, "docomo.ne.jp")
    host.rules["p00"] = "550 Unknown user"
    begun(hanako, [school.lists["1-1"]])
    first, second = sender(), sender()
    rest = queue.claim_batch(second.lock.name, second.boot, load_settings(), clock.now(), 20)
    assert rest
    first.run_once(never)
    second._send_batch(rest, load_settings(), never)
    first.close()
    second.close()
    assert len([one for one in host.asked if one.startswith("p")]) > 5
    assert Person.select().where(Person.address_state == "bounced", Person.address ** "p%").count() == 0
