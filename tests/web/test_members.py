"""The page of one member and what is done there (T-24, T-32, T-33, D-30, E-09; the Thursday call of field.md 5.1)."""

import re

import pytest

import clock
from core.responses import misdirected
from models import AuditLog, Child, Delivery, Letter, Membership, Notice, Person, Target, Wording
from tests import cast_notices
from tests.counting import queries
from tests.web import notice_factory
from tests.web.notice_factory import get_page


@pytest.fixture
def one(school):
    return school.lists["1-1"]


@pytest.fixture
def aoyama(school):
    return school.people["青山 健太"]


def url(person, rest=""):
    return f"/members/{person.id}{rest}"


def text(answer):
    return answer.get_data(as_text=True)


def again(row):
    return type(row).get_by_id(row.id)


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-32")
def test_the_page_shows_lists_child_and_household(as_, aoyama):
    shown = text(as_("花子").get(url(aoyama)))
    for word in ("1年1組", "青山 陽菜", "aoyama.k@example.com", "青山 美咲", "このアドレスに送っています"):
        assert word in shown


def test_only_lists_that_the_asker_may_see_are_named(as_, school):
    suzuki = school.people["鈴木 大輔"]
    shown = text(as_("花子").get(url(suzuki)))
    assert "鈴木 美月" in shown
    assert "海斗" not in shown
    assert "2年1組" not in shown
    assert "2年1組" in text(as_("守").get(url(suzuki)))


@pytest.mark.parametrize("path", ["", "/edit", "/address", "/guidance"])
def test_a_member_of_another_list_is_not_there(as_, school, aoyama, path):
    assert as_("太郎").get(url(aoyama, path)).status_code == 404
    assert as_("花子").get(url(school.people["加藤 誠"], path)).status_code == 404
    assert as_("花子").get(f"/members/999{path}").status_code == 404


def test_it_wants_a_login(client, aoyama):
    assert client.get(url(aoyama)).status_code == 302
    assert client.post(url(aoyama, "/release")).status_code == 302


def test_who_left_every_list_is_not_there(as_, school):
    assert as_("花子").get(url(school.people["雑音 二"])).status_code == 404


def test_who_may_only_look_sees_no_address_and_changes_nothing(as_, aoyama, one):
    looker = as_("見る子")
    shown = text(looker.get(url(aoyama)))
    assert "a***@example.com" in shown
    assert "aoyama.k" not in shown
    assert looker.get(url(aoyama, "/edit")).status_code == 403
    assert looker.get(url(aoyama, "/address")).status_code == 403
    for path in ("/release", "/test", "/household/split", f"/lists/{one.id}/stop", f"/lists/{one.id}/remove"):
        assert looker.post(url(aoyama, path)).status_code == 403


@pytest.mark.parametrize(
    ("state", "word"),
    [("bounced", "宛先が見つからない"), ("refusing", "受信拒否の設定"), ("complained", "迷惑メールとして報告")],
)
def test_the_state_of_the_address_is_in_plain_words(as_, aoyama, state, word):
    Person.update(address_state=state).where(Person.id == aoyama.id).execute()
    assert word in text(as_("花子").get(url(aoyama)))


def test_a_family_without_address_is_to_be_telephoned(as_, school):
    assert "電話でお伝えください" in text(as_("花子").get(url(school.people["和田 幸子"])))


@pytest.mark.parametrize(
    ("address", "word"),
    [("a@docomo.ne.jp", "My docomo"), ("a@gmail.com", "迷惑メールではない"), ("a@example.jp", "お使いのメール")],
)
def test_the_words_for_the_parent_follow_the_carrier(as_, aoyama, address, word):
    Person.update(address=address, address_key=address).where(Person.id == aoyama.id).execute()
    shown = text(as_("見る子").get(url(aoyama, "/guidance")))
    assert word in shown
    assert "mail.school.example" in shown


