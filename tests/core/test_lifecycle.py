"""From a confirmed notice to claimed letters, and the settling of what is left (design 5)."""

from datetime import timedelta

import pytest

import clock
from core.delivery import lifecycle, queue, throttle
from core.notices import start, workflow
from core.settings import load_settings
from database import db, due_letters, mark_handed_over, record_result
from models import Delivery, DeliveryMembership, Letter, Membership, Notice, Person
from tests import smarthost
from tests.smarthost import begun, fresh, later, letter_to, states


@pytest.fixture
def notice(school, hanako):
    return begun(hanako, [school.lists["1-1"]])


def claimed(owner="one", limit=50):
    return queue.claim_batch(owner, "boot", load_settings(), clock.now(), limit)


def no_limits():
    smarthost.send_by(smarthost.closed_port())


# filling


def test_everybody_is_frozen_with_a_token_and_only_readers_get_letters(school, notice):
    rows = list(Delivery.select().where(Delivery.notice == notice))
    assert {one.name: one.reason for one in rows if one.reason} == {
        "和田 幸子": "no_address",
        "雑音 一": "stopped",
        "雑音 三": "bounced",
    }
    assert len({one.token for one in rows}) == len(rows) == 7
    assert all(len(one.token) == 26 and one.token.islower() for one in rows)
    letters = list(Letter.select().where(Letter.notice == notice))
    assert {one.delivery_id for one in letters} == {one.id for one in rows if not one.reason}
    assert {one.expires_at - one.made_at for one in letters} == {timedelta(hours=48)}


def test_each_covered_membership_is_a_cell_with_class_and_household_as_they_were(school, hanako):
    notice = begun(hanako, [school.lists["1-1"], school.lists["2-1"]])
    mine = Delivery.get(Delivery.notice == notice, Delivery.name == "鈴木 大輔")
    cells = {
        (one.child_name, one.grade, one.class_name, one.household)
        for one in DeliveryMembership.select().where(DeliveryMembership.delivery == mine)
    }
    assert cells == {("鈴木 海斗", "2", "1", "suzuki"), ("鈴木 美月", "1", "1", "suzuki")}


def test_the_same_number_of_statements_for_ten_and_for_four_hundred(school, hanako):
    counts = []
    for first, count in ((0, 10), (10, 390)):
        smarthost.families(school.lists["2-1"], count, start=first)
        smarthost.confirmed(smarthost.written(hanako, [school.lists["2-1"]]), hanako)
        with smarthost.queries() as seen:
            assert len(start.start_due_notices(clock.now())) == 1
        counts.append(len([one for one in seen if not one.startswith("INSERT INTO")]))  # prepared once, run per row
    assert counts[0] == counts[1]


# claiming


def test_a_letter_is_claimed_by_one_sender_only(notice):
    no_limits()
    first, second = claimed("one", 3), claimed("two", 3)
    assert (len(first), len(second)) == (3, 1) and not set(first) & set(second)
    assert claimed("three") == []
    assert {one.owner for one in Letter.select().where(Letter.id.in_(first))} == {"one"}


def test_only_the_owner_loads_its_claimed_letters_in_their_order(notice):
    no_limits()
    first, second = claimed("one", 3), claimed("two", 3)
    wanted = [*reversed(first), *second]
    assert [message.id for message in queue.load_claimed(wanted, "one")] == [*reversed(first)]
    assert [message.id for message in queue.load_claimed(wanted, "two")] == second
    Letter.update(state="waiting").where(Letter.id == first[0]).execute()
    assert [message.id for message in queue.load_claimed(first, "one")] == first[1:]


def test_nothing_is_claimed_while_all_sending_rests(notice):
    no_limits()
    throttle.pause_bucket(throttle.GLOBAL_BUCKET, clock.now() + timedelta(hours=1), "connect", clock.now())
    assert claimed() == []
    throttle.resume_bucket(throttle.GLOBAL_BUCKET)
    assert len(claimed()) == 4


