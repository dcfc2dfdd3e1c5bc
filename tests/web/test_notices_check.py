"""The check page and the send button (T-01, D-36, D-40, D-41, D-44, N-05, N-06, X-04, X-06, X-09)."""

import html
import re
from datetime import timedelta

import pytest

import clock
from blueprints.notices import check
from core.notices import drafts
from models import Letter, Membership, Notice, Person, User
from tests import smarthost

CLASS, OTHER = "1-1", "2-1"


@pytest.fixture
def hanako(as_):
    """花子 manages 1年1組."""
    return as_("花子")


def draft_of(school, name, *lists, **fields):
    """Make a complete draft."""
    made = drafts.create_draft(school.users[name], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists[key].id for key in lists], now=clock.now())
    drafts.save_draft(made, **{"subject": "遠足のお知らせ", "text": "遠足に行きます。", **fields}, now=clock.now())
    return made


@pytest.fixture
def draft(school):
    return draft_of(school, "花子", CLASS)


def page(browser, address, status=200):
    answer = browser.get(address)
    assert answer.status_code == status, (address, answer.status_code)
    return html.unescape(answer.get_data(as_text=True))


def hidden(text):
    """Return the hidden fields of the send form."""
    form = text[text.index('id="send"') :]
    return {name: re.search(rf'name="{name}" value="([^"]*)"', form)[1] for name in ("seen", "shown", "fingerprint")}


def local(moment):
    return clock.to_local(moment).strftime("%Y-%m-%dT%H:%M")


def body(answer):
    return html.unescape(answer.get_data(as_text=True))


# ── what it shows ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("N-05", "X-01", "X-04", "X-16")
def test_lists_number_names_and_reasons_are_shown(hanako, draft):
    """X-04, field 5.4: list and number large, first and last names, who is left out and why."""
    text = page(hanako, f"/notices/{draft.id}/check")
    assert '<p class="title">1年1組</p>' in text
    assert "<b>4</b>" in text
    assert "青山 健太" in text
    assert "和田 幸子</span>：アドレスなし" in text
    assert "4通を送信する" in text
    assert "かえで原小学校（花子）" in text


def test_the_letter_is_shown_as_one_reader_gets_it(hanako, draft):
    first = page(hanako, f"/notices/{draft.id}/check")
    assert "青山 健太さんに届くもの" in first
    assert "遠足に行きます。" in first
    assert "お読みになったら" in first
    second = page(hanako, f"/notices/{draft.id}/check?as=1")
    assert "青山 美咲さんに届くもの" in second
    around = page(hanako, f"/notices/{draft.id}/check?as=4")
    assert "青山 健太さんに届くもの" in around


def test_htmx_gets_one_part(hanako, draft):
    for part in ("letter", "send"):
        answer = hanako.get(f"/notices/{draft.id}/check/{part}", headers={"HX-Request": "true"})
        assert answer.status_code == 200
        assert "<html" not in body(answer)


@pytest.mark.proves("X-09")
def test_the_last_letter_leaves_after_the_chosen_time(hanako, draft):
    """X-09"""
    tomorrow = clock.to_local(clock.now()).date() + timedelta(days=1)
    address = f"/notices/{draft.id}/check/send?at={tomorrow}T07:00"
    text = body(hanako.get(address, headers={"HX-Request": "true"}))
    assert re.search(r'<dd id="pace" hx-swap-oob="true">.*あす 7:0\d', text)


def test_rate_and_end_are_shown(hanako, draft):
    """X-09."""
    assert "全部で1分以内" in page(hanako, f"/notices/{draft.id}/check")


def test_the_last_notice_to_the_list_is_compared(hanako, school, draft):
    earlier = draft_of(school, "花子", CLASS)
    send(hanako, earlier)
    Notice.update(state="sent", started_at=clock.now() - timedelta(days=3)).where(Notice.id == earlier.id).execute()
    assert "前回との差" in page(hanako, f"/notices/{draft.id}/check")


@pytest.mark.proves("D-29")
def test_the_footer_switched_off_is_warned_about(hanako, school):
    """D-29."""
    made = draft_of(school, "花子", CLASS, footer=False)
    assert "特定電子メール法" in page(hanako, f"/notices/{made.id}/check")


