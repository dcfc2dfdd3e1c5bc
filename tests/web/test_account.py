"""One's own account: name, address, password, devices."""

import re

import pytest

import clock
from core.accounts import accounts, passwords
from models import AuditLog, Letter, MailingList, Membership, Session, User
from tests.cast import PASSWORD
from tests.web.notice_factory import get_page

NEW = "mizuumi-no-asa-no-kiri"
PATHS = ("/account", "/account/email", "/account/password", "/account/sessions/1/end")


@pytest.mark.parametrize("path", PATHS)
def test_strangers_are_sent_away(client, path):
    assert client.post(path).location.startswith("/login")


def test_page_shows_ones_own_account(as_):
    answer = as_("花子").get("/account")
    assert answer.status_code == 200
    assert 'value="花子"' in answer.text and "user1@school.example" in answer.text


def test_name_language_and_signature_are_changed(as_):
    browser = as_("花子")
    given = {"name": "山田 花子", "language": "en", "signature": "1年1組 担任　山田"}
    assert browser.post("/account", data=given).status_code == 303
    assert "Saved." in get_page(browser, "/account")
    hanako = User.get(User.name == "山田 花子")
    assert (hanako.language, hanako.signature) == ("en", "1年1組 担任　山田")


@pytest.mark.parametrize(("name", "language"), [("太郎", "ja"), ("", "ja"), ("花子", "xx")])
def test_bad_names_and_languages_are_refused(as_, name, language):
    assert as_("花子").post("/account", data={"name": name, "language": language, "signature": ""}).status_code == 422
    assert User.select().where(User.name == "花子", User.language == "ja").count() == 1


def test_address_wants_the_password(as_):
    browser = as_("花子")
    answer = browser.post("/account/email", data={"email": "new@school.example", "password": "wrong"})
    assert (answer.status_code, "あなたのパスワードと違います。" in answer.text) == (422, True)
    assert User.get(User.name == "花子").email == "user1@school.example"


def moved(as_, client, name="花子", mail="new@school.example"):
    """Change an address as its user does: ask with the password, open the letter, press."""
    browser = as_(name)
    assert browser.post("/account/email", data={"email": mail, "password": PASSWORD}).status_code == 303
    assert client.post(link()).status_code == 200
    return browser


def link():
    """Return the path behind the link of the latest letter to a new address."""
    letter = Letter.select().where(Letter.kind == "email").order_by(Letter.id.desc()).get()
    return "/account" + letter.payload["url"].partition("/account")[2]


def test_a_new_address_counts_once_its_letter_was_answered(as_, client):
    """T-11: links for a new password go there, so a misprint must not hand the account to a stranger."""
    browser = as_("花子")
    browser.post("/account/email", data={"email": "new@school.example", "password": PASSWORD})
    hanako = User.get(User.name == "花子")
    assert (hanako.email, hanako.pending_email) == ("user1@school.example", "new@school.example")
    assert "new@school.example はまだ確認されていません" in browser.get("/account").text
    assert accounts.find_user("new@school.example") is None
    opened = client.get(link())
    assert opened.status_code == 200 and User.get(User.name == "花子").email == "user1@school.example"  # GET never acts
    assert client.post(link()).status_code == 200
    hanako = User.get(User.name == "花子")
    assert (hanako.email, hanako.pending_email) == ("new@school.example", None)
    assert client.post(link()).status_code == 404
    told = Letter.get(Letter.kind == "email-changed")
    assert told.address == "user1@school.example" and "new@" not in str(told.payload) and "守" in str(told.payload)
    assert AuditLog.select().where(AuditLog.action == "email.used").exists()


def test_the_letter_goes_out_again_and_the_new_address_can_be_forgotten(as_, client):
    browser = as_("花子")
    browser.post("/account/email", data={"email": "new@school.example", "password": PASSWORD})
    first = link()
    browser.post("/account/email/wanted/resend")
    assert Letter.select().where(Letter.kind == "email").count() == 2
    browser.post("/account/email", data={"email": "third@school.example", "password": PASSWORD})
    assert client.post(first).status_code == 404  # it was for another address
    last = link()
    browser.post("/account/email/wanted/forget")
    assert client.post(last).status_code == 404
    assert User.get(User.name == "花子").email == "user1@school.example"
    assert "まだ確認されていません" not in browser.get("/account").text


def test_an_address_taken_meanwhile_is_said(as_, client, school):
    as_("花子").post("/account/email", data={"email": "new@school.example", "password": PASSWORD})
    accounts.change_account(school.users["太郎"], now=clock.now(), email="new@school.example")
    answer = client.post(link())
    assert answer.status_code == 422 and "ほかのユーザー" in answer.text
    assert User.get(User.name == "花子").email == "user1@school.example"


def test_no_address_counts_at_once_and_the_old_one_is_told(as_):
    as_("花子").post("/account/email", data={"email": "", "password": PASSWORD})
    assert User.get(User.name == "花子").email is None
    assert [(one.kind, one.address) for one in Letter.select()] == [("email-changed", "user1@school.example")]


