"""The monthly reception test books itself three days ahead, once a month, as an ordinary booked notice (N-09)."""

from datetime import UTC, datetime, timedelta

import pytest

import clock
from core.notices import monthly_test, start, workflow
from core.reports import board, non_readers
from core.responses import read_confirmations
from models import Delivery, Letter, MailingList, Membership, Notice, User
from tests.cast_notices import PHONE

NOW = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)


@pytest.fixture
def room(school) -> MailingList:
    """1年1組 with a test on the first of every month at 12:30."""
    monthly_test.set_test_day(school.lists["1-1"], school.users["花子"], 1, 12 * 60 + 30)
    return MailingList.get_by_id(school.lists["1-1"].id)


def days(start: datetime, count: int) -> list[list[int]]:
    return [monthly_test.book_due_tests(start + timedelta(days=day)) for day in range(count)]


@pytest.mark.proves("N-09")
def test_three_days_ahead_and_once_a_month(room):
    """N-09."""
    days(NOW, 80)
    found = list(Notice.select().order_by(Notice.id))
    assert [f"{clock.to_local(one.send_at):%m-%d %H:%M}" for one in found] == [
        "12-01 12:30",
        "01-01 12:30",
        "02-01 12:30",
    ]
    assert {one.state for one in found} == {"scheduled"}
    assert all(one.send_at - one.confirmed_at <= monthly_test.BOOK_AHEAD for one in found)
    assert found[0].wording.subject == "【テスト】メールの受信確認（12月）"
    assert "かえで原小学校" in found[0].wording.text
    assert (found[0].read_confirmation, found[0].route, found[0].by_name) == (True, "monthly", "花子")


def test_its_owner_gets_a_copy_with_the_way_to_cancel(room):
    days(NOW, 12)
    assert [(one.kind, one.address) for one in Letter.select()] == [("own", "user1@school.example")]


def test_a_cancelled_one_is_not_booked_again_this_month(room, school):
    days(NOW, 10)
    notice = Notice.get()
    workflow.cancel_send(notice, school.users["花子"], NOW + timedelta(days=9))
    days(NOW + timedelta(days=9), 5)
    assert [one.state for one in Notice.select()] == ["draft"]


def test_switched_off_or_closed_nothing_is_booked(room, school):
    monthly_test.set_test_day(room, school.users["花子"], None, 0)
    assert sum(map(len, days(NOW, 40))) == 0
    monthly_test.set_test_day(room, school.users["花子"], 1, 0)
    MailingList.update(closed_at=NOW).where(MailingList.id == room.id).execute()
    assert sum(map(len, days(NOW, 40))) == 0
    MailingList.update(closed_at=None).where(MailingList.id == room.id).execute()
    assert sum(map(len, days(NOW, 40))) >= 1


def test_a_list_without_anybody_leaves_no_draft_behind(room):
    Membership.update(state="stopped").where(Membership.list == room).execute()
    assert sum(map(len, days(NOW, 40))) == 0
    assert Notice.select().count() == 0


def test_it_goes_on_when_its_owner_is_gone(room, school):
    User.update(disabled_at=NOW).where(User.id == school.users["花子"].id).execute()
    days(NOW, 12)
    assert Notice.get().by is None


def test_the_whole_school_too(school):
    """Nobody is there to type the number; the own copy three days ahead is the safeguard."""
    monthly_test.set_test_day(school.lists["whole"], school.users["守"], 10, 10 * 60)
    days(NOW, 21)
    assert Notice.get().state == "scheduled"


def test_says_when_the_next_one_comes(room):
    assert monthly_test.next_test_at(room, NOW) == datetime(2026, 12, 1, 3, 30, tzinfo=UTC)
    assert monthly_test.next_test_at(room, NOW + timedelta(days=12)) == datetime(2027, 1, 1, 3, 30, tzinfo=UTC)


@pytest.mark.proves("N-09")
def test_after_three_months_the_list_names_who_confirmed_none(room, school):
    clock.set_offset((NOW - clock.now()).total_seconds())
    for month in range(3):
        (number,) = [one for made in days(NOW + timedelta(days=31 * month), 31) for one in made]
        notice = Notice.get_by_id(number)
        clock.set_offset(0)
        clock.set_offset((notice.send_at - clock.now()).total_seconds() + 1)
        assert start.start_due_notices(clock.now()) == [number]
        Letter.update(state="accepted", done_at=clock.now()).where(Letter.notice == notice).execute()
        token = notice.deliveries.where(Delivery.name == "石川 直樹").get().token
        delivery = read_confirmations.delivery_by_token(token)
        assert read_confirmations.confirm_read(delivery, agent=PHONE, now=clock.now())
        assert board.build_board(notice).count("read") == 1
    later = clock.now() + timedelta(days=1)
    notices = non_readers.last_confirmable_notices(room, later)
    names = [one.person.name for one in non_readers.find_non_readers(room, notices)]
    assert names == ["青山 健太", "青山 美咲", "鈴木 大輔"]
