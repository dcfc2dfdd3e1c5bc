"""Letters that follow joining: when they are due, to whom they go, and never twice (N-12)."""

from datetime import UTC, datetime, timedelta

import pytest

from core.errors import MissingFields
from core.notices import drip
from core.notices.drip import StepContent
from models import Delivery, DripStep, Letter, MailingList, Membership, Notice, Person

MONDAY = datetime(2026, 4, 6, 0, 0, tzinfo=UTC)  # 9:00 at the school
WEEK_LATER = StepContent(7, 18 * 60, "携帯電話の設定のお願い", "ドメイン指定受信の設定をお願いします。", False)


@pytest.fixture
def room(school) -> MailingList:
    """The class of the cast, whose members joined long before."""
    Membership.update(joined_at=MONDAY - timedelta(days=300)).execute()
    return school.lists["1-1"]


def step(school, room, words: StepContent = WEEK_LATER, at: datetime = MONDAY) -> DripStep:
    return drip.add_step(room, school.users["花子"], words, at)


def join(room: MailingList, name: str, at: datetime, **fields: object) -> Membership:
    person = Person.create(name=name, kana=name, address=f"{len(name)}{at.timestamp()}@example.jp", **fields)
    return Membership.create(person=person, list=room, joined_at=at)


def got(step: DripStep) -> list[str]:
    rows = Delivery.select().join(Notice).where(Notice.drip_step == step, Delivery.reason == "").order_by(Delivery.id)
    return [one.name for one in rows]


@pytest.mark.parametrize(
    ("joined", "days", "minute", "due"),
    [
        (MONDAY, 0, 18 * 60, datetime(2026, 4, 6, 9, 0, tzinfo=UTC)),
        (MONDAY + timedelta(hours=10), 0, 18 * 60, datetime(2026, 4, 7, 9, 0, tzinfo=UTC)),  # 19:00: the next day
        (MONDAY + timedelta(hours=10), 7, 18 * 60, datetime(2026, 4, 13, 9, 0, tzinfo=UTC)),
        (datetime(2026, 4, 5, 16, 0, tzinfo=UTC), 1, 7 * 60, datetime(2026, 4, 6, 22, 0, tzinfo=UTC)),  # the local day
    ],
)
def test_due_so_many_days_after_joining_at_the_set_time(school, room, joined, days, minute, due):
    made = step(school, room, StepContent(days, minute, "件名", "本文", False), MONDAY - timedelta(days=30))
    assert drip.step_due_at(joined, made) == due


@pytest.mark.proves("N-12")
def test_a_simulated_fortnight_sends_each_letter_once_and_in_order(school, room):
    """N-12: day by day, with the sweep running every few hours."""
    first = step(school, room, StepContent(0, 18 * 60, "ようこそ", "ご登録ありがとうございます。", True))
    second = step(school, room)
    join(room, "新入 太郎", MONDAY + timedelta(days=1))
    seen: list[tuple[str, int]] = []
    for hour in range(0, 24 * 14, 3):
        now = MONDAY + timedelta(hours=hour)
        if drip.send_due_steps(now):
            newest = Letter.select().order_by(Letter.id.desc()).first()
            seen.append((newest.notice.wording.subject, hour))
    assert seen == [("ようこそ", 24 + 9), (WEEK_LATER.subject, 8 * 24 + 9)]
    assert got(first) == got(second) == ["新入 太郎"]


def test_who_joined_before_the_step_was_written_gets_none(school, room):
    join(room, "前からの人", MONDAY - timedelta(hours=1))
    made = step(school, room)
    assert drip.upcoming_sends(made, MONDAY + timedelta(days=30)) == []
    assert drip.send_due_steps(MONDAY + timedelta(days=30)) == 0
    join(room, "後からの人", MONDAY + timedelta(hours=1))
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 1 and got(made) == ["後からの人"]


@pytest.mark.proves("N-12")
def test_who_stopped_or_left_before_the_day_gets_none(school, room):
    made = step(school, room)
    join(room, "残った人", MONDAY + timedelta(hours=1))
    for name, state in (("止めた人", "stopped"), ("去った人", "left"), ("待つ人", "pending")):
        member = join(room, name, MONDAY + timedelta(hours=1))
        Membership.update(state=state).where(Membership.id == member.id).execute()
    assert [one.person.name for one in drip.upcoming_sends(made, MONDAY + timedelta(days=1))] == ["残った人"]
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 1
    assert got(made) == ["残った人"]


def test_rejoining_does_not_bring_it_again(school, room):
    made = step(school, room)
    member = join(room, "出戻り", MONDAY + timedelta(hours=1))
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 1
    Membership.update(joined_at=MONDAY + timedelta(days=20)).where(Membership.id == member.id).execute()
    assert drip.send_due_steps(MONDAY + timedelta(days=40)) == 0
    assert got(made) == ["出戻り"]


