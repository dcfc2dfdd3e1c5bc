"""A notice after the send button (T-02 to T-07, D-42 to D-46, decisions 8 and 13, field 4.4 no. 11 to 15, X-12)."""

import html
import re
import socket
import time
from datetime import timedelta

import pytest

import clock
from core.delivery import lifecycle
from core.notices import drafts, start, workflow
from core.notices.questions import QuestionDraft
from models import Delivery, Letter, Notice, Target, Wording
from tests import smarthost
from tests.web.notice_factory import confirm_notice, datetime_local_value, get_page, reload_state, start_notice


@pytest.fixture
def hanako(as_):
    return as_("花子")


@pytest.fixture
def held(school):
    return confirm_notice(school)


@pytest.fixture
def booked(school):
    return confirm_notice(school, at=clock.now() + timedelta(days=1))


@pytest.fixture
def sending(school):
    return start_notice(school)


# ── rights ───────────────────────────────────────────────────────────────────────────────────────────────────────

POSTS = (
    "cancel",
    "retime",
    "release",
    "drop",
    "stop",
    "withdraw",
    "correct",
    "update",
    "remind",
    "again",
    "delete",
    "test",
    "check",
)


@pytest.mark.parametrize("verb", POSTS)
def test_the_organizer_of_another_list_steers_nothing(as_, held, verb):
    """T-33."""
    assert as_("太郎").post(f"/notices/{held.id}/{verb}").status_code == 404
    assert reload_state(held) == "held"


@pytest.mark.parametrize("verb", POSTS)
def test_a_viewer_looks_but_steers_nothing(as_, held, verb):
    viewer = as_("見る子")
    assert "取り消して直す" not in get_page(viewer, f"/notices/{held.id}")
    assert viewer.post(f"/notices/{held.id}/{verb}").status_code == 403
    assert reload_state(held) == "held"


@pytest.mark.parametrize("verb", POSTS)
def test_without_a_login_nothing_is_steered(client, held, verb):
    answer = client.post(f"/notices/{held.id}/{verb}")
    assert answer.status_code == 302
    assert "/login" in answer.location


@pytest.mark.parametrize("verb", ["cancel", "retime", "release", "again", "test"])
def test_verbs_want_a_post(hanako, held, verb):
    assert hanako.get(f"/notices/{held.id}/{verb}").status_code == 405


@pytest.mark.parametrize("verb", ["drop", "stop", "withdraw", "delete"])
def test_looking_at_a_question_changes_nothing(hanako, held, verb):
    """Law 3: GET never acts."""
    hanako.get(f"/notices/{held.id}/{verb}")
    assert reload_state(held) == "held"


# ── held and booked ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_hold_window_says_when_it_ends(hanako, held):
    """field 4.4 no. 13; without script the time stands there in words."""
    text = get_page(hanako, f"/notices/{held.id}")
    at = clock.to_local(held.send_at)
    assert (
        f"受け付けました。{at.hour}:{at.minute:02d}に自動で送ります。" in text
        and "あなたの分を1通、先に送りました。" in text
    )
    assert f'data-until="{at.isoformat(timespec="seconds")}"' in text


@pytest.mark.proves("D-43")
def test_cancelling_brings_the_draft_back(hanako, held):
    """D-43, D-46: everything is kept, nothing was sent, the own copy does not leave any more."""
    answer = hanako.post(f"/notices/{held.id}/cancel")
    assert answer.status_code == 303
    assert answer.location.endswith(f"/notices/{held.id}/words")
    assert reload_state(held) == "draft"
    assert Target.select().where(Target.notice == held).count() == 1
    assert Letter.get().state == "cancelled"
    assert "取り消しました。" in get_page(hanako, f"/notices/{held.id}/words")


@pytest.mark.proves("D-44")
def test_cancelling_too_late_says_so(hanako, sending):
    """D-44."""
    hanako.post(f"/notices/{sending.id}/cancel")
    assert reload_state(sending) == "sending"
    assert "すでに送信が始まっているため、取り消せません。" in get_page(hanako, f"/notices/{sending.id}")


