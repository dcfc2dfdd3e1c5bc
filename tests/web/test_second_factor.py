"""Two-step verification on the pages: at login, before sensitive actions, and never before a notice."""

import json
import re
from dataclasses import replace

import pyotp
import pytest

import clock
import config as ground
from core import scheduler
from core.accounts import second_factor, totp
from core.inbound import imap_poller
from core.notices import drafts
from core.settings import configured
from models import AuditLog, Device, Letter, Notice, Passkey, RecoveryCode, Session, TotpKey, User
from tests.cast import PASSWORD
from tests.soft_authenticator import SoftAuthenticator

ORIGIN = "https://kairan.school.example"


def log_in(browser, name="花子", **more):
    return browser.post("/login", data={"name": name, "password": PASSWORD, **more})


def confirm(browser, password=PASSWORD, wanted="/account"):
    return browser.post("/account/confirm/password", data={"password": password, "next": wanted})


def code(secret):
    return pyotp.TOTP(secret).at(clock.now())


def set_up_app(browser):
    """Set up the app on the pages; return its secret and the recovery codes. The clock goes on by two minutes."""
    assert confirm(browser).status_code == 303
    assert browser.post("/account/second-factor/app").location == "/account/second-factor/app"
    secret = totp.secret_of(TotpKey.get(TotpKey.confirmed_at.is_null()))
    page = browser.get("/account/second-factor/app").text
    assert secret[:4] in page and "otpauth://totp/" in page and "<svg" in page
    shown = browser.post("/account/second-factor/app/confirm", data={"code": code(secret)})
    assert shown.status_code == 200
    clock.set_offset(120)
    return secret, re.findall(r"<li><code>([a-z2-9-]{14})</code>", shown.text)


@pytest.fixture
def hanako(as_):
    """花子's own computer, without second factor."""
    return as_("花子")


@pytest.fixture
def passkey_site(config):
    ground.set_current_config(replace(config, base_url=ORIGIN))


def add_passkey(browser, **fields):
    device = SoftAuthenticator(**{"origin": ORIGIN, **fields})
    options = browser.post("/account/passkeys/options")
    assert (options.status_code, options.json["rp"]["id"]) == (200, "kairan.school.example")
    return device, browser.post("/account/passkeys", data={"credential": device.create(options.json)})


# ── setting up ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_account_page_offers_it_and_nobody_must_have_it(hanako):
    page = hanako.get("/account")
    assert page.status_code == 200
    assert "2段階認証を設定する" in page.text and "よろしければ" in page.text
    assert not second_factor.users_with_second_factor()


def test_the_app_is_set_up_after_the_password_and_the_codes_are_shown_once(hanako):
    first = hanako.post("/account/second-factor/app")
    assert first.location == "/account/confirm?next=/account/second-factor" and not TotpKey.select().exists()
    _, codes = set_up_app(hanako)
    assert len(codes) == 10
    page = hanako.get("/account/second-factor").text
    assert "設定済み" in page and "残りは10個" in page and codes[0] not in page
    told = Letter.get(Letter.kind == "second-factor")
    assert told.address == "user1@school.example" and "認証アプリが追加" in told.payload["what"]


def test_a_wrong_first_code_sets_nothing_up(hanako):
    confirm(hanako)
    hanako.post("/account/second-factor/app")
    answer = hanako.post("/account/second-factor/app/confirm", data={"code": "000000"})
    assert (answer.status_code, "コードが違うか" in answer.text) == (422, True)
    assert hanako.post("/account/second-factor/app/confirm", data={"code": ""}).status_code == 422
    assert not second_factor.users_with_second_factor()


