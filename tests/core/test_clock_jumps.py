"""The wall clock is set forward or back: rates, waits and pauses stay within what they may be."""

from dataclasses import replace
from datetime import timedelta

import pytest

import clock
from core.delivery import queue, throttle
from core.settings import load_settings
from mail.server_urls import SmtpServer
from models import Letter
from tests import smarthost
from tests.smarthost import begun, drained, later, states

SERVER = SmtpServer("127.0.0.1", 25)


@pytest.fixture
def hanako(school):
    return school.users["花子"]


@pytest.mark.parametrize("hours", [-1, -25, 25])
def test_rates_go_on_after_the_clock_was_set(school, hours):
    settings = replace(load_settings(), route=SERVER, rate=120, domain_rate=120)
    wanted = [(number, "example.com") for number in range(10)]
    assert len(throttle.take_tokens(wanted, settings, clock.now())) == 4
    assert throttle.take_tokens(wanted, settings, clock.now()) == []
    later(hours=hours, seconds=2)
    assert throttle.blocked_buckets(settings, clock.now()) == []
    assert len(throttle.take_tokens(wanted, settings, clock.now())) == 4
    later(seconds=1)
    assert len(throttle.take_tokens(wanted, settings, clock.now())) == 2


def test_a_small_correction_of_the_clock_gives_no_second_burst(school):
    settings = replace(load_settings(), route=SERVER, rate=120, domain_rate=120)
    wanted = [(number, "example.com") for number in range(10)]
    throttle.take_tokens(wanted, settings, clock.now())
    later(seconds=-20)
    assert throttle.take_tokens(wanted, settings, clock.now()) == []


def test_what_a_provider_allows_in_an_hour_is_not_blocked_by_hours_to_come(school):
    settings = replace(load_settings(), route=SERVER, hour_rate=5, rate=0, domain_rate=0)
    throttle.take_tokens([(number, "example.com") for number in range(5)], settings, clock.now())
    assert throttle.hourly_allowance(settings, clock.now()) == 0
    later(days=-1)
    assert throttle.hourly_allowance(settings, clock.now()) == 5


def test_a_pause_ends_when_the_clock_was_set_back(school):
    now = clock.now()
    throttle.pause_bucket("docomo.ne.jp", now + timedelta(hours=1), "carrier", now)
    assert throttle.pause_reason("docomo.ne.jp", now) == "carrier"
    later(days=-1)
    assert throttle.pause_reason("docomo.ne.jp", clock.now()) is None
    assert throttle.paused_buckets(clock.now()) == []


def test_a_deferred_letter_does_not_wait_a_day_because_the_clock_was_a_day_ahead(school, hanako):
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        host.rules["naoki@example.jp"] = ["451 4.3.0 later"]
        later(days=1)
        notice = begun(hanako, [school.lists["1-1"]])
        assert drained()
        assert states(notice) == {"accepted": 3, "deferred": 1}
        later(days=-1)
        assert drained()
    assert states(notice) == {"accepted": 4}


@pytest.mark.parametrize(
    ("attempts", "minutes", "bound"), [(1, 59, 0), (1, 61, 1), (5, 61, 0), (5, 239, 0), (5, 241, 1), (9, 241, 1)]
)
def test_a_wait_is_bounded_by_what_the_attempt_allows(school, hanako, attempts, minutes, bound):
    notice = begun(hanako, [school.lists["1-1"]])
    wait = clock.now() + timedelta(minutes=minutes)
    Letter.update(attempts=attempts, next_attempt_at=wait, state="deferred").where(Letter.notice == notice).execute()
    assert queue.bound_waits(clock.now()) == 4 * bound
    assert Letter.select().where(Letter.notice == notice, Letter.next_attempt_at <= clock.now()).count() == 4 * bound