@pytest.mark.proves("T-04", "T-05", "D-42")
def test_bookings_are_listed_with_content_and_time(hanako, as_, booked):
    """T-04, T-05, D-42."""
    text = get_page(hanako, "/notices/booked")
    assert "遠足のお知らせ" in text
    assert "4通" in text
    assert f'value="{datetime_local_value(booked.send_at)}"' in text
    content = get_page(hanako, f"/notices/{booked.id}")
    assert "遠足に行きます。" in content
    assert "<textarea" not in content
    assert "遠足のお知らせ" not in get_page(as_("太郎"), "/notices/booked")


@pytest.mark.proves("T-05")
def test_the_whole_content_of_a_booking_is_read_there(hanako, school):
    asked = QuestionDraft("お弁当", ("要る", "要らない"))
    made = confirm_notice(
        school, at=clock.now() + timedelta(days=1), read_confirmation=True, questions=[asked], text="遠足です。"
    )
    assert f'href="/notices/{made.id}"' in get_page(hanako, "/notices/booked")
    text = get_page(hanako, f"/notices/{made.id}")
    for part in (
        "遠足のお知らせ",
        "遠足です。",
        "【開封確認】",
        "【アンケート】",
        "お弁当",
        "要らない",
        "配信の停止",
        "〒000-0000",
    ):
        assert part in text, part
    assert "<textarea" not in text and 'name="subject"' not in text
    everybody = get_page(hanako, f"/notices/{made.id}/recipients/all")
    assert "青山 健太" in everybody and "和田 幸子" in everybody


@pytest.mark.proves("D-45")
def test_a_booking_that_was_sent_moves_to_the_sent_ones(hanako, as_, booked):
    assert "遠足のお知らせ" in get_page(hanako, "/notices/booked")
    assert "遠足のお知らせ" not in get_page(hanako, "/history")
    clock.set_offset(86400 + 60)
    assert start.start_due_notices(clock.now()) == [booked.id]
    Letter.update(state="accepted", done_at=clock.now()).execute()
    lifecycle.finish_notices(clock.now())
    assert reload_state(booked) == "sent"
    browser = as_("花子")  # a day later the session has ended
    assert "予約はありません。" in get_page(browser, "/notices/booked")
    for address in ("/history", "/notices"):
        assert "遠足のお知らせ" in get_page(browser, address)


@pytest.mark.proves("X-12")
def test_no_page_waits_for_the_mail_server(hanako, school):
    """A server that takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        smarthost.send_by(server.getsockname()[1])
        notice = start_notice(school)
        began = time.monotonic()
        for address in ("/", "/notices", f"/notices/{notice.id}", f"/notices/{notice.id}/board"):
            get_page(hanako, address)
        assert time.monotonic() - began < 5
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert {one.state for one in Letter.select().where(Letter.notice == notice, Letter.kind == "notice")} == {"waiting"}


@pytest.mark.proves("T-06")
def test_the_time_is_changed_in_place(hanako, booked):
    """T-06."""
    at = clock.now() + timedelta(days=2)
    assert hanako.post(f"/notices/{booked.id}/retime", data={"at": datetime_local_value(at)}).status_code == 303
    fresh = Notice.get_by_id(booked.id)
    assert fresh.state == "scheduled"
    assert datetime_local_value(fresh.send_at) == datetime_local_value(at)


@pytest.mark.parametrize("at", ["", "x", "2020-01-01T07:00"])
def test_a_bad_time_keeps_the_booking_and_what_was_typed(hanako, booked, at):
    answer = hanako.post(f"/notices/{booked.id}/retime", data={"at": at})
    text = html.unescape(answer.get_data(as_text=True))
    assert answer.status_code == 422
    assert "過去の日時は指定できません。" in text or "日付と時刻を入力してください。" in text
    assert not at or f'value="{at}"' in text
    assert Notice.get_by_id(booked.id).send_at == booked.send_at


@pytest.mark.proves("T-07")
def test_a_cancelled_booking_is_a_draft(hanako, booked):
    """T-07."""
    hanako.post(f"/notices/{booked.id}/cancel")
    assert reload_state(booked) == "draft"
    assert "予約はありません。" in get_page(hanako, "/notices/booked")


# ── held and asked ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def late(school):
    """A booking whose time passed while the server was down."""
    made = confirm_notice(school, at=clock.now() + timedelta(hours=1))
    clock.set_offset(3 * 3600)
    start.start_due_notices(clock.now())
    return Notice.get_by_id(made.id)


def test_what_was_late_asks_instead_of_going(hanako, late):
    """Decision 8, field 5.3.4."""
    assert late.hold_reason == "late"
    text = get_page(hanako, f"/notices/{late.id}")
    assert "サーバーが動いていませんでした" in text
    assert "いま4通を送信する" in text
    assert "どうするか決めてください" in get_page(hanako, "/notices")


def test_it_goes_after_all_by_a_persons_press(hanako, late):
    hanako.post(f"/notices/{late.id}/release")
    start.start_due_notices(clock.now())
    assert reload_state(late) == "sending"


def test_it_is_dropped_after_asking(hanako, late):
    assert "送らないことにしますか" in get_page(hanako, f"/notices/{late.id}/drop")
    hanako.post(f"/notices/{late.id}/drop")
    assert reload_state(late) == "dropped"
    assert "このお知らせは送っていません。" in get_page(hanako, f"/notices/{late.id}")


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────


def outcome(notice, name, **fields):
    """Write the outcome of one reader's letter."""
    row = Letter.get(
        Letter.notice == notice, Letter.delivery == Delivery.get(Delivery.notice == notice, Delivery.name == name)
    )
    Letter.update(**fields).where(Letter.id == row.id).execute()


