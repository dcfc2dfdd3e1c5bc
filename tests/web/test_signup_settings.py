"""The pages about joining for organizers: codes, registration day, the queue (T-26, T-27, decision 5)."""

import pytest

import clock
from core.members import join_codes
from core.signup import quotas
from core.signup.quotas import SignupRequest
from models import Letter, MailingList, Membership, Person, QueuedSignup


@pytest.fixture
def page(school) -> str:
    return f"/lists/{school.lists['1-1'].id}/joining"


def row(school) -> MailingList:
    return MailingList.get_by_id(school.lists["1-1"].id)


def shown(browser, page: str) -> str:
    return browser.get(page).get_data(as_text=True)


@pytest.mark.proves("T-26")
def test_the_page_shows_both_ways_with_the_code(as_, school, page):
    """T-26."""
    text, code = shown(as_("花子"), page), row(school).join_code
    assert f"1nen1kumi-join-{code}@mail.school.example" in text
    assert f"http://kairan.test/j/1nen1kumi/{code}" in text and join_codes.format_code(code) in text


@pytest.mark.parametrize(("who", "status"), [("太郎", 404), ("送る子", 403), ("見る子", 403)])
@pytest.mark.parametrize(
    "part", ["", "/code", "/child-codes", "/day/open", "/day/close", "/drop", "/approve", "/refuse"]
)
def test_only_managers_of_the_list(as_, school, page, who, status, part):
    browser, code = as_(who), row(school).join_code
    assert browser.post(page + part).status_code == status
    assert part or browser.get(page).status_code == status
    assert row(school).join_code == code and row(school).signup_caps_off_until is None


def test_one_press_makes_a_new_code(as_, school, page):
    old, browser = row(school).join_code, as_("花子")
    browser.post(f"{page}/code")
    assert row(school).join_code != old and old not in shown(browser, page)
    child, the_list = school.children["石川 蓮"], row(school)
    slip = join_codes.child_code(the_list, child)
    browser.post(f"{page}/child-codes")
    assert join_codes.child_code(the_list, child) != slip


@pytest.mark.proves("N-16")
def test_rules_and_words_are_saved_and_shown(as_, school, page):
    """N-16: the greeting is seen in the letter before anybody gets it."""
    browser = as_("花子")
    browser.post(page, data={"join_mode": "approve", "greeting": "ようこそ<b>", "purpose": "連絡だけ"})
    fresh = row(school)
    assert (fresh.join_mode, fresh.greeting, fresh.purpose) == ("approve", "ようこそ<b>", "連絡だけ")
    assert "ようこそ&lt;b&gt;" in shown(browser, page)
    assert browser.post(page, data={"join_mode": "nonsense", "greeting": "残る"}).status_code == 422
    assert row(school).join_mode == "approve"


def test_a_registration_day_lets_in_who_waits(as_, school, page):
    the_list, browser = row(school), as_("花子")
    quotas.enqueue_signup(SignupRequest(the_list, "n@example.net", code="list"), True, clock.now())
    home = shown(browser, "/")
    assert "登録待ち1件" in home and page in home
    assert "1件の登録が順番を待っています" in shown(browser, page)
    browser.post(f"{page}/day/open")
    assert Person.get_or_none(Person.address_key == "n@example.net") and QueuedSignup.select().count() == 0
    assert "受付中" in shown(browser, page)
    browser.post(f"{page}/day/close")
    assert row(school).signup_caps_off_until is None


def test_what_waits_is_dropped_by_a_press(as_, school, page):
    quotas.enqueue_signup(SignupRequest(row(school), "spam@example.net", code="list"), True, clock.now())
    assert QueuedSignup.select().count() == 1
    answer = as_("花子").post(f"{page}/drop", data={"until": quotas.newest_queued_id(row(school))})
    assert answer.status_code == 303 and QueuedSignup.select().count() == 0
    assert not Person.select().where(Person.address_key == "spam@example.net").exists()


@pytest.mark.parametrize(("do", "state", "kind"), [("approve", "active", "welcome"), ("refuse", "refused", "refused")])
def test_one_press_decides(as_, school, page, do, state, kind):
    """T-36: home names that somebody waits; the queue shows who and how, to the managers of the list alone."""
    who = Person.create(address="new@example.net", address_key="new@example.net")
    place = Membership.create(person=who, list=row(school), state="pending", joined_via="blank mail")
    browser = as_("花子")
    assert "/waiting" in shown(browser, "/")
    assert "new@example.net" in shown(browser, "/waiting") and "空メールで登録" in shown(browser, "/waiting")
    assert "new@example.net" not in shown(as_("太郎"), "/waiting")
    browser.post(f"{page}/{do}", data={"person": who.id})
    assert Membership.get_by_id(place.id).state == state
    assert [one.kind for one in Letter.select()] == [kind]
    browser.post(f"{page}/{do}", data={"person": who.id})
    assert Letter.select().count() == 1


def test_a_refused_person_is_no_member_and_may_be_let_in_after_all(as_, school, page):
    """T-36, states of a membership: refused is a state of its own; the manager sees it and can think again."""
    who = Person.create(name="申込 三郎", address="new@example.net", address_key="new@example.net")
    place = Membership.create(person=who, list=row(school), state="pending", joined_via="blank mail")
    browser, others = as_("花子"), as_("太郎")
    browser.post(f"{page}/refuse", data={"person": who.id})
    assert "申込 三郎" not in shown(browser, f"/lists/{row(school).id}")
    assert browser.get(f"/members/{who.id}").status_code == 404
    assert "申込 三郎" in shown(browser, "/waiting") and "申込 三郎" not in shown(others, "/waiting")
    assert "/waiting" not in shown(browser, "/")
    others.post(f"{page}/approve", data={"person": who.id})
    assert Membership.get_by_id(place.id).state == "refused"
    browser.post(f"{page}/approve", data={"person": who.id})
    assert Membership.get_by_id(place.id).state == "active"
    assert [one.kind for one in Letter.select().order_by(Letter.id)] == ["refused", "registered"]


def test_the_queue_needs_a_manager(as_, school, page):
    assert as_("見る子").get("/waiting").status_code == 403