def test_looking_at_the_page_makes_no_secret(hanako):
    """GET never acts."""
    confirm(hanako)
    assert hanako.get("/account/second-factor/app").location == "/account/second-factor"
    assert not TotpKey.select().exists()


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        ("http://kairan.school.example", "この Kairan はまだ https ではありません"),
        ("http://127.0.0.1:8000", "http://localhost:8000/account/second-factor"),
        (ORIGIN, 'data-passkey="create"'),
    ],
)
def test_the_page_says_why_passkeys_are_not_offered(app, config, base, sentence):
    ground.set_current_config(replace(config, base_url=base))
    hanako = app.test_client()
    assert hanako.post("/login", data={"name": "花子", "password": PASSWORD}, base_url=base).status_code == 303
    page = hanako.get("/account/second-factor", base_url=base)
    assert page.status_code == 200 and sentence in page.text
    assert ('data-passkey="create"' in page.text) == (base == ORIGIN)


def test_a_passkey_is_added_used_at_login_and_removed(hanako, app, passkey_site):
    confirm(hanako)
    device, shown = add_passkey(hanako)
    assert shown.status_code == 200 and shown.text.count("<li><code>") == 10
    phone = app.test_client()
    assert log_in(phone, next="/notices").location == "/login/second"
    options = phone.post("/login/second/options").json
    device.count += 1
    answer = phone.post("/login/second/passkey", data={"credential": device.get(options)})
    assert (answer.status_code, answer.location) == (303, "/notices")
    assert phone.get("/account").status_code == 200
    device.count += 1
    assert phone.post("/login/second/passkey", data={"credential": device.get(options)}).location == "/login"
    assert hanako.post(f"/account/passkeys/{Passkey.get().id}/remove").status_code == 303
    assert not Passkey.select().exists() and not RecoveryCode.select().exists()


def test_a_refused_passkey_is_said_and_opens_nothing(hanako, app, passkey_site):
    confirm(hanako)
    device, _ = add_passkey(hanako)
    phone = app.test_client()
    log_in(phone)
    options = phone.post("/login/second/options").json
    wrong = replace(device, origin="https://evil.example", count=9)
    answer = phone.post("/login/second/passkey", data={"credential": wrong.get(options)})
    assert (answer.status_code, "パスキーを確認できませんでした" in answer.text) == (422, True)
    assert phone.get("/account").status_code == 302
    bad = hanako.post("/account/passkeys", data={"credential": "{}"})
    assert bad.status_code == 303 and Passkey.select().count() == 1


def test_passkeys_of_others_are_not_there(hanako, as_, passkey_site):
    confirm(hanako)
    add_passkey(hanako)
    taro = as_("太郎")
    confirm(taro)
    assert taro.post(f"/account/passkeys/{Passkey.get().id}/remove").status_code == 404
    assert Passkey.select().count() == 1


# ── at login ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_device_asks_once_and_then_never(hanako, app):
    secret, _ = set_up_app(hanako)
    phone = app.test_client()
    assert log_in(phone, next="/notices").location == "/login/second"
    assert phone.get("/").status_code == 302 and phone.get("/login/second").status_code == 200
    wrong = phone.post("/login/second", data={"code": "000000"})
    assert (wrong.status_code, "コードが違うか" in wrong.text) == (422, True)
    right = phone.post("/login/second", data={"code": code(secret)})
    assert (right.status_code, right.location) == (303, "/notices")
    phone.post("/logout")
    assert log_in(phone).location == "/"
    hanako.post("/logout")
    assert log_in(hanako).location == "/"


def test_a_recovery_code_opens_a_new_device_once(hanako, app):
    """Law 7: who cannot reach the phone still gets in."""
    _, codes = set_up_app(hanako)
    for expected in (303, 422):
        browser = app.test_client()
        log_in(browser)
        assert browser.post("/login/second", data={"code": codes[0]}).status_code == expected


@pytest.mark.parametrize("path", ["/login/letter", "/password"])
def test_links_by_mail_are_one_factor(hanako, app, path):
    secret, _ = set_up_app(hanako)
    thief = app.test_client()
    thief.post(path, data={"name": "花子"})
    scheduler.run_due_jobs(clock.now())
    letter = Letter.select().where(Letter.kind.in_(("login", "password"))).get()
    link = letter.payload["url"].removeprefix("http://kairan.test")
    assert thief.post(link, data={"password": "yama-no-mukou-no-machi"}).location == "/login/second"
    assert thief.get("/").status_code == 302
    assert thief.post("/login/second", data={"code": code(secret)}).location == "/"