def test_progress_counts_and_names(hanako, sending):
    """field 4.4 no. 14, 5.4 no. 9: by state and by name, with the telephone."""
    outcome(sending, "青山 健太", state="accepted")
    outcome(sending, "青山 美咲", state="refused", reason="filtered")
    text = get_page(hanako, f"/notices/{sending.id}")
    assert "4通のうち1通を送りました。終わりは" in text
    assert "残りの送信を止める" in text
    record = get_page(hanako, f"/notices/{sending.id}/record")
    assert "受信拒否の設定で届いていない可能性があります。" in record
    assert "1-1 青山 陽菜" in record
    assert "tel:000-0000-0001" in get_page(hanako, f"/notices/{sending.id}/phone")


def test_what_only_waits_for_another_try_counts_as_sent(hanako, sending):
    """Words for organizers: never "being sent" for two days (design.md, States)."""
    Letter.update(state="accepted").where(Letter.notice == sending).execute()
    outcome(sending, "石川 直樹", state="deferred", reason="full")
    for address in (f"/notices/{sending.id}", "/notices", "/history", f"/history/{sending.id}"):
        text = get_page(hanako, address)
        assert "送信済み（1人に再送中）" in text, address
        assert "送信中<" not in text, address


@pytest.mark.proves("X-12")
def test_polling_costs_nothing_while_nothing_changes(hanako, sending):
    poll = {"HX-Request": "true"}
    text = hanako.get(f"/notices/{sending.id}", headers=poll).get_data(as_text=True)
    assert "<html" not in text
    seen = re.search(r"seen=([^\"]*)", text)[1]
    assert hanako.get(f"/notices/{sending.id}?seen={seen}", headers=poll).status_code == 204
    outcome(sending, "青山 健太", state="accepted")
    assert hanako.get(f"/notices/{sending.id}?seen={seen}", headers=poll).status_code == 200


