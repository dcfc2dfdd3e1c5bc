"""A manager meets a family of another list: what he types makes a row of its own, and opens nothing (T-33, decision 87)."""

import io
import re

import pytest

import clock
from core.inbound import join_leave
from core.inbound.proof import Proof
from core.members import preference_page, signed_links
from core.permissions import permissions_of
from models import ChangeRequest, Child, Delivery, Job, Letter, Membership, Person
from tests import cast_notices
from tests.web.notice_factory import get_page

PHONE, NOTE, KANA = "090-0000-7777", "カナリア地区", "ヒミツ ケンタ"
TABLES = (Person, Child, Membership)


@pytest.fixture
def aoyama(school):
    """A family of 全校 and 1年1組, with values that 太郎 of 2年1組 must never see."""
    person, child = school.people["青山 健太"], school.children["青山 陽菜"]
    Person.update(phone=PHONE, kana=KANA).where(Person.id == person.id).execute()
    Child.update(attributes={"地区": NOTE}, kana="ヒミツ ヒナ").where(Child.id == child.id).execute()
    Membership.update(attributes={"係": NOTE}).where(Membership.person == person).execute()
    return Person.get_by_id(person.id)


@pytest.fixture
def two(school):
    return school.lists["2-1"]


def stored(person):
    """Return every stored value of a person, the household, its children and their memberships."""
    people = list(Person.select().where(Person.household == person.household).dicts())
    children = list(Child.select().where(Child.household == person.household).dicts())
    rows = Membership.select().where(Membership.person.in_([row["id"] for row in people])).dicts()
    return people, children, list(rows)


def add(browser, mailing_list, **typed):
    return browser.post(f"/lists/{mailing_list.id}/members/new", data={"language": "ja", **typed})


def bring(browser, mailing_list, text, as_file=False):
    """Import a roster; return the preview and the result without numbers that count up."""
    data = {"file": (io.BytesIO(text.encode()), "名簿.csv")} if as_file else {"text": text}
    begun = browser.post(f"/lists/{mailing_list.id}/import", data=data)
    preview = get_page(browser, begun.location)
    mark = re.search(r'name="fingerprint" value="([^"]+)"', preview)[1]
    browser.post(f"{begun.location}/run", data={"fingerprint": mark})
    return [re.sub(r"import/\d+", "", TOKENS.sub("", page)) for page in (preview, get_page(browser, begun.location))]


TOKENS = re.compile(r'\d+:\d\d|value="[^"]*"|X-CSRF-?Token": ?"[^"]*"', re.IGNORECASE)
KNOWN = {
    "names": {"name": "青山 健太", "child_name": "青山 陽菜"},
    "names and class": {"name": "青山 健太", "child_name": "青山 陽菜", "grade": "1", "class_name": "1"},
    "address": {"name": "だれか 一", "address": "aoyama.k@example.com"},
    "names and address": {"name": "青山 健太", "child_name": "青山 陽菜", "address": "Aoyama.K@example.com"},
    "child of another guardian": {
        "name": "別人 一",
        "address": "betsu@example.com",
        "child_name": "青山 陽菜",
        "grade": "1",
        "class_name": "1",
    },
    "other values": {
        "name": "青山 健太",
        "child_name": "青山 陽菜",
        "address": "aoyama.k@example.com",
        "phone": "000",
        "kana": "ワルイ",
    },
}