def sent(person, mailing_list, subject, state="accepted", **more):
    notice = Notice.create(state="sent", confirmed_at=clock.now())
    Wording.create(notice=notice, subject=subject)
    Target.create(notice=notice, kind="list", number=mailing_list.id)
    delivery = Delivery.create(notice=notice, person=person, token=subject, **more)
    if not more.get("reason"):
        Letter.create(
            notice=notice,
            delivery=delivery,
            person=person,
            address="a",
            domain="a",
            state=state,
            expires_at=clock.now(),
        )
    return notice


def test_every_letter_is_listed_with_its_fate(as_, school, aoyama, one):
    sent(aoyama, one, "運動会のお知らせ", read_at=clock.now())
    sent(aoyama, one, "臨時休校", state="bounced")
    sent(aoyama, one, "懇談会", reason="stopped")
    sent(aoyama, school.lists["2-1"], "ひみつの件名")
    shown = text(as_("花子").get(url(aoyama)))
    assert shown.index("懇談会") < shown.index("臨時休校") < shown.index("運動会のお知らせ")
    assert "確認済み" in shown
    assert len(re.findall(r'href="/notices/\d+/board"', shown)) == 3, (
        "when and whether a notice of another list was read is not shown"
    )
    assert "ひみつ" not in shown
    assert "ひみつの件名" in text(as_("守").get(url(aoyama)))


def test_the_history_is_paged_with_the_same_few_queries(as_, aoyama, one):
    browser = as_("花子")
    sent(aoyama, one, "0")
    browser.get(url(aoyama))
    few = queries(lambda: browser.get(url(aoyama)))
    for number in range(1, 45):
        sent(aoyama, one, f"件{number}")
    assert queries(lambda: browser.get(url(aoyama))) == few
    assert "件44<" in text(browser.get(url(aoyama)))
    assert "件44<" not in get_page(browser, url(aoyama, "?page=2"))


# ── adding ───────────────────────────────────────────────────────────────────────────────────────────────────────

NEW = {
    "name": "林 俊介",
    "kana": "はやし しゅんすけ",
    "address": "hayashi@example.jp",
    "phone": "",
    "language": "ja",
    "child_name": "林 奏",
    "grade": "1",
    "class_name": "1",
    "relation": "父",
    "items": "当番日＝10月20日(月)\n\n地区: 本町\nただの文",
}


@pytest.mark.proves("T-24", "T-32", "T-36")
def test_a_member_is_added_by_hand(as_, one):
    answer = as_("花子").post(f"/lists/{one.id}/members/new", data=NEW)
    assert answer.status_code == 303
    row = Membership.select().join(Person).where(Person.name == "林 俊介").get()
    assert answer.location == url(row.person)
    assert (row.person.kana, row.attributes) == ("ハヤシ シュンスケ", {"当番日": "10月20日(月)"})
    assert row.child.attributes == {"地区": "本町"}
    assert row.joined_via == "manager"


@pytest.mark.proves("X-02")
def test_free_items_say_what_does_not_belong_there(as_, one):
    shown = text(as_("花子").get(f"/lists/{one.id}/members/new"))
    assert "健康やアレルギーなど、慎重な扱いが必要なことは書かないでください。" in shown


@pytest.mark.proves("T-24", "T-32")
def test_a_member_is_added_stopped_resumed_and_removed_and_the_next_notice_follows(as_, one, school):
    def is_sent_to() -> bool:
        made = notice_factory.start_notice(school)
        return made.deliveries.where(Delivery.name == "林 俊介", Delivery.reason == "").exists()

    browser = as_("花子")
    assert "林 俊介" not in text(browser.get(f"/lists/{one.id}"))
    assert browser.post(f"/lists/{one.id}/members/new", data=NEW).status_code == 303
    person = Person.get(Person.name == "林 俊介")
    assert "林 俊介" in text(browser.get(f"/lists/{one.id}")) and is_sent_to()
    assert browser.post(url(person, f"/lists/{one.id}/stop")).status_code == 303
    assert "林 俊介" in text(browser.get(f"/lists/{one.id}?state=stopped")) and not is_sent_to()
    assert browser.post(url(person, f"/lists/{one.id}/resume")).status_code == 303
    assert is_sent_to()
    assert browser.post(url(person, f"/lists/{one.id}/remove")).status_code == 303
    assert "削除しました" in text(browser.get(f"/lists/{one.id}"))  # the message names the member once
    assert "林 俊介" not in text(browser.get(f"/lists/{one.id}")) and not is_sent_to()