def test_an_urgent_letter_is_seen_when_it_is_due(school, hanako, notice):
    no_limits()
    assert not queue.has_urgent(load_settings(), clock.now())
    begun(hanako, [school.lists["1-1"]], urgent=True)
    assert queue.has_urgent(load_settings(), clock.now())
    claimed()
    assert not queue.has_urgent(load_settings(), clock.now())


def test_urgent_letters_go_first_then_the_oldest(school, hanako):
    """Field 5.3.9."""
    no_limits()
    old = begun(hanako, [school.lists["1-1"]])
    later(seconds=5)
    new = begun(hanako, [school.lists["1-1"]])
    later(seconds=5)
    urgent = begun(hanako, [school.lists["1-1"]], urgent=True)
    order = [Letter.get_by_id(number).notice_id for number in claimed()]
    assert order == [urgent.id] * 4 + [old.id] * 4 + [new.id] * 4


@pytest.mark.parametrize("state", ["paused", "stopped", "held", "withdrawn", "draft"])
def test_letters_wait_while_their_notice_is_not_being_sent(notice, state):
    no_limits()
    Notice.update(state=state).where(Notice.id == notice.id).execute()
    assert claimed() == []
    Notice.update(state="sending").where(Notice.id == notice.id).execute()
    assert len(claimed()) == 4


@pytest.mark.proves("N-10")
def test_a_batch_takes_no_more_letters_of_a_domain_than_its_rate_allows(school):
    smarthost.send_by(smarthost.closed_port(), rate=6000, domain_rate=30)
    smarthost.families(school.lists["1-1"], 80, "docomo.ne.jp")
    smarthost.begun(school.users["花子"], [school.lists["1-1"]])
    total = 0
    for _ in range(60):
        total += sum(one.domain == "docomo.ne.jp" for one in Letter.select().where(Letter.id.in_(claimed())))
        smarthost.later(seconds=1)
    assert 25 <= total <= 35


def test_a_deferred_letter_is_claimed_when_its_time_has_come(notice):
    no_limits()
    Letter.update(state="deferred", next_attempt_at=clock.now() + timedelta(minutes=5)).execute()
    assert claimed() == []
    later(minutes=5)
    assert len(claimed()) == 4


def test_claims_are_written_through_to_the_disk_and_nothing_else_is(notice):
    no_limits()
    with smarthost.queries() as seen:
        claimed()
    order = [one for one in seen if one.startswith(("PRAGMA", "BEGIN", "UPDATE letter", "COMMIT"))]
    assert order[0] == "PRAGMA synchronous = FULL" and order[-1] == "PRAGMA synchronous = NORMAL"
    assert db.execute_sql("PRAGMA synchronous").fetchone()[0] == 1


# looking again


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"membership": {"state": "stopped"}}, "stopped"),
        ({"membership": {"state": "left"}}, "left"),
        ({"membership": {"state": "pending"}}, "left"),
        ({"person": {"address_state": "bounced"}}, "bounced"),
        ({"person": {"address_state": "complained"}}, "complained"),
        ({"person": {"address": None, "address_key": None}}, "no_address"),
        ({"letter": {"expires_at": clock.now() - timedelta(days=1)}}, "expired"),
        ({"person": {"address_state": "refusing"}}, None),
        ({"membership": {"state": "active"}}, None),
    ],
)
def test_each_claim_looks_at_person_and_membership_again(school, notice, change, reason):
    naoki = school.people["石川 直樹"]
    letter = letter_to(notice, "naoki@example.jp")
    if "membership" in change:
        Membership.update(**change["membership"]).where(
            Membership.person == naoki, Membership.list == school.lists["1-1"]
        ).execute()
    Person.update(**change.get("person", {"kana": "x"})).where(Person.id == naoki.id).execute()
    Letter.update(**change.get("letter", {"round": 1})).where(Letter.id == letter.id).execute()
    numbers = [one.id for one in Letter.select().where(Letter.notice == notice)]
    assert queue.recheck_claimed(numbers, clock.now()) == ({letter.id: reason} if reason else {})


