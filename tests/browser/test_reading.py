"""A reader's phone and an organizer's board in a real browser: press, touch, live sheet, no barriers (axe)."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

import clock
from core.notices import rendering
from core.responses import read_confirmations
from core.settings import load_settings
from mail.compose import LetterRecipient, LetterRenderer
from models import Delivery, PageView
from tests import cast_notices, smarthost
from tests.browser.conftest import SMALL, barriers, login
from tests.cast_notices import PHONE, fresh, outcome

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def sent(school):
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"])


@pytest.mark.proves("T-21")
def test_a_press_without_script_lands_the_stamp(browser, site, sent):
    """T-18, T-44"""
    one = sent.deliveries["青山 美咲"]
    context = browser.new_context(viewport=SMALL, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/r/{one.token}")
    page.click("#read button")
    expect(page.locator("#seal")).to_contain_text("「見ました」を受け付けました")
    assert context.cookies() == []
    context.close()
    assert fresh(one).read_via == "press"


def test_a_hand_on_the_page_counts_and_a_script_that_scrolls_does_not(page, site, sent):
    """Decision 1"""
    one = sent.deliveries["青山 美咲"]
    page.goto(f"{site}/r/{one.token}")
    page.evaluate("scrollTo(0, 400); dispatchEvent(new Event('wheel')); document.body.click()")
    expect(page.locator("#seal")).to_contain_text("まだ「見ました」になっていません。")
    page.mouse.move(100, 300)
    page.mouse.wheel(0, 200)
    expect(page.locator("#seal")).to_contain_text("「見ました」を受け付けました")
    expect(page.locator("#read")).to_be_hidden()
    assert fresh(one).read_via == "touch"


def test_the_board_lives_and_leaves_scroll_and_focus_alone(page, site, sent):
    login(page, site)
    page.goto(f"{site}/notices/{sent.notice.id}/board")
    expect(page.locator("#count .figures")).to_contain_text("確認0")
    page.locator("details.class summary").first.focus()
    page.evaluate("scrollTo(0, document.querySelector('#chips').offsetTop)")
    before = page.evaluate("[scrollY, document.activeElement.id]")
    read_confirmations.confirm_read(
        read_confirmations.delivery_by_token(sent.deliveries["青山 美咲"].token), agent=PHONE, now=clock.now()
    )
    expect(page.locator("#count .figures")).to_contain_text("確認1", timeout=20_000)
    expect(page.locator(".cells .stamp:not(.none)").first).to_have_attribute("data-s", "青山")
    assert page.evaluate("[scrollY, document.activeElement.id]") == before
    assert page.locator("#side").count() == page.locator("#chips").count() == 1


@pytest.mark.parametrize("look", ["board", "board?view=table", "board?view=print", "phone", "text", "record"])
def test_the_board_has_no_barriers_and_fits_a_phone(page, site, sent, look):
    read_confirmations.confirm_read(
        read_confirmations.delivery_by_token(sent.deliveries["青山 美咲"].token), agent=PHONE, now=clock.now()
    )
    outcome(sent.deliveries["石川 直樹"], "refused", "filtered")
    login(page, site)
    page.goto(f"{site}/notices/{sent.notice.id}/{look}")
    page.locator("#more > summary").press("Enter")
    expect(page.get_by_role("link", name="訂正を送る")).to_be_visible()
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]


@pytest.mark.parametrize("path", ["/r/{}", "/r/{}?p=1&done=1", "/u/{}"])
def test_the_readers_pages_have_no_barriers_and_fit_a_phone(page, site, sent, path):
    one = sent.deliveries["青山 美咲"]
    if "done" in path:
        read_confirmations.confirm_read(read_confirmations.delivery_by_token(one.token), agent=PHONE, now=clock.now())
    page.goto(site + path.format(one.token))
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]


def test_a_letter_that_counts_openings_fetches_its_picture(page, site, school):
    """D-31: the ground of an empty cell is loaded like a picture, by the engines that mail programs are made of."""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], tracking={"opens": True})
    hers = sent.deliveries["青山 美咲"]
    form = rendering.notice_form(sent.notice, None, "ja", replace(load_settings(), base_url=site))
    reader = LetterRecipient(
        number=7, address="a@example.com", bare=False, name="青山", token=hers.token, values={}, at=clock.now()
    )
    with page.expect_response(f"{site}/o/{hers.token}.gif") as answer:
        page.set_content(LetterRenderer(form).html(reader))
    assert answer.value.status == 200
    assert [one.page for one in PageView.select()] == ["o"]


def test_the_figures_are_printed_with_the_table_of_each_picture(page, site, sent):
    """E-16, X-13: a closed fold would be left out."""
    Delivery.update(read_at=clock.now()).where(Delivery.notice == sent.notice).execute()
    smarthost.send_by(1)
    login(page, site)
    page.goto(f"{site}/figures/{sent.notice.id}")
    table = page.locator("#by-hour table")
    expect(table).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(table).to_be_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(table).to_be_hidden()
