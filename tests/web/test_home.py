"""The first page: what needs somebody, only as far as the user's rights go."""

import re
from datetime import timedelta

import pytest

import clock
from core import household_reads, permissions
from core.accounts import accounts
from core.members import unsubscribe
from core.reports import board, dashboard, summaries
from core.responses import misdirected, read_confirmations
from models import Letter, MailingList, Membership, Notice, Person, Role, User, Wording
from tests import cast_notices
from tests.counting import queries
from tests.web.notice_factory import get_page


def day_old():
    return clock.now() - timedelta(days=1)


# D-02, D-05, N-03
@pytest.mark.proves("D-05")
def test_two_large_buttons_write_a_notice_and_an_urgent_one(as_):
    text = as_("花子").get("/").text
    assert 'action="/notices/new"' in text
    assert 'href="/notices/urgent"' in text


@pytest.mark.proves("D-02")
def test_notices_are_reached_from_the_menu_of_every_page(as_):
    browser = as_("花子")
    for address in ("/", "/lists", "/history", "/admin"):
        menu = re.search(r'<nav class="nav".*?</nav>', browser.get(address).text, re.DOTALL)[0]
        assert re.search(r'<a href="/notices"[^>]*>.*?お知らせ', menu, re.DOTALL), address
    answer = browser.get("/notices")
    assert answer.status_code == 200 and 'action="/notices/new"' in answer.text
    assert re.search(r'<a href="/notices" aria-current="page">', answer.text)


def test_who_may_only_look_has_no_buttons(as_):
    answer = as_("見る子").get("/")
    assert answer.status_code == 200 and 'id="needs"' in answer.text
    assert "/notices/new" in as_("送る子").get("/").text
    assert "/notices/new" not in answer.text and "/notices/urgent" not in answer.text


def test_user_without_a_role_is_told_so(as_, school):
    Role.delete().where(Role.user == school.users["見る子"]).execute()
    assert "役割がまだないか、期限が過ぎています" in as_("見る子").get("/").text


def test_unread_notice_needs_somebody_until_all_have_read_it(as_, school):
    sent = cast_notices.send([school.lists["1-1"]], at=day_old(), by=school.users["花子"])
    assert "未確認" in as_("花子").get("/").text
    for one in sent.deliveries.values():
        one.read_at = clock.now()
        one.save()
    text = as_("花子").get("/").text
    assert 'class="tag now">未確認' not in text
    assert 'data-s="済"' in text


def test_ordinary_notice_of_this_morning_is_left_in_peace(as_, school):
    old = cast_notices.send([school.lists["1-1"]], at=day_old())
    cast_notices.send([school.lists["1-1"]], at=clock.now() - timedelta(hours=2))
    shown = dashboard.load_dashboard(permissions.permissions_of(school.users["花子"]), clock.now()).unread
    assert [line.row.notice.id for line in shown] == [old.notice.id]


def test_urgent_notice_needs_somebody_at_once(as_, school):
    cast_notices.send([school.lists["1-1"]], at=clock.now() - timedelta(hours=2), urgent=True)
    assert len(dashboard.load_dashboard(permissions.permissions_of(school.users["花子"]), clock.now()).unread) == 1


@pytest.mark.parametrize("options", [{"read_confirmation": False}, {"state": "withdrawn"}])
def test_some_notices_never_ask_for_reading(school, options):
    plain = cast_notices.send([school.lists["1-1"]], at=day_old())
    cast_notices.send([school.lists["1-1"]], at=day_old(), **options)
    shown = dashboard.load_dashboard(permissions.permissions_of(school.users["守"]), clock.now()).unread
    assert [line.row.notice.id for line in shown] == [plain.notice.id]


def test_own_practice_never_asks_for_reading(school):
    mine = accounts.ensure_practice_list(school.users["守"], clock.now())
    cast_notices.send([mine], at=day_old(), by=school.users["守"], practice=True)
    real = cast_notices.send([school.lists["1-1"]], at=day_old(), by=school.users["守"])
    shown = dashboard.load_dashboard(permissions.permissions_of(school.users["守"]), clock.now()).unread
    assert [line.row.notice.id for line in shown] == [real.notice.id]


def test_households_are_counted_as_on_the_board(school):
    sent = cast_notices.send([school.lists["whole"]], at=day_old())
    for name in ("青山 美咲", "鈴木 大輔"):
        sent.deliveries[name].read_at = clock.now()
        sent.deliveries[name].save()
    sent.deliveries["和田 幸子"].phoned_at = clock.now()
    sent.deliveries["和田 幸子"].save()
    for lists in (None, [school.lists["1-1"].id], [school.lists["2-1"].id]):
        drawn = board.build_board(sent.notice, lists=lists)
        counted = summaries.count_households([sent.notice.id], lists)
        expected = household_reads.HouseholdCount(
            len(drawn.units), drawn.count("read"), drawn.count("told"), len(drawn.troubled)
        )
        assert counted == ({sent.notice.id: expected} if drawn.units else {})


def test_other_lists_are_not_counted_or_named(as_, school):
    """T-33"""
    cast_notices.send([school.lists["2-1"]], at=day_old(), subject="2年1組だけの話")
    text = as_("花子").get("/").text
    assert "2年1組だけの話" not in text
    assert "2年1組だけの話" in as_("太郎").get("/").text


def test_people_who_are_not_reached_are_counted_in_ones_own_lists_only(school):
    for name, seen in (("守", 1), ("花子", 1), ("太郎", 0)):
        count, people = dashboard.load_dashboard(permissions.permissions_of(school.users[name]), clock.now()).troubled
        assert (count, [one.name for one in people]) == (seen, ["雑音 三"] * seen)


