"""What pages say while letters stand still, were refused or are unclear: the truth of the row (law 9, X-12)."""

import re
from datetime import timedelta

import pytest

import clock
from core.delivery import holding, outage, throttle
from core.notices import workflow
from models import Letter, LetterState, Person, User
from tests import smarthost
from tests.smarthost import begun, drained, fresh, letter_to, put, states


@pytest.fixture
def hanako(school):
    return school.users["花子"]


@pytest.fixture
def notice(school, hanako):
    return begun(hanako, [school.lists["1-1"]])


def shown(page, address: str) -> str:
    answer = page.get(address, follow_redirects=True)
    assert answer.status_code == 200
    return answer.text


def interrupt(notice, reason: str, said: str = "") -> None:
    now = clock.now()
    throttle.pause_bucket(throttle.GLOBAL_BUCKET, now + timedelta(minutes=5), reason, now, said)
    outage.pause_notices(reason, now)


def settle(notice, state: str, count: int = 9, **fields) -> None:
    numbers = [one.id for one in Letter.select().where(Letter.notice == notice, Letter.state == "waiting").limit(count)]
    Letter.update(state=state, done_at=clock.now(), **fields).where(Letter.id.in_(numbers)).execute()


@pytest.mark.parametrize(
    ("reason", "japanese", "english"),
    [
        ("connect", "メールサーバーにつながらない", "cannot be reached"),
        ("tls", "証明書または暗号化に問題がある", "certificate or encryption"),
        ("login", "ログインできない", "does not let us in"),
        ("sender", "差出人アドレスを受け付けない", "does not accept our sender address"),
        ("relay", "中継しない", "does not pass our letters on"),
        ("trust", "信用していない", "does not trust our letters"),
        ("limit", "上限に達した", "its limit is reached"),
        ("refused", "すべて拒否している", "refuses all our letters"),
    ],
)
def test_the_notice_and_home_say_what_is_wrong_and_the_server_is_quoted(as_, notice, reason, japanese, english):
    page = as_("花子")
    interrupt(notice, reason, "550 5.0.0 <b>no</b>")
    for address in (f"/notices/{notice.id}", "/"):
        text = shown(page, address)
        assert japanese in text and "中断中" in text
        assert ("つながらない" in text) == (reason == "connect")
    text = shown(page, f"/notices/{notice.id}")
    assert "550 5.0.0 &lt;b&gt;no&lt;/b&gt;" in text and "次に試すのは" in text
    User.update(language="en").execute()
    assert english in shown(page, f"/notices/{notice.id}")


def test_a_limit_without_a_time_says_when_the_next_try_is(as_, notice):
    interrupt(notice, "limit", "550 5.4.5 daily limit")
    text = shown(as_("花子"), f"/notices/{notice.id}")
    assert "時刻を知らせない場合は1時間ごとに試します" in text and "次に試すのは" in text


def test_between_two_tries_the_notice_stays_interrupted_until_a_letter_gets_through(as_, notice):
    page = as_("花子")
    interrupt(notice, "sender", "550 no")
    outage.resume_notices(clock.now(), 1800)
    text = shown(page, f"/notices/{notice.id}")
    assert fresh(notice).state == "sending" and "550 no" in text and "中断中" in text
    outage.clear_outage()
    text = shown(page, f"/notices/{notice.id}")
    assert "送信中" in text and "550 no" not in text and "中断中" not in text


def test_a_notice_held_for_standing_still_says_why(as_, notice):
    interrupt(notice, "relay", "554 relay access denied")
    holding.hold_notice(fresh(notice), "late", clock.now())
    text = shown(as_("花子"), f"/notices/{notice.id}")
    assert "554 relay access denied" in text and "中継しない" in text


def test_a_refused_text_is_asked_about_once(as_, notice):
    settle(notice, "deferred", code=554, text="5.6.0 bad <content>")
    holding.hold_notice(notice, "content", clock.now())
    page = as_("花子")
    text = shown(page, f"/notices/{notice.id}")
    assert "554 5.6.0 bad &lt;content&gt;" in text and "内容を受け付けない" in text and 'id="release"' in text
    assert "本文を受け付けません" in shown(page, "/") and "本文を受け付けません" in shown(page, "/notices")


