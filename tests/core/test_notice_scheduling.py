"""Booked, moved, cancelled, held: a notice before its letters (T-01 to T-08, D-39 to D-46, field 5.3.4)."""

from datetime import timedelta

import pytest

import clock
import config as ground
from core.errors import SendingStarted, TimeInPast
from core.notices import drafts, questions, start, workflow
from core.reports import progress
from database import db, open_database
from models import AuditLog, Delivery, Letter, Membership, Notice, Person
from tests import smarthost
from tests.smarthost import at_once, begun, book, confirmed, fresh, later, put, states, written


@pytest.fixture
def draft(school, hanako):
    return written(hanako, [school.lists["1-1"]])


# booking


# N-14
@pytest.mark.proves("T-01", "D-39", "N-14", "X-07", "E-14")
def test_a_booking_is_not_sent_before_its_time_and_sent_then_with_nobody_there(draft, hanako):
    """T-01, T-02, D-39, D-45."""
    book(draft, hanako, hours=9)
    assert (draft.state, draft.booked) == ("scheduled", True)
    later(hours=8, minutes=59)
    assert start.start_due_notices(clock.now()) == []
    later(minutes=1)
    assert start.start_due_notices(clock.now()) == [draft.id]
    assert fresh(draft).state == "sending" and Letter.select().where(Letter.notice == draft).count() == 4


@pytest.mark.proves("T-02")
def test_a_booking_survives_a_restart_and_the_loss_of_the_queue(draft, hanako, config):
    """T-02, law 1."""
    import tasks

    book(draft, hanako, hours=1)
    ground.set_current_config(config)
    tasks.wake_worker(draft.send_at)
    tasks.get_huey.cache_clear()
    for file in config.data.glob("huey.db*"):
        file.unlink()
    db.close()
    open_database(config.database)
    later(hours=1)
    assert start.start_due_notices(clock.now()) == [draft.id]


@pytest.mark.proves("T-03", "D-45")
def test_a_booking_leaves_the_same_record_as_an_immediate_notice(school, hanako):
    """T-03: when, who, content."""
    with smarthost.running() as (_, port):
        smarthost.send_by(port)
        at_once_ = begun(hanako, [school.lists["1-1"]])
        assert smarthost.drained()
        booked = written(hanako, [school.lists["1-1"]])
        book(booked, hanako, hours=1)
        later(hours=1)
        assert smarthost.drained()
    first, second = fresh(at_once_).__data__, fresh(booked).__data__
    empty = [{name for name, value in row.items() if value in (None, "", [])} for row in (first, second)]
    assert empty[0] == empty[1]
    assert {name for name in first if first[name] != second[name]} <= {
        "id",
        "booked",
        "confirmed_at",
        "created_at",
        "updated_at",
        "send_at",
        "started_at",
        "finished_at",
        "serial",
    }
    assert second["by"] == hanako.id and second["state"] == "sent"
    records = [{row.action for row in AuditLog.select().where(AuditLog.number == one["id"])} for one in (first, second)]
    assert records[0] - {"notice.confirmed"} == records[1] - {"notice.booked"} == {"notice.started"}


@pytest.mark.proves("T-06")
def test_a_booking_moves_to_another_time_in_place_and_is_sent_once(draft, hanako):
    """T-06."""
    book(draft, hanako, hours=1)
    workflow.reschedule(draft, clock.now() + timedelta(hours=3), hanako, clock.now())
    later(hours=1)
    assert start.start_due_notices(clock.now()) == [] and draft.state == "scheduled"
    later(hours=2)
    assert start.start_due_notices(clock.now()) == [draft.id]
    later(hours=5)
    assert start.start_due_notices(clock.now()) == []
    assert Letter.select().where(Letter.notice == draft).count() == 4


def test_a_time_moved_nearer_counts_too(draft, hanako):
    book(draft, hanako, hours=5)
    workflow.reschedule(draft, clock.now() + timedelta(minutes=1), hanako, clock.now())
    later(minutes=1)
    assert start.start_due_notices(clock.now()) == [draft.id]


def test_only_a_booking_can_be_moved_and_only_forward(draft, hanako):
    later_on = clock.now() + timedelta(hours=1)
    with pytest.raises(SendingStarted):
        workflow.reschedule(draft, later_on, hanako, clock.now())
    book(draft, hanako, hours=1)
    with pytest.raises(TimeInPast):
        workflow.reschedule(draft, clock.now(), hanako, clock.now())
    later(hours=1)
    start.start_due_notices(clock.now())
    with pytest.raises(SendingStarted):
        workflow.reschedule(draft, clock.now() + timedelta(hours=1), hanako, clock.now())


# cancelling


