"""What readers do with their letters: words, presses, touches, robots (T-44, T-45, decision 1)."""

from datetime import timedelta

import pytest

import clock
from core import household_reads
from core.members import unsubscribe
from core.notices import related_notices
from core.responses import misdirected, read_confirmations
from mail.html import links
from models import AuditLog, Child, Delivery, Letter, MailingList, Membership, Notice, PageView
from tests import cast_notices
from tests.cast_notices import OTHER_PHONE, PHONE, SCANNER, fresh, outcome


@pytest.fixture
def sent(school):
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"])


@pytest.fixture
def hers(sent):
    return read_confirmations.delivery_by_token(sent.deliveries["青山 美咲"].token)


def again(delivery: Delivery) -> Delivery:
    """Load a delivery as the next request does."""
    return read_confirmations.delivery_by_token(delivery.token)


# ── finding ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cut", ["{}", "{}。", "{}.", "{}>", " {} ", "{}）を開いて", "{}　", "{}>."])
def test_a_token_is_found_however_the_phone_cut_the_link(hers, cut):
    """T-44"""
    assert read_confirmations.delivery_by_token(cut.format(hers.token)).id == hers.id
    assert read_confirmations.delivery_by_token(cut.format(hers.token.upper())).id == hers.id


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "a", lambda t: "x" + t, lambda t: "", lambda t: "?"]
)
def test_anything_else_is_no_token(hers, change):
    assert read_confirmations.delivery_by_token(change(hers.token)) is None


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("→ https://a.example/x?id=7。", "https://a.example/x?id=7"),
        ("（https://a.example/x）まで", "https://a.example/x"),
        ("https://a.example/x、または", "https://a.example/x"),
        ("See https://a.example/x.", "https://a.example/x"),
        ("(https://a.example/x)", "https://a.example/x"),
        ("https://a.example/x_(y)", "https://a.example/x_(y)"),
        ("http://a.example:8080/学校", "http://a.example:8080/"),
    ],
)
def test_addresses_end_where_japanese_begins(text, url):
    pieces = links.split_at_urls(text)
    assert [found for _, found in pieces if found] == [url]
    assert "".join(piece for piece, _ in pieces) == text


def test_no_address_that_a_browser_would_run():
    assert all(url is None for _, url in links.split_at_urls("javascript:alert(1) data:text/html,x ftp://a.example/"))


def test_merge_fields_are_filled_and_the_childs_name_ends_the_subject(school):
    sent = cast_notices.send([school.lists["1-1"]], subject="{{組}}のお知らせ", text="{{氏名}} 様 {{nothing}}")
    one = sent.deliveries["青山 健太"]
    values = {"氏名": "青山 健太 {{組}}", "組": "1年1組"}
    about = {"child_name": "青山 陽菜", "child_room": "1年1組", "siblings": True}
    Delivery.update(values=values, child=Child.get(name="青山 陽菜"), **about).where(Delivery.id == one.id).execute()
    words = read_confirmations.letter_text(read_confirmations.delivery_by_token(one.token))
    assert words.subject == "1年1組のお知らせ（陽菜さん）"
    assert words.pieces == (("青山 健太 {{組}} 様 {{nothing}}", None),)


# ── confirming ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-45")
def test_first_press_counts_and_its_time_is_kept(hers):
    """T-44, T-45"""
    first = clock.now()
    assert read_confirmations.confirm_read(hers, agent=PHONE, now=first)
    assert not read_confirmations.confirm_read(again(hers), agent=PHONE, now=first + timedelta(hours=1))
    found = fresh(hers)
    assert (found.read_via, found.read_at) == ("press", again(hers).read_at)
    assert abs(found.read_at - first) < timedelta(milliseconds=1)


@pytest.mark.proves("T-45")
def test_a_press_after_an_answer_changes_neither_time_nor_way(hers):
    first = clock.now() - timedelta(hours=1)
    Delivery.update(read_at=first, read_via="answer").where(Delivery.id == hers.id).execute()
    assert not read_confirmations.confirm_read(again(hers), agent=PHONE, now=clock.now())
    assert fresh(hers).read_via == "answer" and abs(fresh(hers).read_at - first) < timedelta(milliseconds=1)


