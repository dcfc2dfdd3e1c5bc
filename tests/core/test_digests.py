"""Digests: who is told what and when, never at once, and nothing where nothing came (D-18, D-20, D-32 to D-35)."""

from datetime import UTC, datetime, timedelta

import pytest

import clock
from core.notices import tracking_options
from core.notices.rendering import service_form
from core.reports import digests
from core.settings import load_settings
from models import Delivery, DigestSubscription, Letter, Notice, PageView, User
from tests import cast_notices
from tests.cast_notices import PHONE, SCANNER

TUESDAY = datetime(2026, 10, 13, 0, 30, tzinfo=UTC)  # 9:30 at the school


@pytest.fixture(autouse=True)
def on_tuesday():
    clock.set_offset((TUESDAY - datetime.now(UTC)).total_seconds())


def send(school, begin: bool = True, **options):
    sent = cast_notices.send(
        [school.lists["1-1"]], by=school.users["花子"], at=TUESDAY, tracking={"opens": True}, **options
    )
    if begin:
        tracking_options.create_subscriptions(sent.notice, TUESDAY)
    return sent


def read(sent, name: str, at: datetime) -> None:
    Delivery.update(read_at=at).where(Delivery.id == sent.deliveries[name].id).execute()


def open_(sent, name: str, *moments: datetime, agent: str = PHONE) -> None:
    for at in moments:
        PageView.create(delivery=sent.deliveries[name], page="o", at=at, agent=agent, automatic=agent == SCANNER)


def told() -> list[tuple[str, str]]:
    """Return address and text of each digest so far."""
    rows = Letter.select().where(Letter.kind == "digest").order_by(Letter.id)
    return [(one.address, service_form(one, load_settings()).text) for one in rows]


def tuesdays(hour: int, day: int = 0) -> datetime:
    """Return an hour of the school's clock, days after the Tuesday."""
    return datetime(2026, 10, 13, hour, tzinfo=clock.ZONE).astimezone(UTC) + timedelta(days=day)


# ── times ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("timing", "now", "expected"),
    [
        ("hourly", tuesdays(10) + timedelta(minutes=59), tuesdays(10)),
        ("daily", tuesdays(7), tuesdays(8, -1)),
        ("daily", tuesdays(8), tuesdays(8)),
        ("weekly", tuesdays(9), tuesdays(8, -1)),
        ("weekly", tuesdays(7, -1), tuesdays(8, -8)),
        ("monthly", tuesdays(9), datetime(2026, 9, 30, 23, tzinfo=UTC)),
        ("monthly", datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 8, 31, 23, tzinfo=UTC)),
    ],
)
def test_the_moments_of_the_letters(timing, now, expected):
    """D-33"""
    assert digests.last_due_time(timing, now) == expected


@pytest.mark.proves("D-32", "D-34")
def test_daily_by_default_and_never_at_once(school):
    """D-32, D-34: the next morning, all in one letter, once."""
    sent = send(school)
    assert {(one.kind, one.timing) for one in DigestSubscription.select()} == {
        ("read", "daily"),
        ("open", "daily"),
        ("reopen", "daily"),
    }
    read(sent, "青山 美咲", TUESDAY + timedelta(minutes=5))
    open_(sent, "青山 健太", TUESDAY + timedelta(minutes=10))
    for hour in range(10, 24):
        assert digests.send_due_digests(tuesdays(hour)) == 0
    assert digests.send_due_digests(tuesdays(8, 1)) == 1
    assert digests.send_due_digests(tuesdays(9, 1)) == 0
    ((address, text),) = told()
    assert address == "user1@school.example"
    assert "新しい確認 1人" in text and "初めての開封 約1通" in text
    assert f"/notices/{sent.notice.id}/board" in text
    assert "青山" not in text


def test_nothing_to_tell_no_letter(school):
    sent = send(school)
    for day in range(1, 40):
        assert digests.send_due_digests(tuesdays(8, day)) == 0
    read(sent, "青山 健太", tuesdays(10, 39))
    assert digests.send_due_digests(tuesdays(8, 40)) == 1


