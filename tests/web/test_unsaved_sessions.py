"""Logging in while the database cannot be written (decision 0088): organizers read; what the login needs is kept safe."""

import sqlite3
from datetime import timedelta

import pytest

import clock
import database
import web_security
from core import rate_limits
from core.accounts import accounts, logins, second_factor, sessions
from models import AuditLog, Session, User
from tests import cast_notices
from tests.cast import PASSWORD
from tests.full_disk import locked
from tests.smarthost import later


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(web_security, "WRITE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(database, "OPTIONAL_TIMEOUT_S", 0.02)


@pytest.fixture
def board(school):
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], read_confirmation=True)
    return f"/notices/{sent.notice.id}/board"


def log_in(browser, password=PASSWORD):
    return browser.post("/login", data={"name": "花子", "password": password})


@pytest.fixture
def unsaved(config, client, board):
    """A browser that logged in while another process wrote."""
    with locked(config.database):
        answer = log_in(client)
        assert (answer.status_code, answer.location) == (303, "/")
        for page in ("/", board, "/account"):
            assert client.get(page).status_code == 200, page
    assert Session.select().count() == 0
    return client


def test_the_session_gets_its_row_with_the_first_request_that_can_write(unsaved, board):
    assert unsaved.get(board).status_code == unsaved.get("/").status_code == 200
    session = Session.get()
    assert (session.user.name, session.revoked_at) == ("花子", None)
    assert session.expires_at > clock.now() + timedelta(hours=11)
    assert AuditLog.select().where(AuditLog.action == "session.started").count() == 1


def test_nothing_is_changed_without_a_write(config, client, board):
    with locked(config.database):
        log_in(client)
        answer = client.post("/account", data={"name": "花子", "language": "ja", "signature": "一組"})
        assert answer.status_code == 503 and "まだ記録されていません" in answer.text


def test_it_ends_after_a_quarter_of_an_hour_without_a_row(config, unsaved):
    with locked(config.database):
        later(minutes=14)
        assert unsaved.get("/").status_code == 200
        later(minutes=2)
        assert unsaved.get("/").status_code == 302
    assert unsaved.get("/").status_code == 302 and Session.select().count() == 0


@pytest.mark.parametrize("while_locked", [True, False])
def test_logout_makes_the_old_cookie_useless(config, unsaved, while_locked):
    old = unsaved.get_cookie("kairan").value
    if while_locked:
        with locked(config.database):
            assert unsaved.post("/logout").status_code == 303
    else:
        unsaved.post("/logout")
    unsaved.set_cookie("session", old)
    assert unsaved.get("/").status_code == 302
    assert not Session.select().where(Session.revoked_at.is_null()).exists()


@pytest.mark.parametrize("end", ["password", "disabled"])
def test_it_ends_with_the_password_and_the_account(unsaved, end):
    user = User.get(User.name == "花子")
    if end == "password":
        accounts.set_password(user, "another long one", now=clock.now())
    else:
        User.update(disabled_at=clock.now()).where(User.id == user.id).execute()
    assert unsaved.get("/").status_code == 302


@pytest.mark.parametrize("change", [lambda one: one[:-1] + ("0" if one[-1] != "0" else "1"), lambda one: "9" + one])
def test_a_changed_token_opens_nothing(school, change):
    token = sessions.start_unsaved_session(school.users["花子"], clock.now()).session.token
    assert sessions.user_of_session(change(token)) is None
    assert sessions.user_of_session("1.2.3.é") is None
    assert sessions.user_of_session(token).id == school.users["花子"].id


def test_a_second_factor_on_a_new_device_needs_a_write(config, client, school, monkeypatch):
    monkeypatch.setattr(second_factor, "is_on", lambda user: True)
    with locked(config.database):
        assert log_in(client).status_code == 503
        assert client.get("/").status_code == 302


def test_wrong_passwords_are_counted_while_the_counts_cannot_be_written(client, school, monkeypatch):
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(rate_limits, "record_hit", full)
    monkeypatch.setattr(logins, "_tries_unsaved", {})
    assert [log_in(client, "wrong").status_code for _ in range(6)] == [422] * 5 + [429]
    assert log_in(client).status_code == 429
    monkeypatch.setattr(logins, "_tries_unsaved", {})
    assert log_in(client).status_code == 303 and logins._tries_unsaved == {}
