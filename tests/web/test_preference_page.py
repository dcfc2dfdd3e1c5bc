"""The reader's own page: names, items, lists, a new address, farewell (N-16, T-17, T-24, T-36)."""

import re
from datetime import timedelta

import pytest

import clock
from core import scheduler
from core.members import preference_page, signed_links
from core.notifications.notify import render_message
from models import AuditLog, Child, Letter, MailingList, Membership, Person
from tests.counting import statements
from tests.web.notice_factory import get_page

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def father(school) -> Person:
    return school.people["石川 直樹"]


@pytest.fixture
def page(father) -> str:
    return f"/p/{signed_links.sign_page_token(father, clock.now() + signed_links.PAGE_LINK_LIFETIME)}"


def fresh(person: Person) -> Person:
    return Person.get_by_id(person.id)


def ask(client, mail: str, *, at: int = 5):
    made = signed_links.form_token(None, clock.now())
    clock.set_offset(at)
    answer = client.post("/p", data={"mail": mail, "made": made})
    scheduler.run_due_jobs(clock.now())
    return answer


def path(letter: Letter) -> str:
    return letter.payload["url"].removeprefix("http://kairan.test")


def text(got) -> str:
    return got.get_data(as_text=True)


# ── the link ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "letters"),
    [("NAOKI@example.jp", 1), ("nobody@example.net", 0), ("noise2@example.net", 0), ("noise3@example.net", 0)],
    ids=["member", "stranger", "left", "dead"],
)
def test_the_link_comes_by_mail_and_the_page_tells_nothing(client, school, address, letters):
    """Enumeration: the same answer for a member, a stranger, one who left, and a dead address."""
    got = ask(client, address)
    assert (got.status_code, got.headers["Location"]) == (303, "/p?sent=1")
    assert "登録されていれば" in text(client.get("/p?sent=1"))
    assert Letter.select().where(Letter.kind == "page").count() == letters


def test_the_page_does_the_same_work_for_a_member_and_a_stranger(client, father):
    made = signed_links.form_token(None, clock.now())
    clock.set_offset(5)
    client.get("/p")
    done = [
        statements(lambda mail=mail: client.post("/p", data={"mail": mail, "made": made}))
        for mail in ("naoki@example.jp", "nobody@example.net")
    ]
    assert done[0] == done[1] and any("link_request" in sql for sql in done[0])
    assert not Letter.select().exists()
    scheduler.run_due_jobs(clock.now())
    assert [one.address for one in Letter.select()] == ["naoki@example.jp"]


def test_one_letter_box_cannot_be_filled(client, father):
    for number in range(6):
        clock.set_offset(number * 10)
        ask(client, "naoki@example.jp", at=number * 10 + 5)
    assert Letter.select().count() == 1


def test_forms_that_no_person_sends_are_asked_for_again(client, father):
    got = client.post("/p", data={"mail": "naoki@example.jp", "made": signed_links.form_token(None, clock.now())})
    assert got.status_code == 422 and "naoki@example.jp" in text(got) and not Letter.select().exists()
    assert ask(client, EVIL).status_code == 422


def test_the_link_opens_the_page_for_a_day_and_dies_with_the_address(client, father, page):
    assert client.get(page).status_code == 200
    clock.set_offset(24 * 3600)
    assert client.get(page).status_code == 404
    clock.set_offset(0)
    Person.update(address="other@example.jp", address_key="other@example.jp").where(Person.id == father.id).execute()
    got = client.get(page)
    assert got.status_code == 404 and "石川" not in text(got) and 'name="mail"' in text(got)


def test_guessing_is_counted_and_a_mark_of_another_purpose_opens_nothing(client, school, father, page):

    assert client.get(f"/p/{signed_links.sign_membership(father, school.lists['1-1'])}").status_code == 404
    codes = [client.get(f"{page}x").status_code for _ in range(62)]
    assert codes[0] == 404 and codes[-1] == 429 and client.get(page).status_code == 200


