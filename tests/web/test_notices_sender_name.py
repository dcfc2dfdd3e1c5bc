"""The page of the sender's name: shown on writing and check, absent and refused below manager (D-08, D-21, D-23)."""

from datetime import timedelta

import pytest

import clock
from core.accounts import class_teacher
from core.notices import approval, drafts, rendering, start
from core.notices.audience import resolve_audience, resolve_audience_for
from core.permissions import target_lists
from core.settings import load_settings
from models import AllowedSender, Notice
from tests.web.notice_factory import get_page


def draft(school, name="花子"):
    made = drafts.create_draft(school.users[name], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=clock.now())
    drafts.save_draft(made, subject="遠足", text="行きます。", now=clock.now())
    return made


@pytest.mark.proves("D-07", "D-08", "D-23")
def test_the_chosen_name_stands_on_writing_and_check(school, as_):
    """D-07, D-19, D-23."""
    AllowedSender.create(list=school.lists["1-1"], address="k@example.jp", address_key="k@example.jp", name="教頭 小川")
    notice, browser = draft(school), as_("花子")
    assert "かえで原小学校（花子）" in get_page(browser, f"/notices/{notice.id}/words")
    assert "教頭 小川" in get_page(browser, f"/notices/{notice.id}/name")
    browser.post(f"/notices/{notice.id}/name", data={"as": "name:教頭 小川", "back": "check"})
    for where in ("words", "check"):
        assert "かえで原小学校（教頭 小川）" in get_page(browser, f"/notices/{notice.id}/{where}")
    other = school.users["送る子"]
    assert browser.post(f"/notices/{notice.id}/name", data={"as": f"user:{other.id}"}).status_code == 303
    assert "かえで原小学校（送る子）" in get_page(browser, f"/notices/{notice.id}/check")
    assert browser.post(f"/notices/{notice.id}/name", data={"as": "user:999999"}).status_code == 422
    assert browser.post(f"/notices/{notice.id}/name", data={"as": "user:x"}).status_code == 422


def test_typed_words_are_kept_on_the_way_to_the_name(school, as_):
    notice, browser = draft(school), as_("花子")
    answer = browser.post(
        f"/notices/{notice.id}/words/sender-name", data={"subject": "新しい件名", "text": "x", "useful_s": "0"}
    )
    assert answer.headers["Location"].endswith(f"/notices/{notice.id}/name")
    assert Notice.get_by_id(notice.id).wording.subject == "新しい件名"


@pytest.mark.proves("D-08", "D-21")
def test_below_manager_the_control_is_absent_and_a_forged_request_refused(school, as_):
    """D-08, D-21."""
    notice, browser = draft(school, "送る子"), as_("送る子")
    assert f"/notices/{notice.id}/name" not in get_page(browser, f"/notices/{notice.id}/check")
    assert 'value="name"' not in get_page(browser, f"/notices/{notice.id}/words")
    get_page(browser, f"/notices/{notice.id}/name", 403)
    for forged in (f"user:{school.users['花子'].id}", "name:校長"):
        assert browser.post(f"/notices/{notice.id}/name", data={"as": forged}).status_code == 403
    assert Notice.get_by_id(notice.id).sender_name == ""


def test_a_colleagues_draft_in_another_name_is_not_sent_by_a_sender(school, as_):
    """D-21: the page says why and offers the own name."""
    AllowedSender.create(list=school.lists["1-1"], address="k@example.jp", address_key="k@example.jp", name="教頭 小川")
    notice = draft(school)
    as_("花子").post(f"/notices/{notice.id}/name", data={"as": "name:教頭 小川"})
    browser = as_("送る子")
    shown = get_page(browser, f"/notices/{notice.id}/check")
    mark = shown.partition('name="fingerprint" value="')[2].partition('"')[0]
    assert browser.post(f"/notices/{notice.id}/check", data={"fingerprint": mark}).status_code == 422
    assert Notice.get_by_id(notice.id).state == "draft"
    browser.post(f"/notices/{notice.id}/name", data={"as": "me", "back": "check"})
    assert browser.post(f"/notices/{notice.id}/check", data={"fingerprint": mark}).status_code == 303
    assert Notice.get_by_id(notice.id).signed == "送る子"


@pytest.mark.proves("D-16", "D-17", "D-23")
def test_letters_in_the_names_of_the_class_teachers(school, as_):
    """D-16, D-17, D-23: the tick, then writing and check say so, with how many letters in whose name."""
    notice, browser = draft(school), as_("花子")
    teacher = school.users["見る子"]
    shown = get_page(browser, f"/lists/{school.lists['1-1'].id}/in-charge")
    assert "1年1組" in shown and teacher.name in shown and "太郎" not in shown
    form = {"class-0": "1\t1", "user-0": str(teacher.id), "class-1": "9\t9", "user-1": str(teacher.id)}
    browser.post(f"/lists/{school.lists['1-1'].id}/in-charge", data=form)
    assert "決まっていない方には" in get_page(browser, f"/notices/{notice.id}/name")
    browser.post(f"/notices/{notice.id}/name", data={"as": "me", "from_class_teacher": "y", "back": "check"})
    assert "担任・担当者の名前" in get_page(browser, f"/notices/{notice.id}/words")
    check = get_page(browser, f"/notices/{notice.id}/check")
    assert "担任・担当者の名前" in check and '見る子 <span class="nb">4通' in check
    get_page(as_("太郎"), f"/lists/{school.lists['1-1'].id}/in-charge", 404)