def test_a_date_with_the_wrong_weekday_is_pointed_out(hanako, school):
    day = clock.to_local(clock.now() + timedelta(days=8))
    wrong = "月火水木金土日"[(day.weekday() + 1) % 7]
    made = draft_of(school, "花子", CLASS, text=f"{day.month}月{day.day}日({wrong})です。")
    assert f"「{day.month}月{day.day}日({wrong})」とありますが" in page(hanako, f"/notices/{made.id}/check")


def test_day_words_of_a_booked_notice_are_pointed_out(hanako, school):
    """field 4.4 no. 16."""
    made = draft_of(school, "花子", CLASS, text="明日は遠足です。")
    at = clock.now() + timedelta(days=2)
    assert "「明日」と書かれていますが" in page(hanako, f"/notices/{made.id}/check?at={local(at)}")
    assert "「明日」と書かれていますが" not in page(hanako, f"/notices/{made.id}/check")


def test_a_draft_without_words_goes_back_to_the_words(hanako, school):
    made = draft_of(school, "花子", CLASS, text="")
    answer = hanako.get(f"/notices/{made.id}/check")
    assert answer.status_code == 302
    assert answer.location.endswith("/words")


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────


def send(browser, notice, **more):
    """Press the button of the check page as it is now."""
    fields = hidden(page(browser, f"/notices/{notice.id}/check"))
    return browser.post(f"/notices/{notice.id}/check", data={**fields, **more})


# D-07
@pytest.mark.proves("T-01", "D-36")
def test_pressing_holds_the_notice_and_sends_the_own_copy(hanako, draft):
    """Journey a: the hold window begins with the organizer's own copy."""
    answer = send(hanako, draft)
    assert answer.status_code == 303
    assert answer.location.endswith(f"/notices/{draft.id}")
    held = Notice.get_by_id(draft.id)
    assert (held.state, held.hold_reason, held.by_name) == ("held", "window", "花子")
    assert Letter.select().where(Letter.kind == "own").count() == 1
    assert "取り消して直す" in page(hanako, f"/notices/{draft.id}")


def test_a_double_tap_sends_once(hanako, draft):
    """field 5.3.3: the second press is told when the first one was."""
    fields = hidden(page(hanako, f"/notices/{draft.id}/check"))
    for _ in range(2):
        answer = hanako.post(f"/notices/{draft.id}/check", data=fields, follow_redirects=True)
    text = body(answer)
    at = clock.to_local(Notice.get_by_id(draft.id).confirmed_at)
    assert f"すでに送信の手続きをしました。（{at.hour}:{at.minute:02d}）" in text
    assert Letter.select().where(Letter.kind == "own").count() == 1


def test_a_press_after_sending_says_so(hanako, draft):
    fields = hidden(page(hanako, f"/notices/{draft.id}/check"))
    hanako.post(f"/notices/{draft.id}/check", data=fields)
    Notice.update(state="sent", started_at=clock.now(), finished_at=clock.now()).where(Notice.id == draft.id).execute()
    text = body(hanako.post(f"/notices/{draft.id}/check", data=fields, follow_redirects=True))
    assert "このお知らせはすでに送信しました。（" in text


@pytest.mark.proves("N-05")
def test_a_changed_audience_is_shown_again_by_name(hanako, school, draft):
    """N-05: who came between check and press is named, and nothing is sent."""
    fields = hidden(page(hanako, f"/notices/{draft.id}/check"))
    late = Person.create(
        name="後藤 翼", kana="ゴトウ ツバサ", address="goto@example.com", address_key="goto@example.com"
    )
    Membership.create(person=late, list=school.lists[CLASS], joined_at=clock.now() + timedelta(seconds=1))
    answer = hanako.post(f"/notices/{draft.id}/check", data=fields)
    text = body(answer)
    assert answer.status_code == 422
    assert "宛先が変わりました" in text
    assert "変わった方：後藤 翼" in text
    assert "5通を送信する" in text
    assert Notice.get_by_id(draft.id).state == "draft"


