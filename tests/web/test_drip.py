"""The pages of the letters after joining (N-12)."""

from datetime import timedelta

import pytest

import clock
from cli.work import open_worker
from core.delivery import lifecycle
from core.notices import drip
from models import AuditLog, DripStep, Letter, Membership, Notice, Person
from tests.web.notice_factory import get_page

WRITTEN = {
    "days": "1",
    "at": "18:30",
    "subject": "ようこそ",
    "text": "ご登録ありがとうございます。",
    "read_confirmation": "y",
}


@pytest.fixture
def page(school) -> str:
    return f"/lists/{school.lists['1-1'].id}/steps"


def test_a_manager_writes_one_and_a_new_member_gets_it(as_, page, school):
    """N-12: from the page to the letter, and the figures back on the page."""
    browser = as_("花子")
    assert "まだありません" in browser.get(page).get_data(as_text=True)
    answer = browser.post(f"{page}/new", data=WRITTEN)
    assert answer.status_code == 303
    assert "登録の翌日" in browser.get(page).get_data(as_text=True)
    person = Person.create(name="新入 花", kana="シンニュウ", address="new@example.jp")
    Membership.create(person=person, list=school.lists["1-1"], joined_at=clock.now())
    shown = browser.get(answer.location).get_data(as_text=True)
    assert "新入 花" in shown and "ご登録ありがとうございます。" in shown
    assert drip.send_due_steps(clock.now() + timedelta(days=2)) == 1
    shown = browser.get(answer.location).get_data(as_text=True)
    notice = Notice.get(Notice.kind == "step")
    assert "1人" in shown and f"/notices/{notice.id}/board" in shown
    assert browser.get(f"/notices/{notice.id}/board").status_code == 200
    assert browser.get(f"/notices/{notice.id}/record").status_code == 200
    assert [one.action for one in AuditLog.select().where(AuditLog.action.startswith("step."))] == ["step.added"]


@pytest.mark.proves("N-12")
def test_the_letter_really_leaves(as_, page, school):
    """Claimed like every letter, though its notice is never finished."""
    as_("花子").post(f"{page}/new", data={**WRITTEN, "days": "0"})
    joined = clock.now()
    person = Person.create(name="新入 花", kana="シンニュウ", address="new@example.jp")
    Membership.create(person=person, list=school.lists["1-1"], joined_at=joined)
    clock.set_offset(2 * 86400)
    sender = open_worker()
    try:
        assert sender.drain()
    finally:
        sender.close()
    letter = Letter.get(Letter.person == person)
    assert (letter.state, letter.notice.state) == ("accepted", "standing")
    assert lifecycle.finish_notices(clock.now()) == 0


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("days", "-1", "0から366まで"),
        ("days", "すぐ", "日数"),
        ("at", "25:00", "時刻"),
        ("subject", "", "件名を入力"),
        ("text", "", "本文を入力"),
    ],
)
def test_what_cannot_be_is_said_and_what_was_typed_stays(as_, page, field, typed, sentence):
    answer = as_("花子").post(f"{page}/new", data={**WRITTEN, field: typed})
    shown = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert sentence in shown
    assert DripStep.select().count() == 0
    if field != "text":
        assert "ご登録ありがとうございます。" in shown


def test_changed_paused_gone_on_and_ended(as_, page):
    browser = as_("花子")
    where = browser.post(f"{page}/new", data=WRITTEN).location
    assert browser.post(f"{where}/edit", data={**WRITTEN, "subject": "新しい件名", "at": "07:05"}).status_code == 303
    shown = browser.get(where).get_data(as_text=True)
    assert "新しい件名" in shown and "7:05" in shown
    browser.post(f"{where}/pause")
    assert "一時停止中" in browser.get(where).get_data(as_text=True)
    browser.post(f"{where}/go-on")
    assert "一時停止中" not in get_page(browser, page)
    browser.post(f"{where}/test")
    assert Letter.get(Letter.kind == "trial").address == "user1@school.example"
    assert "終わらせますか" in browser.get(f"{where}/end").get_data(as_text=True)
    assert DripStep.get().ended_at is None
    browser.post(f"{where}/end")
    assert browser.get(where).status_code == 404


def test_many_at_once_ask_on_the_first_page(as_, page, school):
    browser = as_("花子")
    where = browser.post(f"{page}/new", data=WRITTEN).location
    for number in range(drip.MAX_AT_ONCE + 1):
        person = Person.create(name=f"名簿 {number}", address=f"m{number}@example.jp")
        Membership.create(person=person, list=school.lists["1-1"], joined_at=clock.now())
    later = clock.now() + timedelta(days=3)
    drip.send_due_steps(later)
    assert "一度に大勢" in browser.get("/").get_data(as_text=True)

    browser.post(f"{where}/skip")
    assert drip.send_due_steps(later + timedelta(minutes=1)) == 0


@pytest.mark.parametrize("name", ["太郎", "送る子", "見る子"])
def test_only_who_manages_the_list(as_, page, name):
    """T-33: another list's manager finds nothing; a sender and a viewer may not."""
    browser = as_(name)
    for path in (page, f"{page}/new"):
        assert browser.get(path).status_code == (404 if name == "太郎" else 403)
    assert browser.post(f"{page}/new", data=WRITTEN).status_code in (403, 404)


@pytest.mark.proves("T-33")
def test_the_history_shows_a_drip_message_to_those_who_see_its_page(as_, page, school):
    """The page wants a manager, so the words in the history want one too."""
    as_("花子").post(f"{page}/new", data=WRITTEN)
    notice = Notice.get(Notice.kind == "step")
    assert "ようこそ" in get_page(as_("花子"), "/history")
    for name in ("見る子", "送る子", "太郎"):
        browser = as_(name)
        assert "ようこそ" not in get_page(browser, "/history")
        assert f"/notices/{notice.id}" not in get_page(browser, "/history?q=ようこそ")
        for path in ("notices/{}", "notices/{}/letter", "notices/{}/board", "notices/{}/record", "figures/{}"):
            assert browser.get("/" + path.format(notice.id)).status_code == 404, (name, path)