@pytest.mark.proves("T-07", "D-43", "D-46")
@pytest.mark.parametrize("booked", [True, False])
def test_cancelling_gives_the_draft_back_with_everything(draft, hanako, booked):
    """T-07, D-43, D-46."""
    drafts.save_draft(draft, now=clock.now(), footer=False, useful_s=900)
    book(draft, hanako, hours=1) if booked else confirmed(draft, hanako, hold_s=None)
    workflow.cancel_send(draft, hanako, clock.now())
    kept = fresh(draft)
    assert (kept.state, kept.send_at, kept.booked, kept.hold_reason) == ("draft", None, False, "")
    assert (kept.wording.text, kept.footer, kept.useful_s, kept.targets.count()) == (smarthost.TEXT, False, 900, 1)
    later(hours=2)
    assert start.start_due_notices(clock.now()) == []
    drafts.save_draft(kept, now=clock.now(), subject="水筒と帽子")
    book(kept, hanako, hours=1)
    later(hours=1)
    assert start.start_due_notices(clock.now()) == [draft.id]


CHANGED_BY_BOOKING = {  # also the screen: a cancelled booking opens with its text
    "state",
    "send_at",
    "booked",
    "confirmed_at",
    "updated_at",
    "serial",
    "expected",
    "fingerprint",
    "within",
    "by_name",
    "hold_reason",
    "practice",
    "step",
    "wizard_step",
}


def content_of(notice: Notice) -> tuple[object, ...]:
    """Return what a draft holds: columns, recipients, question, words, reminders and tracking."""
    row = fresh(notice)
    return (
        {name: value for name, value in row.__data__.items() if name not in CHANGED_BY_BOOKING},
        {(one.kind, one.number, one.include) for one in row.targets},
        questions.question_drafts(row),
        (row.wording.subject, row.wording.text),
        {name: value for name, value in row.tracking.__data__.items() if name != "id"},
        {name: value for name, value in row.reminder_rule.__data__.items() if name != "id"},
    )


@pytest.mark.proves("D-46")
def test_a_cancelled_booking_has_every_option_question_and_recipient_of_before(school, draft, hanako):
    now = clock.now()
    asked = questions.QuestionDraft("出欠", ("出席", "欠席"), deadline=now + timedelta(days=9))
    drafts.set_recipients(
        draft, lists=[school.lists["1-1"].id], without_persons=[school.people["石川 直樹"].id], now=now
    )
    drafts.save_draft(
        draft,
        now=now,
        questions=[asked],
        read_confirmation=False,
        skip_missing=False,
        useful_s=900,
        tracking={"opens": True, "clicks": True},
    )
    before = content_of(draft)
    for _ in range(2):
        book(fresh(draft), hanako, hours=1)
        workflow.cancel_send(fresh(draft), hanako, clock.now())
        for part, was in zip(content_of(draft), before, strict=True):
            assert part == was
    book(fresh(draft), hanako, hours=1)
    later(hours=1)
    assert start.start_due_notices(clock.now()) == [draft.id]
    assert {one.name for one in fresh(draft).deliveries.where(Delivery.reason == "")} == {
        "青山 健太",
        "青山 美咲",
        "鈴木 大輔",
    }


@pytest.mark.proves("D-44")
@pytest.mark.parametrize("state", ["sending", "paused", "sent", "stopped", "withdrawn", "dropped", "draft"])
def test_what_has_begun_cannot_be_cancelled(draft, hanako, state):
    """D-44."""
    put(draft, state=state)
    with pytest.raises(SendingStarted):
        workflow.cancel_send(draft, hanako, clock.now())


@pytest.mark.proves("D-44")
def test_what_stood_still_in_the_middle_cannot_become_a_draft(school, hanako):
    """Some readers have it already: as a draft it would go to them again."""
    notice = put(begun(hanako, [school.lists["1-1"]]), state="held", hold_reason="late")
    with pytest.raises(SendingStarted):
        workflow.cancel_send(notice, hanako, clock.now())


@pytest.mark.proves("D-44")
def test_cancelling_at_the_very_moment_of_sending_is_either_or(school, hanako):
    """D-44: race at t."""
    for _ in range(12):
        notice = written(hanako, [school.lists["1-1"]])
        confirmed(notice, hanako, hold_s=0)
        found = at_once(
            lambda notice=notice: workflow.cancel_send(Notice.get_by_id(notice.id), hanako, clock.now()) or "cancelled",
            lambda: start.start_due_notices(clock.now()),
        )
        letters = Letter.select().where(Letter.notice == notice).count()
        expected = ("sending", 4) if "SendingStarted" in found else ("draft", 0)
        assert (fresh(notice).state, letters) == expected, found
        Notice.update(state="dropped").where(Notice.id == notice.id).execute()


