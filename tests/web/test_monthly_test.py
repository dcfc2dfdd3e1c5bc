"""Setting the monthly reception test on the page of those who never confirm."""

import pytest

from models import MailingList
from tests.web.notice_factory import get_page


@pytest.fixture
def page(school) -> str:
    return f"/lists/{school.lists['1-1'].id}"


def test_set_shown_and_ended(as_, page):
    browser = as_("花子")
    assert browser.post(f"{page}/reception", data={"day": "5", "at": "12:45"}).status_code == 303
    shown = browser.get(f"{page}/silent").get_data(as_text=True)
    assert "12:45" in shown and "5日" in shown
    browser.post(f"{page}/reception", data={"day": "0", "at": "12:45"})
    assert MailingList.get(MailingList.name == "1年1組").monthly_test_day is None


@pytest.mark.parametrize("typed", [{"day": "31", "at": "12:30"}, {"day": "x", "at": "12:30"}, {"day": "3", "at": "?"}])
def test_what_cannot_be_is_refused(as_, page, typed):
    assert as_("花子").post(f"{page}/reception", data=typed).status_code == 422
    assert MailingList.get(MailingList.name == "1年1組").monthly_test_day is None


@pytest.mark.parametrize(("name", "code"), [("送る子", 403), ("見る子", 403), ("太郎", 404)])
def test_managers_only(as_, page, name, code):
    browser = as_(name)
    assert browser.post(f"{page}/reception", data={"day": "5", "at": "12:45"}).status_code == code
    if code == 403:
        assert "reception" not in get_page(browser, f"{page}/silent")