@pytest.mark.proves("D-33")
@pytest.mark.parametrize(
    ("timing", "expected"), [("none", 0), ("hourly", 5), ("daily", 5), ("weekly", 2), ("monthly", 1)]
)
def test_a_simulated_month_with_each_timing(school, timing, expected):
    """D-33: a read every fifth day; the hour, the next morning, the next Monday, the first."""
    sent = send(school, begin=False)
    Notice.update(digest_settings={kind: timing for kind in tracking_options.EVENT_KINDS}).where(
        Notice.id == sent.notice.id
    ).execute()
    tracking_options.create_subscriptions(Notice.get_by_id(sent.notice.id), TUESDAY)
    names = list(sent.deliveries)
    reads = {2: names[0], 4: names[1], 6: names[2], 8: names[3], 10: names[4]}
    for hour in range(24 * 25):
        now = tuesdays(10) + timedelta(hours=hour)
        if hour % 24 == 0 and hour // 24 in reads:
            read(sent, reads[hour // 24], now + timedelta(minutes=10))
        digests.send_due_digests(now)
    assert len(told()) == expected


def test_what_was_told_is_not_told_again(school):
    sent = send(school)
    read(sent, "青山 美咲", TUESDAY + timedelta(minutes=5))
    digests.send_due_digests(tuesdays(8, 1))
    read(sent, "青山 健太", tuesdays(10, 1))
    digests.send_due_digests(tuesdays(8, 2))
    assert [("新しい確認 1人" in text) for _, text in told()] == [True, True]


def test_several_notices_come_in_one_letter(school):
    first, second = send(school, subject="一つ目"), send(school, subject="二つ目")
    for sent in (first, second):
        read(sent, "青山 美咲", TUESDAY + timedelta(minutes=5))
    assert digests.send_due_digests(tuesdays(8, 1)) == 1
    assert "一つ目" in told()[0][1] and "二つ目" in told()[0][1]


# ── re-opening ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("D-35")
@pytest.mark.parametrize(("minutes", "counted"), [((59,), 0), ((60,), 0), ((61,), 1), ((40, 80), 0), ((59, 120), 1)])
def test_within_an_hour_of_the_opening_before_is_no_new_opening(school, minutes, counted):
    """D-35: the hour slides with each opening."""
    sent = send(school)
    first = TUESDAY + timedelta(minutes=10)
    open_(sent, "青山 美咲", first, *(first + timedelta(minutes=one) for one in minutes))
    facts = digests.events_by_notice([sent.notice.id])[sent.notice.id]
    assert sum(one.kind == "open" for one in facts) == 1
    assert sum(one.kind == "reopen" for one in facts) == counted
    assert PageView.select().count() == 1 + len(minutes)
    assert digests.send_due_digests(tuesdays(8, 1)) == 1
    ((_, text),) = told()
    assert "初めての開封 約1通" in text and ("再開封" in text) is (counted > 0)


def test_machines_are_not_told(school):
    sent = send(school)
    open_(sent, "青山 美咲", TUESDAY + timedelta(minutes=10), agent=SCANNER)
    assert digests.send_due_digests(tuesdays(8, 1)) == 0
    open_(sent, "青山 健太", tuesdays(10, 1))
    assert digests.send_due_digests(tuesdays(8, 2)) == 1 and "初めての開封 約1通" in told()[0][1]


# ── to whom ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("D-20")
def test_the_user_who_was_chosen_is_told_not_who_pressed(school):
    """D-20"""
    sent = send(school, sender_user=school.users["守"], sender_name="守")
    read(sent, "青山 美咲", TUESDAY + timedelta(minutes=5))
    digests.send_due_digests(tuesdays(8, 1))
    assert [address for address, _ in told()] == ["user0@school.example"]


@pytest.mark.proves("D-18")
def test_each_class_teacher_is_told_of_the_own_members_only(school):
    """D-18"""
    sent = send(school, begin=False)
    mine = sent.deliveries["青山 美咲"]
    Delivery.update(class_teacher=school.users["送る子"]).where(Delivery.id == mine.id).execute()
    tracking_options.create_subscriptions(sent.notice, TUESDAY)
    for name in ("青山 美咲", "青山 健太", "石川 直樹"):
        read(sent, name, TUESDAY + timedelta(minutes=5))
    assert digests.send_due_digests(tuesdays(8, 1)) == 2
    assert sorted((address, "1人" in text, "2人" in text) for address, text in told()) == [
        ("user1@school.example", False, True),
        ("user3@school.example", True, False),
    ]


@pytest.mark.proves("D-18")
def test_opens_are_told_to_the_class_teacher_too(school):
    sent = send(school, begin=False)
    mine = sent.deliveries["青山 美咲"]
    Delivery.update(class_teacher=school.users["送る子"]).where(Delivery.id == mine.id).execute()
    tracking_options.create_subscriptions(sent.notice, TUESDAY)
    for name in ("青山 美咲", "青山 健太", "石川 直樹"):
        open_(sent, name, TUESDAY + timedelta(minutes=5))
    assert digests.send_due_digests(tuesdays(8, 1)) == 2
    assert sorted((address, "約1通" in text, "約2通" in text) for address, text in told()) == [
        ("user1@school.example", False, True),
        ("user3@school.example", True, False),
    ]


def test_who_left_or_has_no_address_is_not_told(school):
    sent = send(school)
    read(sent, "青山 美咲", TUESDAY + timedelta(minutes=5))
    User.update(disabled_at=TUESDAY).where(User.id == school.users["花子"].id).execute()
    assert digests.send_due_digests(tuesdays(8, 1)) == 0
    User.update(disabled_at=None).where(User.id == school.users["花子"].id).execute()
    read(sent, "青山 健太", tuesdays(10, 1))
    assert digests.send_due_digests(tuesdays(8, 2)) == 1


def test_what_cannot_come_back_is_not_noted(school):
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], at=TUESDAY, read_confirmation=False)
    tracking_options.create_subscriptions(sent.notice, TUESDAY)
    assert DigestSubscription.select().count() == 0
    counted = send(school, read_confirmation=True)
    assert {row.kind for row in DigestSubscription.select()} == {"read", "open", "reopen"}
    assert {row.notice_id for row in DigestSubscription.select()} == {counted.notice.id}