def test_a_poll_of_what_was_cancelled_elsewhere_leads_to_the_draft(hanako, held):
    """The own copy's link may cancel while the page is open: the whole page goes along, not a piece of it."""
    workflow.cancel_send(held, None, clock.now())
    answer = hanako.get(f"/notices/{held.id}?seen=x", headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"].endswith(f"/notices/{held.id}/words")


def test_polling_ends_with_the_sending(hanako, sending):
    Letter.update(state="accepted").where(Letter.notice == sending).execute()
    lifecycle.finish_notices(clock.now())
    text = get_page(hanako, f"/notices/{sending.id}")
    assert "hx-trigger" not in text[text.index('id="notice-state"') :][:200]
    assert '<span class="tag done">送信済み</span>' in text and "届かず2" in text


def test_the_rest_is_stopped_after_a_question(hanako, sending):
    """field 4.4 no. 14, N-09."""
    outcome(sending, "青山 健太", state="accepted")
    assert "残り3通の送信を止める" in get_page(hanako, f"/notices/{sending.id}/stop")
    assert reload_state(sending) == "sending"
    hanako.post(f"/notices/{sending.id}/stop")
    assert reload_state(sending) == "stopped"
    assert Letter.select().where(Letter.state == "cancelled", Letter.delivery.is_null(False)).count() == 3
    assert "3通は送っていません。" in get_page(hanako, f"/notices/{sending.id}")


def test_an_interruption_is_red_and_offers_another_way(hanako, sending):
    """Field 5.2 no. 10: the text to copy is what people read, not its fields."""
    Wording.update(subject="{{学校名}}から").where(Wording.notice == sending).execute()
    Notice.update(state="paused", pause_reason="connection", paused_at=clock.now()).where(
        Notice.id == sending.id
    ).execute()
    text = get_page(hanako, f"/notices/{sending.id}")
    assert "メールサーバーにつながらないため、送信が止まっています" in text
    assert 'data-copy="#copy-text"' in text and "かえで原小学校から" in text and "{{" not in text
    assert f"/notices/{sending.id}/board" in text


def test_unknown_letters_are_sent_again_by_a_press(hanako, sending):
    Letter.update(state="accepted").where(Letter.notice == sending).execute()
    outcome(sending, "石川 直樹", state="unknown")
    Notice.update(state="sent", finished_at=clock.now()).where(Notice.id == sending.id).execute()
    assert "この1通をもう一度送る" in get_page(hanako, f"/notices/{sending.id}")
    hanako.post(f"/notices/{sending.id}/again")
    assert reload_state(sending) == "sending"
    assert Letter.select().where(Letter.state == "waiting", Letter.notice == sending).count() == 1


# ── withdrawing and correcting ───────────────────────────────────────────────────────────────────────────────────


def test_withdrawing_asks_and_closes(hanako, sending):
    """Decision 13."""
    assert "取り下げますか" in get_page(hanako, f"/notices/{sending.id}/withdraw")
    hanako.post(f"/notices/{sending.id}/withdraw")
    assert reload_state(sending) == "withdrawn"
    text = get_page(hanako, f"/notices/{sending.id}")
    assert "保護者のページは閉じています。" in text
    assert "訂正を送る" in text


def test_a_correction_is_a_marked_draft_to_the_same_people(hanako, sending):
    """field 5.2 no. 8."""
    assert "訂正を送りますか" in get_page(hanako, f"/notices/{sending.id}/correct")
    answer = hanako.post(f"/notices/{sending.id}/correct")
    fresh = Notice.get(Notice.state == "draft")
    assert answer.location.endswith(f"/notices/{fresh.id}/words")
    assert fresh.wording.subject == "【訂正】遠足のお知らせ"
    assert [one.number for one in Target.select().where(Target.notice == fresh)] == [
        one.number for one in Target.select().where(Target.notice == sending)
    ]


def test_the_apology_withdraws_and_repeats_nothing(hanako, sending):
    """field 4.3 no. 14: the neutral text stands first; the old subject, words and questions stay where they are."""
    text = get_page(hanako, f"/notices/{sending.id}/correct")
    assert text.index("取り下げて、おわびを書く") < text.index("訂正の下書きを作る")
    hanako.post(f"/notices/{sending.id}/correct/apology")
    assert reload_state(sending) == "withdrawn"
    fresh = Notice.get(Notice.state == "draft")
    assert fresh.correction_of_id == sending.id
    assert fresh.wording.subject == "【訂正】先ほどのメールは誤ってお送りしたものです"
    assert "削除してください" in fresh.wording.text and sending.wording.text.strip() not in fresh.wording.text


def test_the_apology_can_follow_a_withdrawal(hanako, sending):
    hanako.post(f"/notices/{sending.id}/withdraw")
    assert "取り下げて、おわびを書く" not in get_page(hanako, f"/notices/{sending.id}/correct")
    assert "/words" in hanako.post(f"/notices/{sending.id}/correct/apology").location
    assert Notice.select().where(Notice.state == "draft").count() == 1


def test_a_draft_cannot_be_corrected(hanako, held):
    assert hanako.get(f"/notices/{held.id}/correct").status_code == 404


# ── the front page ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_front_page_shows_only_what_is_mine(as_, school, booked, sending):
    """T-33, T-40: drafts, bookings, and what is on its way."""
    drafts.save_draft(drafts.create_draft(school.users["花子"], now=clock.now()), subject="書きかけ", now=clock.now())
    text = get_page(as_("花子"), "/notices")
    assert text.count("遠足のお知らせ") == 2
    assert "書きかけ" in text
    assert "遠足のお知らせ" not in get_page(as_("太郎"), "/notices")
    assert "書きかけ" not in get_page(as_("見る子"), "/notices")