# ── what it shows and corrects ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("X-05")
def test_it_shows_the_own_data_and_nobody_elses(client, school):
    """No other guardian's data, no telephone number, no history, no remark of an organizer."""
    mine = school.people["青山 健太"]
    place = Membership.get(Membership.person == mine, Membership.list == school.lists["1-1"])
    Membership.update(attributes={"係": "旗当番", "備考": "要注意"}).where(Membership.id == place.id).execute()
    Person.update(phone="000-1111-2222").where(Person.id == mine.id).execute()
    got = client.get(f"/p/{signed_links.sign_page_token(mine, clock.now() + signed_links.PAGE_LINK_LIFETIME)}")
    shown = text(got)
    for held in ("青山 健太", "青山 陽菜", "1年1組", "旗当番", "aoyama.k@example.com"):
        assert held in shown
    for other in ("青山 美咲", "misaki", "要注意", "000-1111", "石川", "<script"):
        assert other not in shown
    assert "Set-Cookie" not in got.headers and got.headers["Referrer-Policy"] == "no-referrer"


def test_names_and_items_are_corrected(client, school, father, page):
    """Purpose of N-16: who has joined names himself and the child. Class stays the school's."""
    child = school.children["石川 蓮"]
    place = Membership.get(Membership.person == father, Membership.list == school.lists["1-1"])
    Membership.update(attributes={"係": "なし", "備考": "x"}).where(Membership.id == place.id).execute()
    data = {
        "name": "石川 直輝",
        "kana": "いしかわ なおき",
        "phone": "000-2222-3333",
        "language": "en",
        f"child{child.id}-name": "石川 廉",
        f"child{child.id}-kana": "いしかわ れん",
        f"child{child.id}-grade": "6",
        f"item{place.id}-0": "図書",
        f"item{place.id}-1": "y",
    }
    assert client.post(page, data=data).status_code == 303
    now = fresh(father)
    assert (now.name, now.kana, now.phone, now.language) == ("石川 直輝", "イシカワ ナオキ", "000-2222-3333", "en")
    changed = Child.get_by_id(child.id)
    assert (changed.name, changed.kana, changed.grade) == ("石川 廉", "イシカワ レン", "1")
    assert Membership.get_by_id(place.id).attributes == {"係": "図書", "備考": "x"}
    assert AuditLog.select().where(AuditLog.action == "member.changed_self").exists()
    assert "Saved. Thank you." in text(client.get(f"{page}?told=saved"))


def test_the_link_fits_on_one_line_of_a_letter_and_is_as_strong_as_before(client, father):
    """Mail programs cut at 76 signs; 128 bits of the address and the end stand in it."""
    made = signed_links.sign_page_token(father, clock.now() + signed_links.PAGE_LINK_LIFETIME)
    assert len(f"https://kairan.kaedehara.example.jp/p/{made}") <= 76
    for place in range(len(made)):
        wrong = made[:place] + ("A" if made[place] != "A" else "B") + made[place + 1 :]
        assert signed_links.person_by_token(wrong, clock.now()) is None
    assert signed_links.person_by_token(made, clock.now()) == father
    assert (
        signed_links.person_by_token(made, clock.now() + signed_links.PAGE_LINK_LIFETIME + timedelta(minutes=1)) is None
    )
    Person.update(address_key="other@example.jp").where(Person.id == father.id).execute()
    assert signed_links.person_by_token(made, clock.now()) is None


def test_what_the_school_holds_is_shown_and_a_mistake_is_told_to_the_managers(client, school, father, page):
    """Field 3.2, decision 0021: class and district decide who gets what, so that the managers change them."""
    child = school.children["石川 蓮"]
    Child.update(attributes={"地区": "東町", "備考": "内緒"}).where(Child.id == child.id).execute()
    shown = text(client.get(page))
    assert "東町" in shown and "内緒" not in shown and "1年1組" in shown
    done = client.post(f"{page}/wrong", data={"wrong": "2組です <b>"})
    assert done.status_code == 303 and "told=told" in done.location
    told = Letter.select().where(Letter.kind == "says-wrong").get()
    assert told.address == school.users["花子"].email
    subject, words = render_message(told, "かえで原小学校")
    assert "石川 直樹" in subject and "2組です <b>" in words and f"/members/{father.id}" in words
    assert Child.get_by_id(child.id).class_name == "1"
    assert "told=not-told" in client.post(f"{page}/wrong", data={"wrong": " "}).location
    answers = [client.post(f"{page}/wrong", data={"wrong": "3組 です"}) for _ in range(4)]
    assert answers[-1].status_code == 429 and "3組 です</textarea>" in text(answers[-1])
    assert Letter.select().where(Letter.kind == "says-wrong").count() == 3