@pytest.mark.proves("T-33")
@pytest.mark.parametrize("typed", KNOWN.values(), ids=list(KNOWN))
def test_typing_a_family_of_another_list_changes_and_shows_nothing_of_it(as_, aoyama, two, typed):
    before, taro = stored(aoyama), as_("太郎")
    answer = add(taro, two, **typed)
    assert answer.status_code == 303 and not answer.location.endswith(f"/members/{aoyama.id}")
    assert stored(aoyama) == before
    for path in (f"/members/{aoyama.id}", f"/members/{aoyama.id}/edit", f"/members/{aoyama.id}/address"):
        assert taro.get(path).status_code == 404
    for path in (answer.location, f"/lists/{two.id}", "/", f"/lists/{two.id}?q=青山"):
        got = taro.get(path)
        assert got.status_code == 200, path
        assert not [one for one in (PHONE, NOTE, KANA, "ヒミツ", "misaki@", "全校") if one in got.text], path
    made = Person.get(Person.id == int(answer.location.rpartition("/")[2]))
    assert (made.name, made.phone) == (typed["name"], typed.get("phone", ""))
    assert made.household != aoyama.household


def test_the_answer_is_the_same_for_a_family_that_nobody_knows(as_, aoyama, two):
    taro = as_("太郎")
    pages = []
    for typed in (KNOWN["names and address"], {**KNOWN["names and address"], "address": "someone.else@example.com"}):
        answer = add(taro, two, **typed)
        page = TOKENS.sub("", get_page(taro, answer.location))
        pages.append(
            (answer.status_code, re.sub(r"members/\d+|places/\d+|someone\.else|Aoyama\.K|aoyama\.k", "", page))
        )
    assert pages[0] == pages[1] and pages[0][0] == 303


ROSTER = "保護者氏名,メール,児童氏名,学年,組,電話,フリガナ\n青山 健太,{},青山 陽菜,1,1,000,ワルイ\n"


@pytest.mark.parametrize("as_file", [False, True], ids=["pasted", "file"])
def test_an_import_says_the_same_of_a_known_and_an_unknown_family(as_, aoyama, two, as_file):
    before, taro = stored(aoyama), as_("太郎")
    known = bring(taro, two, ROSTER.format("aoyama.k@example.com"), as_file)
    assert stored(aoyama) == before
    assert Membership.select().where(Membership.list == two, Membership.person == aoyama).count() == 0
    Person.delete().where(Person.address == "aoyama.k@example.com", Person.id != aoyama.id).execute()
    unknown = bring(taro, two, ROSTER.format("unknown.x@example.com"), as_file)
    assert "1人を取り込む" in known[0]
    assert [page.replace("aoyama.k", "unknown.x") for page in known] == unknown


def test_a_second_import_finds_the_row_of_the_first(as_, aoyama, two):
    taro = as_("太郎")
    for _ in range(2):
        bring(taro, two, ROSTER.format("aoyama.k@example.com"))
    here = Membership.select().where(Membership.list == two).join(Person).where(Person.address == aoyama.address)
    assert here.count() == 1


def test_a_new_address_that_a_hidden_family_has_is_saved_like_any_other(as_, aoyama, two, school):
    taro = as_("太郎")
    lone = int(add(taro, two, name="一人 だけ", address="lone@example.com").location.rpartition("/")[2])
    before = stored(aoyama)
    for address in ("free@example.com", "aoyama.k@example.com"):
        assert taro.post(f"/members/{lone}/address", data={"address": address}).status_code == 303
        assert Person.get_by_id(lone).address == address
    assert stored(aoyama) == before
    assert ChangeRequest.get().person_id == aoyama.id
    taro.post(f"/members/{lone}/address", data={"address": "free@example.com"})
    assert Person.get_by_id(lone).address_key == "free@example.com" and not ChangeRequest.select().exists()


def test_an_administrator_and_the_terminal_match_every_row(as_, aoyama, two):
    answer = add(as_("守"), two, name="青山 健太", address="aoyama.k@example.com")
    assert answer.location.endswith(f"/members/{aoyama.id}")
    assert not ChangeRequest.select().exists()


def test_the_complaint_of_an_address_holds_for_its_second_row(as_, aoyama, two):
    Person.update(address_state="complained").where(Person.id == aoyama.id).execute()
    made = add(as_("太郎"), two, name="だれか", address="aoyama.k@example.com").location.rpartition("/")[2]
    assert Person.get_by_id(made).address_state == "complained"