def test_one_active_membership_of_several_is_enough(school, hanako):
    notice = begun(hanako, [school.lists["1-1"], school.lists["2-1"]])
    me = school.people["鈴木 大輔"]
    Membership.update(state="stopped").where(Membership.person == me, Membership.list == school.lists["2-1"]).execute()
    assert queue.recheck_claimed([letter_to(notice, me.address).id], clock.now()) == {}


def test_an_erased_person_gets_nothing_more(school, notice):
    letter = letter_to(notice, "naoki@example.jp")
    school.people["石川 直樹"].delete_instance(recursive=False)
    assert queue.recheck_claimed([letter.id], clock.now()) == {letter.id: "left"}


def test_a_corrected_address_is_taken_over(school, notice):
    letter = letter_to(notice, "naoki@example.jp")
    Person.update(address="new@docomo.ne.jp", address_key="new@docomo.ne.jp").where(
        Person.id == school.people["石川 直樹"].id
    ).execute()
    assert queue.recheck_claimed([letter.id], clock.now()) == {}
    assert (fresh(letter).address, fresh(letter).domain) == ("new@docomo.ne.jp", "docomo.ne.jp")


def test_a_batch_costs_the_same_number_of_queries_whatever_its_size(school, hanako):
    smarthost.families(school.lists["1-1"], 60)
    notice = begun(hanako, [school.lists["1-1"]])
    Person.update(address=Person.address.concat(".jp")).execute()
    numbers = [one.id for one in Letter.select().where(Letter.notice == notice)]
    counts = []
    for size in (5, 50):
        with smarthost.queries() as seen:
            queue.recheck_claimed(numbers[:size], clock.now())
        counts.append(len([one for one in seen if not one.startswith(("BEGIN", "COMMIT"))]))
    assert counts == [3, 3]


# settling


def put(number, **fields):
    Letter.update(**fields).where(Letter.id == number).execute()


def test_what_a_dead_sender_had_not_handed_over_waits_again_the_rest_is_unknown(notice):
    """Crash rules."""
    no_limits()
    one, two, three, four = claimed("dead")
    mark_handed_over(one, "dead", clock.now())
    put(two, owner="alive")
    assert lifecycle.recover_orphans(lambda owner: owner == "dead", "boot", clock.now(), str) == 3
    assert [Letter.get_by_id(number).state for number in (one, two, three, four)] == [
        "unknown",
        "sending",
        "waiting",
        "waiting",
    ]


def test_after_a_power_cut_every_claimed_letter_is_unknown(notice):
    no_limits()
    claimed("dead")
    lifecycle.recover_orphans(lambda owner: True, "another boot", clock.now(), str)
    assert states(notice) == {"unknown": 4}


def test_an_urgent_letter_of_unknown_outcome_is_sent_once_more_by_itself(school, hanako):
    no_limits()
    notice = begun(hanako, [school.lists["1-1"]], urgent=True)
    for state in ("waiting", "unknown"):
        for number in claimed("dead"):
            mark_handed_over(number, "dead", clock.now())
        lifecycle.recover_orphans(lambda owner: True, "boot", clock.now(), str)
        assert states(notice) == {state: 4}
    assert all(one.auto_resent for one in Letter.select().where(Letter.notice == notice))


@pytest.mark.parametrize("state", ["stopped", "withdrawn", "sent"])
def test_nothing_of_a_stopped_notice_is_sent_again_by_itself(school, hanako, state):
    notice = begun(hanako, [school.lists["1-1"]], urgent=True)
    Letter.update(state="sending", owner="dead", handed_over_at=clock.now(), boot="boot").execute()
    Notice.update(state=state).where(Notice.id == notice.id).execute()
    lifecycle.recover_orphans(lambda owner: True, "boot", clock.now(), str)
    assert states(notice) == {"unknown": 4}