def test_who_joined_by_a_slip_does_not_read_the_items_of_the_child(client, school, father, page):
    """A slip may have been found: only whom the school itself named as a guardian sees them."""
    child = school.children["石川 蓮"]
    Child.update(attributes={"地区": "東町"}).where(Child.id == child.id).execute()
    assert "東町" in text(client.get(page))
    Membership.update(joined_via="link").where(Membership.person == father).execute()
    answer = client.get(page)
    assert answer.status_code == 200 and "石川 直樹" in text(answer)
    assert "東町" not in text(answer)


def test_other_peoples_numbers_in_the_form_change_nothing(client, school, page):
    other = school.children["加藤 悠斗"]
    client.post(page, data={"name": "x", "language": "ja", f"child{other.id}-name": "盗まれた", "item1-0": "y"})
    assert Child.get_by_id(other.id).name == "加藤 悠斗"


def test_a_wrong_entry_is_said_at_its_field_and_nothing_is_lost(client, school, father, page):
    child = school.children["石川 蓮"]
    got = client.post(page, data={"name": "新しい名", "language": "ja", f"child{child.id}-name": " "})
    assert got.status_code == 422 and "新しい名" in text(got) and fresh(father).name == "石川 直樹"
    assert client.post(page, data={"name": "x" * 61, "language": "ja"}).status_code == 422
    assert client.post(page, data={"name": EVIL, "language": "fr"}).status_code == 422


def test_who_has_no_name_is_asked_for_it_first(client, school):
    """Decision 5: the welcome letter leads here."""
    who = Person.create(address="new@example.net", address_key="new@example.net")
    Membership.create(person=who, list=school.lists["1-1"])
    url = f"/p/{signed_links.sign_page_token(who, clock.now() + signed_links.WELCOME_LINK_LIFETIME)}"
    assert "あと1つ" in text(client.get(url))
    assert client.post(url, data={"name": "", "language": "ja"}).status_code == 422
    data = {"name": "山田 花", "language": "ja", "new-name": "山田 空", "new-grade": "1", "new-class_name": "1"}
    assert client.post(url, data=data).status_code == 303
    assert Membership.get(Membership.person == who).child.room == "1-1" and "あと1つ" not in text(client.get(url))


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_list_is_stopped_and_resumed_alone(client, school, father, page):
    """T-24: GET does nothing; both are repeatable."""
    the_list = school.lists["1-1"]
    mine = (Membership.person == father) & (Membership.list == the_list)
    assert client.get(f"{page}/lists/{the_list.id}/stop").status_code == 405
    assert Membership.get(mine).state == "active"
    for _ in range(2):
        client.post(f"{page}/lists/{the_list.id}/stop")
    assert (Membership.get(mine).state, Membership.get(mine).stopped_by) == ("stopped", "reader")
    assert Membership.get(Membership.person == father, Membership.list == school.lists["whole"]).state == "active"
    client.post(f"{page}/lists/{the_list.id}/resume")
    assert Membership.get(mine).state == "active"


def test_what_a_manager_stopped_stays_and_foreign_lists_are_nothing(client, school, father, page):
    mine = (Membership.person == father) & (Membership.list == school.lists["1-1"])
    Membership.update(state="stopped", stopped_by="manager").where(mine).execute()
    for number in (school.lists["1-1"].id, school.lists["2-1"].id, 999, 2**70):
        client.post(f"{page}/lists/{number}/resume")
        client.post(f"{page}/lists/{number}/join")
    assert Membership.get(mine).state == "stopped"
    assert not Membership.select().where(Membership.person == father, Membership.list == school.lists["2-1"]).exists()