# ── who manages only some of the lists ───────────────────────────────────────────────────────────────────────────


def test_an_edit_waits_for_who_manages_all_lists(as_, aoyama, school):
    hanako, before = as_("花子"), stored(aoyama)
    hanako.post(f"/members/{aoyama.id}/edit", data={"name": "青山 新", "kana": KANA, "phone": "111", "language": "ja"})
    hanako.post(f"/members/{aoyama.id}/address", data={"address": "evil@example.com"})
    hanako.post(f"/members/{aoyama.id}/household/split")
    place = Membership.get(Membership.person == aoyama, Membership.list == school.lists["1-1"])
    child = {"child_name": "青山 陽菜", "grade": "6", "class_name": "1", "items": "係＝新しい"}
    hanako.post(f"/members/{aoyama.id}/places/{place.id}", data=child)
    after = stored(aoyama)
    assert after[:2] == before[:2], "person, household and child are as they were"
    assert Membership.get_by_id(place.id).attributes == {"係": "新しい"}, "items of the own list are the manager's"
    assert ChangeRequest.select().count() == 2
    assert "承認待ち" in get_page(hanako, f"/members/{aoyama.id}")
    assert "青山 新" not in get_page(hanako, "/requests"), "who asks does not decide"
    number = ChangeRequest.get(ChangeRequest.child.is_null()).id
    for name in ("花子", "太郎", "見る子"):
        assert as_(name).post(f"/requests/{number}/accept").status_code in (403, 404)
    admin = as_("守")
    assert "/requests" in get_page(admin, "/")
    page = get_page(admin, "/requests")
    assert all(word in page for word in ("青山 新", "evil@example.com", "111", "1年1組"))
    for row in list(ChangeRequest.select()):
        assert admin.post(f"/requests/{row.id}/accept").status_code == 303
    person = Person.get_by_id(aoyama.id)
    assert (person.name, person.address, person.phone) == ("青山 新", "evil@example.com", "111")
    assert person.household != aoyama.household
    assert Child.get_by_id(place.child_id).grade == "6"
    assert not ChangeRequest.select().exists()


def test_a_refused_request_changes_nothing(as_, aoyama):
    before = stored(aoyama)
    as_("花子").post(f"/members/{aoyama.id}/address", data={"address": "evil@example.com"})
    as_("守").post(f"/requests/{ChangeRequest.get().id}/refuse")
    assert stored(aoyama) == before and not ChangeRequest.select().exists()


def test_the_requester_hears_of_a_refused_edit_and_not_of_a_refused_merge(as_, aoyama, second, school):
    as_("花子").post(f"/requests/{ChangeRequest.get().id}/refuse")
    assert not Letter.select().where(Letter.kind == "change-refused").exists()
    as_("花子").post(f"/members/{aoyama.id}/edit", data={"name": aoyama.name, "phone": "0123", "language": "ja"})
    request = ChangeRequest.get()
    as_("守").post(f"/requests/{request.id}/refuse")
    letter = Letter.get(Letter.kind == "change-refused")
    assert letter.address == school.users["花子"].email and letter.payload["person"] == aoyama.name
    assert "電話" in letter.payload["fields"] and "0123" not in str(letter.payload)


def test_an_import_of_some_of_the_lists_asks_too(as_, aoyama, school):
    before = stored(aoyama)
    line = "保護者氏名,メール,児童氏名,学年,組,電話\n青山 健太,aoyama.k@example.com,青山 陽菜,2,3,999\n"
    pages = bring(as_("花子"), school.lists["1-1"], line)
    assert stored(aoyama) == before
    assert "承認待ち" in pages[0]
    wanted = [row.changes for row in ChangeRequest.select().order_by(ChangeRequest.id)]
    assert wanted == [{"phone": "999"}, {"grade": "2", "class_name": "3"}]


