"""The first set-up: one link, once."""

import pytest

import config as ground
import models
from app import create_app
from core import install
from models import AuditLog, MailingList, Membership, Organization, Role, User

GIVEN = {
    "language": "ja",
    "organization": "もみじ小学校",
    "postal": "〒000-0000 例示県例示市1-1",
    "contact": "電話 000-0000-0000",
    "mail_domain": "Mail.Momiji.example",
    "name": "小川 守",
    "email": "mamoru@momiji.example",
    "password": "kaki-no-ki-no-shita-de",
}


@pytest.fixture
def fresh(config):
    """An installation that nobody has set up: browser and path of the link."""
    app = create_app(config)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    return app.test_client(), f"/setup/{install.get_setup_token(config)}"


def test_first_page_leads_to_the_explanation(fresh):
    browser, _ = fresh
    assert browser.get("/").location == "/setup"
    answer = browser.get("/setup")
    assert answer.status_code == 200
    assert "./kairan up" in answer.text


def test_set_up_makes_the_house_and_logs_in(fresh, config):
    browser, link = fresh
    assert browser.get(link).status_code == 200
    answer = browser.post(link, data=GIVEN)
    assert (answer.status_code, answer.location) == (303, "/")
    assert browser.get("/").status_code == 200
    house = Organization.load_row()
    assert house.name == "もみじ小学校"
    assert ground.read_file(config.data) == {"mail_domain": "mail.momiji.example"}
    user = User.get()
    assert [(one.kind, one.list_id) for one in Role.select()] == [("admin", 0)]
    practice = MailingList.get(MailingList.practice_of == user)
    assert [one.person.address for one in Membership.select().where(Membership.list == practice)] == [GIVEN["email"]]
    assert not (config.data / "setup-token").exists()
    assert AuditLog.select().where(AuditLog.action == "organization.set_up").count() == 1


def test_link_is_dead_afterwards(fresh):
    browser, link = fresh
    browser.post(link, data=GIVEN)
    for answer in (browser.get(link), browser.post(link, data={**GIVEN, "name": "別の人", "email": ""})):
        assert answer.status_code == 404
        assert "ログイン" in answer.text
    assert User.select().count() == 1
    assert browser.get("/setup").location == "/login"


def test_wrong_link_is_a_kind_404(fresh):
    browser, link = fresh
    answer = browser.post(link + "x", data=GIVEN)
    assert answer.status_code == 404
    assert User.select().count() == 0


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("organization", "", "入力してください。"),
        ("mail_domain", "not a domain", "ドメインの形が正しくありません。"),
        ("name", "a@b", "ユーザー名を入力してください"),
        ("email", "mamoru@", "メールアドレス"),
        ("password", "short", "12文字以上"),
        ("password", "もみじ小学校の小川守です", "名前とほとんど同じ"),
        ("language", "xx", "もう一度ご確認ください"),
    ],
)
def test_mistake_is_named_and_everything_typed_is_kept(fresh, field, value, sentence):
    browser, link = fresh
    answer = browser.post(link, data={**GIVEN, field: value})
    assert answer.status_code == 422
    assert sentence in answer.text
    for name in set(GIVEN) - {field, "password", "language"}:
        assert f'value="{GIVEN[name]}"' in answer.text
    assert GIVEN["password"] not in answer.text
    assert User.select().count() == 0
    assert Organization.load_row().name == ""


def test_all_mistakes_are_named_at_once(fresh):
    browser, link = fresh
    text = browser.post(link, data={**GIVEN, "mail_domain": "x", "email": "x@", "password": "short"}).text
    assert text.count('class="wrong"') == 4, "three fields and the sentence above the form"
    given = {**GIVEN, "organization": "", "name": "", "mail_domain": "x", "email": "x@", "password": ""}
    text = browser.post(link, data=given).text
    assert text.count('class="wrong"') == 6, "also beside fields that are empty, and each of them once"


def test_fields_that_may_be_empty_may_be_missing(fresh):
    browser, link = fresh
    needed = {name: GIVEN[name] for name in ("language", "organization", "name", "password")}
    assert browser.post(link, data=needed).status_code == 303


def test_without_mail_address_there_is_no_practice_list(fresh):
    browser, link = fresh
    assert browser.post(link, data={**GIVEN, "email": "", "mail_domain": "", "postal": ""}).status_code == 303
    assert MailingList.select().count() == 0


def test_address_of_the_pages_is_taken_from_the_browser(fresh, config):
    browser, link = fresh
    browser.post(link, data=GIVEN, base_url="https://kairan.momiji.example")
    assert ground.read_file(config.data)["base_url"] == "https://kairan.momiji.example"


def test_form_without_token_is_refused(fresh):
    browser, link = fresh
    browser.application.config["WTF_CSRF_ENABLED"] = True
    assert browser.post(link, data=GIVEN).status_code == 403
    assert models.User.select().count() == 0


def test_link_is_the_same_until_it_is_used(config):
    assert install.get_setup_token(config) == install.get_setup_token(config)
    assert (config.data / "setup-token").stat().st_mode & 0o777 == 0o600
