"""A notice while and after it is sent: stop, withdraw, correct, send again (decision 13, X-09, N14)."""

from datetime import UTC, datetime

import pytest

import clock
from core.delivery import queue
from core.errors import NotADraft, SendingStarted
from core.notices import related_notices, workflow
from core.notices.audience import resolve_audience
from core.notices.related_notices import latest_to_same_list, newer_exists
from core.settings import load_settings
from database import mark_handed_over
from models import Letter
from tests import smarthost
from tests.smarthost import begun, fresh, later, put, states, written


@pytest.fixture
def draft(school, hanako):
    return written(hanako, [school.lists["1-1"]])


# while and after sending


def test_stopping_keeps_here_what_has_not_left(school, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    first = Letter.select().where(Letter.notice == notice).order_by(Letter.id).first()
    Letter.update(state="accepted").where(Letter.id == first.id).execute()
    assert workflow.stop_sending(notice, hanako, clock.now()) == 3
    assert states(notice) == {"accepted": 1, "cancelled": 3}
    assert fresh(notice).state == "stopped" and fresh(notice).finished_at
    with pytest.raises(SendingStarted):
        workflow.stop_sending(notice, hanako, clock.now())


def test_what_was_claimed_but_not_handed_over_is_stopped_too(school, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    numbers = queue.claim_batch("o", "b", load_settings(), clock.now())
    mark_handed_over(numbers[0], "o", clock.now())
    assert workflow.stop_sending(notice, hanako, clock.now()) == 3
    assert states(notice) == {"sending": 1, "cancelled": 3}


@pytest.mark.parametrize("state", ["sending", "paused", "sent", "stopped"])
def test_withdrawing_stops_what_is_left(school, hanako, state):
    """Decision 13."""
    notice = put(begun(hanako, [school.lists["1-1"]]), state=state)
    assert workflow.withdraw_notice(notice, hanako, clock.now()) == 4
    assert fresh(notice).state == "withdrawn" and fresh(notice).withdrawn_at


@pytest.mark.parametrize("state", ["draft", "held", "scheduled", "withdrawn", "dropped"])
def test_what_was_not_sent_cannot_be_withdrawn(draft, hanako, state):
    put(draft, state=state)
    with pytest.raises(SendingStarted):
        workflow.withdraw_notice(draft, hanako, clock.now())


def test_a_correction_is_a_draft_with_the_same_recipients_and_options(school, hanako):
    notice = begun(hanako, [school.lists["1-1"], school.lists["2-1"]], read_confirmation=False, footer=False)
    again = related_notices.create_correction(notice, hanako, clock.now())
    assert (again.state, again.correction_of, again.by, again.footer) == ("draft", notice, hanako, False)
    assert (again.wording.subject, again.wording.text) == ("【訂正】水筒", smarthost.TEXT)
    assert resolve_audience(again).fingerprint == resolve_audience(notice).fingerprint
    assert related_notices.create_correction(again, hanako, clock.now()).wording.subject == "【訂正】水筒"


def test_the_latest_news_carries_its_time_before_the_subject(school, hanako):
    """Field 5.2.7: not to be confused with the first; the mark of the earlier news goes."""
    notice = begun(hanako, [school.lists["1-1"]], urgent=True)
    news = related_notices.create_update(notice, hanako, datetime(2026, 10, 13, 21, 10, tzinfo=UTC))
    assert (news.state, news.follow_up_to, news.correction_of, news.urgent) == ("draft", notice, None, True)
    assert (
        news.wording.subject == "【6:10 更新】水筒"
        and resolve_audience(news).fingerprint == resolve_audience(notice).fingerprint
    )
    second = related_notices.create_update(news, hanako, datetime(2026, 10, 13, 22, 5, tzinfo=UTC))
    assert second.wording.subject == "【7:05 更新】水筒"


def test_unknown_letters_are_sent_again_when_somebody_asks(school, hanako):
    notice = put(begun(hanako, [school.lists["1-1"]]), state="sent")
    Letter.update(state="accepted").where(Letter.notice == notice).execute()
    lost = smarthost.letter_to(notice, "naoki@example.jp")
    Letter.update(state="unknown").where(Letter.id == lost.id).execute()
    assert workflow.resend_unknown(notice, hanako, clock.now()) == 1
    assert (fresh(notice).state, fresh(notice).finished_at) == ("sending", None)
    assert (fresh(lost).state, fresh(lost).auto_resent) == ("waiting", True)
    assert workflow.resend_unknown(notice, hanako, clock.now()) == 0


@pytest.mark.parametrize("state", ["withdrawn", "held", "draft", "dropped"])
def test_nothing_of_a_withdrawn_notice_is_sent_again(school, hanako, state):
    notice = put(begun(hanako, [school.lists["1-1"]]), state=state)
    Letter.update(state="unknown").where(Letter.notice == notice).execute()
    with pytest.raises(NotADraft):
        workflow.resend_unknown(notice, hanako, clock.now())
    assert states(notice) == {"unknown": 4}


def test_the_last_notice_to_the_same_list_is_found(school, hanako):
    """X-09: the check page shows when this list last got a notice."""
    earlier = begun(hanako, [school.lists["1-1"]])
    later(minutes=5)
    begun(school.users["太郎"], [school.lists["2-1"]])
    draft = written(hanako, [school.lists["1-1"]])
    assert latest_to_same_list(draft) == earlier
    assert not newer_exists(fresh(earlier))
    later(minutes=5)
    begun(hanako, [school.lists["1-1"]])
    assert newer_exists(fresh(earlier))