def test_the_other_lists_of_the_child_are_one_press_away(client, school):
    mother = Person.create(name="石川 母", address="haha@example.jp", address_key="haha@example.jp")
    Membership.create(person=mother, list=school.lists["1-1"], child=school.children["石川 蓮"])
    url = f"/p/{signed_links.sign_page_token(mother, clock.now() + signed_links.PAGE_LINK_LIFETIME)}"
    assert "全校" in text(client.get(url))
    client.post(f"{url}/lists/{school.lists['whole'].id}/join")
    place = Membership.get(Membership.person == mother, Membership.list == school.lists["whole"])
    assert (place.state, place.child.name) == ("active", "石川 蓮")


@pytest.mark.proves("T-17")
def test_a_test_letter_now_and_then(client, page):
    """T-17: a member can try whether mail arrives."""
    for _ in range(5):
        client.post(f"{page}/test")
    assert Letter.select().where(Letter.kind == "test").count() == preference_page.TEST_EMAILS_PER_DAY


# ── a new address ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_address_counts_after_a_press_there_and_the_old_one_is_told(client, father, page):
    assert client.post(f"{page}/address", data={"address": "new@example.net"}).status_code == 303
    letter = Letter.get(Letter.kind == "new-address")
    assert letter.address == "new@example.net" and fresh(father).address == "naoki@example.jp"
    assert "new@example.net" in text(client.get(path(letter))) and fresh(father).address == "naoki@example.jp"
    client.post(path(letter))
    assert fresh(father).address == "new@example.net"
    assert Letter.get(Letter.kind == "moved").address == "naoki@example.jp"
    assert client.post(path(letter)).status_code == 404, "used once"
    assert client.get(page).status_code == 404, "the link that was sent to the old address is dead"


def test_an_address_of_somebody_else_is_found_out_only_by_its_owner(client, school, father, page):
    """Enumeration: asking looks the same; the press, by who reads that letter box, is refused with a sentence."""
    got = client.post(f"{page}/address", data={"address": "kato@example.org"})
    assert got.status_code == 303 and got.headers["Location"].endswith("told=address")
    letter = Letter.get(Letter.kind == "new-address")
    assert client.post(path(letter)).status_code == 422
    assert (fresh(father).address, fresh(school.people["加藤 誠"]).address) == ("naoki@example.jp", "kato@example.org")


@pytest.mark.parametrize("typed", ["", "nonsense", "naoki@example.jp", "zenko@mail.school.example", EVIL])
def test_an_address_that_cannot_be_is_said(client, page, typed):
    got = client.post(f"{page}/address", data={"address": typed})
    assert got.status_code == 422 and EVIL not in text(got) and not Letter.select().exists()


def test_nobody_is_bombed_through_a_new_address(client, page):
    for number in range(6):
        client.post(f"{page}/address", data={"address": f"victim{number}@example.net"})
    assert Letter.select().count() == 3


# ── farewell ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_deleting_says_what_is_lost_and_managers_see_who_left(client, as_, school, father, page):
    assert "元に戻せません" in text(client.get(f"{page}/delete"))
    assert Membership.select().where(Membership.person == father, Membership.state == "active").count() == 2
    assert "登録を削除しました" in text(client.post(f"{page}/delete"))
    gone = fresh(father)
    assert (gone.name, gone.address, gone.address_key, gone.phone) == ("石川 直樹", None, None, "")
    assert {one.state for one in Membership.select().where(Membership.person == father)} == {"left"}
    assert client.get(page).status_code == 404
    home = text(as_("花子").get("/"))
    assert "石川 直樹" in home and "石川 蓮" in home, "and that the child has nobody now"
    assert "石川 直樹" not in get_page(as_("太郎"), "/")


def test_who_was_deleted_may_come_back_as_a_new_person(client, school, father, page):
    from core.signup import signup
    from core.signup.quotas import SignupRequest

    client.post(f"{page}/delete")
    again, state = signup.join_list(SignupRequest(school.lists["1-1"], "naoki@example.jp", proof="letter"), clock.now())
    assert again.id != father.id and state == "active"


