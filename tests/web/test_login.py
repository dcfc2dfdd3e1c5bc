"""Logging in and out (T-10, T-11, T-12, E-05)."""

import re
from dataclasses import replace

import pytest

import clock
import config as ground
from core import scheduler, settings
from core.accounts import login_links, logins
from models import AuditLog, Letter, LinkRequest, Session, User
from tests.cast import PASSWORD
from tests.counting import statements


def log_in(browser, name="花子", password=PASSWORD, **more):
    return browser.post("/login", data={"name": name, "password": password, **more})


def test_page_is_open_to_everybody(client):
    answer = client.get("/login")
    assert answer.status_code == 200
    assert b'name="password"' in answer.data


def test_right_password_opens_the_first_page(client):
    answer = log_in(client)
    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("name", ["user1@school.example", "USER1@School.example", " 花子 ", "花　子"])
def test_name_is_read_kindly_and_may_be_the_address(client, name):
    assert log_in(client, name).status_code == 303


@pytest.mark.proves("T-11")
@pytest.mark.parametrize(("name", "password"), [("花子", "wrong"), ("だれか", PASSWORD), ("who@x.example", PASSWORD)])
def test_wrong_login_gets_one_answer_and_runs_nothing(client, name, password):
    """T-11: no further program runs, and nobody learns which of the two was wrong."""
    answer = log_in(client, name, password)
    assert answer.status_code == 422
    assert "ユーザー名またはパスワードが違います。" in answer.text
    assert client.get("/").status_code == 302
    assert Session.select().count() == 0


def test_disabled_user_gets_the_same_answer(client, school):
    User.update(disabled_at=clock.now()).where(User.name == "花子").execute()
    answer = log_in(client)
    assert answer.status_code == 422
    assert "ユーザー名またはパスワードが違います。" in answer.text


def test_empty_fields_are_named_and_the_name_is_kept(client):
    answer = log_in(client, "花子", "")
    assert answer.status_code == 422
    assert "入力してください。" in answer.text
    assert 'value="花子"' in answer.text


@pytest.mark.proves("E-05")
def test_sixth_try_must_wait_even_with_the_right_password(client):
    """E-05: five tries are free, then it takes a minute; what was typed as name is kept."""
    for _ in range(5):
        assert log_in(client, password="wrong").status_code == 422
    answer = log_in(client)
    assert answer.status_code == 429
    assert 'value="花子"' in answer.text
    clock.set_offset(61)
    assert log_in(client).status_code == 303


def test_unknown_names_wait_just_the_same(client):
    answers = [log_in(client, "だれか").status_code for _ in range(6)]
    assert answers == [422] * 5 + [429]


def test_attacker_elsewhere_does_not_lock_out_the_known_device(app, as_):
    mine = as_("花子")
    attacker = app.test_client()
    for _ in range(6):
        last = log_in(attacker, password="wrong")
    assert last.status_code == 429
    mine.post("/logout")
    assert log_in(mine).status_code == 303


def test_known_device_waits_after_its_own_wrong_tries(as_):
    browser = as_("花子")
    browser.post("/logout")
    assert [log_in(browser, password="wrong").status_code for _ in range(6)] == [422] * 5 + [429]


def test_mark_of_another_user_makes_no_device_known(app, as_):
    browser = as_("太郎")
    for _ in range(5):
        log_in(app.test_client(), password="wrong")
    assert log_in(browser, "花子").status_code == 429


def test_one_network_gets_twenty_wrong_tries_in_ten_minutes(client):
    for number in range(20):
        log_in(client, f"だれか{number}")
    assert log_in(client).status_code == 429
    other = client.post(
        "/login", data={"name": "花子", "password": PASSWORD}, environ_base={"REMOTE_ADDR": "192.0.2.7"}
    )
    assert other.status_code == 303


@pytest.mark.parametrize("wanted", ["/notices?page=2", "/lists/1"])
def test_login_leads_on_to_the_wanted_page(client, wanted):
    assert log_in(client, next=wanted).location == wanted


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\t/evil", "x", "//["],
)
def test_login_never_leads_away_from_this_site(client, wanted):
    assert log_in(client, next=wanted).location == "/"


@pytest.mark.proves("T-10")
def test_every_page_sends_strangers_to_the_login_page(client):
    """T-10, with the page to come back to; for htmx by header, without content."""
    answer = client.get("/users?page=2")
    assert (answer.status_code, answer.location) == (302, "/login?next=/users?page%3D2")
    answer = client.get("/users", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.data) == (401, b"")
    assert answer.headers["HX-Redirect"].startswith("/login")


@pytest.mark.proves("T-12")
def test_old_cookie_opens_nothing_after_logout_and_is_noted(as_, app):
    """T-12: the session is revoked on the server; its use afterwards is an unauthorized access."""
    browser = as_("花子")
    cookie = browser.get_cookie("kairan").value
    assert browser.get("/").headers["Cache-Control"] == "no-store"
    assert browser.post("/logout").status_code == 303
    thief = app.test_client()
    thief.set_cookie("kairan", cookie)
    assert thief.get("/").status_code == 302
    assert AuditLog.select().where(AuditLog.action == "access.refused").count() == 1