def test_two_clocks_begin_a_notice_once(school, hanako):
    notice = confirmed(written(hanako, [school.lists["1-1"]]), hanako)
    found = at_once(*[lambda: start.start_due_notices(clock.now())] * 4)
    assert sorted(map(len, found)) == [0, 0, 0, 1]
    assert Letter.select().where(Letter.notice == notice).count() == 4


# held: late, or changed


@pytest.mark.parametrize("booked", [True, False])
def test_more_than_half_an_hour_late_it_is_held_and_asked_never_fired(draft, hanako, booked):
    """Decision 8, field 5.3.4."""
    book(draft, hanako, hours=1) if booked else confirmed(draft, hanako)
    later(hours=1 if booked else 0, minutes=30, seconds=1)
    assert start.start_due_notices(clock.now()) == []
    held = fresh(draft)
    assert (held.state, held.hold_reason) == ("held", "late") and states(held) == {}
    later(days=2)
    assert start.start_due_notices(clock.now()) == []
    workflow.release_held(held, hanako, clock.now())
    assert start.start_due_notices(clock.now()) == [draft.id]


def test_up_to_half_an_hour_late_it_is_sent(draft, hanako):
    book(draft, hanako, hours=1)
    later(hours=1, minutes=29, seconds=58)
    assert start.start_due_notices(clock.now()) == [draft.id]


def test_a_held_notice_is_given_up_for_good(draft, hanako):
    book(draft, hanako, hours=1)
    later(hours=3)
    start.start_due_notices(clock.now())
    workflow.discard_held(draft, hanako, clock.now())
    assert fresh(draft).state == "dropped"
    with pytest.raises(SendingStarted):
        workflow.release_held(draft, hanako, clock.now())
    assert start.start_due_notices(clock.now()) == []


def test_a_held_notice_goes_back_to_the_drafts(draft, hanako):
    book(draft, hanako, hours=1)
    later(hours=3)
    start.start_due_notices(clock.now())
    workflow.cancel_send(draft, hanako, clock.now())
    assert fresh(draft).state == "draft"


@pytest.mark.parametrize(
    ("confirmed_at", "joined", "held"), [(10, 5, False), (10, 6, True), (100, 10, False), (100, 11, True)]
)
def test_an_audience_that_grew_by_more_than_a_tenth_and_five_is_held(school, hanako, confirmed_at, joined, held):
    smarthost.families(school.lists["1-1"], confirmed_at - 4)
    notice = confirmed(written(hanako, [school.lists["1-1"]]), hanako)
    assert len(notice.expected) == confirmed_at
    smarthost.families(school.lists["1-1"], joined, start=500)
    assert start.start_due_notices(clock.now()) == ([] if held else [notice.id])
    assert (fresh(notice).state, fresh(notice).hold_reason) == (("held", "changed") if held else ("sending", ""))
    if held:
        workflow.release_held(fresh(notice), hanako, clock.now())
        assert start.start_due_notices(clock.now()) == [notice.id]
    assert Letter.select().where(Letter.notice == notice).count() == confirmed_at + joined


def test_an_audience_that_shrank_is_held_too(school, hanako):
    smarthost.families(school.lists["1-1"], 10)
    notice = confirmed(written(hanako, [school.lists["1-1"]]), hanako)
    Membership.update(state="left").where(
        Membership.person.in_(Person.select().where(Person.name ** "保護者%"))
    ).execute()
    assert start.start_due_notices(clock.now()) == [] and fresh(notice).hold_reason == "changed"


def test_who_came_and_who_went_since_the_confirmation_is_named(school, hanako):
    notice = confirmed(written(hanako, [school.lists["1-1"]]), hanako)
    Membership.update(state="left").where(Membership.person == school.people["石川 直樹"]).execute()
    smarthost.families(school.lists["1-1"], 1)
    start.start_due_notices(clock.now())
    joined, gone = progress.recipient_changes_at_start(notice)
    assert [one.name for one in gone] == ["石川 直樹"] and len(joined) == 1
    assert Delivery.select().where(Delivery.notice == notice, Delivery.name == "石川 直樹").count() == 0


@pytest.mark.parametrize("verb", [workflow.release_held, workflow.discard_held])
def test_only_what_is_held_for_a_decision_is_released_or_dropped(draft, hanako, verb):
    confirmed(draft, hanako, hold_s=None)
    with pytest.raises(SendingStarted):
        verb(draft, hanako, clock.now())
    for state in ("draft", "scheduled", "sending", "sent"):
        put(draft, state=state, hold_reason="")
        with pytest.raises(SendingStarted):
            verb(draft, hanako, clock.now())
