"""Logging in and out (T-10, T-11, T-12, E-05)."""

import pytest
from flask import Flask

from core import accounts
from models import Log, Session
from tests.cast import PASSWORD


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


@pytest.mark.parametrize(("name", "password"), [("花子", "wrong"), ("だれか", PASSWORD), ("who@x.example", PASSWORD)])
def test_wrong_login_gets_one_answer_and_runs_nothing(client, name, password):
    """T-11: no further program runs, and nobody learns which of the two was wrong."""
    answer = log_in(client, name, password)
    assert answer.status_code == 422
    assert "ユーザー名またはパスワードが違います。" in answer.text
    assert client.get("/").status_code == 302
    assert Session.select().count() == 0