def test_two_presses_at_the_same_moment_count_once(hers):
    twin = again(hers)
    assert read_confirmations.confirm_read(hers, agent=PHONE, now=clock.now())
    read_confirmations.confirm_read(twin, agent=PHONE, now=clock.now() + timedelta(seconds=5))
    assert fresh(hers).read_at < clock.now() + timedelta(seconds=1)


@pytest.mark.parametrize("agent", [SCANNER, "Slackbot-LinkExpanding 1.0", "facebookexternalhit/1.1;line-poker/1.0"])
def test_robots_never_confirm(hers, agent):
    assert not read_confirmations.confirm_read(hers, agent=agent, now=clock.now())
    assert not read_confirmations.confirm_by_touch(hers, agent=agent, now=clock.now())
    assert fresh(hers).read_at is None
    assert read_confirmations.confirm_read(hers, agent=PHONE, now=clock.now()) and fresh(hers).read_at


@pytest.mark.parametrize(
    "agent",
    [
        PHONE,
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) Chrome/99",
        "w3m/0.5.3",
        "Mozilla/5.0 Safari Line/14.1.0",
        "DoCoMo/2.0 F07F(c500;TB;W24H16)",
    ],
)
def test_people_on_every_device_are_no_robots(agent):
    """T-16"""
    assert not read_confirmations.is_robot_agent(agent)


def test_no_confirmation_where_none_was_asked_for(school):
    """T-42"""
    sent = cast_notices.send([school.lists["1-1"]], read_confirmation=False)
    assert not read_confirmations.confirm_read(
        read_confirmations.delivery_by_token(sent.deliveries["青山 健太"].token), agent=PHONE, now=clock.now()
    )
    assert fresh(sent.deliveries["青山 健太"]).read_at is None


def test_a_withdrawn_notice_takes_none(hers):
    Notice.update(state="withdrawn").where(Notice.id == hers.notice_id).execute()
    assert not read_confirmations.confirm_read(again(hers), agent=PHONE, now=clock.now())
    Notice.update(state="sent").where(Notice.id == hers.notice_id).execute()
    assert read_confirmations.confirm_read(again(hers), agent=PHONE, now=clock.now())


def test_a_read_settles_a_letter_of_unknown_outcome(hers):
    outcome(hers, "unknown")
    read_confirmations.confirm_read(hers, agent=PHONE, now=clock.now())
    assert Letter.get(Letter.delivery == hers).state == "accepted"


# ── touching ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_touch_counts_from_180_seconds_after_the_letter_was_taken(hers):
    accepted = clock.now()
    outcome(hers, "accepted", done_at=accepted)
    assert not read_confirmations.confirm_by_touch(hers, agent=PHONE, now=accepted + timedelta(seconds=179))
    assert read_confirmations.confirm_by_touch(hers, agent=PHONE, now=accepted + timedelta(seconds=181))
    assert fresh(hers).read_via == "touch"


@pytest.mark.parametrize("state", ["waiting", "unknown", "refused", "bounced"])
def test_no_touch_without_an_accepted_letter(hers, state):
    outcome(hers, state)
    assert not read_confirmations.confirm_by_touch(hers, agent=PHONE, now=clock.now())
    assert fresh(hers).read_at is None
    assert read_confirmations.confirm_read(hers, agent=PHONE, now=clock.now())


def test_a_scanner_that_fetches_every_link_after_its_touch_is_taken_back(hers):
    now = clock.now()
    read_confirmations.record_visit(hers, "r", agent=PHONE, inside=False, now=now)
    assert read_confirmations.confirm_by_touch(hers, agent=PHONE, now=now)
    read_confirmations.record_visit(again(hers), "u", agent=PHONE, inside=False, now=now + timedelta(seconds=59))
    assert fresh(hers).read_at is None
    assert PageView.select().where(PageView.delivery == hers).count() == 3


def test_a_link_fetched_before_the_touch_prevents_it(hers):
    now = clock.now()
    read_confirmations.record_visit(hers, "u", agent=PHONE, inside=False, now=now - timedelta(seconds=59))
    assert not read_confirmations.confirm_by_touch(hers, agent=PHONE, now=now)
    assert read_confirmations.confirm_by_touch(hers, agent=PHONE, now=now + timedelta(seconds=2))


