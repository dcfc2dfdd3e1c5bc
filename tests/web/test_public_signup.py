"""Joining on a page: no session, no script, the same answer for everybody, within limits (T-26, T-36, T-17)."""

import re

import pytest

import clock
from core import scheduler
from core.members import join_codes, signed_links
from core.signup import emails, quotas
from models import Letter, MailingList, Membership, Person, QueuedSignup
from tests.counting import statements

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def the_list(school) -> MailingList:
    return school.lists["1-1"]


def fill(client, url: str, mail: str, *, wait: int = 5, **more: str):
    """Open the page, take a person's time, and send it."""
    page = client.get(url).get_data(as_text=True)
    found = re.search(r'name="made" value="([^"]*)"', page)
    clock.set_offset(wait)
    answer = client.post(url, data={"mail": mail, "made": found[1] if found else "", **more})
    scheduler.run_due_jobs(clock.now())
    return answer


def press(client, letter: Letter):
    return client.post(letter.payload["url"].removeprefix("http://kairan.test"))


@pytest.mark.proves("T-17")
def test_the_page_says_what_comes_to_whom_and_how_to_let_it_in(client, the_list):
    """T-17, T-26: purpose of use, blank mail, the domain to allow for each carrier; without a session."""
    got = client.get(f"/j/{the_list.address}")
    text = got.get_data(as_text=True)
    assert got.status_code == 200 and "Set-Cookie" not in got.headers
    assert "mailto:1nen1kumi-join@mail.school.example" in text and "学校からのお知らせ" in text
    assert "ドコモ" in text and "mail.school.example" in text and "<script" not in text
    english = client.get(f"/j/{the_list.address}?lang=en").get_data(as_text=True)
    assert "No app and no password" in english and 'lang="en"' in english


@pytest.mark.proves("T-36")
def test_an_address_gets_a_letter_and_joins_by_its_link(client, the_list):
    """T-36: nobody joins before the link is pressed; opening it does nothing (law 3)."""
    url = f"/j/{the_list.address}"
    got = fill(client, url, "new@example.net")
    assert got.status_code == 303 and "new" not in got.headers["Location"]
    assert "届いたメールをご確認ください" in client.get(got.headers["Location"]).get_data(as_text=True)
    (letter,) = Letter.select()
    assert (letter.kind, letter.address) == ("join", "new@example.net")
    client.get(letter.payload["url"].removeprefix("http://kairan.test"))
    assert Person.get_or_none(Person.address_key == "new@example.net") is None
    assert press(client, letter).status_code == 303
    place = Membership.select().join(Person).where(Person.address_key == "new@example.net").get()
    assert (place.state, place.joined_via) == ("active", "link")
    assert place.consent["network"] == "127.0.0.0/24" and place.consent["proof"] == "letter"
    assert place.consent["confirmed"] and place.consent["terms"]


def test_a_childs_link_settles_name_class_and_household(client, school, the_list):
    child = school.children["石川 蓮"]
    url = f"/j/{the_list.address}/{join_codes.child_code(the_list, child)}"
    assert "石川 蓮" in client.get(url).get_data(as_text=True)
    fill(client, url, "haha@example.net")
    press(client, Letter.get())
    place = Membership.select().join(Person).where(Person.address_key == "haha@example.net").get()
    assert (place.child_id, place.person.household, place.consent["code"]) == (child.id, "ishikawa", "child")


def test_a_code_may_be_typed_from_the_slip(client, school, the_list):
    code = join_codes.child_code(the_list, school.children["石川 蓮"])
    got = fill(client, f"/j/{the_list.address}", "haha@example.net", code=f"{code[:5].upper()} - {code[5:]}")
    assert got.status_code == 303
    press(client, Letter.get())
    assert Membership.get(Membership.joined_via == "link").child.name == "石川 蓮"


@pytest.mark.parametrize("state", ["active", "stopped", "left", "unknown"])
def test_the_answer_is_the_same_whether_known_or_not(client, school, the_list, state):
    """Enumeration: text, status and place to go tell nothing."""
    who = {"active": "naoki@example.jp", "stopped": "noise1@example.net", "left": "noise2@example.net"}
    url = f"/j/{the_list.address}"
    got = fill(client, url, who.get(state, "nobody@example.net"))
    assert (got.status_code, got.headers["Location"]) == (303, f"{url}?sent=1")
    assert len(Letter.select()) == 1


def test_a_full_list_tells_nothing_about_an_address(client, the_list, monkeypatch):
    monkeypatch.setattr(quotas, "PER_LIST_PER_HOUR", 0)
    url = f"/j/{the_list.address}"
    first = fill(client, url, "naoki@example.jp")
    second = fill(client, url, "nobody@example.net", wait=10)
    assert first.status_code == second.status_code == 429
    assert "1時間ほど" in first.get_data(as_text=True) and "1時間ほど" in second.get_data(as_text=True)


def test_with_a_code_it_waits_instead(client, the_list, monkeypatch):
    """Decision 5: it says so, the same to a member as to a stranger."""
    monkeypatch.setattr(quotas, "PER_LIST_PER_HOUR", 0)
    url = f"/j/{the_list.address}/{the_list.join_code}"
    strange, known = fill(client, url, "new@example.net"), fill(client, url, "naoki@example.jp", wait=10)
    assert strange.status_code == known.status_code == 303 and strange.location == known.location
    assert "登録を受け付けました" in client.get(strange.location).get_data(as_text=True)
    assert [one.address for one in QueuedSignup.select()] == ["new@example.net"]
    assert [one.kind for one in Letter.select()] == ["already"]