def test_the_second_step_alone_opens_nothing(client, hanako, app):
    secret, _ = set_up_app(hanako)
    assert client.get("/login/second").location == "/login"
    assert client.post("/login/second", data={"code": code(secret)}).location == "/login"
    late = app.test_client()
    log_in(late)
    clock.set_offset(120 + 11 * 60)
    assert late.post("/login/second", data={"code": code(secret)}).location == "/login"


def test_a_new_password_ends_logins_that_wait_for_the_second_step(hanako, app):
    secret, _ = set_up_app(hanako)
    thief = app.test_client()
    log_in(thief)
    hanako.post("/account/password", data={"old": PASSWORD, "password": "mizuumi-no-asa-no-kiri"})
    assert thief.post("/login/second", data={"code": code(secret)}).location == "/login"


def test_after_wrong_codes_one_must_wait(hanako, app):
    set_up_app(hanako)
    thief = app.test_client()
    log_in(thief)
    tries = [thief.post("/login/second", data={"code": "000000"}).status_code for _ in range(6)]
    assert tries == [422] * 5 + [429]
    assert AuditLog.select().where(AuditLog.action == "second_factor.refused").count() == 1


def test_who_has_none_at_hand_reads_whom_to_ask(hanako, app):
    set_up_app(hanako)
    phone = app.test_client()
    log_in(phone)
    page = phone.get("/login/second").text
    assert "守" in page and "--second-factor" in page and "お急ぎのときは" in page


# ── never before a notice ────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_stands_between_a_known_organizer_and_an_urgent_notice(hanako, school):
    """Law 7: on a known device, with a second factor that was shown weeks ago, an urgent notice asks nothing."""
    set_up_app(hanako)
    hanako.post("/logout")
    clock.set_offset(40 * 24 * 3600)
    assert log_in(hanako).location == "/"
    hanako.post("/notices/new", data={"form_key": "k1", "urgent": "1"})
    notice = Notice.get()
    now = clock.now()
    drafts.set_recipients(notice, lists=[school.lists["1-1"].id], now=now)
    drafts.save_draft(notice, subject="不審者情報", text="下校を見合わせます。", now=now)
    page = f"/notices/{notice.id}/check"
    shown = hanako.get(page).text
    form = shown[shown.index('id="send"') :]
    fields = {name: re.search(rf'name="{name}" value="([^"]*)"', form)[1] for name in ("seen", "shown", "fingerprint")}
    sent = hanako.post(page, data=fields)
    assert (sent.status_code, sent.location) == (303, f"/notices/{notice.id}")
    assert Notice.get().urgent and Notice.get().state == "held"


# ── before sensitive actions ─────────────────────────────────────────────────────────────────────────────────────


def roster(school):
    return f"/lists/{school.lists['1-1'].id}/export"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_roster_leaves_only_after_the_password(hanako, school, method):
    path = roster(school)
    answer = hanako.open(path, method=method)
    assert (answer.status_code, answer.location) == (303, f"/account/confirm?next={path}")
    assert not AuditLog.select().where(AuditLog.action == "roster.exported").exists()
    wrong = confirm(hanako, "wrong", path)
    assert (wrong.status_code, "あなたのパスワードと違います。" in wrong.text) == (422, True)
    assert hanako.post(path).status_code == 303
    assert confirm(hanako, wanted=path).location == path
    assert hanako.get(path).status_code == 200
    file = hanako.post(path)
    assert file.status_code == 200 and "misaki@mobile.example.jp" in file.text
    clock.set_offset(11 * 60)
    assert hanako.post(path).status_code == 303


def test_who_may_not_export_is_refused_before_being_asked(as_, school):
    assert as_("太郎").get(roster(school)).status_code == 404
    assert as_("見る子").get(roster(school)).status_code == 403