def test_who_manages_all_lists_of_a_person_edits_directly(as_, two, school):
    taro = as_("太郎")
    lone = add(taro, two, name="一人 だけ", address="lone@example.com").location
    taro.post(f"{lone}/edit", data={"name": "一人 改", "kana": "", "phone": "222", "language": "ja"})
    assert "一人 改" in get_page(taro, lone) and not ChangeRequest.select().exists()


# ── one registration of two ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def second(as_, aoyama, two):
    """The row that 太郎 made."""
    typed = {**KNOWN["names and address"], "phone": "000"}
    return int(add(as_("太郎"), two, **typed).location.rpartition("/")[2])


def is_merged(aoyama, two, second):
    child = Membership.get(Membership.person == aoyama, Membership.list == two).child
    assert child.name == "青山 陽菜" and Child.select().where(Child.name == "青山 陽菜").count() == 1
    assert not Person.select().where(Person.id == second).exists()
    assert Person.get_by_id(aoyama.id).phone == PHONE
    return True


def test_the_holder_of_the_address_merges_by_the_link_of_a_letter(client, aoyama, two, second):
    for _ in range(2):
        preference_page.send_merge_links(clock.now())
    letter = Letter.get(Letter.kind == "same-address")
    assert letter.address == aoyama.address
    mark = letter.payload["url"].rpartition("/")[2]
    assert "2年1組" in get_page(client, f"/p/{mark}")
    request = ChangeRequest.get()
    assert Person.select().where(Person.id == second).exists(), "a GET changes nothing"
    assert client.post(f"/p/{mark}/merge/{request.id}").status_code == 303
    assert is_merged(aoyama, two, second)


def test_an_import_that_is_repeated_writes_one_letter(as_, aoyama, two):
    taro = as_("太郎")
    for _ in range(2):
        bring(taro, two, ROSTER.format("aoyama.k@example.com"))
        preference_page.send_merge_links(clock.now())
        taro.post(f"/lists/{two.id}/import/{Job.select().order_by(Job.id.desc()).get().id}/undo")
        assert not ChangeRequest.select().exists(), "the second row is gone, and so is the request"
    assert Letter.select().where(Letter.kind == "same-address").count() == 1


def test_the_second_row_alone_opens_its_own_page(aoyama, second):
    Membership.update(state="left").where(Membership.person == aoyama).execute()
    preference_page.request_page_link(aoyama.address, clock.now())
    preference_page.send_requested_links(clock.now())
    assert Letter.get(Letter.kind == "page").person_id == second


def test_only_the_holder_merges(client, school, aoyama, second):
    other = signed_links.sign_page_token(school.people["石川 直樹"], clock.now() + signed_links.PAGE_LINK_LIFETIME)
    client.post(f"/p/{other}/merge/{ChangeRequest.get().id}")
    assert ChangeRequest.select().count() == 1 and Person.select().where(Person.id == second).exists()


def test_a_manager_of_another_list_agrees(as_, school, aoyama, two, second):
    number = ChangeRequest.get().id
    assert as_("太郎").post(f"/requests/{number}/accept").status_code == 404
    hanako = as_("花子")
    page = get_page(hanako, "/requests")
    assert "2年1組" in page and "同じ家庭です" in page
    assert hanako.post(f"/requests/{number}/accept").status_code == 303
    assert is_merged(aoyama, two, second)
    taro = as_("太郎")
    assert "2年1組" in get_page(taro, f"/members/{aoyama.id}") and taro.get(f"/members/{second}").status_code == 404
    assert not permissions_of(school.users["太郎"]).may_edit_person(aoyama)


