"""A refusal is about us, the message or the reader, with a real server (law 9)."""

import pytest

import clock
from core.delivery import outage, queue, throttle
from core.notices import workflow
from core.settings import load_settings
from models import AuditLog, Letter, Organization, Person, ThrottleBucket
from tests import smarthost
from tests.smarthost import begun, drained, fresh, later, letter_to, never, sender, states

NAOKI = "naoki@example.jp"


def excluded() -> set[str]:
    """Return the readers that something is registered against."""
    return {one.address for one in Person.select().where(Person.address_state != "fine")}


def step(heart, **of) -> None:
    """Let time pass, then do what a worker does by itself."""
    later(**of)
    heart._recover_and_finish(clock.now())
    heart.run_once(never)
    heart._recover_and_finish(clock.now())


def seconds_to_go() -> int:
    row = ThrottleBucket.get(ThrottleBucket.name == throttle.GLOBAL_BUCKET)
    return round((row.paused_until - clock.now()).total_seconds())


ABOUT_US = [
    ("mail", "530 5.7.0 authentication required", "login"),
    ("mail", "550 5.7.1 sender denied", "sender"),
    ("mail", "550 5.1.1 user unknown", "sender"),
    ("mail", "552 5.2.3 too big", "refused"),
    ("mail", "553 5.7.1 sender address rejected: not owned by user", "sender"),
    ("mail", "554 5.7.1 relay access denied", "relay"),
    ("rcpt", "554 5.7.1 relay access denied", "relay"),
    ("rcpt", "550 5.7.1 client blocked using zen.spamhaus.org", "trust"),
    ("end", "550 5.7.26 unauthenticated mail", "trust"),
]


@pytest.mark.parametrize(("stage", "answer", "why"), ABOUT_US)
def test_what_is_about_us_closes_the_route_and_is_counted_against_nobody(school, host, hanako, stage, answer, why):
    before = excluded()
    if stage == "mail":
        host.at_mail = answer
    else:
        host.rules[""] = answer if stage == "rcpt" else f"data {answer}"
    notice = begun(hanako, [school.lists["1-1"]])
    assert not drained()
    assert (fresh(notice).state, fresh(notice).pause_reason) == ("paused", why)
    assert {(one.state, one.attempts) for one in Letter.select().where(Letter.notice == notice)} == {("waiting", 0)}
    assert excluded() == before and outage.current_outage(fresh(notice)).said == answer
    noted = AuditLog.get(AuditLog.action == "mail.refused")
    assert noted.detail == {"reason": why, "said": answer}
    host.at_mail, host.rules = "", {}
    later(minutes=2)
    assert drained()
    assert states(notice) == {"accepted": 4} and set(host.times().values()) == {1}
    assert (fresh(notice).state, fresh(notice).pause_reason) == ("sent", "")


def test_while_the_server_refuses_us_probes_become_rarer_and_a_changed_setting_probes_at_once(school, host, hanako):
    host.at_mail = "550 5.7.1 sender denied"
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run_once(never)
    waits = []
    for _ in range(4):
        waits.append(seconds_to_go())
        step(heart, seconds=waits[-1] + 1)
    assert waits == [5, 30, 60, 120] and len(host.mails) == 0
    assert fresh(notice).pause_reason == "sender"
    host.at_mail = ""
    step(heart, seconds=1)
    assert states(notice) == {"waiting": 4} and fresh(notice).state == "paused"
    Organization.update(name="もみじ小学校").execute()
    step(heart, seconds=60)
    heart.close()
    assert states(notice) == {"accepted": 4} and fresh(notice).state == "sent"