def test_with_a_second_factor_the_password_does_not_do(hanako, school):
    secret, codes = set_up_app(hanako)
    clock.set_offset(20 * 60)
    path = roster(school)
    assert hanako.post(path).status_code == 303
    assert confirm(hanako, wanted=path).location == f"/account/confirm?next={path}"
    assert hanako.post(path).status_code == 303
    wrong = hanako.post("/account/confirm", data={"code": "000000", "next": path})
    assert wrong.status_code == 422 and f'value="{path}"' in wrong.text
    assert hanako.post("/account/confirm", data={"code": code(secret), "next": path}).location == path
    assert hanako.post(path).status_code == 200
    clock.set_offset(40 * 60)
    assert hanako.post("/account/confirm", data={"code": codes[3], "next": path}).location == path
    assert hanako.post(path).status_code == 200


def test_a_passkey_confirms(hanako, school, passkey_site):
    confirm(hanako)
    device, _ = add_passkey(hanako)
    clock.set_offset(20 * 60)
    path = roster(school)
    assert 'data-passkey="get"' in hanako.get(f"/account/confirm?next={path}").text
    device.count += 1
    credential = device.get(hanako.post("/account/confirm/options").json)
    answer = hanako.post("/account/confirm/passkey", data={"credential": credential, "next": path})
    assert answer.location == path and hanako.post(path).status_code == 200
    clock.set_offset(40 * 60)
    answer = hanako.post("/account/confirm/passkey", data={"credential": credential, "next": path})
    assert answer.status_code == 422 and hanako.post(path).status_code == 303


def test_the_second_factor_at_login_counts_as_confirmation(hanako, app, school):
    secret, _ = set_up_app(hanako)
    phone = app.test_client()
    log_in(phone)
    phone.post("/login/second", data={"code": code(secret)})
    assert phone.post(roster(school)).status_code == 200


def test_confirming_never_leads_away_from_this_site(hanako):
    assert confirm(hanako, wanted="//evil.example").location == "/"


def test_without_a_password_one_is_offered_a_link(client):
    client.post("/login/letter", data={"name": "花子"})
    scheduler.run_due_jobs(clock.now())
    User.update(password=None).where(User.name == "花子").execute()
    client.post(Letter.get().payload["url"].removeprefix("http://kairan.test"))
    page = client.get("/account/confirm")
    assert page.status_code == 200 and 'href="/password"' in page.text


def test_guessing_the_password_before_an_export_is_slowed_down(hanako):
    assert [confirm(hanako, "wrong").status_code for _ in range(6)] == [422] * 5 + [429]


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/admin/mail/server", {"host": "smtp.school.example", "security": "starttls", "user": "u", "password": "p"}),
        (
            "/admin/mail/box",
            {"host": "imap.school.example", "security": "tls", "user": "u", "password": "p", "mailbox": "a@b.example"},
        ),
    ],
)
def test_mail_server_and_mailbox_change_only_after_a_confirmation(as_, path, data, monkeypatch):
    monkeypatch.setattr(imap_poller, "test_account", lambda account, now: None)
    browser = as_("守")
    browser.post("/admin/mail/road", data={"road": "mailbox"})
    answer = browser.post(path, data=data)
    assert answer.status_code == 422
    assert "先にご本人の確認をしてから" in answer.text and data["host"] in answer.text
    assert (configured("smtp"), configured("imap")) == ("", "")
    confirm(browser)
    browser.post(path, data=data)
    assert data["host"] in configured("smtp") + configured("imap")


# ── devices ──────────────────────────────────────────────────────────────────────────────────────────────────────


PHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) Safari/604.1"}


def test_devices_are_listed_named_and_removed(hanako, app):
    phone = app.test_client()
    phone.post("/login", data={"name": "花子", "password": PASSWORD}, headers=PHONE)
    page = hanako.get("/account").text
    assert "iPhone · Safari" in page and "ログイン中" in page and "この端末" in page
    number = Device.select().order_by(Device.id.desc()).get().id
    assert hanako.post(f"/account/devices/{number}/name", data={"name": " 職員室の  iPhone "}).status_code == 303
    assert "職員室の iPhone" in hanako.get("/account").text
    hanako.post(f"/account/devices/{number}/name", data={"name": "あ" * 41})
    assert "40文字まで" in hanako.get("/account").text and Device.get_by_id(number).name == "職員室の iPhone"
    assert hanako.post(f"/account/devices/{number}/remove").status_code == 303
    assert phone.get("/").status_code == 302 and "iPhone" not in hanako.get("/account").text
    assert hanako.get("/").status_code == 200