def test_words_changed_in_another_window_are_shown_again(hanako, draft):
    fields = hidden(page(hanako, f"/notices/{draft.id}/check"))
    drafts.save_draft(draft, text="書きかえました。", now=clock.now() + timedelta(seconds=2))
    answer = hanako.post(f"/notices/{draft.id}/check", data=fields)
    assert answer.status_code == 422
    assert "書きかえました。" in body(answer)
    assert Notice.get_by_id(draft.id).state == "draft"


@pytest.mark.proves("X-06")
def test_the_whole_school_wants_its_number(as_, school):
    """X-06, N-06, decision 7: red all through, confirmed by typing the number."""
    admin, made = as_("守"), draft_of(school, "守", "whole")
    text = page(admin, f"/notices/{made.id}/check")
    letters = int(re.search(r"<b>(\d+)</b>", text)[1])
    assert 'class="whole"' in text
    assert f"{letters} と入力してください" in text
    for typed in ("", "7"):
        answer = send(admin, made, typed=typed)
        assert answer.status_code == 422
        assert "数が違います" in body(answer) and "autofocus" in body(answer)
    assert send(admin, made, typed=f" {letters}通 ").status_code == 303
    assert Notice.get_by_id(made.id).state == "held"


@pytest.mark.proves("T-01", "D-36", "D-41")
def test_a_booking_says_its_time_on_the_button(hanako, draft):
    """T-01, D-36, D-41."""
    at = clock.now() + timedelta(days=1)
    text = page(hanako, f"/notices/{draft.id}/check?at={local(at)}")
    moment = clock.to_local(at)
    assert re.search(rf"{moment.month}月{moment.day}日\(.\) {moment.hour}:{moment.minute:02d} に予約する", text)
    answer = hanako.post(f"/notices/{draft.id}/check", data={**hidden(text), "at": local(at)})
    assert answer.status_code == 303
    booked = Notice.get_by_id(draft.id)
    assert booked.state == "scheduled"
    assert local(booked.send_at) == local(at)
    assert "予約を取り消す" in page(hanako, f"/notices/{draft.id}")


@pytest.mark.proves("D-40")
def test_date_and_time_are_chosen_in_a_calendar(hanako, draft):
    at = clock.now() + timedelta(days=1)
    field = re.search(r'<input[^>]*id="at"[^>]*>', page(hanako, f"/notices/{draft.id}/check"))[0]
    assert 'type="datetime-local"' in field and re.search(r'min="\d{4}-\d\d-\d\dT\d\d:\d\d"', field)
    shown = hidden(page(hanako, f"/notices/{draft.id}/check?at={local(at)}"))
    assert hanako.post(f"/notices/{draft.id}/check", data={**shown, "at": local(at)}).status_code == 303
    for address, mark in (("/notices/booked", f"at-{draft.id}"), (f"/notices/{draft.id}", "at")):
        field = re.search(rf'<input[^>]*id="{mark}"[^>]*>', page(hanako, address))[0]
        assert 'type="datetime-local"' in field and f'value="{local(at)}"' in field
        assert re.search(r'min="\d{4}-\d\d-\d\dT\d\d:\d\d"', field)


@pytest.mark.proves("D-41", "N-06")
@pytest.mark.parametrize("booked", [True, False])
def test_nothing_is_sent_or_booked_past_the_check_page(hanako, draft, booked):
    at = {"at": local(clock.now() + timedelta(days=1))} if booked else {}
    shown = hidden(page(hanako, f"/notices/{draft.id}/check"))
    for data in (at, {**at, "fingerprint": "x"}, {**shown, **at, "fingerprint": "x"}):
        assert hanako.post(f"/notices/{draft.id}/check", data=data).status_code == 422
        found = Notice.get_by_id(draft.id)
        assert (found.state, found.send_at) == ("draft", None)
    assert not Letter.select().exists()
    answer = hanako.post(
        f"/notices/{draft.id}/check", data={**hidden(page(hanako, f"/notices/{draft.id}/check")), **at}
    )
    assert answer.status_code == 303 and Notice.get_by_id(draft.id).state in ("held", "scheduled")