def test_two_children_in_one_list_bring_one_letter(school, room):
    made = step(school, room)
    person = Person.create(name="双子の母", kana="フタゴ", address="futago@example.jp")
    for child in list(school.children.values())[:2]:
        Membership.create(person=person, list=room, child=child, joined_at=MONDAY + timedelta(hours=1))
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 1
    assert got(made) == ["双子の母"]


def test_new_words_are_a_new_notice_and_reach_only_who_had_none(school, room):
    made = step(school, room)
    join(room, "先の人", MONDAY + timedelta(hours=1))
    drip.send_due_steps(MONDAY + timedelta(days=8))
    drip.update_step(
        made,
        school.users["花子"],
        StepContent(7, 18 * 60, "新しい件名", "新しい本文", False),
        MONDAY + timedelta(days=9),
    )
    join(room, "後の人", MONDAY + timedelta(days=9))
    assert drip.send_due_steps(MONDAY + timedelta(days=17)) == 1
    assert got(made) == ["先の人", "後の人"]
    old, new = Notice.select().where(Notice.drip_step == made).order_by(Notice.id)
    assert (old.wording.subject, old.state, new.wording.subject, new.state) == (
        WEEK_LATER.subject,
        "sending",
        "新しい件名",
        "standing",
    )
    assert drip.step_stats([made])[made.id].sent == 2


def test_words_that_nobody_has_had_are_changed_in_place(school, room):
    made = step(school, room)
    drip.update_step(made, school.users["花子"], StepContent(7, 18 * 60, "新しい件名", "本文", True), MONDAY)
    assert [one.wording.subject for one in Notice.select().where(Notice.drip_step == made)] == ["新しい件名"]


def test_a_roster_brought_in_stops_it_and_asks(school, room):
    """More people at once than join by themselves: nobody is written to before somebody has decided."""
    made = step(school, room)
    for number in range(drip.MAX_AT_ONCE + 1):
        join(room, f"名簿 {number:02}", MONDAY + timedelta(seconds=number + 1))
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 0
    assert (DripStep.get_by_id(made.id).pause_reason, got(made)) == ("many", [])
    assert drip.steps_awaiting_decision(MailingList.select(MailingList.id))[0].id == made.id
    assert drip.resume_step(DripStep.get_by_id(made.id), school.users["花子"], MONDAY + timedelta(days=8)) == 31
    assert drip.resume_step(DripStep.get_by_id(made.id), school.users["花子"], MONDAY + timedelta(days=8)) == 0


def test_passing_over_goes_on_with_new_members_only(school, room):
    made = step(school, room)
    join(room, "休みの間の人", MONDAY + timedelta(hours=1))
    drip.pause_step(made, school.users["花子"], MONDAY + timedelta(days=2))
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 0
    drip.resume_step(made, school.users["花子"], MONDAY + timedelta(days=8), skip=True)
    join(room, "新しい人", MONDAY + timedelta(days=8))
    assert drip.send_due_steps(MONDAY + timedelta(days=16)) == 1
    assert got(made) == ["新しい人"]


def test_who_has_no_address_is_on_the_board_and_gets_no_letter(school, room):
    made = step(school, room)
    person = Person.create(name="電話の家", kana="デンワ", phone="000-0000-0002")
    Membership.create(person=person, list=room, joined_at=MONDAY + timedelta(hours=1))
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 0
    assert [one.reason for one in Delivery.select().join(Notice).where(Notice.drip_step == made)] == ["no_address"]
    assert drip.people_due(made, MONDAY + timedelta(days=8)) == set()


def test_ended_steps_send_nothing_and_cannot_be_changed(school, room):
    made = step(school, room)
    join(room, "誰か", MONDAY + timedelta(hours=1))
    drip.end_step(made, school.users["花子"], MONDAY + timedelta(days=1))
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 0
    assert Notice.select().where(Notice.drip_step == made).count() == 0
    with pytest.raises(drip.StepEnded):
        drip.pause_step(made, school.users["花子"], MONDAY)


def test_a_letter_without_words_is_refused(school, room):
    with pytest.raises(MissingFields) as missing:
        step(school, room, StepContent(1, 0, " ", "", False))
    assert set(missing.value.fields) == {"subject", "text"}
    assert DripStep.select().count() == Notice.select().count() == 0


def test_a_closed_list_sends_nothing(school, room):
    step(school, room)
    join(room, "誰か", MONDAY + timedelta(hours=1))
    MailingList.update(closed_at=MONDAY).where(MailingList.id == room.id).execute()
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 0
    MailingList.update(closed_at=None).where(MailingList.id == room.id).execute()
    assert drip.send_due_steps(MONDAY + timedelta(days=8)) == 1
