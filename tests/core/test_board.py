"""The circulation sheet: households, classes, troubles, calls, pulse (T-45, N-17)."""

from datetime import timedelta
from random import Random

import pytest

import clock
from core import household_reads
from core.household_reads import HouseholdCount
from core.members import unsubscribe
from core.reports import board, board_rows, summaries
from core.responses import misdirected, phone_marks, read_confirmations
from models import AuditLog, Delivery, Membership, Notice
from tests import cast_notices
from tests.cast_notices import PHONE, fresh, outcome


@pytest.fixture
def sent(school):
    """A notice to the whole school: 青山 (two guardians), 石川, 和田 (no address), 加藤, 木村, 鈴木 (two children)."""
    return cast_notices.send([school.lists["whole"]], by=school.users["守"])


def read(sent, name, at=None):
    read_confirmations.confirm_read(
        read_confirmations.delivery_by_token(sent.deliveries[name].token), agent=PHONE, now=at or clock.now()
    )


def unit(drawn, name):
    return next(one for one in drawn.units if name in one.names)


def shown(drawn):
    return {room.short: [(place.name, place.state) for place in room.places] for room in drawn.rooms}


def test_one_cell_for_each_household_in_each_class(sent):
    drawn = board.build_board(sent.notice)
    assert len(drawn.units) == 6
    assert {room: sorted(name for name, _ in cells) for room, cells in shown(drawn).items()} == {
        "1-1": ["慎", "美月", "蓮", "陽菜"],
        "2-1": ["凛", "悠斗", "海斗"],
    }


def test_what_one_guardian_read_the_household_has_read(sent):
    """T-45"""
    read(sent, "青山 美咲")
    drawn = board.build_board(sent.notice)
    assert unit(drawn, "青山 健太").state == "read" and drawn.count("read") == 1
    assert drawn.persons == (1, 7)
    persons = board.build_board(sent.notice, by="person")
    assert len(persons.units) == 7 and persons.count("read") == 1
    assert unit(persons, "青山 健太").state == "sent"


def test_a_read_stamps_every_class_of_the_household(sent):
    read(sent, "鈴木 大輔")
    cells = shown(board.build_board(sent.notice))
    assert ("美月", "read") in cells["1-1"] and ("海斗", "read") in cells["2-1"]


def test_who_has_not_confirmed_comes_first(sent):
    read(sent, "石川 直樹")
    states = [state for _, state in shown(board.build_board(sent.notice))["1-1"]]
    assert states[-1] == "read" and "read" not in states[:-1]


def test_a_class_that_was_chosen_twice_has_one_cell(school):
    sent = cast_notices.send([school.lists["whole"], school.lists["1-1"]])
    names = [name for name, _ in shown(board.build_board(sent.notice))["1-1"]]
    assert sorted(names) == sorted(set(names))


def test_families_without_address_stand_in_the_sheet(sent):
    drawn = board.build_board(sent.notice)
    wada = unit(drawn, "和田 幸子")
    assert (wada.state, wada.trouble) == ("trouble", "no_address")
    assert wada.phones == [("和田 幸子", "000-0000-0001")]
    assert drawn.troubled == [wada] and drawn.left == 6


def test_who_had_stopped_before_is_named_and_not_counted(school):
    sent = cast_notices.send([school.lists["1-1"]])
    drawn = board.build_board(sent.notice)
    assert [one.names for one in drawn.resting] == [["雑音 一"]]
    assert all("雑音 一" not in one.names for one in drawn.units) and len(drawn.units) == 5
    assert drawn.persons == (0, 6)


def test_who_was_not_meant_to_get_it_is_no_part_of_it(sent):
    one = sent.deliveries["石川 直樹"]
    assert any("石川 直樹" in found.names for found in board.build_board(sent.notice).units)
    for reason in household_reads.NOT_INTENDED:
        Delivery.update(reason=reason).where(Delivery.id == one.id).execute()
        assert all("石川 直樹" not in found.names for found in board.build_board(sent.notice).units)


@pytest.mark.parametrize(
    ("state", "reason", "trouble"),
    [
        ("refused", "filtered", "filtered"),
        ("refused", "full", "full"),
        ("refused", "policy", "policy"),
        ("refused", "", "other"),
        ("bounced", "unknown_user", "unknown_user"),
        ("bounced", "something new", "other"),
        ("expired", "", "expired"),
        ("cancelled", "", "cancelled"),
        ("skipped", "stopped", "stopped"),
    ],
)
def test_every_outcome_that_is_no_delivery_has_its_advice(sent, state, reason, trouble):
    """N-17"""
    outcome(sent.deliveries["石川 直樹"], state, reason)
    found = unit(board.build_board(sent.notice), "石川 直樹")
    assert (found.state, found.trouble) == ("trouble", trouble)
    assert board_rows.FAILURE_ADVICE[trouble]