@pytest.mark.proves("N-06")
def test_the_check_page_has_no_box_to_skip_it_and_stays_after_ten_notices(hanako, school):
    for _ in range(10):
        made = draft_of(school, "花子", CLASS)
        shown = hidden(page(hanako, f"/notices/{made.id}/check"))
        assert hanako.post(f"/notices/{made.id}/check", data=shown).status_code == 303
    form = page(hanako, f"/notices/{draft_of(school, '花子', CLASS).id}/check").partition('id="send"')[2]
    assert "4通" in form and 'id="go"' in form and '<input type="checkbox"' not in form


@pytest.mark.proves("X-09")
def test_the_configured_rate_and_the_time_for_all_are_shown(hanako, draft, school):
    smarthost.send_by(smarthost.closed_port(), rate=60)
    smarthost.families(school.lists[CLASS], 496)
    shown = page(hanako, f"/notices/{draft.id}/check")
    assert "1分に60通まで" in shown and "全部で約9分" in shown


@pytest.mark.parametrize("at", ["2020-01-01T07:00", "abc"])
def test_a_time_that_cannot_be_is_refused_and_kept(hanako, draft, at):
    text = page(hanako, f"/notices/{draft.id}/check?at={at}")
    assert "過去の日時は指定できません。" in text or "日付と時刻を入力してください。" in text
    assert at in text
    assert 'id="go"' not in text
    fields = hidden(page(hanako, f"/notices/{draft.id}/check"))
    assert hanako.post(f"/notices/{draft.id}/check", data={**fields, "at": at}).status_code == 422
    assert Notice.get_by_id(draft.id).state == "draft"


def test_a_right_that_has_ended_stops_the_draft(as_, school):
    """T-33: roles end, drafts stay: the list is asked for again at the button."""
    made = draft_of(school, "花子", CLASS, OTHER)
    browser = as_("花子")
    fields = {"fingerprint": "x"}
    assert browser.post(f"/notices/{made.id}/check", data=fields).status_code == 403
    assert Notice.get_by_id(made.id).state == "draft"


def test_a_test_goes_to_the_writer_alone(hanako, draft):
    answer = hanako.post(f"/notices/{draft.id}/test")
    assert answer.status_code == 303
    letters = list(Letter.select())
    assert [one.address for one in letters] == [User.get(User.name == "花子").email]
    assert "にテスト送信しました" in page(hanako, f"/notices/{draft.id}/check")
    assert hanako.get(f"/notices/{draft.id}/test").status_code == 405


def test_a_test_without_an_address_says_what_to_do(hanako, draft):
    User.update(email=None, email_key=None).where(User.name == "花子").execute()
    hanako.post(f"/notices/{draft.id}/test")
    assert "テスト送信ができません" in page(hanako, f"/notices/{draft.id}/check")
    assert not Letter.select().exists()


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_links_are_asked_beside_the_page_and_never_keep_it_waiting(hanako, school, monkeypatch):
    """Our own addresses are left out; who reloads for ever is not served for ever."""
    made = draft_of(school, "花子", CLASS, text="くわしくは https://school.example/x 、回答は http://kairan.test/r/a")
    asked = []
    monkeypatch.setattr(check.link_check, "dead_links", lambda urls: asked.append(list(urls)) or list(urls))
    assert "/check/links" in page(hanako, f"/notices/{made.id}/check") and asked == []
    part = f"/notices/{made.id}/check/links"
    assert "このURLは開けませんでした：https://school.example/x" in page(hanako, part)
    assert asked == [["https://school.example/x"]]
    monkeypatch.setattr(check, "LINK_CHECKS", 1)
    assert "開けませんでした" not in page(hanako, part) and len(asked) == 1


def test_warnings_never_keep_a_notice_back(hanako, school):
    """Law 7: a protection may slow a notice, never stop it."""
    made = draft_of(school, "花子", CLASS, text="2年1組の名簿を添付します。10月1日(月)は明日です。", urgent=True)
    address = f"/notices/{made.id}/check"
    text = page(hanako, address)
    assert "本文に「2年1組」とあります" in text and "ファイルが付いていません" in text
    assert hanako.post(address, data={**hidden(text), "at": ""}).status_code == 303