def test_a_removed_device_is_a_new_one(hanako, app):
    secret, _ = set_up_app(hanako)
    phone = app.test_client()
    log_in(phone)
    phone.post("/login/second", data={"code": code(secret)})
    hanako.post(f"/account/devices/{Device.select().order_by(Device.id.desc()).get().id}/remove")
    assert log_in(phone).location == "/login/second"


def test_a_new_device_is_told_by_mail(hanako, app):
    assert not Letter.select().exists()
    app.test_client().post("/login", data={"name": "花子", "password": PASSWORD}, headers=PHONE)
    told = Letter.get()
    assert (told.kind, told.payload["device"]) == ("new-device", "iPhone · Safari")
    hanako.post("/logout")
    log_in(hanako)
    assert Letter.select().count() == 1


def test_devices_of_others_are_not_there(hanako, as_):
    as_("太郎")
    number = Device.get(Device.user == User.get(User.name == "太郎")).id
    for verb in ("name", "remove"):
        assert hanako.post(f"/account/devices/{number}/{verb}", data={"name": "x"}).status_code == 404
    assert Device.get_by_id(number).revoked_at is None


def test_removing_this_device_logs_out(hanako):
    assert hanako.post(f"/account/devices/{Device.get().id}/remove").location == "/login"
    assert hanako.get("/").status_code == 302


def test_a_shared_computer_is_known_to_each_of_its_users(hanako):
    hanako.post("/logout")
    log_in(hanako, "太郎")
    hanako.post("/logout")
    log_in(hanako)
    assert Device.select().count() == 2 and not Letter.select().exists()


# ── administrators ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_administrator_sees_who_has_it_and_turns_it_off(hanako, as_, app):
    secret, codes = set_up_app(hanako)
    number = User.get(User.name == "花子").id
    mamoru = as_("守")
    assert "2段階認証" in mamoru.get("/users").text
    page = mamoru.get(f"/users/{number}").text
    assert "認証アプリ" in page and secret not in page and codes[0] not in page
    reset = f"/users/{number}/second-factor/reset"
    assert mamoru.post(reset).location == f"/account/confirm?next=/users/{number}"
    assert second_factor.users_with_second_factor() == {number}
    confirm(mamoru)
    assert mamoru.post(reset).status_code == 303
    assert not second_factor.users_with_second_factor()
    row = AuditLog.get(AuditLog.action == "second_factor.reset")
    assert (row.user.name, row.number) == ("守", number)
    told = Letter.select().where(Letter.kind == "second-factor").order_by(Letter.id.desc()).get()
    assert told.address == "user1@school.example" and "管理者が2段階認証を解除" in told.payload["what"]
    assert log_in(app.test_client()).location == "/"


@pytest.mark.parametrize("name", ["花子", "見る子"])
def test_others_turn_off_nothing(as_, hanako, name):
    set_up_app(hanako)
    browser = as_(name) if name != "花子" else hanako
    number = User.get(User.name == "花子").id
    assert browser.post(f"/users/{number}/second-factor/reset").status_code == 403
    assert second_factor.users_with_second_factor() == {number}


def test_logging_out_everywhere_makes_all_devices_new_ones(hanako, as_):
    set_up_app(hanako)
    as_("守").post(f"/users/{User.get(User.name == '花子').id}/log-out")
    assert hanako.get("/").status_code == 302
    assert log_in(hanako).location == "/login/second"


def test_no_secret_is_in_the_session_cookie_or_the_options(hanako, passkey_site):
    """The cookie is signed, not encrypted: the challenge and the user's number stay on the server."""
    confirm(hanako)
    options = hanako.post("/account/passkeys/options").json
    cookie = hanako.get_cookie("kairan").value
    assert options["challenge"] not in cookie and Session.select().where(Session.challenge != "").count() == 1
    assert "user1@school.example" not in json.dumps(options)