@pytest.mark.parametrize(("state", "shown_as"), [("waiting", "going"), ("sending", "going"), ("accepted", "sent")])
def test_letters_under_way_are_no_trouble(sent, state, shown_as):
    outcome(sent.deliveries["石川 直樹"], state)
    assert unit(board.build_board(sent.notice), "石川 直樹").state == shown_as


def test_a_household_is_in_trouble_only_if_nothing_reached_it(sent):
    outcome(sent.deliveries["青山 健太"], "bounced", "unknown_user")
    assert unit(board.build_board(sent.notice), "青山 健太").state == "sent"
    outcome(sent.deliveries["青山 美咲"], "refused", "full")
    assert unit(board.build_board(sent.notice), "青山 健太").state == "trouble"


@pytest.mark.parametrize(("state", "shown_as"), [("deferred", "going"), ("unknown", "sent")])
def test_letters_that_may_arrive_are_unread_with_advice_and_come_first(sent, state, shown_as):
    outcome(sent.deliveries["加藤 誠"], state)
    drawn = board.build_board(sent.notice)
    assert (unit(drawn, "加藤 誠").state, unit(drawn, "加藤 誠").trouble) == (shown_as, state)
    assert drawn.waiting[0] is unit(drawn, "加藤 誠") and unit(drawn, "加藤 誠") not in drawn.troubled


def test_a_call_to_a_household_is_marked_at_a_reader_who_counts(school):
    """A reader who had stopped the mail before is no part of the household's count."""
    Membership.update(state="stopped", stopped_by="reader", stopped_at=clock.now() - timedelta(days=3)).where(
        Membership.person == school.people["青山 健太"]
    ).execute()
    sent = cast_notices.send([school.lists["1-1"]])
    found = unit(board.build_board(sent.notice), "青山 美咲")
    assert "青山 健太" in found.names
    phone_marks.mark_phoned(sent.notice, [int(found.numbers)], by=school.users["守"], lists=None, now=clock.now())
    assert unit(board.build_board(sent.notice), "青山 美咲").state == "told"
    assert summaries.count_households([sent.notice.id], None)[sent.notice.id].told == 1


OUTCOMES = (
    ("accepted", ""),
    ("waiting", ""),
    ("sending", ""),
    ("deferred", "temporary"),
    ("refused", "full"),
    ("bounced", "unknown_user"),
    ("unknown", ""),
    ("expired", ""),
    ("cancelled", ""),
    ("skipped", "stopped"),
)


@pytest.mark.parametrize("seed", range(12))
def test_households_are_counted_the_same_by_the_sheet_and_by_the_query(school, seed):
    chance = Random(seed)
    lists = [school.lists["1-1"], school.lists["2-1"]] if seed % 2 else [school.lists["whole"]]
    sent = cast_notices.send(lists, urgent=seed % 3 == 0)
    for delivery in sent.deliveries.values():
        if not delivery.reason:
            outcome(delivery, *chance.choice(OUTCOMES))
        moments = {"read_at": clock.now()} if chance.random() < 0.3 and not delivery.reason else {}
        moments |= {"phoned_at": clock.now()} if chance.random() < 0.3 else {}
        if moments:
            Delivery.update(moments).where(Delivery.id == delivery.id).execute()
    for seen in (None, [school.lists["1-1"].id], [school.lists["2-1"].id]):
        drawn = board.build_board(sent.notice, lists=seen)
        count = summaries.count_households([sent.notice.id], seen).get(sent.notice.id, HouseholdCount())
        assert (count.households, count.read, count.told, count.failed, count.unread) == (
            len(drawn.units),
            drawn.count("read"),
            len(drawn.told),
            len(drawn.troubled),
            len(drawn.waiting),
        )


def test_only_what_covers_the_lists_of_the_viewer(school):
    """T-33"""
    sent = cast_notices.send([school.lists["1-1"], school.lists["2-1"]])
    drawn = board.build_board(sent.notice, lists=[school.lists["1-1"].id])
    assert [room.short for room in drawn.rooms] == ["1-1", "1年1組"]
    assert all("加藤 誠" not in one.names for one in drawn.units)
    assert unit(drawn, "鈴木 大輔").children == ["鈴木 美月"]


def test_members_without_a_child_stand_under_their_list(school):
    from models import MailingList, Person

    officers = MailingList.create(name="PTA役員", address="pta")
    person = Person.create(name="山田 花", kana="ヤマダ ハナ", address="h@example.com", address_key="h@example.com")
    Membership.create(person=person, list=officers)
    drawn = board.build_board(cast_notices.send([officers]).notice)
    assert [(room.short, [place.name for place in room.places]) for room in drawn.rooms] == [("PTA役員", ["花"])]


