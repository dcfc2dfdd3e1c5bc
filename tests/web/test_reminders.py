"""The page of a reminder: how many and to whom before, one button, calling it off; the option of a notice."""

import re

import pytest

import clock
from core.notices import reminders
from core.responses import read_confirmations
from models import Choice, Letter, Notice, Question, Reminder
from tests import cast_notices
from tests.cast_notices import PHONE
from tests.web.notice_factory import get_page


@pytest.fixture
def hanako(as_):
    return as_("花子")


@pytest.fixture
def sent(school):
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"])


@pytest.fixture(autouse=True)
def at_ten():
    """Ten in the morning, whenever the tests run."""
    now = clock.to_local(clock.now())
    clock.set_offset((now.replace(hour=10, minute=0) - now).total_seconds())


def url(sent, tail="") -> str:
    return f"/notices/{sent.notice.id}/remind{tail}"


def read(sent, name):
    read_confirmations.confirm_read(
        read_confirmations.delivery_by_token(sent.deliveries[name].token), agent=PHONE, now=clock.now()
    )


def test_the_board_offers_it_and_the_page_says_how_many_and_to_whom(hanako, sent):
    """T-45, field 5.4: the number and the names stand there before anything is sent; 和田 has no address."""
    read(sent, "青山 健太")
    assert url(sent) in get_page(hanako, f"/notices/{sent.notice.id}/board")
    text = get_page(hanako, url(sent))
    assert "<b>2</b><span>通を、未確認の方に送ります" in text and "2通を再送する" in text
    assert "石川 直樹" in text and "鈴木 大輔" in text
    assert "青山 健太" not in text and "和田 幸子" not in text
    assert "【再送】【緊急】10/14(火)は臨時休校です" in text
    assert Reminder.select().count() == 0


def test_one_button_sends_it_after_the_window_and_it_can_be_called_off(hanako, sent):
    answer = hanako.post(url(sent), data={"at": ""}, follow_redirects=True).get_data(as_text=True)
    assert "まもなく再送します" in answer and "data-until" in answer and 'hx-trigger="every 3s"' in answer
    waiting = Reminder.get()
    assert (waiting.notice_id, waiting.state, waiting.letters) == (sent.notice.id, "waiting", 4)
    again = hanako.post(url(sent), data={"at": ""}, follow_redirects=True).get_data(as_text=True)
    assert "再送はすでに受け付けています" in again and Reminder.select().count() == 1
    text = hanako.post(url(sent, f"/{waiting.id}/off"), follow_redirects=True).get_data(as_text=True)
    assert "取り消しました" in text and Reminder.get().state == "called_off"
    late = hanako.post(url(sent, f"/{waiting.id}/off"), follow_redirects=True).get_data(as_text=True)
    assert "取り消せません" in late


@pytest.mark.parametrize(("urgent", "first"), [(False, "7:00 に4通を再送する"), (True, "いま4通を送信する")])
def test_at_night_it_offers_seven_in_the_morning_first_unless_it_is_urgent(as_, sent, urgent, first):
    """Field 4.3 no. 8; field 5.2: at half past five on the morning of a typhoon nobody waits until seven."""
    Notice.update(urgent=urgent).where(Notice.id == sent.notice.id).execute()
    clock.set_offset(clock._offset.total_seconds() + 12.5 * 3600)
    hanako = as_("花子")
    text = get_page(hanako, url(sent))
    assert "7:00 に4通を再送する" in text and "いま4通を送信する" in text and "22:30" in text
    assert first in text[text.index("btn main huge") :].split("</button>")[0]
    hanako.post(url(sent), data={"at": "morning"})
    at = clock.to_local(Reminder.get().send_at)
    assert (at.hour, at.minute) == (7, 0)


def test_when_nobody_is_left_the_page_leads_to_the_telephone(hanako, sent):
    for name in ("青山 健太", "石川 直樹", "鈴木 大輔"):
        read(sent, name)
    text = get_page(hanako, url(sent))
    assert "メールで再送する方は、もういません" in text and "view=phone" in text
    assert "もういません" in hanako.post(url(sent), follow_redirects=True).get_data(as_text=True)


@pytest.mark.parametrize(("name", "status"), [("太郎", 404), ("見る子", 403)])
def test_only_who_may_send_to_all_its_lists_reminds(as_, sent, name, status):
    """T-33."""
    browser = as_(name)
    assert browser.get(url(sent)).status_code == status
    assert browser.post(url(sent)).status_code == status
    assert Reminder.select().count() == 0


def test_a_reminder_of_another_notice_is_not_found(hanako, school, sent):
    other = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    made = reminders.request_reminder(other.notice, school.users["花子"], clock.now())
    assert hanako.post(url(sent, f"/{made.id}/off")).status_code == 404
    assert Reminder.get().state == "waiting"