def test_logout_wants_a_post(as_):
    assert as_("花子").get("/logout").status_code == 405


def test_logout_of_a_stranger_leads_to_the_login_page(client):
    assert client.post("/logout").status_code == 302


@pytest.mark.proves("T-12")
def test_form_from_before_logout_is_refused(app, as_):
    """T-12: the token of an old form dies with its session."""
    browser = as_("花子")
    app.config["WTF_CSRF_ENABLED"] = True
    token = re.search(r'"X-CSRFToken": "([^"]+)"', browser.get("/login/letter").text)[1]
    assert browser.post("/logout", data={"csrf_token": token}).status_code == 303
    log_in_again = {"name": "花子", "password": PASSWORD, "csrf_token": token}
    assert browser.post("/login", data=log_in_again).status_code == 403


@pytest.mark.parametrize(("remember", "hours", "inside"), [("", 11, True), ("", 13, False), ("y", 24 * 89, True)])
def test_session_ends_when_idle(client, remember, hours, inside):
    log_in(client, remember=remember)
    clock.set_offset(hours * 3600)
    assert (client.get("/").status_code == 200) is inside


def test_use_moves_the_end_of_a_session(client):
    log_in(client)
    for hours in (8, 16, 24):
        clock.set_offset(hours * 3600)
        assert client.get("/").status_code == 200


def test_remembered_phone_is_asked_again_after_ninety_days_away(client):
    log_in(client, remember="y")
    clock.set_offset(91 * 86400)
    assert client.get("/").status_code == 302


@pytest.mark.proves("T-09")
def test_session_cookie_is_closed_to_scripts(client):
    cookie = next(one for one in log_in(client).headers.getlist("Set-Cookie") if one.startswith("kairan="))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


@pytest.mark.proves("T-09")
def test_session_cookie_goes_over_tls_only_where_there_is_tls(school, app, config):
    """T-09: from the next answer, without a restart; also the cookie of a session that began before."""
    browser = app.test_client()
    before = log_in(browser).headers.getlist("Set-Cookie")
    assert len(before) == 2 and not any("; Secure" in cookie for cookie in before)
    browser.get("/")  # puts its form token into the session
    assert browser.get("/").headers.getlist("Set-Cookie") == []
    ground.set_current_config(replace(config, base_url=""))
    settings.update_organization(None, base_url="https://kairan.school.example")
    (renewed,) = browser.get("/").headers.getlist("Set-Cookie")
    assert renewed.startswith("kairan=") and "; Secure" in renewed
    assert browser.get("/", base_url="https://localhost").headers.getlist("Set-Cookie") == []
    after = log_in(app.test_client()).headers.getlist("Set-Cookie")
    assert sorted(cookie.partition("=")[0] for cookie in after) == ["kairan", "kairan_device"]
    assert all("; Secure" in cookie for cookie in after)


def test_a_known_device_gets_its_cookie_again(client):
    """So a device that was remembered before https has the cookie with Secure after its next login."""
    first = next(one for one in log_in(client).headers.getlist("Set-Cookie") if one.startswith("kairan_device="))
    again = next(one for one in log_in(client).headers.getlist("Set-Cookie") if one.startswith("kairan_device="))
    assert first.partition(";")[0] == again.partition(";")[0]


@pytest.mark.proves("T-09", "E-05")
def test_behind_a_proxy_cookies_are_secure_and_https_is_asked_for(school, config):
    """The proxy says in X-Forwarded-Proto that the browser came by https."""
    from dataclasses import replace

    from app import create_app

    data = {"name": "花子", "password": PASSWORD}
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "kairan.school.example"}
    app = create_app(replace(config, base_url="https://kairan.school.example"))
    app.config["WTF_CSRF_ENABLED"] = False
    answer = app.test_client().post("/login", data=data, headers=proxied)
    cookies = answer.headers.getlist("Set-Cookie")
    assert answer.status_code == 303 and cookies
    for cookie in cookies:
        assert "; Secure" in cookie and "; HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    reader = app.test_client().get("/r/" + "a" * 26, headers=proxied)
    assert "max-age" in reader.headers["Strict-Transport-Security"]

    app = create_app(replace(config, base_url="http://kairan.test"))
    app.config["WTF_CSRF_ENABLED"] = False
    answer = app.test_client().post("/login", data=data)
    assert answer.status_code == 303 and "Strict-Transport-Security" not in answer.headers
    assert not [one for one in answer.headers.getlist("Set-Cookie") if "Secure" in one]


def test_login_without_its_token_is_refused(app, client):
    """CSRF is checked in production."""
    app.config["WTF_CSRF_ENABLED"] = True
    assert log_in(client).status_code == 403
    assert Session.select().count() == 0


