"""The pages of the second person and of its settings (field 5.4, decision 11)."""

import re

import pytest

import clock
from core.notices import attachments, drafts
from core.system import setup
from models import MailingList, Notice, Organization, Role
from tests import files
from tests.web.notice_factory import get_page, reload_state
from tests.web.test_notices_check import draft_of, hidden


@pytest.fixture
def draft(school):
    setup.update_safety(None, everywhere=False, lists=[school.lists["1-1"].id], public_urgent=False)
    return draft_of(school, "花子", "1-1")


def asked(browser, draft, school, who="守"):
    text = get_page(browser, f"/notices/{draft.id}/check")
    data = {**hidden(text), "at": "", "colleague": school.users[who].id}
    return browser.post(f"/notices/{draft.id}/check", data=data)


def mark(text):
    return re.search(r'name="mark" value="(\w+)"', text)[1]


def test_from_asking_to_going(as_, draft, school):
    hanako, mamoru = as_("花子"), as_("守")
    text = get_page(hanako, f"/notices/{draft.id}/check")
    assert "4通の確認を頼む" in text and "4通を送信する" not in text and "太郎" not in text
    assert asked(hanako, draft, school).status_code == 303 and reload_state(draft) == "asked"
    assert "守さんの確認を待っています" in get_page(hanako, f"/notices/{draft.id}")
    assert "送る前の確認を待っています" in get_page(mamoru, "/")
    assert "確認待ち" in get_page(hanako, "/notices")
    text = get_page(mamoru, f"/notices/{draft.id}/second")
    assert "遠足に行きます。" in text and "<b>4</b>" in text
    assert mamoru.post(f"/notices/{draft.id}/approve", data={"mark": mark(text)}).status_code == 303
    assert reload_state(draft) == "held" and "もう1人が確認" not in get_page(mamoru, f"/notices/{draft.id}/second", 303)


def test_sent_back_with_a_word(as_, draft, school):
    hanako, mamoru = as_("花子"), as_("守")
    asked(hanako, draft, school)
    address = f"/notices/{draft.id}/send-back"
    assert mamoru.post(address, data={"word": " "}).status_code == 422 and reload_state(draft) == "asked"
    assert mamoru.post(address, data={"word": "日付が逆です"}).status_code == 303
    assert "日付が逆です" in get_page(hanako, f"/notices/{draft.id}/words")
    asked(hanako, draft, school)
    assert "日付が逆です" not in get_page(hanako, f"/notices/{draft.id}/second")
    assert hanako.post(f"/notices/{draft.id}/take-back").status_code == 303 and reload_state(draft) == "draft"


def test_files_are_opened_by_the_second_person(as_, draft, school):
    """X-01."""
    hanako, mamoru = as_("花子"), as_("守")
    file = attachments.add_file(draft, "しおり.pdf", files.PDF, None, clock.now())
    hanako.post(f"/notices/{draft.id}/files/{file.id}/open", buffered=True)
    asked(hanako, draft, school)
    text = get_page(mamoru, f"/notices/{draft.id}/second")
    refused = mamoru.post(f"/notices/{draft.id}/approve", data={"mark": mark(text)})
    assert refused.status_code == 422 and "しおり.pdf" in refused.get_data(as_text=True)
    mamoru.post(f"/notices/{draft.id}/files/{file.id}/open", buffered=True)
    assert mamoru.post(f"/notices/{draft.id}/approve", data={"mark": mark(text)}).status_code == 303


def test_others_neither_see_nor_approve_it(as_, draft, school):
    asked(as_("花子"), draft, school)
    for name, status in (("太郎", 404), ("見る子", 403)):
        browser = as_(name)
        assert browser.get(f"/notices/{draft.id}/second").status_code == status
        assert browser.post(f"/notices/{draft.id}/approve", data={"mark": "x"}).status_code == status
    assert reload_state(draft) == "asked"


def test_a_choice_of_nobody_is_told(as_, draft, school):
    browser = as_("花子")
    refused = asked(browser, draft, school, "太郎")
    assert refused.status_code == 422 and "確認を頼む方を選んでください" in refused.get_data(as_text=True)


def test_an_urgent_notice_shows_the_usual_button(as_, draft, school):
    """Law 7."""
    Notice.update(urgent=True).where(Notice.id == draft.id).execute()
    assert "4通を送信する" in get_page(as_("花子"), f"/notices/{draft.id}/check")


def test_administrators_set_where_it_is_wanted(as_, school):
    mamoru, one = as_("守"), school.lists["2-1"]
    data = {"requires_approval": "1", "lists": [str(one.id)]}
    assert mamoru.post("/admin/safety", data=data).status_code == 303
    assert Organization.load_row().requires_approval and MailingList.get_by_id(one.id).requires_approval
    assert "checked" in get_page(mamoru, "/admin/safety")
    assert as_("花子").get("/admin/safety").status_code == 403


def test_nobody_approves_who_may_not_see_all_of_it(as_, school):
    """T-33: 送る子 sends to the class, but the father was chosen by name for both of his children."""
    Organization.update(requires_approval=True).execute()
    draft = draft_of(school, "守", "1-1")
    father = school.people["鈴木 大輔"]
    Role.create(user=school.users["見る子"], list_id=school.lists["2-1"].id, kind="sender")
    Role.update(kind="sender").where(Role.user == school.users["見る子"]).execute()
    drafts.set_recipients(draft, lists=[school.lists["1-1"].id], persons=[father.id], now=clock.now())
    mamoru, text = as_("守"), get_page(as_("守"), f"/notices/{draft.id}/check")
    assert "見る子" in text and "送る子" not in text
    assert asked(mamoru, draft, school, "見る子").status_code == 303
    get_page(as_("送る子"), f"/notices/{draft.id}/second", 403)
    for verb in ("approve", "send-back"):
        assert as_("送る子").post(f"/notices/{draft.id}/{verb}", data={"mark": "x", "word": "x"}).status_code == 403
    assert mark(get_page(as_("見る子"), f"/notices/{draft.id}/second")) and reload_state(draft) == "asked"