@pytest.mark.parametrize(
    ("page", "agent", "inside", "after", "stays"),
    [
        ("u", PHONE, False, 61, True),
        ("u", PHONE, True, 5, True),
        ("r", PHONE, False, 5, True),
        ("r", OTHER_PHONE, False, 5, False),
        ("r", SCANNER, False, 5, False),
    ],
)
def test_what_takes_a_touch_back(hers, page, agent, inside, after, stays):
    now = clock.now()
    read_confirmations.confirm_by_touch(hers, agent=PHONE, now=now)
    read_confirmations.record_visit(again(hers), page, agent=agent, inside=inside, now=now + timedelta(seconds=after))
    assert (fresh(hers).read_at is not None) == stays


@pytest.mark.proves("T-45")
def test_a_press_makes_a_touch_final_and_keeps_its_time(hers):
    """T-45"""
    now = clock.now()
    read_confirmations.confirm_by_touch(hers, agent=PHONE, now=now)
    touched = fresh(hers).read_at
    assert not read_confirmations.confirm_read(again(hers), agent=PHONE, now=now + timedelta(seconds=9))
    read_confirmations.record_visit(again(hers), "u", agent=SCANNER, inside=False, now=now + timedelta(seconds=10))
    assert (fresh(hers).read_via, fresh(hers).read_at) == ("press", touched)


# ── family, newer notice ─────────────────────────────────────────────────────────────────────────────────────────


def test_one_guardian_speaks_for_the_household_only(sent, hers):
    his = read_confirmations.delivery_by_token(sent.deliveries["青山 健太"].token)
    other = read_confirmations.delivery_by_token(sent.deliveries["石川 直樹"].token)
    read_confirmations.confirm_read(his, agent=PHONE, now=clock.now())
    assert household_reads.has_another_reader_read(hers)
    assert not household_reads.has_another_reader_read(other)
    assert not household_reads.has_another_reader_read(his)


def test_a_newer_notice_of_the_same_list_is_known(school, hers):
    assert not related_notices.newer_exists(hers.notice)
    cast_notices.send([school.lists["2-1"]], at=clock.now())
    assert not related_notices.newer_exists(hers.notice)
    cast_notices.send([school.lists["1-1"]], at=clock.now())
    assert related_notices.newer_exists(hers.notice)


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────


def states(name: str) -> list[str]:
    from models import Person

    person = Person.get(name=name)
    return [row.state for row in Membership.select().where(Membership.person == person).order_by(Membership.id)]


def test_stop_reaches_only_what_the_letter_covers_and_can_be_undone(school, hers):
    """D-26"""
    own, whole = school.lists["1-1"].id, school.lists["whole"].id
    assert unsubscribe.unsubscribe_lists(hers, [own, whole], clock.now()) == 1
    assert states("青山 美咲") == ["active", "stopped"]
    assert unsubscribe.unsubscribe_lists(hers, [own], clock.now()) == 0
    assert unsubscribe.resubscribe_lists(hers, [own], clock.now()) == 1
    assert states("青山 美咲") == ["active", "active"]


def test_what_a_manager_stopped_a_reader_cannot_resume(school, hers):
    Membership.update(state="stopped", stopped_by="manager").where(Membership.person == hers.person).execute()
    assert [one.state for one in unsubscribe.covered_lists(hers)] == ["over"]
    assert unsubscribe.resubscribe_lists(hers, [school.lists["1-1"].id], clock.now()) == 0


def test_the_record_says_whether_a_child_has_nobody_now(school, sent):
    both = [read_confirmations.delivery_by_token(sent.deliveries[name].token) for name in ("青山 健太", "青山 美咲")]
    Membership.update(state="left").where(Membership.list == school.lists["whole"]).execute()
    for one in both:
        unsubscribe.unsubscribe_lists(one, [school.lists["1-1"].id], clock.now())
    rows = AuditLog.select().where(AuditLog.action == "member.stopped").order_by(AuditLog.id)
    assert [row.detail["alone"] for row in rows] == [0, 1]