def test_a_letter_to_another_address_gets_no_right_by_the_merge(client, as_, school, aoyama, two):
    """A manager writes to a row with his own address, gives it the family's, and the family agrees."""
    taro = as_("太郎")
    row = int(add(taro, two, name="青山 健太", address="taro.private@example.com").location.rpartition("/")[2])
    sent = cast_notices.send([two], by=school.users["太郎"], subject="練習")
    mine = Delivery.get(Delivery.notice == sent.notice, Delivery.person == row)
    taro.post(f"/members/{row}/address", data={"address": aoyama.address})
    both = cast_notices.send([two], by=school.users["太郎"], subject="大会")
    theirs = Delivery.get(Delivery.notice == both.notice, Delivery.person == row)
    as_("花子").post(f"/requests/{ChangeRequest.get().id}/accept")
    assert not Person.select().where(Person.id == row).exists()
    assert Delivery.get_by_id(theirs.id).person_id == aoyama.id and Delivery.get_by_id(mine.id).person_id is None
    before = stored(aoyama)
    assert client.get(f"/r/{mine.token}").status_code == 200
    client.post(f"/u/{mine.token}/misdirected")
    client.post(f"/u/{mine.token}/one-click", data={"List-Unsubscribe": "One-Click"})
    assert stored(aoyama) == before
    client.post(f"/u/{theirs.token}/misdirected")
    assert stored(aoyama) != before


def test_another_family_stays_apart(as_, aoyama, second):
    before = stored(aoyama)
    as_("花子").post(f"/requests/{ChangeRequest.get().id}/refuse")
    assert stored(aoyama) == before and Person.select().where(Person.id == second).exists()
    assert "青山" not in get_page(as_("守"), "/requests")


def test_the_import_of_an_administrator_is_not_undone_by_a_manager(as_, aoyama, school):
    line = "保護者氏名,メール,児童氏名,学年,組,電話\n青山 健太,aoyama.k@example.com,青山 陽菜,1,1,999\n"
    one = school.lists["1-1"]
    bring(as_("守"), one, line)
    assert Person.get_by_id(aoyama.id).phone == "999"
    path = f"/lists/{one.id}/import/{Job.get().id}/undo"
    as_("花子").post(path)
    assert Person.get_by_id(aoyama.id).phone == "999"
    as_("守").post(path)
    assert Person.get_by_id(aoyama.id).phone == PHONE


def values(person):
    return Person.select().where(Person.id == person.id).dicts().get()


def test_an_undo_changes_no_family_that_joined_another_list_since(as_, two, school):
    """A manager imports, the family joins a class, the manager takes the import back."""
    taro = as_("太郎")
    made = add(taro, two, name="新田 純", phone="0300", child_name="新田 光", grade="2", class_name="1")
    row = Person.get_by_id(int(made.location.rpartition("/")[2]))
    line = "保護者氏名,メール,児童氏名,学年,組,電話\n新田 純,nitta@example.com,新田 光,2,1,0399\n"
    for joined in (True, False):
        bring(taro, two, line)
        assert Person.get_by_id(row.id).address == "nitta@example.com"
        child = Child.get(Child.name == "新田 光")
        other = Membership.create(person=row, child=child, list=school.lists["1-1"]) if joined else None
        before = values(row)
        taro.post(f"/lists/{two.id}/import/{Job.select().order_by(Job.id.desc()).get().id}/undo")
        assert (values(row) == before) is joined
        if other:
            other.delete_instance()
            Person.update(address=None, address_key=None, phone="0300").where(Person.id == row.id).execute()
    assert Person.get_by_id(row.id).phone == "0300" and Person.get_by_id(row.id).address is None


def test_a_reader_who_deletes_everything_deletes_the_second_row_too(aoyama, two, second):
    preference_page.delete_own_data(aoyama, clock.now())
    assert Person.get_by_id(second).address is None
    assert not Membership.select().where(Membership.person == second, Membership.is_member).exists()


def test_a_leave_mail_finds_the_second_row(aoyama, two, second):
    result = join_leave.handle_leave_mail(two, aoyama.address, None, Proof(), clock.now())
    assert (result.reason, result.person.id) == ("asked to confirm", second)
