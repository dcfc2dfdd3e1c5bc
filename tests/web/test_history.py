"""The history: when, who, what, by which route, to whom, with what outcome (T-03, T-40, T-41)."""

import html
import re
from datetime import timedelta

import pytest

import clock
from core.notices import approval, drafts, related_notices, start
from core.notices import audience as audiences
from core.reports import summaries
from models import Delivery, Notice
from tests import cast_notices

CLASS, OTHER = "1-1", "2-1"


def sent(school, subject, name="花子", key=CLASS, route="web", at=None, text="本文です。"):
    """Make a notice that has begun to be sent."""
    now = clock.now()
    made = drafts.create_draft(school.users[name], now=now, route=route)
    drafts.set_recipients(made, lists=[school.lists[key].id], now=now)
    drafts.save_draft(made, subject=subject, text=text, now=now)
    mark, booked = audiences.resolve_audience(made), now + timedelta(seconds=1) if at else None
    typed = str(mark.letters)
    approval.confirm_send(made, by=school.users[name], fingerprint=mark.fingerprint, now=now, at=booked, typed=typed)
    Notice.update(send_at=now).where(Notice.id == made.id).execute()
    start.start_due_notices(now)
    return Notice.get_by_id(made.id)


def page(browser, address, status=200):
    answer = browser.get(address, follow_redirects=status == 200)
    assert answer.status_code == status, (address, answer.status_code)
    return html.unescape(answer.get_data(as_text=True))


@pytest.fixture
def hanako(as_):
    return as_("花子")


@pytest.mark.proves("T-28", "T-40", "D-45")
def test_every_route_leaves_the_same_record(hanako, school):
    """T-40, T-03: pages, terminal, mail, booked or not: when, who and what stand there."""
    sent(school, "画面のもの")
    sent(school, "コマンドのもの", route="terminal")
    sent(school, "メールのもの", route="mail")
    sent(school, "予約したもの", at=True)
    text = page(hanako, "/history")
    for subject in ("画面のもの", "コマンドのもの", "メールのもの", "予約したもの"):
        assert subject in text
    assert "コマンドから" in text
    assert "メールから" in text
    assert text.count("花子") >= 4


@pytest.mark.proves("T-41")
def test_the_full_text_is_kept_as_sent(hanako, school):
    """T-41."""
    made = sent(school, "遠足のお知らせ", text="一行目\n二行目")
    text = page(hanako, f"/history/{made.id}")
    letter = page(hanako, f"/notices/{made.id}/text")
    assert "一行目\n二行目" in letter
    assert "お読みになったら" in letter
    assert "花子、画面から" in text
    assert "送信を始めました" in text
    for name in ("青山 健太", "和田 幸子"):
        assert name in text
    at = clock.to_local(made.started_at)
    moment = rf"{at.month}月{at.day}日\(.\) {at.hour}:{at.minute:02d}"
    assert re.search(rf"開始.{{0,3}}{moment}|{moment}.{{0,3}}開始", text)
    assert re.search(rf"{moment}</span>　送信を始めました", text)
    assert re.search(moment, page(hanako, "/history"))


@pytest.mark.proves("N-17")
def test_every_reader_stands_there_with_the_state_of_the_letter(hanako, school):
    made = cast_notices.send([school.lists[CLASS]], by=school.users["花子"])
    cast_notices.outcome(made.deliveries["石川 直樹"], "bounced", "unknown_user")
    cast_notices.outcome(made.deliveries["鈴木 大輔"], "waiting")
    text = page(hanako, f"/history/{made.notice.id}").partition('id="readers"')[2]
    rows = dict(re.findall(r'<li><p>([^<]+?)\s*(?:<span.*?)?</p>\s*<p class="soft">([^<]*)', text, re.DOTALL))
    states = {name: state.partition("　")[0].strip() for name, state in rows.items()}
    assert len(states) == 7 and states["青山 健太"] == "送信済み"
    assert states["石川 直樹"] not in ("", "送信済み") and states["鈴木 大輔"] not in ("", "送信済み")
    assert len({states[one] for one in ("青山 健太", "石川 直樹", "鈴木 大輔", "和田 幸子", "雑音 一")}) == 5