def test_the_record_tells_it(hanako, sent):
    hanako.post(url(sent))
    clock.set_offset(clock._offset.total_seconds() + 200)
    reminders.start_due_reminders(clock.now())
    text = get_page(hanako, f"/history/{sent.notice.id}")
    assert "未確認の方への再送を受け付け" in text and "未確認の方に再送しました 4通" in text
    assert Letter.select().where(Letter.round == 2).count() == 4
    shown = get_page(hanako, f"/notices/{sent.notice.id}")
    assert "4人に再送しています" in shown


def test_sending_again_by_itself_is_an_option_of_a_notice(hanako, school):
    """Field 2.3: none, 15, 30, 60 minutes by one to three times; bad input loses nothing."""
    hanako.post("/notices/new", data={"form_key": "k"})
    draft = Notice.get(Notice.form_key == "k")
    data = {"subject": "件名", "text": "本文", "useful_s": "0", "read_confirmation": "y", "remind": "1800x2"}
    hanako.post(f"/notices/{draft.id}/words", data=data)
    kept = Notice.get_by_id(draft.id)
    rule = kept.reminder_rule
    assert (rule.every_s, rule.times, rule.before_deadline) == (1800, 2, False)
    text = get_page(hanako, f"/notices/{draft.id}/words")
    assert re.search(r"<option selected value=\"1800x2\">30分おきに2回</option>", text) and "自動で再送する、" in text
    answer = hanako.post(f"/notices/{draft.id}/words", data={**data, "text": "長い本文", "remind": "1x99"})
    assert answer.status_code == 422 and "長い本文" in answer.get_data(as_text=True)
    assert Notice.get_by_id(draft.id).reminder_rule.every_s == 1800


def test_a_question_makes_it_a_reminder_to_those_who_have_not_answered(hanako, school, sent):
    row = Question.create(notice=sent.notice, place=1, text="懇談会に")
    Choice.create(question=row, number=1, text="出席する")
    assert "未回答の方に再送する" in get_page(hanako, f"/notices/{sent.notice.id}")
    text = get_page(hanako, url(sent))
    assert '<h1 class="title rule">未回答の方に再送する' in text and "通を、未回答の方に送ります" in text
    hanako.post(url(sent), data={"at": ""})
    assert Reminder.get().wants == "answer"


def test_the_link_in_the_own_copy_calls_it_off_without_a_login(client, hanako, sent):
    """X-04, law 3: opening it does nothing, pressing twice neither."""
    hanako.post(url(sent), data={"at": ""})
    address = Letter.get(Letter.kind == "own-again").payload["url"].partition("/notices")[2]
    assert "この再送を取り消しますか" in get_page(client, f"/notices{address}") and Reminder.get().state == "waiting"
    for _ in range(2):
        assert "再送はしません" in client.post(f"/notices{address}").get_data(as_text=True)
    assert Reminder.get().state == "called_off"
    assert client.get("/notices/call-off/x").status_code == 404


def test_a_wrong_number_for_the_whole_school_shows_the_page_again(as_, school):
    """X-06"""
    sent = cast_notices.send([school.lists["whole"]], by=school.users["守"])
    browser = as_("守")
    text = get_page(browser, url(sent))
    count = re.search(r"<b>(\d+)</b><span>通を", text)[1]
    assert f"よろしければ {count} と入力してください" in text and 'class="whole"' in text
    answer = browser.post(url(sent), data={"typed": "1"})
    assert answer.status_code == 422 and "と入力してください" in answer.get_data(as_text=True)
    assert browser.post(url(sent), data={"typed": count}).status_code == 303 and Reminder.get().letters == int(count)


def test_one_that_was_slept_through_stands_on_the_first_page(hanako, sent):
    """Field 2.3: not sent late, and not silently; it goes once somebody sends it, or nobody is left."""
    made = reminders.request_reminder(sent.notice, sent.notice.by, clock.now())
    clock.set_offset(clock._offset.total_seconds() + 3600)
    reminders.start_due_reminders(clock.now())
    assert Reminder.get_by_id(made.id).state == "missed"
    text = get_page(hanako, "/")
    assert "再送していません" in text and url(sent) in text
    hanako.post(url(sent), data={"at": ""})
    clock.set_offset(clock._offset.total_seconds() + 200)
    reminders.start_due_reminders(clock.now())
    assert "再送していません" not in get_page(hanako, "/")


def test_the_board_offers_it_while_answers_are_missing_though_all_have_read(as_, school):
    """T-52"""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], read_confirmation=False)
    cast_notices.ask(sent)
    for address in ("board", "answers"):
        text = get_page(as_("花子"), f"/notices/{sent.notice.id}/{address}")
        assert url(sent) in text and "未回答の方に再送する" in text
