"""The answer page in a real browser: a hand, and robots with script that open everything (T-49 to T-51, decision 1)."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

import clock
from core.notices import questions
from core.notices.questions import QuestionDraft
from models import Answer, Letter, MailingList, Membership
from tests import cast_notices
from tests.browser.conftest import SMALL, barriers, login
from tests.cast_notices import ATTENDANCE, ask, fresh

pytestmark = pytest.mark.xdist_group("browser")

SYNTHETIC = """() => { scrollTo(0, 400);
  const all = [window, document, document.body, ...document.querySelectorAll("input, label, button")];
  for (const name of ["pointerdown", "touchstart", "wheel", "keydown", "mousemove"])
    for (const target of all) target.dispatchEvent(new Event(name, {bubbles: true})) }"""
PRESSES = """() => { const form = document.querySelector("form[data-hand]");
  if (form) form.querySelector("button").click() }"""
SUBMITS = """() => document.querySelector("form[data-hand]")?.submit()"""


@pytest.fixture
def sent(school):
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="授業参観の出欠")
    ask(made, QuestionDraft("授業参観に出席されますか。", ATTENDANCE, comment=True))
    return made


def test_a_parent_chooses_presses_and_changes(page, site, sent):
    """T-51: the button says what is chosen; the stamp lands; the changed answer counts alone."""
    one = sent.deliveries["石川 直樹"]
    page.goto(f"{site}/a/{one.token}/1")
    expect(page.locator("[data-send]")).to_have_text("「出席する」と回答する")
    page.check("input[value='2']")
    expect(page.locator("[data-send]")).to_have_text("「欠席する」と回答する")
    assert barriers(page) == [] and not Answer.select().exists()
    page.click("[data-send]")
    expect(page.locator("#seal")).to_contain_text("「欠席する」で受け付けました。")
    assert barriers(page) == []
    page.check("input[value='3']")
    page.click("[data-send]")
    expect(page.locator("#seal")).to_contain_text("「まだ分からない」で受け付けました。")
    kept = Answer.select().where(Answer.superseded_at.is_null())
    assert [row.choice.number for row in kept] == [3]
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]


@pytest.mark.proves("T-21")
def test_a_parent_answers_changes_and_stops_the_mail_without_script(browser, site, sent):
    """T-18, T-51: choice, comment, change and unsubscription in a browser that runs no script."""
    one = sent.deliveries["石川 直樹"]
    context = browser.new_context(viewport=SMALL, locale="ja-JP", java_script_enabled=False)
    opened = context.new_page()
    opened.goto(f"{site}/a/{one.token}/2")
    expect(opened.locator("input[value='2']")).to_be_checked()
    assert not Answer.select().exists()
    opened.fill("main input[data-most='500']", "仕事のため")
    opened.click("[data-send]")
    expect(opened.locator("#seal")).to_contain_text("「欠席する」で受け付けました。")
    opened.check("input[value='1']")
    opened.click("[data-send]")
    expect(opened.locator("#seal")).to_contain_text("「出席する」で受け付けました。")
    kept = [(row.choice.number, row.comment, row.superseded_at is None) for row in Answer.select().order_by(Answer.id)]
    assert kept == [(2, "仕事のため", False), (1, "仕事のため", True)]
    opened.goto(f"{site}/u/{one.token}")
    opened.locator("form[action*='/stop'] button").first.click()
    expect(opened.locator("h1")).to_have_text("メールを止めました")
    context.close()
    assert Membership.get(Membership.person == one.person_id, Membership.list == one.list_id).state == "stopped"


@pytest.mark.parametrize("after", [10, 43, 240, 3600])
def test_a_robot_with_script_that_opens_every_link_answers_nothing(page, site, sent, school, after):
    """Decision 1: even where opening may answer; script runs, the page is visible, events are made up."""
    MailingList.update(answer_on_open=True).where(MailingList.id == school.lists["1-1"].id).execute()
    Letter.update(done_at=clock.now()).execute()
    clock.set_offset(after)
    one = sent.deliveries["石川 直樹"]
    for path in ("r", "a/{}/1", "a/{}/2", "a/{}/3"):
        page.goto(f"{site}/{path.format(one.token) if '{}' in path else f'{path}/{one.token}'}")
        page.evaluate(SYNTHETIC)
        page.evaluate("() => fetch('/healthz').then(answer => answer.text())")
        for script in (PRESSES, SUBMITS):
            with page.expect_navigation():
                page.evaluate(f"setTimeout({script})")
    assert not Answer.select().exists() and fresh(one).read_at is None


def test_a_hand_answers_where_opening_may_and_another_link_takes_it_back(page, site, sent, school):
    """T-50, decision 1"""
    MailingList.update(answer_on_open=True).where(MailingList.id == school.lists["1-1"].id).execute()
    Letter.update(done_at=clock.now() - timedelta(hours=1)).execute()
    one = sent.deliveries["石川 直樹"]
    page.goto(f"{site}/a/{one.token}/2")
    page.mouse.move(100, 300)
    page.mouse.wheel(0, 200)
    expect(page.locator("#seal")).to_contain_text("「欠席する」で受け付けました。")
    assert [row.how for row in Answer.select()] == ["touch"]
    page.goto(f"{site}/a/{one.token}/1")
    expect(page.locator("#seal")).to_contain_text("まだ回答していません。")
    assert fresh(one).read_at is None and not Answer.select().where(Answer.superseded_at.is_null()).exists()


def test_the_organizers_pages_of_questions_have_no_barriers(page, site, sent):
    assert questions.has_questions(sent.notice)
    login(page, site)
    base = f"{site}/notices/{sent.notice.id}/answers"
    for address in (base, f"{base}?show=said", f"{base}?view=print", f"{base}/{sent.deliveries['石川 直樹'].id}"):
        page.goto(address)
        assert barriers(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"], address