def test_reads_are_counted_in_households(hanako, school):
    made = sent(school, "遠足のお知らせ")
    Delivery.update(read_at=clock.now()).where(Delivery.notice == made, Delivery.name == "青山 健太").execute()
    Notice.update(state="sent", finished_at=clock.now()).where(Notice.id == made.id).execute()
    count = summaries.count_households([made.id], None)[made.id]
    assert (count.read, count.told) == (1, 0)
    for address in ("/history", "/notices"):
        assert f"{count.households}世帯：確認1・" in page(hanako, address)
    assert f'{count.households}世帯</b>：<span class="nb">確認1</span>' in page(hanako, f"/notices/{made.id}/record")


def test_told_by_telephone_is_not_confirmed(hanako, school):
    made = sent(school, "遠足のお知らせ")
    Delivery.update(phoned_at=clock.now()).where(Delivery.notice == made, Delivery.name == "青山 健太").execute()
    text = page(hanako, f"/notices/{made.id}/record")
    assert "確認0</span>" in text and "電話1</span>" in text


@pytest.mark.parametrize(("asked", "found"), [("遠足", True), ("ぞうり", True), ("運動会", False)])
def test_subject_and_text_are_searched(hanako, school, asked, found):
    sent(school, "遠足のお知らせ", text="持ち物：ぞうり")
    text = page(hanako, f"/history?q={asked}")
    assert ("遠足のお知らせ" in text) is found
    assert f'value="{asked}"' in text


def test_one_list_is_picked_out(as_, school):
    sent(school, "一組のもの", name="守")
    sent(school, "二組のもの", name="守", key=OTHER)
    text = page(as_("守"), f"/history?list={school.lists[OTHER].id}")
    assert "二組のもの" in text
    assert "一組のもの" not in text


def test_the_history_is_paged(hanako, school, monkeypatch):
    monkeypatch.setattr("blueprints.history.views.PAGE_SIZE", 2)
    for number in range(3):
        sent(school, f"お知らせ{number}号")
    text = page(hanako, "/history?q=お知らせ")
    assert "お知らせ2号" in text
    assert "お知らせ0号" not in text
    assert "1～2件目（全3件）" in text
    assert "お知らせ0号" in page(hanako, "/history?q=お知らせ&page=2")


@pytest.mark.parametrize("query", ["?page=x", "?list=x", "?page=-3", "?page=999", "?q=%25%27"])
def test_odd_questions_get_a_page(hanako, school, query):
    sent(school, "遠足のお知らせ")
    page(hanako, f"/history{query}")


def test_nobody_sees_the_history_of_other_lists(as_, school):
    """T-33."""
    made = sent(school, "遠足のお知らせ")
    taro = as_("太郎")
    assert "遠足のお知らせ" not in page(taro, "/history")
    assert "遠足のお知らせ" not in page(taro, f"/history?list={school.lists[CLASS].id}")
    assert taro.get(f"/history/{made.id}").status_code == 404


def test_a_viewer_reads_but_has_no_buttons(as_, school):
    made = sent(school, "遠足のお知らせ")
    text = page(as_("見る子"), f"/notices/{made.id}/text")
    assert "本文です。" in text
    assert "訂正を送る" not in text


def test_a_draft_is_no_history(hanako, school):
    made = drafts.create_draft(school.users["花子"], now=clock.now())
    assert hanako.get(f"/history/{made.id}").status_code == 404
    assert hanako.post("/history").status_code == 405


def test_without_a_login_there_is_no_history(client, school):
    made = sent(school, "遠足のお知らせ")
    for address in ("/history", f"/history/{made.id}"):
        assert "/login" in client.get(address).location


def test_corrections_are_linked_both_ways(hanako, school):
    """Decision 13."""
    first = sent(school, "遠足のお知らせ")
    fresh = related_notices.create_correction(first, first.by, clock.now())
    mark = audiences.resolve_audience(fresh).fingerprint
    approval.confirm_send(fresh, by=first.by, fingerprint=mark, now=clock.now())
    Notice.update(send_at=clock.now()).where(Notice.id == fresh.id).execute()
    start.start_due_notices(clock.now())
    assert "訂正を送っています" in page(hanako, f"/notices/{first.id}/text")
    assert f"/notices/{first.id}/text" in page(hanako, f"/notices/{fresh.id}/text")


def test_a_withdrawn_notice_waits_for_nobody(as_, school):
    """Nobody is asked to read it any more: no open circle with a number, here and on the first page."""
    cast_notices.send([school.lists["1-1"]], by=school.users["花子"], state="withdrawn", subject="取り下げた件")
    browser = as_("花子")
    for path in ("/history", "/"):
        page = browser.get(path).get_data(as_text=True)
        row = page[: page.index("取り下げた件")].rpartition("<li>")[2]
        assert "取り下げ" in row and "世帯" not in row