# ── telephone ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_is_a_mark_of_its_own_and_can_be_taken_back(school, sent):
    by, number = school.users["守"], sent.deliveries["和田 幸子"].id
    assert phone_marks.mark_phoned(sent.notice, [number], by=by, lists=None, now=clock.now()) == 1
    assert phone_marks.mark_phoned(sent.notice, [number], by=by, lists=None, now=clock.now()) == 0
    drawn = board.build_board(sent.notice)
    assert (unit(drawn, "和田 幸子").state, drawn.count("read"), drawn.left) == ("told", 0, 5)
    assert fresh(sent.deliveries["和田 幸子"]).read_at is None
    assert phone_marks.unmark_phoned(sent.notice, [number], by=by, lists=None) == 1
    assert unit(board.build_board(sent.notice), "和田 幸子").state == "trouble"
    assert AuditLog.select().where(AuditLog.action.in_(("delivery.told", "delivery.told_taken_back"))).count() == 2


def test_nobody_marks_deliveries_of_other_lists_or_notices(school, sent):
    own, by = [school.lists["1-1"].id], school.users["花子"]
    other = cast_notices.send([school.lists["1-1"]]).deliveries["石川 直樹"]
    assert phone_marks.mark_phoned(sent.notice, [other.id], by=by, lists=None, now=clock.now()) == 0
    assert phone_marks.mark_phoned(sent.notice, [sent.deliveries["加藤 誠"].id], by=by, lists=own, now=clock.now()) == 0
    assert (
        phone_marks.mark_phoned(sent.notice, [sent.deliveries["石川 直樹"].id], by=by, lists=own, now=clock.now()) == 1
    )


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_stopped_since_is_named_with_the_children_nobody_is_left_for(school):
    sent = cast_notices.send([school.lists["1-1"]])
    Membership.update(state="left").where(Membership.list == school.lists["whole"]).execute()
    for name in ("青山 美咲", "石川 直樹"):
        one = read_confirmations.delivery_by_token(sent.deliveries[name].token)
        unsubscribe.unsubscribe_lists(one, [one.list_id], clock.now())
    found = board.build_board(sent.notice).stopped
    assert [(one.name, one.children, one.alone) for one in found] == [
        ("青山 美咲", ("青山 陽菜",), ()),
        ("石川 直樹", ("石川 蓮",), ("石川 蓮",)),
    ]


def test_who_had_stopped_before_is_not_news(school):
    Membership.update(state="stopped", stopped_by="reader", stopped_at=clock.now() - timedelta(days=3)).where(
        Membership.person == school.people["石川 直樹"]
    ).execute()
    sent = cast_notices.send([school.lists["1-1"]])
    assert sent.deliveries["石川 直樹"].reason == "stopped"
    assert board.build_board(sent.notice).stopped == ()


def test_the_alarm_of_a_letter_for_another_family(sent):
    misdirected.report_misdirected(read_confirmations.delivery_by_token(sent.deliveries["加藤 誠"].token), clock.now())
    assert [one.name for one in board.build_board(sent.notice).strange] == ["加藤 誠"]


# ── pulse ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_pulse_changes_with_everything_the_board_shows(school, sent):
    def pulse():
        return board.board_version(Notice.get_by_id(sent.notice.id), clock.now()).serial

    seen = [pulse()]
    steps = (
        lambda: read(sent, "石川 直樹"),
        lambda: phone_marks.mark_phoned(
            sent.notice, [sent.deliveries["和田 幸子"].id], by=school.users["守"], lists=None, now=clock.now()
        ),
        lambda: outcome(sent.deliveries["加藤 誠"], "bounced", "unknown_user"),
        lambda: unsubscribe.unsubscribe_lists(
            read_confirmations.delivery_by_token(sent.deliveries["木村 恵"].token),
            [school.lists["whole"].id],
            clock.now(),
        ),
        lambda: Delivery.update(replied_at=clock.now()).where(Delivery.id == sent.deliveries["加藤 誠"].id).execute(),
        lambda: Notice.update(state="withdrawn").where(Notice.id == sent.notice.id).execute(),
    )
    for step in steps:
        assert pulse() == seen[-1]
        step()
        seen.append(pulse())
    assert len(set(seen)) == len(steps) + 1


def test_a_board_where_nothing_happens_for_ten_minutes_is_quiet(sent):
    now = sent.notice.started_at
    Notice.update(updated_at=now).where(Notice.id == sent.notice.id).execute()
    notice = Notice.get_by_id(sent.notice.id)
    assert not board.board_version(notice, now + timedelta(minutes=9)).quiet
    assert board.board_version(notice, now + timedelta(minutes=11)).quiet
    read(sent, "石川 直樹", now + timedelta(minutes=12))
    assert not board.board_version(notice, now + timedelta(minutes=13)).quiet


def test_the_first_page_counts_as_the_board_does(school, sent):
    for one in (sent, cast_notices.send([school.lists["1-1"]])):
        read(one, "青山 健太")
        drawn = board.build_board(one.notice)
        count = summaries.count_households([one.notice.id], None)[one.notice.id]
        assert (count.households, count.read, count.told) == (
            len(drawn.units),
            drawn.count("read"),
            drawn.count("told"),
        )