def test_a_notice_never_links_to_it(school):
    """Design 3: it opens more than the letter, so only the welcome letter and `/p` lead there."""
    from tests import cast_notices

    sent = cast_notices.send([school.lists["1-1"]])
    from core.notices.rendering import render_as_sent
    from core.settings import load_settings

    text = render_as_sent(sent.notice, load_settings(), clock.now()).text
    assert re.search(r"/u(/|\s|$)", text) and not re.search(r"/p(/|\s|$)", text)


def test_a_scanner_that_presses_changes_nothing(client, school, father, page):
    agent = {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}
    client.post(f"{page}/delete", headers=agent)
    client.post(f"{page}/lists/{school.lists['1-1'].id}/stop", headers=agent)
    assert Membership.select().where(Membership.person == father, Membership.state == "active").count() == 2
    assert MailingList.get_by_id(school.lists["1-1"].id)


# ── who waits, and whom a manager has stopped ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("state", "by"), [("pending", ""), ("stopped", "manager")])
def test_who_is_not_taken_for_a_guardian_changes_no_child(client, school, state, by):
    who = Person.create(name="だれか", address="who@example.net", address_key="who@example.net")
    child = school.children["石川 蓮"]
    Membership.create(person=who, list=school.lists["1-1"], child=child, state=state, stopped_by=by)
    url = f"/p/{signed_links.sign_page_token(who, clock.now() + signed_links.PAGE_LINK_LIFETIME)}"
    client.post(url, data={"name": "だれか", "language": "ja", f"child{child.id}-name": "いたずら"})
    client.post(f"{url}/lists/{school.lists['whole'].id}/join")
    assert Child.get_by_id(child.id).name == "石川 蓮"
    assert Membership.select().where(Membership.person == who).count() == 1


def test_deleting_oneself_does_not_lift_what_a_manager_stopped(client, school, father, page):
    from core.signup import signup
    from core.signup.quotas import SignupRequest

    mine = (Membership.person == father) & (Membership.list == school.lists["1-1"])
    Membership.update(state="stopped", stopped_by="manager").where(mine).execute()
    client.post(f"{page}/delete")
    assert Membership.get(mine).state == "stopped"
    assert Membership.get(Membership.person == father, Membership.list == school.lists["whole"]).state == "left"
    again, state = signup.join_list(SignupRequest(school.lists["1-1"], "naoki@example.jp", proof="letter"), clock.now())
    assert (again.id, state) == (father.id, "pending")


@pytest.mark.parametrize("name", ["https://evil.example/ 様", "ｈｔｔｐｓ：／／evil.example", "www.evil.example"])
def test_a_name_holds_no_web_address(client, school, father, page, name):
    """Names stand in letters to the other guardians and to organizers, where a mail program would make it a link."""
    child = school.children["石川 蓮"]
    for field in ("name", f"child{child.id}-name"):
        fields = {"name": "石川 直樹", "language": "ja", f"child{child.id}-name": child.name, field: name}
        got = client.post(page, data=fields)
        assert got.status_code == 422 and "Web" in text(got) and "evil.example" in text(got)
    assert fresh(father).name == "石川 直樹" and Child.get_by_id(child.id).name == child.name


@pytest.mark.parametrize(
    ("mode", "state", "said"), [("open", "active", "届くようになりました"), ("approve", "pending", "管理者")]
)
def test_who_joins_another_list_is_promised_no_more_than_is_so(client, school, mode, state, said):
    """Law 5: whom a manager must let in is not told to get the notices already."""
    mother, room = school.people["青山 美咲"], school.lists["1-1"]
    Membership.delete().where(Membership.person == mother, Membership.list == room).execute()
    MailingList.update(join_mode=mode).where(MailingList.id == room.id).execute()
    mine = f"/p/{signed_links.sign_page_token(mother, clock.now() + signed_links.PAGE_LINK_LIFETIME)}"
    got = client.post(f"{mine}/lists/{room.id}/join", follow_redirects=True)
    shown = re.search(r'role="status".*?</', text(got), re.S)
    place = Membership.get(Membership.person == mother, Membership.list == room)
    assert place.state == state
    assert shown and said in shown[0]