@pytest.mark.parametrize("address", ["bad", "x@mail.school.example"])
def test_a_bad_address_keeps_what_was_typed(as_, one, address):
    answer = as_("花子").post(f"/lists/{one.id}/members/new", data={**NEW, "address": address})
    assert answer.status_code == 422
    for word in (address, "林 俊介", "ただの文", 'aria-invalid="true"'):
        assert word in text(answer)


def test_a_likely_typing_error_of_the_domain_is_asked(as_, one):
    """One press takes the suggestion, another keeps what was typed; nothing is changed silently."""
    browser, url = as_("花子"), f"/lists/{one.id}/members/new"
    typo = {**NEW, "address": "hanako@gmial.com"}
    answer = browser.post(url, data=typo)
    shown = text(answer)
    assert answer.status_code == 422
    assert 'name="meant" value="hanako@gmail.com"' in shown
    assert "hanako@gmail.com にする" in shown
    assert not Person.select().where(Person.name == NEW["name"]).exists()
    assert browser.post(url, data={**typo, "meant": "hanako@gmail.com"}).status_code == 303
    assert Person.get(Person.name == NEW["name"]).address == "hanako@gmail.com"
    other = {**typo, "name": "別の人", "as_typed": "hanako@gmial.com"}
    assert browser.post(url, data=other).status_code == 303
    assert Person.get(Person.name == "別の人").address == "hanako@gmial.com"


def test_a_typing_error_in_a_corrected_address_is_asked(as_, one):
    person = Membership.get(Membership.list == one).person
    url, before = f"/members/{person.id}/address", person.address
    answer = as_("守").post(url, data={"address": "new@ezweb.ne,jp"})
    assert (answer.status_code, Person.get_by_id(person.id).address) == (422, before)
    assert 'name="meant" value="new@ezweb.ne.jp"' in text(answer)
    as_("守").post(url, data={"address": "new@ezweb.ne,jp", "meant": "new@ezweb.ne.jp"})
    assert Person.get_by_id(person.id).address == "new@ezweb.ne.jp"


def test_somebody_who_is_there_is_named_with_a_link(as_, one, school):
    answer = as_("花子").post(f"/lists/{one.id}/members/new", data={**NEW, "address": "noise1@example.net"})
    assert answer.status_code == 422
    assert "登録済みです（配信停止中）" in text(answer)
    assert url(school.people["雑音 一"]) in text(answer)


def test_one_more_comes_back_to_the_form(as_, one):
    answer = as_("花子").post(f"/lists/{one.id}/members/new", data={**NEW, "next": "y"})
    assert answer.location.endswith("/members/new")


def test_adding_is_for_managers_of_the_list(as_, one):
    assert as_("太郎").get(f"/lists/{one.id}/members/new").status_code == 404
    assert as_("送る子").post(f"/lists/{one.id}/members/new", data=NEW).status_code == 403


# ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_person_is_edited(as_, aoyama):
    data = {"name": "青山 健", "kana": "あおやま", "phone": "000", "language": "en"}
    assert as_("守").post(url(aoyama, "/edit"), data=data).status_code == 303
    after = again(aoyama)
    assert (after.name, after.kana, after.language) == ("青山 健", "アオヤマ", "en")
    assert as_("守").post(url(aoyama, "/edit"), data={**data, "language": "xx"}).status_code == 422