def test_new_address_gets_a_practice_list(as_, client):
    moved(as_, client)
    hanako = User.get(User.name == "花子")
    assert hanako.email == "new@school.example"
    practice = MailingList.get(MailingList.practice_of == hanako)
    assert [row.person.address for row in Membership.select().where(Membership.list == practice)] == [hanako.email]


def test_address_of_a_family_as_ones_own_opens_nothing_of_that_family(as_, client, school):
    """T-33: whoever knows a parent's address must not get at the parent by way of the practice list."""
    victim = school.people["加藤 誠"]
    browser = moved(as_, client, "見る子", victim.address)
    for path in ("", "/edit", "/address", "/guidance"):
        assert browser.get(f"/members/{victim.id}{path}").status_code == 404
    new = {"address": "elsewhere@example.net"}
    assert browser.post(f"/members/{victim.id}/address", data=new).status_code == 404
    practice = MailingList.get(MailingList.practice_of == school.users["見る子"])
    assert f"/members/{victim.id}" not in get_page(browser, f"/lists/{practice.id}")


@pytest.mark.parametrize("path", ["/members/new", "/import", "/settings", "/export"])
def test_practice_list_takes_no_members(as_, client, path):
    """T-33: it reaches its user and nobody else."""
    browser = moved(as_, client)
    practice = MailingList.get(MailingList.practice_of == User.get(User.name == "花子"))
    assert browser.get(f"/lists/{practice.id}").status_code == 200
    given = {"name": "他人", "address": "other@example.net", "text": "他人 <other@example.net>", "action": "stop"}
    assert browser.post(f"/lists/{practice.id}{path}", data=given).status_code == 403
    assert browser.get(f"/lists/{practice.id}{path}").status_code == 403


@pytest.mark.parametrize("email", ["user0@school.example", "x@"])
def test_taken_or_broken_address_is_refused(as_, email):
    assert as_("花子").post("/account/email", data={"email": email, "password": PASSWORD}).status_code == 422


def test_new_password_logs_the_other_devices_out(as_):
    here, there = as_("花子"), as_("花子")
    assert here.post("/account/password", data={"old": PASSWORD, "password": NEW}).status_code == 303
    assert passwords.verify_password(User.get(User.name == "花子").password, NEW)
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 302


@pytest.mark.parametrize(("old", "new"), [("wrong", NEW), (PASSWORD, "short"), ("", NEW)])
def test_password_is_not_changed_without_the_old_one_or_to_a_weak_one(as_, old, new):
    assert as_("花子").post("/account/password", data={"old": old, "password": new}).status_code == 422
    assert passwords.verify_password(User.get(User.name == "花子").password, PASSWORD)


def test_guessing_the_password_inside_is_slowed_down_too(as_):
    browser = as_("花子")
    given = {"old": "wrong", "password": NEW}
    assert [browser.post("/account/password", data=given).status_code for _ in range(6)] == [422] * 5 + [429]


def test_another_device_is_logged_out_from_here(as_):
    here, there = as_("花子"), as_("花子")
    number = Session.select().order_by(Session.id.desc()).get().id
    assert here.post(f"/account/sessions/{number}/end").status_code == 303
    assert there.get("/account").status_code == 302
    assert here.get("/account").status_code == 200


def test_sessions_of_others_are_not_there(as_):
    as_("太郎")
    taros = Session.get().id
    assert as_("花子").post(f"/account/sessions/{taros}/end").status_code == 404
    assert Session.get_by_id(taros).revoked_at is None


def test_ending_this_device_is_logging_out(as_):
    browser = as_("花子")
    assert browser.post(f"/account/sessions/{Session.get().id}/end").location == "/login"
    assert browser.get("/account").status_code == 302


def test_expired_sessions_are_not_shown_as_logged_in(as_):
    as_("花子")
    shown = as_("花子").get("/account")
    assert shown.status_code == 200 and shown.text.count("ログイン中") == 1
    clock.set_offset(13 * 3600)
    shown = as_("花子").get("/account")
    assert shown.status_code == 200 and "この端末" in shown.text
    assert shown.text.count("ログイン中") == 0


def test_a_session_without_a_device_can_be_ended(as_):
    """Sessions of the first set-up and of earlier versions have none."""
    here, there = as_("花子"), as_("花子")
    number = Session.select().order_by(Session.id.desc()).get().id
    Session.update(device=None).where(Session.id == number).execute()
    assert f"/account/sessions/{number}/end" in here.get("/account").text
    here.post(f"/account/sessions/{number}/end")
    assert there.get("/account").status_code == 302


@pytest.mark.parametrize("path", ["/account", "/admin/organization", "/users/1", "/users/invite", "/"])
def test_no_two_elements_have_the_same_id(app, as_, path):
    browser = as_("守")
    app.config["WTF_CSRF_ENABLED"] = True
    ids = re.findall(r'\bid="([^"]+)"', browser.get(path).text)
    assert len(ids) == len(set(ids)), sorted(one for one in ids if ids.count(one) > 1)
