"""The page of a list's mail (T-26, T-33, T-37 to T-39, T-46)."""

import pytest

from models import AllowedSender, AuditLog, Letter, MailingList


@pytest.fixture
def page(school) -> str:
    return f"/lists/{school.lists['1-1'].id}/senders"


def add(browser, page: str, address: str = "hanako@docomo.ne.jp", name: str = "花子（携帯）"):
    return browser.post(page, data={"address": address, "name": name})


@pytest.mark.proves("T-37", "T-39")
def test_a_manager_adds_senders_and_each_gets_a_trial_letter(as_, page):
    """T-37, T-39: several, one person with two addresses."""
    browser = as_("花子")
    assert add(browser, page).status_code == 303
    assert add(browser, page, "hanako@example.jp", "花子").status_code == 303
    shown = browser.get(page).get_data(as_text=True)
    assert "hanako@docomo.ne.jp" in shown and "hanako@example.jp" in shown
    assert "1nen1kumi-join@mail.school.example" in shown
    assert [one.address for one in Letter.select().where(Letter.kind == "sender")] == [
        "hanako@docomo.ne.jp",
        "hanako@example.jp",
    ]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("", "入力してください"),
        ("nonsense", "メールアドレス"),
        ("2nen1kumi@mail.school.example", "Kairan自身"),
        ("A@example.jp", "すでに登録"),
    ],
)
def test_what_cannot_be_a_sender_is_said_at_the_field(as_, page, school, address, sentence):
    AllowedSender.create(list=school.lists["1-1"], address="a@example.jp", address_key="a@example.jp")
    got = add(as_("花子"), page, address)
    assert got.status_code == 422
    assert sentence in got.get_data(as_text=True)
    assert AllowedSender.select().count() == 1


@pytest.mark.proves("T-37", "T-38")
def test_the_last_sender_cannot_go(as_, page, school):
    """T-38: neither is there a button, nor does a forged form do it."""
    browser = as_("花子")
    add(browser, page)
    only = AllowedSender.get()
    assert f"/{only.id}/remove" not in browser.get(page).get_data(as_text=True)
    browser.post(f"{page}/{only.id}/remove")
    assert "最低1人" in browser.get(page).get_data(as_text=True)
    add(browser, page, "b@example.jp")
    browser.post(f"{page}/{only.id}/remove")
    assert [one.address for one in AllowedSender.select()] == ["b@example.jp"]
    assert AuditLog.select().where(AuditLog.action == "sender.removed").count() == 1


@pytest.mark.proves("T-37")
def test_a_sender_is_changed_and_tried_again(as_, page):
    browser = as_("花子")
    add(browser, page)
    sender = AllowedSender.get()
    assert "花子（携帯）" in browser.get(f"{page}/{sender.id}").get_data(as_text=True)
    browser.post(f"{page}/{sender.id}", data={"address": "new@docomo.ne.jp", "name": "花子"})
    assert (AllowedSender.get().address, AllowedSender.get().name) == ("new@docomo.ne.jp", "花子")
    browser.post(f"{page}/{sender.id}/trial")
    assert Letter.select().where(Letter.kind == "sender", Letter.address == "new@docomo.ne.jp").count() == 2


def test_how_mails_are_taken(as_, page, school):
    """T-46: no read confirmation for posted mails unless the list says so."""
    browser = as_("花子")
    fresh = MailingList.get_by_id(school.lists["1-1"].id)
    assert (fresh.post_ask, fresh.post_confirm) == (False, False)
    browser.post(f"{page}/door", data={"post_ask": "y", "post_confirm": "y"})
    fresh = MailingList.get_by_id(fresh.id)
    assert (fresh.post_ask, fresh.post_confirm) == (True, True)


@pytest.mark.parametrize(("who", "code"), [("太郎", 404), ("送る子", 403), ("見る子", 403), ("守", 200)])
def test_only_managers_of_this_list(as_, page, school, who, code):
    """T-33."""
    sender = AllowedSender.create(list=school.lists["1-1"], address="a@example.jp", address_key="a@example.jp")
    browser = as_(who)
    assert browser.get(page).status_code == code
    if code != 200:
        for path in ("", "/door", f"/{sender.id}", f"/{sender.id}/remove", f"/{sender.id}/trial"):
            assert browser.post(page + path, data={"address": "x@example.jp"}).status_code == code
    assert AllowedSender.select().count() == 1


def test_a_sender_of_another_list_is_not_found(as_, page, school):
    other = AllowedSender.create(list=school.lists["2-1"], address="a@example.jp", address_key="a@example.jp")
    browser = as_("花子")
    assert browser.get(f"{page}/{other.id}").status_code == 404
    assert browser.post(f"{page}/{other.id}/remove").status_code == 404