def test_child_and_items_are_edited_in_own_lists_only(as_, school, one):
    suzuki = school.people["鈴木 大輔"]
    here = Membership.get(Membership.person == suzuki, Membership.list == one)
    there = Membership.get(Membership.person == suzuki, Membership.list == school.lists["2-1"])
    browser = as_("守")
    data = {"child_name": "鈴木 美月", "grade": "2年", "class_name": "", "relation": "父", "items": "係＝広報"}
    assert browser.post(url(suzuki, f"/places/{here.id}"), data=data).status_code == 303
    assert (again(here).attributes, again(here).child.grade) == ({"係": "広報"}, "2")
    assert "係＝広報" in text(browser.get(url(suzuki, f"/places/{here.id}")))
    assert as_("花子").get(url(suzuki, f"/places/{there.id}")).status_code == 404
    browser = as_("守")
    refused = browser.post(url(suzuki, f"/places/{here.id}"), data={**data, "child_name": " "})
    assert refused.status_code == 422
    assert Child.get_by_id(here.child_id).name == "鈴木 美月"


def test_a_dead_address_is_nowhere_said_to_get_mail(as_, aoyama):
    page = as_("花子").get(url(aoyama)).get_data(as_text=True)
    assert "配信中" in page and "宛先不明で停止" not in page
    Person.update(address_state="bounced").where(Person.id == aoyama.id).execute()
    page = as_("花子").get(url(aoyama)).get_data(as_text=True)
    assert "配信中" not in page and "宛先不明で停止" in page


@pytest.mark.proves("T-32")
def test_a_new_address_is_saved_and_the_state_released(as_, aoyama):
    Person.update(address_state="bounced").where(Person.id == aoyama.id).execute()
    answer = as_("守").post(url(aoyama, "/address"), data={"address": "new@example.jp"})
    assert answer.status_code == 303
    assert (again(aoyama).address, again(aoyama).address_state) == ("new@example.jp", "fine")


def test_an_address_of_somebody_else_names_whom_one_may_see(as_, aoyama, school):
    seen = as_("守").post(url(aoyama, "/address"), data={"address": "naoki@example.jp"})
    assert seen.status_code == 422
    assert "石川 直樹" in text(seen)
    assert again(aoyama).address == "aoyama.k@example.com"


def test_releasing_is_one_press(as_, school):
    noise = school.people["雑音 三"]
    assert as_("花子").post(url(noise, "/release")).status_code == 303
    assert again(noise).address_state == "fine"
    assert as_("花子").get(url(noise, "/release")).status_code == 405


@pytest.mark.proves("N-09")
def test_a_test_letter_goes_out_also_to_who_stopped_but_not_to_a_dead_address(as_, school):
    browser = as_("花子")
    assert browser.post(url(school.people["雑音 一"], "/test")).status_code == 303
    letter = Letter.get()
    assert (letter.kind, letter.person_id, letter.address) == (
        "test",
        school.people["雑音 一"].id,
        "noise1@example.net",
    )
    browser.post(url(school.people["雑音 三"], "/test"))
    browser.post(url(school.people["和田 幸子"], "/test"))
    assert Letter.select().count() == 1
    assert "テストメール" in text(browser.get(url(school.people["雑音 一"])))


@pytest.mark.proves("T-24")
def test_one_list_is_stopped_and_resumed(as_, aoyama, one, school):
    browser, place = as_("花子"), Membership.get(Membership.person == aoyama, Membership.list == one)
    browser.post(url(aoyama, f"/lists/{one.id}/stop"))
    assert again(place).state == "stopped"
    browser.post(url(aoyama, f"/lists/{one.id}/resume"))
    assert again(place).state == "active"
    whole = school.lists["whole"]
    assert browser.post(url(aoyama, f"/lists/{whole.id}/stop")).status_code == 404
    assert browser.post(url(aoyama, f"/lists/{one.id}/x")).status_code == 404


