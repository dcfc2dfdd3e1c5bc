"""The wall clock is set forward or back: rates, waits and pauses stay within what they may be."""

from dataclasses import replace
from datetime import timedelta

import pytest

import clock
from core import clock_watch, scheduler
from core.clock_watch import check_clock
from core.delivery import queue, throttle
from core.notices import workflow
from core.settings import load_settings
from database import EPOCH
from mail.server_urls import SmtpServer
from models import AuditLog, Letter
from tests import smarthost
from tests.smarthost import begun, book, drained, fresh, later, states, written

SERVER = SmtpServer("127.0.0.1", 25)


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


# a clock that is set: noticed, told, and bookings checked against it


@pytest.fixture
def set_clock(school, monkeypatch):
    """Return a function that sets the wall clock while no time passes."""
    jumps = []
    check_clock(clock.now())

    def jump(**by):
        jumps.append(timedelta(**by))
        monkeypatch.setattr(clock, "since_boot", lambda: clock.now() - EPOCH - sum(jumps, timedelta()))
        return later(**by)

    return jump


def booked(hanako, school, **ahead):
    return book(written(hanako, [school.lists["1-1"]]), hanako, **ahead)


def state_of(notice):
    return fresh(notice).state, fresh(notice).hold_reason


def test_no_booking_leaves_early_because_the_clock_was_set_forward(school, hanako, set_clock):
    """Neither one within the jump nor one after it: by the old clock its time has not come."""
    soon, late, other = (booked(hanako, school, minutes=minutes) for minutes in (40, 120, 180))
    scheduler.run_due_jobs(set_clock(hours=1))
    assert state_of(soon) == ("held", "clock") and state_of(late) == ("scheduled", "")
    scheduler.run_due_jobs(later(minutes=61))
    assert state_of(late) == ("held", "clock")
    workflow.release_held(fresh(late), hanako, clock.now())
    scheduler.run_due_jobs(clock.now())
    assert state_of(late) == ("sending", "")
    clock_watch.confirm_clock(school.users["守"])
    scheduler.run_due_jobs(later(minutes=60))
    assert state_of(other) == ("sending", "")


def test_a_booking_made_or_changed_after_the_jump_follows_the_new_clock(school, hanako, set_clock):
    before = booked(hanako, school, minutes=90)
    scheduler.run_due_jobs(set_clock(hours=1))
    after = booked(hanako, school, minutes=10)
    workflow.reschedule(fresh(before), later(seconds=5) + timedelta(minutes=10), hanako, clock.now())
    scheduler.run_due_jobs(later(minutes=11))
    assert state_of(after) == ("sending", "") and state_of(before) == ("sending", "")


def test_a_clock_that_is_set_forward_and_back_again_asks_nobody(school, hanako, set_clock):
    notice = booked(hanako, school, minutes=90)
    scheduler.run_due_jobs(set_clock(days=1, hours=-1))
    assert round(clock_watch.unconfirmed_jump() / timedelta(hours=23), 3) == 1
    assert state_of(notice) == ("held", "clock")
    other = booked(hanako, school, minutes=5)
    scheduler.run_due_jobs(set_clock(days=-1, hours=1))
    assert clock_watch.unconfirmed_jump() is None
    assert [row.detail for row in AuditLog.select().where(AuditLog.action == "clock.jumped")] == [
        {"minutes": 23 * 60},
        {"minutes": -23 * 60},
    ]
    assert state_of(other) == ("scheduled", "")


def test_a_clock_that_is_set_back_keeps_bookings_and_says_so(school, hanako, set_clock):
    notice = booked(hanako, school, minutes=30)
    scheduler.run_due_jobs(set_clock(hours=-1))
    assert round(clock_watch.unconfirmed_jump() / timedelta(hours=-1), 3) == 1
    scheduler.run_due_jobs(later(minutes=91))
    assert state_of(notice) == ("sending", "")


def test_small_corrections_and_a_restart_of_the_machine_are_no_jump(school, set_clock, monkeypatch):
    scheduler.run_due_jobs(set_clock(seconds=59))
    assert clock_watch.unconfirmed_jump() is None
    monkeypatch.setattr(clock, "boot_id", lambda: "another boot")
    monkeypatch.setattr(clock, "since_boot", lambda: timedelta(seconds=40))
    scheduler.run_due_jobs(clock.now())
    assert clock_watch.unconfirmed_jump() is None
    assert not AuditLog.select().where(AuditLog.action == "clock.jumped").exists()


def test_processes_that_see_a_jump_at_once_record_it_once(school, set_clock):
    now = set_clock(hours=2)
    smarthost.at_once(*[lambda: clock_watch.check_clock(now)] * 4)
    assert round(clock_watch.unconfirmed_jump() / timedelta(hours=2), 3) == 1
    assert AuditLog.select().where(AuditLog.action == "clock.jumped").count() == 1


def test_administrators_read_it_on_the_first_page_and_end_it(school, hanako, set_clock, as_):
    notice = booked(hanako, school, minutes=40)
    scheduler.run_due_jobs(set_clock(hours=1))
    words = "サーバーの時計が60分進みました"
    admin, manager = as_("守"), as_("花子")
    assert words in admin.get("/").text and words not in manager.get("/").text
    assert "まだ早いかもしれません" in manager.get("/").text
    assert "もう送ってよい時刻ですか" in manager.get(f"/notices/{notice.id}").text
    assert "ホーム画面のボタンを押してください" in admin.get("/admin/health?look=1").text
    assert manager.post("/admin/clock/confirm").status_code == 403
    assert admin.post("/admin/clock/confirm", follow_redirects=True).status_code == 200
    assert words not in admin.get("/").text
    assert AuditLog.get(AuditLog.action == "clock.confirmed").user is not None
