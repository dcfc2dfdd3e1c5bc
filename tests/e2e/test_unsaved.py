"""What a writer typed survives a bad line, an error of the server, a session that ended, and a closed tab."""

import re

import pytest

from tests import cast
from tests.e2e.conftest import PHONE, fits_the_width, has_no_axe_faults, log_in
from tests.e2e.test_html_letter import to_the_words

pytestmark = pytest.mark.xdist_group("journeys")

LATER = "あとから書いた大事な文。"
STATE = "[data-save-state]:visible"


@pytest.fixture
def writer(visit):
    """A phone on the second screen, its first sentence saved. The browser may complain: requests fail on purpose."""
    page = visit(PHONE)
    log_in(page, "花子")
    to_the_words(page)
    page.fill("[name=subject]", "遠足")
    with saved(page):
        page.fill("[name=text]", "はじめの文。")
    yield page
    visit.noises.clear()


def saved(page):
    """Wait for a save that the server has taken."""
    return page.expect_response(lambda one: one.request.method == "POST" and one.url.endswith("/words") and one.ok)


def write_more(page) -> None:
    page.locator("[name=text]").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(LATER)


def lose_every_save(page, status: int = 0) -> None:
    """Answer every save with this status, or cut the line to it."""

    def lose(route) -> None:
        if route.request.method != "POST":
            route.continue_()
        elif status:
            route.fulfill(status=status, body="x")
        else:
            route.abort()

    page.route("**/words", lose)


def states(page, reason: str = "つながりません") -> list[str]:
    """Wait until the page says why the draft is not saved; return what it says beside the text and beside the button."""
    page.wait_for_selector(f"{STATE}:has-text('{reason}')")
    return page.locator(STATE).all_inner_texts()


def stored(page) -> list[str]:
    return page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('kairan-words:'))")


def text_on_server(visit, page) -> str:
    """Return the text as another browser of the same user gets it."""
    other = visit(PHONE)
    log_in(other, "花子")
    other.goto(page.url)
    return other.input_value("[name=text]")


def test_offline_is_said_twice_and_the_words_are_saved_when_the_line_is_back(writer, visit):
    writer.context.set_offline(True)
    write_more(writer)
    said = states(writer)
    assert len(said) == 2 and all("まだ保存されていません" in one and "つながりません" in one for one in said)
    assert "最後に保存したのは" in said[0] and "この端末に残して" in said[0]
    assert not writer.locator("[data-saved-at]").is_visible()
    assert len(stored(writer)) == 1
    fits_the_width(writer)
    has_no_axe_faults(writer)
    page_before = writer.url
    writer.locator("#next").click()
    writer.wait_for_selector(".stay .failed")
    assert "つながりません" in writer.inner_text(".stay .failed")
    assert writer.url == page_before
    with saved(writer):
        writer.context.set_offline(False)
    writer.wait_for_selector(STATE, state="detached")
    assert writer.locator("[data-saved-at]").is_visible()
    assert stored(writer) == []
    assert text_on_server(visit, writer).endswith(LATER)


def test_a_broken_proxy_is_said_and_the_draft_saves_itself_later(writer, visit):
    lose_every_save(writer, status=502)
    write_more(writer)
    assert "まだ保存されていません" in states(writer, "問題が起きました")[0]
    writer.unroute("**/words")
    with saved(writer):
        pass
    writer.wait_for_selector(STATE, state="detached")
    assert text_on_server(visit, writer).endswith(LATER)


def test_a_closed_tab_is_offered_back_to_the_same_user_only(writer, visit):
    address = writer.url
    lose_every_save(writer)
    write_more(writer)
    states(writer)
    asked = []
    writer.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    writer.goto("/account")
    assert asked == ["beforeunload"]
    writer.unroute("**/words")
    writer.goto(address)
    offer = writer.locator(".fusen", has_text="まだ保存されていない文章があります")
    assert offer.is_visible() and not writer.input_value("[name=text]").endswith(LATER)
    has_no_axe_faults(writer)
    with saved(writer):
        offer.get_by_role("button", name="その文章に戻す").click()
    assert writer.input_value("[name=text]") == f"はじめの文。{LATER}"
    writer.wait_for_function("Object.keys(localStorage).every((key) => !key.startsWith('kairan-words:'))")
    writer.reload()
    assert not offer.is_visible() and asked == ["beforeunload"]