def test_the_own_stop_asks_for_the_wish(as_, aoyama, one):
    Membership.update(state="stopped", stopped_by="reader").where(Membership.person == aoyama).execute()
    browser, place = as_("花子"), Membership.get(Membership.person == aoyama, Membership.list == one)
    asked = browser.post(url(aoyama, f"/lists/{one.id}/resume"))
    assert "ご本人の意思" in text(asked)
    assert again(place).state == "stopped"
    browser.post(url(aoyama, f"/lists/{one.id}/resume"), data={"wished": "y"})
    assert again(place).state == "active"


def test_who_waits_is_approved(as_, aoyama, one):
    Membership.update(state="pending").where(Membership.person == aoyama, Membership.list == one).execute()
    browser = as_("花子")
    assert "承認する" in text(browser.get(url(aoyama)))
    browser.post(url(aoyama, f"/lists/{one.id}/approve"))
    assert Membership.get(Membership.person == aoyama, Membership.list == one).state == "active"


@pytest.mark.proves("T-24")
def test_removing_asks_and_says_what_stays(as_, aoyama, one, school):
    asked = text(as_("守").get(url(aoyama, f"/lists/{one.id}/remove")))
    assert "元に戻せません" in asked
    assert "全校" in asked
    assert "ほかのリストには登録されていません" in text(as_("花子").get(url(aoyama, f"/lists/{one.id}/remove")))
    as_("花子").post(url(aoyama, f"/lists/{one.id}/remove"))
    assert Membership.get(Membership.person == aoyama, Membership.list == one).state == "left"
    assert Membership.get(Membership.person == aoyama, Membership.list == school.lists["whole"]).state == "active"
    assert AuditLog.get(AuditLog.action == "member.removed").detail == {"list": one.id}


def test_a_household_is_split(as_, aoyama, school):
    as_("守").post(url(aoyama, "/household/split"))
    assert again(aoyama).household != again(school.people["青山 美咲"]).household


def test_two_households_become_one(as_, aoyama, school):
    """T-45: what a guardian of another name has read counts for the family; separating takes it back."""
    other = school.people["石川 直樹"]
    browser = as_("守")
    page = browser.get(url(aoyama, "/household?q=石川")).text
    assert "石川 直樹" in page and f'value="{other.id}"' in page
    assert browser.post(url(aoyama, "/household"), data={"other": other.id}).status_code == 303
    assert len({again(one).household for one in (aoyama, other, school.people["青山 美咲"])}) == 1
    children = Child.select().where(Child.name.in_(["青山 陽菜", "石川 蓮"]))
    assert {one.household for one in children} == {again(aoyama).household}
    browser.post(url(other, "/household/split"))
    assert again(other).household != again(aoyama).household == again(school.people["青山 美咲"]).household


def test_people_of_other_lists_are_no_household_to_choose(as_, aoyama, school):
    """T-33"""
    other = school.people["加藤 誠"]
    browser = as_("花子")
    assert "加藤 誠" not in get_page(browser, url(aoyama, "/household?q=加藤"))
    assert browser.post(url(aoyama, "/household"), data={"other": other.id}).status_code == 404
    assert browser.post(url(aoyama, "/household"), data={"other": ""}).status_code == 404
    assert as_("見る子").get(url(aoyama, "/household")).status_code == 403


def test_another_family_that_stopped_our_mail_is_not_written_to(as_, school):
    """Decision 2: the old address is told when it changes, unless it said that our letters are not meant for it."""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    misdirected.report_misdirected(sent.deliveries["石川 直樹"], clock.now())
    for name, mail in (("石川 直樹", "right@example.jp"), ("青山 健太", "newer@example.jp")):
        as_("守").post(url(school.people[name], "/address"), data={"address": mail})
    assert [one.address for one in Letter.select().where(Letter.kind == "moved")] == ["aoyama.k@example.com"]
    assert "newer@" not in str(Letter.get(Letter.kind == "moved").payload)