def test_two_workers_at_a_server_that_refuses_us_lose_nothing_and_end_the_outage_together(school, host, hanako):
    smarthost.families(school.lists["1-1"], 36)
    host.at_mail = "554 5.7.1 no"
    notice = begun(hanako, [school.lists["1-1"]])
    first, second = sender(), sender()
    taken = queue.claim_batch(second.lock.name, second.boot, load_settings(), clock.now(), 20)
    first.run_once(never)
    second._send_batch(taken, load_settings(), never)
    assert (states(notice), fresh(notice).pause_reason) == ({"waiting": 40}, "refused")
    host.at_mail = ""
    later(seconds=70)
    second._recover_and_finish(clock.now())  # the worker that did not see it first
    assert fresh(notice).state == "sending" and fresh(notice).pause_reason == "refused"
    second.run_once(never)
    second._recover_and_finish(clock.now())
    assert fresh(notice).pause_reason == ""
    step(first, seconds=70)
    for worker in (first, second):
        worker.close()
    assert states(notice) == {"accepted": 40} and fresh(notice).state == "sent"
    assert set(host.times().values()) == {1}


def test_a_relay_that_refuses_all_domains_in_the_same_words_is_about_us(school, host, hanako):
    """Words and codes that say nothing of us, but three letters to three domains in a row."""
    for number in range(8):
        smarthost.families(school.lists["1-1"], 1, f"d{number}.example", start=number)
    before = excluded()
    host.rules[""] = "550 5.1.1 no"
    notice = begun(hanako, [school.lists["1-1"]])
    assert not drained()
    assert (fresh(notice).state, fresh(notice).pause_reason) == ("paused", "refused")
    assert states(notice) == {"waiting": 12} and excluded() == before
    assert {one.attempts for one in Letter.select().where(Letter.notice == notice)} == {0}
    host.rules.clear()
    later(minutes=2)
    assert drained()
    assert states(notice) == {"accepted": 12} and set(host.times().values()) == {1}


def test_three_dead_addresses_in_a_row_are_refused_once_others_got_through(school, host, hanako):
    dead = [smarthost.families(school.lists["1-1"], 1, f"d{number}.example", start=number)[0] for number in range(3)]
    host.rules["p0000"] = "550 5.1.1 no"
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run_once(never)
    for _ in range(4):
        step(heart, minutes=1, seconds=5)
    heart.close()
    assert {letter_to(notice, one).state for one in dead} == {"refused"}
    assert states(notice) == {"accepted": 4, "refused": 3} and fresh(notice).state == "sent"


def test_a_refusal_that_looks_like_ours_but_meets_one_letter_alone_does_not_keep_the_others(school, host, hanako):
    host.rules[NAOKI] = "554 5.7.1 relay access denied"
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run_once(never)
    assert fresh(notice).pause_reason == "relay"
    step(heart, seconds=6)
    step(heart, seconds=61)
    heart.close()
    letter = letter_to(notice, NAOKI)
    assert (letter.state, letter.reason, letter.code) == ("refused", "policy", 554)
    assert states(notice) == {"accepted": 3, "refused": 1} and fresh(notice).state == "sent"
    assert NAOKI not in excluded()


@pytest.mark.parametrize(
    ("stage", "answer", "wait_s"),
    [
        ("mail", "550 5.4.5 daily user sending quota exceeded", 3600),
        ("end", "550 5.4.5 no", 3600),
        ("rcpt", "452 4.5.3 try again in 7200 seconds", 7200),
        ("end", "451 hourly limit exceeded, retry after 10 minutes", 600),
    ],
)
def test_a_limit_waits_for_its_time_and_urgent_letters_go_first(school, host, hanako, stage, answer, wait_s):
    plain = begun(hanako, [school.lists["1-1"]])
    urgent = begun(hanako, [school.lists["1-1"]], urgent=True)
    if stage == "mail":
        host.at_mail = answer
    else:
        host.rules[""] = answer if stage == "rcpt" else f"data {answer}"
    heart = sender()
    heart.run_once(never)
    assert abs(seconds_to_go() - wait_s) <= 2
    assert (fresh(plain).state, fresh(plain).pause_reason) == ("paused", "limit")
    host.at_mail, host.rules = "", {}
    step(heart, seconds=wait_s - 30)
    assert host.mails == [] and fresh(plain).state == "paused"  # not held for being late: the time is known
    step(heart, seconds=40)
    heart.close()
    assert states(plain) == states(urgent) == {"accepted": 4}
    times = {
        notice: [one.done_at for one in Letter.select().where(Letter.notice == notice)] for notice in (plain, urgent)
    }
    assert max(times[urgent]) <= min(times[plain])