def test_one_click_stops_once_and_writes_once_a_day(hers):
    now = clock.now()
    assert unsubscribe.handle_one_click(hers, "http://kairan.test/u/x", now)
    assert not unsubscribe.handle_one_click(hers, "http://kairan.test/u/x", now)
    letter = Letter.get(Letter.kind == "resume")
    assert letter.address == "misaki@mobile.example.jp" and letter.payload["list"] == "1年1組"
    unsubscribe.resubscribe_lists(hers, [hers.list_id], now)
    assert not unsubscribe.handle_one_click(hers, "http://kairan.test/u/x", now + timedelta(hours=23))
    unsubscribe.resubscribe_lists(hers, [hers.list_id], now)
    assert unsubscribe.handle_one_click(hers, "http://kairan.test/u/x", now + timedelta(hours=25))


def test_one_click_stops_every_list_of_the_letter_and_no_other(school):
    sent = cast_notices.send([school.lists["1-1"], school.lists["whole"]])
    club = MailingList.create(name="野球部", address="yakyu")
    person = school.people["石川 直樹"]
    Membership.create(person=person, list=club)
    delivery = read_confirmations.delivery_by_token(sent.deliveries["石川 直樹"].token)
    assert unsubscribe.handle_one_click(delivery, "http://kairan.test/u/x", clock.now())
    rows = Membership.select(Membership, MailingList).join(MailingList).where(Membership.person == person)
    assert {row.list.name: row.state for row in rows} == {"1年1組": "stopped", "全校": "stopped", "野球部": "active"}
    assert Letter.get(Letter.kind == "resume").payload["list"] == "全校」「1年1組"


def test_a_letter_for_another_family_stops_the_address_and_alarms(hers):
    serial = Notice.get_by_id(hers.notice_id).serial
    misdirected.report_misdirected(hers, clock.now())
    misdirected.report_misdirected(again(hers), clock.now())
    assert fresh(hers).misdirected_at and states("青山 美咲")[1] == "stopped"
    assert AuditLog.select().where(AuditLog.action == "delivery.strange", AuditLog.number == hers.id).count() == 1
    assert Notice.get_by_id(hers.notice_id).serial > serial
    unsubscribe.resubscribe_lists(hers, [hers.list_id], clock.now())
    assert fresh(hers).misdirected_at is None


def test_a_person_who_is_gone_has_nothing_to_stop(hers):
    Delivery.update(person=None).where(Delivery.id == hers.id).execute()
    gone = again(hers)
    assert unsubscribe.covered_lists(gone) == []
    misdirected.report_misdirected(gone, clock.now())
    assert unsubscribe.unsubscribe_lists(gone, [gone.list_id], clock.now()) == 0


def test_another_familys_letter_stops_all_mail_there_and_tells_the_managers(hers, school):
    """Decision 2: also lists that the letter does not cover; by name, without the address, once a day."""
    now = clock.now()
    misdirected.report_misdirected(hers, now)
    misdirected.report_misdirected(again(hers), now)
    places = Membership.select().where(Membership.person == hers.person_id)
    assert {one.state for one in places} == {"stopped"} and len({one.list_id for one in places}) == 2
    sent = list(Letter.select().where(Letter.kind == "strange").order_by(Letter.address))
    told = {school.users[name].email for name in ("花子", "守")}  # 1年1組 has a manager, 全校 only the administrator
    assert {one.address for one in sent} == told and len(sent) == 2
    assert sent[0].payload["reader"] == "青山 美咲" and sent[0].payload["url"].endswith(f"/members/{hers.person_id}")
    assert "@" not in str(sent[0].payload)
    unsubscribe.resubscribe_lists(again(hers), [hers.list_id], now)
    assert {one.state for one in places.clone()} == {"active"}
    misdirected.report_misdirected(again(hers), now)
    assert Letter.select().where(Letter.kind == "strange").count() == 2


def test_the_alarm_says_when_a_child_has_nobody_else(school):
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    misdirected.report_misdirected(
        read_confirmations.delivery_by_token(sent.deliveries["石川 直樹"].token), clock.now()
    )
    assert "石川 蓮" in Letter.get(Letter.kind == "strange").payload["alone"]
    misdirected.report_misdirected(
        read_confirmations.delivery_by_token(sent.deliveries["青山 美咲"].token), clock.now()
    )
    assert Letter.select().where(Letter.kind == "strange").order_by(Letter.id.desc()).get().payload["alone"] == ""