def test_a_read_settles_an_unknown_letter(notice):
    letter = letter_to(notice, "naoki@example.jp")
    other = letter_to(notice, "aoyama.k@example.com")
    put(letter.id, state="unknown")
    put(other.id, state="unknown")
    lifecycle.accept_unknown_on_read(letter.delivery, clock.now())
    assert (fresh(letter).state, fresh(other).state) == ("accepted", "unknown")


# finishing


@pytest.mark.parametrize("state", sorted(lifecycle.TRANSITIONS))
def test_a_notice_is_sent_only_when_nothing_of_it_is_open(notice, state):
    """Law 5."""
    Letter.update(state="accepted").where(Letter.notice == notice).execute()
    put(letter_to(notice, "naoki@example.jp").id, state=state)
    assert lifecycle.finish_notices(clock.now()) == (0 if state in ("waiting", "sending", "deferred") else 1)
    assert fresh(notice).state == ("sending" if state in ("waiting", "sending", "deferred") else "sent")


@pytest.mark.parametrize("state", ["paused", "held", "stopped", "withdrawn", "draft", "scheduled"])
def test_only_what_is_being_sent_is_finished(notice, state):
    Letter.update(state="accepted").execute()
    Notice.update(state=state).execute()
    assert lifecycle.finish_notices(clock.now()) == 0


def test_letters_that_are_no_longer_useful_are_given_up(notice):
    first = letter_to(notice, "naoki@example.jp")
    put(first.id, expires_at=clock.now() + timedelta(hours=1), state="deferred")
    assert lifecycle.expire_letters(clock.now()) == 0
    later(hours=1, seconds=1)
    assert lifecycle.expire_letters(clock.now()) == 1
    assert (fresh(first).state, fresh(first).reason) == ("expired", "expired")
    assert states(notice) == {"expired": 1, "waiting": 3}


def test_an_expired_service_letter_keeps_no_working_link(school):
    from core.notifications.notify import notify

    now = clock.now()
    letter = notify("login", "a@example.com", now, language="ja", url="http://x/y")
    later(hours=2)
    assert lifecycle.expire_letters(clock.now()) == 1
    assert "http" not in str(fresh(letter).payload)


def test_what_comes_back_after_stopping_is_cancelled_not_left_open(school, notice, hanako):
    no_limits()
    numbers = claimed("one")
    mark_handed_over(numbers[0], "one", clock.now())
    workflow.stop_sending(notice, hanako, clock.now())
    record_result(numbers[0], "one", "deferred", now=clock.now(), next_attempt_at=clock.now(), reason="temporary")
    assert lifecycle.cancel_requeued_letters(clock.now()) == 1
    assert states(notice) == {"cancelled": 4}
    assert lifecycle.cancel_requeued_letters(clock.now()) == 0


def test_the_sweep_does_not_grow_with_history(school, notice):
    """Design 8: flat in history. Each sweeping statement finds its rows by an index."""
    connection = db.connection()
    with smarthost.queries() as seen:
        lifecycle.finish_notices(clock.now())
        lifecycle.expire_letters(clock.now())
        lifecycle.cancel_requeued_letters(clock.now())
        lifecycle.recover_orphans(lambda owner: False, "boot", clock.now(), str)
        due_letters(clock.now(), 1)
    looked = [one for one in seen if one.lstrip().startswith("SELECT")]
    assert len(looked) == 5
    for statement in looked:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not [
            step for step in plan if step.startswith("SCAN") and "INDEX" not in step and "CONSTANT" not in step
        ], plan


@pytest.mark.parametrize(("attempts", "minutes"), [(0, 1), (1, 5), (2, 15), (3, 60), (4, 240), (5, 240), (99, 240)])
def test_a_letter_is_tried_again_after_growing_pauses(attempts, minutes):
    now = clock.now()
    assert queue.next_retry_at(attempts, now) == now + timedelta(minutes=minutes)