def test_a_limit_that_meets_one_reader_alone_stops_the_others_once(school, host, hanako):
    host.rules[NAOKI] = "550 message rate limit exceeded, retry in 5 minutes"
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run_once(never)
    assert fresh(notice).pause_reason == "limit"
    step(heart, minutes=5, seconds=1)
    step(heart, seconds=61)
    heart.close()
    assert states(notice) == {"accepted": 3, "refused": 1} and fresh(notice).state == "sent"


@pytest.mark.parametrize(
    "answer", ["552 5.3.4 message too big", "554 5.6.0 content", "550 5.7.1 looks like spam", "550 5.2.3 too long"]
)
def test_what_is_about_the_message_holds_the_notice_once(school, host, hanako, answer):
    before = excluded()
    host.rules[""] = f"data {answer}"
    notice = begun(hanako, [school.lists["1-1"]])
    assert drained()
    assert (fresh(notice).state, fresh(notice).hold_reason) == ("held", "content")
    assert set(states(notice)) <= {"waiting", "deferred"} and excluded() == before
    host.rules.clear()
    workflow.release_held(fresh(notice), hanako, clock.now())
    assert drained()
    assert states(notice) == {"accepted": 4}


def test_one_reader_whose_server_refuses_the_text_is_refused_alone(school, host, hanako):
    host.rules[NAOKI] = "data 554 5.6.0 content"
    notice = begun(hanako, [school.lists["1-1"]])
    assert drained()
    letter = letter_to(notice, NAOKI)
    assert (letter.state, letter.reason) == ("refused", "content")
    assert states(notice) == {"accepted": 3, "refused": 1} and fresh(notice).state == "sent"


@pytest.mark.parametrize("families", [0, 2])
def test_letters_that_one_server_deferred_until_they_expired_count_against_nobody(school, host, hanako, families):
    """Five and more than a fifth of a notice; below that an expired letter is a failure of its address."""
    smarthost.families(school.lists["1-1"], families)
    host.rules[""] = "451 4.3.0 local error"
    for _ in range(5):
        begun(hanako, [school.lists["1-1"]])
        assert drained()
        later(hours=49)
        heart = sender()
        heart._recover_and_finish(clock.now())
        heart.close()
    naoki = Person.get(Person.address == NAOKI)
    assert Letter.select().where(Letter.person == naoki, Letter.state == "expired").count() == 5
    assert naoki.address_state == ("bounced" if families == 0 else "fine")


@pytest.mark.parametrize("last", [False, True])
def test_a_letter_at_which_the_server_hangs_up_twice_is_put_aside_by_name(school, host, hanako, last):
    """The others go on, the notice is not held, and nobody is excluded."""
    poison = "aoyama" if not last else "suzuki"
    host.rules[poison] = "cut"
    notice = begun(hanako, [school.lists["1-1"]])
    heart = sender()
    heart.run_once(never)
    step(heart, seconds=6)
    step(heart, seconds=61)
    step(heart, seconds=61)
    heart.close()
    letter = letter_to(notice, "aoyama.k@example.com" if not last else "suzuki@example.com")
    assert (letter.state, letter.reason) == ("refused", "broken")
    assert states(notice) == {"accepted": 3, "refused": 1} and fresh(notice).state == "sent"
    assert letter.address not in excluded()


def test_a_server_that_breaks_off_after_the_content_is_probed_seldom(school, hanako, monkeypatch):
    """Each probe may leave one more letter of unknown outcome."""
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        host.rules["p0"] = "vanish"
        smarthost.families(school.lists["1-1"], 20)
        begun(hanako, [school.lists["1-1"]])
        heart = sender()
        pauses = []
        for _ in range(4):
            heart.run_once(never)
            row = ThrottleBucket.get(ThrottleBucket.name == throttle.GLOBAL_BUCKET)
            pauses.append(round((row.paused_until - clock.now()).total_seconds()))
            later(seconds=pauses[-1] + 1)
            heart._retry_connection()
        heart.close()
    assert pauses == [5, 30, 60, 120]