def test_one_address_gets_few_letters_whatever_is_pressed(client, the_list):
    """Subscription bombing of one letter box."""
    for number in range(8):
        clock.set_offset(number * 10)
        fill(client, f"/j/{the_list.address}", "victim@example.net", wait=number * 10 + 5)
    assert Letter.select().count() == 1


def test_one_network_has_its_share(client, the_list, monkeypatch):
    monkeypatch.setattr(quotas, "PER_NETWORK", 2)
    url = f"/j/{the_list.address}"
    codes = []
    for number in range(4):
        clock.set_offset(number * 10)
        codes.append(fill(client, url, f"n{number}@example.net", wait=number * 10 + 5).status_code)
    assert codes == [303, 303, 429, 429]
    assert fill(client, f"{url}/{the_list.join_code}", "n9@example.net", wait=60).status_code == 303


def test_the_page_does_the_same_work_for_a_member_and_a_stranger(client, school, the_list):
    made = signed_links.form_token(the_list, clock.now())
    clock.set_offset(5)
    url, members = f"/j/{the_list.address}", [school.people["青山 健太"].address, "nobody@example.net"]
    client.get(url)
    done = [statements(lambda mail=mail: client.post(url, data={"mail": mail, "made": made})) for mail in members]
    assert done[0] == done[1] and any("link_request" in sql for sql in done[0])
    assert not Letter.select().exists()
    scheduler.run_due_jobs(clock.now())
    assert [(one.kind, one.address) for one in Letter.select().order_by(Letter.id)] == [
        ("already", members[0]),
        ("join", members[1]),
    ]


@pytest.mark.parametrize("made", ["", "nonsense", "soon"])
def test_what_no_person_can_do_is_asked_for_again_and_nothing_is_lost(client, the_list, made):
    url = f"/j/{the_list.address}"
    data = {
        "mail": "new@example.net",
        "made": signed_links.form_token(the_list, clock.now()) if made == "soon" else made,
    }
    got = client.post(url, data=data)
    assert got.status_code == 422 and "new@example.net" in got.get_data(as_text=True)
    assert not Letter.select().exists()


def test_the_field_that_nobody_sees_catches_robots(client, the_list):
    got = fill(client, f"/j/{the_list.address}", "new@example.net", website="https://spam.example")
    assert got.status_code == 303 and not Letter.select().exists()


@pytest.mark.parametrize("typed", ["", "nonsense", "a@b@", f"{EVIL}@example.jp", "x@mail.school.example", "a" * 400])
def test_a_wrong_address_is_said_kindly_and_escaped(client, the_list, typed):
    got = fill(client, f"/j/{the_list.address}", typed)
    assert got.status_code == 422 and EVIL not in got.get_data(as_text=True)
    assert not Letter.select().exists()


@pytest.mark.parametrize("address", ["nobody", "kyonen", "1nen1kumi-join", "%00", "../login"])
def test_there_is_no_page_for_other_lists(client, school, address):
    assert client.get(f"/j/{address}").status_code in (404, 308, 302)


def test_a_closed_list_has_no_page(client, the_list):
    MailingList.update(join_mode="closed").execute()
    assert client.get(f"/j/{the_list.address}").status_code == 404


def test_codes_cannot_be_guessed_by_the_dozen(client, school, the_list, monkeypatch):
    """A wrong code shows the page without it; whoever guesses on gets nothing more."""
    monkeypatch.setattr(quotas, "MAX_WRONG_CODES", 3)
    other = join_codes.child_code(school.lists["2-1"], school.children["加藤 悠斗"])
    first = client.get(f"/j/{the_list.address}/{other}")
    assert first.status_code == 404 and "この登録コードは使えません" in first.get_data(as_text=True)
    assert "加藤" not in first.get_data(as_text=True), "the code of a child opens its own lists only"
    assert fill(client, f"/j/{the_list.address}", "new@example.net", code=EVIL).status_code == 422
    client.get(f"/j/{the_list.address}/{other}")
    right = client.get(f"/j/{the_list.address}/{the_list.join_code}")
    assert right.status_code == 429, "a right one shows nothing either, or guessing would go on"
    assert client.get(f"/j/{the_list.address}").status_code == 200
    clock.set_offset(700)
    assert client.get(f"/j/{the_list.address}/{the_list.join_code}").status_code == 200


def test_a_confirmation_after_the_child_has_left_joins_without_it(client, school, the_list):
    child = school.children["石川 蓮"]
    fill(client, f"/j/{the_list.address}/{join_codes.child_code(the_list, child)}", "haha@example.net")
    Membership.update(state="left").where(Membership.child == child).execute()
    mark = Letter.get().payload["url"].rpartition("/")[2]
    wish = emails.request_from_link(mark, clock.now())
    assert (wish.child, wish.code) == (None, "")


def test_a_likely_typing_error_is_asked_before_any_letter(client, the_list):
    url = f"/j/{the_list.address}"
    got = fill(client, url, "new@docomo.ne.co")
    assert got.status_code == 422
    assert 'name="meant" value="new@docomo.ne.jp"' in got.get_data(as_text=True)
    assert not Letter.select().exists()
    kept = re.search(r'name="made" value="([^"]*)"', got.get_data(as_text=True))[1]
    pressed = {"mail": "new@docomo.ne.co", "made": kept, "meant": "new@docomo.ne.jp"}
    assert client.post(url, data=pressed).status_code == 303, "a quick tap is no machine"
    scheduler.run_due_jobs(clock.now())
    assert [letter.address for letter in Letter.select()] == ["new@docomo.ne.jp"]


def test_an_unusual_domain_may_stay_as_typed(client, the_list):
    assert fill(client, f"/j/{the_list.address}", "a@gmial.com", as_typed="a@gmial.com").status_code == 303
    assert [letter.address for letter in Letter.select()] == ["a@gmial.com"]