# ── links from letters ───────────────────────────────────────────────────────────────────────────────────────────


def link_in(letter: Letter) -> str:
    return letter.payload["url"].removeprefix("http://kairan.test")


def request_link(client, page: str, name: str):
    """Ask for a link, and let the background job send it."""
    answer = client.post(page, data={"name": name})
    scheduler.run_due_jobs(clock.now())
    return answer


@pytest.mark.parametrize(("page", "kind"), [("/login/letter", "login"), ("/password", "password")])
def test_link_goes_to_known_addresses_and_the_page_tells_nobody(client, page, kind):
    known = request_link(client, page, "花子")
    unknown = request_link(client, page, "いない人")
    assert known.status_code == unknown.status_code == 200
    assert known.data == unknown.data
    assert [(one.kind, one.address) for one in Letter.select()] == [(kind, "user1@school.example")]


@pytest.mark.parametrize("page", ["/login/letter", "/password"])
def test_the_page_does_the_same_work_for_a_known_and_an_unknown_name(client, page):
    client.get(page)
    done = {name: statements(lambda name=name: client.post(page, data={"name": name})) for name in ("花子", "いない人")}
    assert done["花子"] == done["いない人"] and any("link_request" in sql for sql in done["花子"])
    assert Letter.select().count() == 0 and LinkRequest.select().count() == 2
    scheduler.run_due_jobs(clock.now())
    assert Letter.select().count() == 1 and LinkRequest.select().count() == 0


def test_a_request_that_waited_for_an_hour_sends_nothing(client):
    client.post("/password", data={"name": "花子"})
    clock.set_offset(3601)
    scheduler.run_due_jobs(clock.now())
    assert Letter.select().count() == LinkRequest.select().count() == 0


def test_wrong_passwords_and_requests_for_links_have_counters_of_their_own(client):
    """Neither uses up the other's limit for the network."""
    for number in range(login_links.PER_NETWORK):
        assert client.post("/login/letter", data={"name": f"人{number}"}).status_code == 200
    assert client.post("/login/letter", data={"name": "花子"}).status_code == 429
    assert client.post("/password", data={"name": "花子"}).status_code == 200
    for number in range(logins.PER_NETWORK):
        assert client.post("/login", data={"name": f"人{number}", "password": "x"}).status_code == 422
    assert client.post("/login", data={"name": "花子", "password": PASSWORD}).status_code == 429
    clock.set_offset(601)
    assert client.post("/login/letter", data={"name": "花子"}).status_code == 200


def test_disabled_user_gets_no_link(client):
    assert request_link(client, "/login/letter", "花子").status_code == 200
    assert Letter.select().count() == 1
    User.update(disabled_at=clock.now()).where(User.name == "花子").execute()
    assert request_link(client, "/login/letter", "花子").status_code == 200
    assert Letter.select().count() == 1


def test_fourth_link_in_a_row_is_not_sent(client):
    for _ in range(5):
        assert request_link(client, "/password", "花子").status_code == 200
    assert Letter.select().count() == 3


def test_one_network_cannot_ask_for_ever(client):
    answers = [client.post("/password", data={"name": f"人{number}"}).status_code for number in range(11)]
    assert answers == [200] * 10 + [429]


def test_login_link_acts_on_the_button_only_and_once(client, app):
    request_link(client, "/login/letter", "花子")
    link = link_in(Letter.get())
    assert client.get(link).status_code == client.head(link).status_code == 200
    assert Session.select().count() == 0
    assert client.post(link).status_code == 303
    assert client.get("/").status_code == 200
    assert app.test_client().post(link).status_code == 404
    assert "このリンク" in app.test_client().get(link).text


def test_login_link_is_over_after_fifteen_minutes(client):
    request_link(client, "/login/letter", "花子")
    clock.set_offset(15 * 60 + 1)
    assert client.post(link_in(Letter.get())).status_code == 404


def test_link_for_one_purpose_opens_no_other(client):
    request_link(client, "/login/letter", "花子")
    mark = link_in(Letter.get()).rpartition("/")[2]
    assert client.get(f"/password/{mark}").status_code == 404
    assert client.get(f"/login/letter/{mark}x").status_code == 404


def test_forgotten_password_is_replaced_and_other_sessions_end(client, as_):
    elsewhere = as_("花子")
    request_link(client, "/password", "花子")
    link = link_in(Letter.get())
    answer = client.post(link, data={"password": "short"})
    assert (answer.status_code, "12文字以上" in answer.text) == (422, True)
    assert client.post(link, data={"password": "yama-no-mukou-no-machi"}).status_code == 303
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    assert client.post(link, data={"password": "mada-tsukaeru-no-kana"}).status_code == 404


def test_password_link_lasts_an_hour(client):
    request_link(client, "/password", "花子")
    clock.set_offset(3601)
    assert client.get(link_in(Letter.get())).status_code == 404