@pytest.mark.proves("D-03")
def test_the_class_teacher_stands_on_the_members_page(school, as_):
    """D-03: set for one place by hand."""
    browser, person = as_("花子"), school.people["石川 直樹"]
    place = next(row for row in person.memberships if row.list_id == school.lists["1-1"].id)
    address = f"/members/{person.id}/places/{place.id}"
    assert "見る子" in get_page(browser, address)
    form = {"child_name": "石川 蓮", "grade": "1", "class_name": "1", "class_teacher": str(school.users["見る子"].id)}
    assert browser.post(address, data=form).status_code == 303
    assert "担任・担当者：見る子" in get_page(browser, f"/members/{person.id}")
    browser.post(address, data={**form, "class_teacher": str(school.users["太郎"].id)})
    assert "担任・担当者：見る子" in get_page(browser, f"/members/{person.id}")


def test_the_history_names_the_teachers_and_who_sent_it(school, as_):
    """D-20, T-41: both names, and each reader's letter by the name under which it came."""
    notice, browser = draft(school), as_("花子")
    teacher = school.users["見る子"]
    class_teacher.assign_classes(school.lists["1-1"], {("1", "1"): teacher.id}, None)
    browser.post(f"/notices/{notice.id}/name", data={"as": "me", "from_class_teacher": "y"})
    mark = resolve_audience(Notice.get_by_id(notice.id)).fingerprint
    approval.confirm_send(Notice.get_by_id(notice.id), by=school.users["花子"], fingerprint=mark, now=clock.now())
    start.start_due_notices(clock.now() + timedelta(minutes=5))
    shown = get_page(browser, f"/notices/{notice.id}/record")
    assert "担任・担当者" in shown and '見る子 <span class="nb">4通' in shown and "花子" in shown
    assert "（見る子 の名前で）" in shown
    listed = get_page(browser, "/history")
    assert "花子 （担任・担当者の名前で）" in listed and "5人（お子さん）：確認0" in listed and "世帯" not in listed
    Notice.update(state="sent").where(Notice.id == notice.id).execute()
    home = get_page(browser, "/")
    assert "5人（お子さん）：" in home


# ── replies to the own address ───────────────────────────────────────────────────────────────────────────────────


def reply_to(notice) -> str:
    """Return Reply-To of the first letter that would leave."""
    form = rendering.notice_form(Notice.get_by_id(notice.id), school_list(notice), "ja", load_settings())
    return form.reply_to or ""


def school_list(notice):
    return target_lists(notice)[0]


def test_nobody_ticks_replies_to_a_colleagues_address(school, as_):
    """Decision 4: the one who ticked was told that every family sees the address; nobody else was."""
    notice, typed = draft(school), {"subject": "遠足", "text": "行きます。", "useful_s": "0"}
    as_("花子").post(f"/notices/{notice.id}/words", data={**typed, "reply_to_own": "y"})
    hanako, other = school.users["花子"], school.users["送る子"]
    assert Notice.get_by_id(notice.id).reply_to_user == hanako and reply_to(notice) == hanako.email
    browser = as_("送る子")
    browser.post(f"/notices/{notice.id}/words", data={**typed, "text": "行きますよ。"})  # saves the rest of the page
    assert Notice.get_by_id(notice.id).reply_to_user == hanako
    check = get_page(browser, f"/notices/{notice.id}/check")
    assert hanako.email not in check and other.email not in check and "花子さんが送るときだけ" in check
    assert hanako.email in get_page(as_("花子"), f"/notices/{notice.id}/check")
    found = resolve_audience_for(Notice.get_by_id(notice.id), other)
    sent = approval.confirm_send(Notice.get_by_id(notice.id), by=other, fingerprint=found.fingerprint, now=clock.now())
    assert reply_to(sent) == ""


def test_the_tick_is_taken_away_by_who_set_it(school, as_):
    notice, typed = draft(school), {"subject": "遠足", "text": "行きます。", "useful_s": "0"}
    browser = as_("花子")
    for tick, kept in (({"reply_to_own": "y"}, school.users["花子"]), ({}, None)):
        browser.post(f"/notices/{notice.id}/words", data={**typed, **tick})
        assert Notice.get_by_id(notice.id).reply_to_user == kept