@pytest.mark.parametrize("read_confirmation", [True, False])
def test_failed_letters_are_sent_again_by_one_button(as_, school, hanako, read_confirmation):
    """Whatever the notice asked for; a reader who is excluded is not among them."""
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        host.rules.update({"naoki": "550 5.1.1 user unknown", "suzuki": "550 5.7.1 access denied"})
        host.rules["aoyama"] = "550 5.2.1 disabled"
        notice = begun(hanako, [school.lists["1-1"]], read_confirmation=read_confirmation)
        assert drained() and states(notice) == {"accepted": 1, "refused": 3}
        host.rules.clear()
        page = as_("花子")
        assert "この2通をもう一度送る" in shown(page, f"/notices/{notice.id}")
        answer = page.post(f"/notices/{notice.id}/again/failed")
        assert answer.status_code == 303 and fresh(notice).state == "sending"
        assert drained()
    assert states(notice) == {"accepted": 3, "refused": 1} and fresh(notice).state == "sent"
    assert letter_to(notice, "naoki@example.jp").state == "refused"
    text = shown(page, f"/notices/{notice.id}")
    assert '<span class="tag done">送信済み</span>' in text and "failed-again" not in text
    assert workflow.resend_failed(fresh(notice), hanako, clock.now()) == 0


def test_a_notice_says_that_nobody_was_excluded_where_many_addresses_were_refused(as_, school, hanako):
    for number in range(6):
        smarthost.families(school.lists["1-1"], 3, f"d{number}.example", start=10 * number)
    notice = begun(hanako, [school.lists["1-1"]])
    words, page = "宛先から外していません", as_("花子")
    settle(notice, "refused", 4, reason="unknown_user")
    settle(notice, "accepted", 10)
    assert words not in shown(page, f"/notices/{notice.id}")
    settle(notice, "refused", 4, reason="unknown_user")
    assert words in shown(page, f"/notices/{notice.id}")


def test_an_expired_letter_is_sent_again_with_its_time_anew(school, hanako, notice):
    settle(notice, "expired", 1, reason="expired", expires_at=clock.now())
    assert workflow.resend_failed(notice, hanako, clock.now()) == 1
    assert Letter.select().where(Letter.notice == notice, Letter.expires_at > clock.now()).count() == 4


def test_sent_with_letters_being_tried_again_is_never_said_while_none_was_sent(as_, notice):
    settle(notice, "deferred", reason="temporary", code=451)
    page = as_("花子")
    for address in (f"/notices/{notice.id}", "/notices", "/history"):
        assert "人に再送中" not in shown(page, address)
    text = shown(page, f"/notices/{notice.id}")
    assert "まだ1通も送れていません。4通を再送中です。" in text and "相手が混み合って" not in text
    Letter.update(state="accepted").where(Letter.id == letter_to(notice, "naoki@example.jp").id).execute()
    for address in (f"/notices/{notice.id}", "/notices"):
        assert "送信済み（3人に再送中）" in shown(page, address)


def test_home_names_letters_of_unknown_outcome(as_, notice):
    page = as_("花子")
    settle(notice, "accepted", 3)
    settle(notice, "unknown", 1)
    put(notice, state="sent", finished_at=clock.now())
    text = shown(page, "/")
    assert re.search(rf"届いたかどうか.*?/notices/{notice.id}\b", text, re.DOTALL) and "1通" in text
    assert "いま、することはありません" not in text
    Letter.update(state=LetterState.ACCEPTED).where(Letter.notice == notice).execute()
    assert (
        f'/notices/{notice.id}"'
        not in re.search(r'<section class="part" id="needs".*?</section>', shown(page, "/"), re.DOTALL)[0]
    )


def test_the_stop_page_counts_what_it_stops(as_, notice, hanako):
    """Letters that a sender has claimed but not handed over are stopped too."""
    settle(notice, "accepted", 1)
    settle(notice, "sending", 1, owner="sender-1", handed_over_at=clock.now())
    settle(notice, "sending", 1, owner="sender-1")
    text = shown(as_("花子"), f"/notices/{notice.id}/stop")
    assert "2通を止める" in text or re.search(r"2通", text)
    assert workflow.count_unsent(notice) == workflow.stop_sending(notice, hanako, clock.now()) == 2
    assert (
        Person.select().where(Person.address_state == "bounced", Person.address_state_notice_id == notice.id).count()
        == 0
    )