def test_members_without_name_or_class_are_counted_for_managers(school):
    person = Person.create(address="x@example.net", address_key="x@example.net")
    Membership.create(person=person, list=school.lists["1-1"])
    counted = {
        name: dashboard.load_dashboard(permissions.permissions_of(school.users[name]), clock.now()).nameless.count
        for name in ("花子", "太郎", "見る子")
    }
    assert counted == {"花子": 1, "太郎": 0, "見る子": 0}


def test_people_to_approve_are_counted(as_, school):
    Membership.create(person=school.people["加藤 誠"], list=school.lists["1-1"], state="pending")
    assert dashboard.load_dashboard(permissions.permissions_of(school.users["花子"]), clock.now()).pending.count == 1
    text = as_("花子").get("/").text
    assert "承認待ち 1人" in text and 'href="/waiting"' in text


def test_running_notice_shows_how_far_it_is_and_is_asked_again(as_, school):
    sent = cast_notices.send([school.lists["1-1"]], state="sending", subject="いま送っています")
    Letter.update(state="waiting").where(
        Letter.id == Letter.select(Letter.id).order_by(Letter.id.desc()).limit(1)
    ).execute()
    browser = as_("花子")
    text = browser.get("/").text
    assert "いま送っています" in text and 'hx-trigger="every 10s"' in text
    part = browser.get("/", headers={"HX-Request": "true"}).text
    assert part.startswith('<section class="part" id="needs"')
    Notice.update(state="sent").where(Notice.id == sent.notice.id).execute()
    part = browser.get("/", headers={"HX-Request": "true"})
    assert part.status_code == 200 and "hx-trigger" not in part.text


def test_held_notice_asks_for_a_decision(as_, school):
    sent = cast_notices.send(
        [school.lists["1-1"]], state="held", hold_reason="late", send_at=day_old(), subject="遅れた話"
    )
    text = as_("花子").get("/").text
    assert "遅れた話" in text and "まだ送っていません" in text
    assert f"/notices/{sent.notice.id}" in text


def test_bookings_and_drafts_are_shown(as_, school):
    booked = cast_notices.send(
        [school.lists["1-1"]], state="scheduled", send_at=clock.now() + timedelta(days=1), subject="予約の話"
    )
    Notice.update(started_at=None).where(Notice.id == booked.notice.id).execute()
    draft = Notice.create(by=school.users["花子"], by_name="花子")
    Wording.create(notice=draft, subject="書きかけの話")
    text = as_("花子").get("/").text
    assert "予約の話" in text and "書きかけの話" in text
    assert "書きかけの話" not in get_page(as_("太郎"), "/")


def test_a_draft_in_which_nothing_is_written_waits_with_the_notices_alone(as_, school):
    """Who pressed the large button and went away again finds no empty lines on the home page."""
    empty = Notice.create(by=school.users["花子"], by_name="花子")
    Wording.create(notice=empty)
    browser = as_("花子")
    assert f"/notices/{empty.id}" not in get_page(browser, "/")
    assert f"/notices/{empty.id}" in browser.get("/notices").text


def test_number_of_queries_does_not_grow_with_notices(as_, school):
    browser = as_("守")
    for number in range(3):
        cast_notices.send([school.lists["1-1"]], at=day_old(), subject=f"話{number}")
    few = queries(lambda: browser.get("/"))
    for number in range(12):
        cast_notices.send([school.lists["1-1"]], at=day_old(), subject=f"別の話{number}")
    assert queries(lambda: browser.get("/")) == few


def test_new_house_is_led_through_three_steps(as_, school):
    MailingList.update(closed_at=clock.now()).execute()
    accounts.ensure_practice_list(school.users["守"], clock.now())
    text = as_("守").get("/").text
    assert "はじめの3つ" in text and "練習する" in text
    assert dashboard.setup_steps(
        school.users["守"], permissions.permissions_of(school.users["守"])
    ) == dashboard.SetupSteps(False, False, True)
    assert "はじめの3つ" not in get_page(as_("見る子"), "/")


def test_steps_are_over_once_a_real_notice_went_out(school):
    mamoru = school.users["守"]
    assert dashboard.setup_steps(mamoru, permissions.permissions_of(mamoru)) == dashboard.SetupSteps(True, False, True)
    cast_notices.send([school.lists["1-1"]])
    assert dashboard.setup_steps(mamoru, permissions.permissions_of(mamoru)) is None


def test_administrator_alone_is_asked_to_invite(school):
    mamoru = school.users["守"]
    User.delete().where(User.id != mamoru.id).execute()
    assert dashboard.setup_steps(mamoru, permissions.permissions_of(mamoru)) == dashboard.SetupSteps(True, False, False)


def test_a_letter_for_another_family_needs_somebody(as_, school):
    """Decision 2."""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    misdirected.report_misdirected(sent.deliveries["石川 直樹"], clock.now())
    text = as_("花子").get("/").text
    assert "別のご家庭あて" in text and f"/members/{school.people['石川 直樹'].id}" in text
    assert dashboard.load_dashboard(permissions.permissions_of(school.users["太郎"]), clock.now()).strange == []
    unsubscribe.resubscribe_lists(
        read_confirmations.delivery_by_token(sent.deliveries["石川 直樹"].token), [school.lists["1-1"].id], clock.now()
    )
    assert dashboard.load_dashboard(permissions.permissions_of(school.users["花子"]), clock.now()).strange == []