def test_logging_out_deletes_the_words_and_asks_before(writer):
    lose_every_save(writer)
    write_more(writer)
    states(writer)
    address = writer.url
    asked = []
    writer.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    writer.goto("/account")
    assert len(stored(writer)) == 1
    writer.click("form[data-logout] button")
    writer.wait_for_url(re.compile("/login"))
    assert asked == ["beforeunload", "confirm"] and stored(writer) == []
    log_in(writer, "守")
    writer.goto(address)
    assert writer.locator("[name=text]").is_visible()
    assert not writer.locator(".fusen", has_text="まだ保存されていない文章").is_visible()


def test_a_button_that_a_full_disk_refuses_says_so_and_can_be_pressed_again(writer):
    writer.route("**/words/questions/**", lambda route: route.fulfill(status=507, body="x"))
    button = writer.locator("[formaction*='/questions/add/']").first
    button.click()
    note = writer.locator("#questions .failed")
    note.wait_for()
    assert "もう一度試す" in note.inner_text()
    fits_the_width(writer)
    writer.unroute("**/words/questions/**")
    note.get_by_role("button").click()
    writer.wait_for_selector("#q1")
    assert not writer.locator(".failed").is_visible()


def log_out_elsewhere(page) -> None:
    """Log out in another tab of the same browser."""
    other = page.context.new_page()
    other.goto("/account")
    other.locator("form[data-logout] button").click()
    other.wait_for_url(re.compile("/login"))
    other.close()


def test_a_session_that_ended_is_said_and_the_words_come_back_after_the_login(writer, visit):
    log_out_elsewhere(writer)
    address = writer.url
    write_more(writer)
    assert "まだ保存されていません" in states(writer, "ログインが切れました")[0]
    assert writer.url == address and stored(writer) == [], "a computer that was left holds no words"
    writer.locator(".stay [data-save-state] a").click()
    writer.wait_for_url(re.compile("/login"))
    writer.fill("[name=name]", "花子")
    writer.fill("[name=password]", cast.PASSWORD)
    writer.click("main form button")
    writer.wait_for_url(re.compile(r"/words\?kept="))
    assert "まだ送られていません" in writer.inner_text("#kept-form")
    assert writer.input_value("[name=text]") == f"はじめの文。{LATER}"
    fits_the_width(writer)
    has_no_axe_faults(writer)
    writer.locator("#next").click()
    writer.wait_for_url(re.compile("/check"))
    writer.goto(address)
    assert text_on_server(visit, writer).endswith(LATER)


def test_a_login_in_another_tab_is_enough(writer, visit):
    log_out_elsewhere(writer)
    write_more(writer)
    states(writer, "ログインが切れました")
    other = writer.context.new_page()
    other.goto("/login")
    other.fill("[name=name]", "花子")
    other.fill("[name=password]", cast.PASSWORD)
    with saved(writer):
        other.click("main form button")
    other.close()
    writer.wait_for_selector(STATE, state="detached")
    assert text_on_server(visit, writer).endswith(LATER)


def test_a_press_after_the_session_ended_leads_to_the_login_and_back_to_the_words(writer):
    log_out_elsewhere(writer)
    writer.evaluate("text => { document.querySelector('[name=text]').value = text }", LATER)
    writer.locator("#next").click()
    writer.wait_for_url(re.compile("/login"))
    writer.fill("[name=name]", "花子")
    writer.fill("[name=password]", cast.PASSWORD)
    writer.click("main form button")
    writer.wait_for_url(re.compile(r"/words\?kept="))
    assert writer.input_value("[name=text]") == LATER


def test_two_tabs_tell_of_each_other_and_both_texts_stay_reachable(writer):
    second = writer.context.new_page()
    second.goto(writer.url)
    with saved(second):
        second.fill("[name=text]", "別の画面の文。")
    write_more(writer)
    assert "別の画面で変わりました" in states(writer, "別の画面で変わりました")[0]
    assert writer.locator("#saved a[target=_blank]").is_visible()
    fits_the_width(writer)
    writer.click("[formaction$='/words/overwrite']")
    link = writer.locator("[data-saved-at] a")
    link.wait_for()
    assert writer.input_value("[name=text]") == f"はじめの文。{LATER}"
    with writer.context.expect_page() as opened:
        link.click()
    opened.value.wait_for_url(re.compile(r"\?kept="))
    assert opened.value.input_value("[name=text]") == "別の画面の文。"
    assert "上書きされた内容" in opened.value.inner_text("#kept-form")
    writer.reload()
    assert writer.input_value("[name=text]") == f"はじめの文。{LATER}"
