"""Accounts, passwords, limits and sessions without the web."""

import logging
import re
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

import clock
from core import rate_limits, scheduler
from core.accounts import accounts, logins, passwords, sessions
from core.accounts.sessions import user_of_session
from core.errors import DomainError
from models import AuditLog, Letter, Membership, Session, User
from tests.cast import PASSWORD


def test_hash_has_the_parameters_that_were_decided():
    kept = PasswordHasher(**passwords.ARGON2_PARAMETERS).hash("x")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "weak",
    [
        "short",
        "aaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "password12345",
        "Password!2026",
        "123456789012345",
        "qwertyuiop123",
        "かえで原小学校2026",
        "花子花子花子1234",
        "ｐａｓｓｗｏｒｄ１２３４",
    ],
)
def test_weak_password_is_refused(weak):
    with pytest.raises(DomainError):
        passwords.check_password_strength(weak, "花子", "hanako@school.example", "かえで原小学校")


@pytest.mark.parametrize(
    "good",
    [
        PASSWORD,
        "correct horse battery staple",
        "あさがおのたねをまいたひ",
        "x9$kQ!mz7Lw2",
        "password-no-nai-kurashi-da",
    ],
)
def test_long_words_are_enough(good):
    passwords.check_password_strength(good, "花子", "hanako@school.example", "かえで原小学校")


def test_old_hash_is_renewed_at_login(school):
    hanako = school.users["花子"]
    old = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(PASSWORD)
    User.update(password=old).where(User.id == hanako.id).execute()
    logins.verify_login("花子", PASSWORD, logins.LoginClient("192.0.2.1"), now=clock.now())
    assert User.get_by_id(hanako.id).password != old
    assert passwords.verify_password(User.get_by_id(hanako.id).password, PASSWORD)


def test_unknown_user_costs_a_hash_too(school, monkeypatch):
    seen = []
    real = passwords.verify_password
    monkeypatch.setattr(passwords, "verify_password", lambda kept, given: seen.append(kept) or real(kept, given))
    with pytest.raises(logins.WrongCredentials):
        logins.verify_login("だれか", PASSWORD, logins.LoginClient("192.0.2.1"), now=clock.now())
    assert seen == [None]


@pytest.mark.parametrize(
    ("name", "email", "field"),
    [
        ("花子", None, "name"),
        ("ハナ", "USER1@school.example", "email"),
        ("a@b", None, "name"),
        ("ハ\u202eナ", None, "name"),
        ("", None, "name"),
        ("ハナ", "x@", "email"),
        ("ハナ", "1nen1kumi@mail.school.example", "email"),
        ("ハナ", "postmaster@mail.school.example", "email"),
    ],
)
def test_user_that_cannot_be_added_names_the_field(school, name, email, field):
    with pytest.raises(DomainError) as refused:
        accounts.add_user(name, email=email)
    assert refused.value.field == field


def test_table_keeps_no_token(school):
    user = sessions.start_session(school.users["花子"], now=clock.now())
    assert user.session.token not in str(list(Session.select().dicts()))
    assert user_of_session(user.session.token) == user
    assert user_of_session("nonsense") is None


def test_disabled_user_has_no_session(school):
    user = sessions.start_session(school.users["花子"], now=clock.now())
    assert user_of_session(user.session.token) == user
    User.update(disabled_at=clock.now()).where(User.id == user.id).execute()
    assert user_of_session(user.session.token) is None


def test_new_password_ends_other_sessions_and_kills_links(school):
    now, hanako = clock.now(), school.users["花子"]
    here, there = (sessions.start_session(User.get_by_id(hanako.id), now=now).session for _ in range(2))
    accounts.set_password(hanako, "kawa-no-nagare-no-oto", now, keep=here)
    assert user_of_session(here.token) == hanako
    assert user_of_session(there.token) is None
    assert User.get_by_id(hanako.id).link_serial == hanako.link_serial + 1


def test_refused_cookie_is_noted_once_a_minute(school):
    user = sessions.start_session(school.users["花子"], now=clock.now())
    sessions.revoke_session(user.session, clock.now())
    for _ in range(3):
        assert user_of_session(user.session.token) is None
    assert AuditLog.select().where(AuditLog.action == "access.refused").count() == 1


def test_waits_double_up_to_an_hour(config):
    now = clock.now()
    waits = []
    for _ in range(14):
        rate_limits.record_failure("x", now)
        waits.append(round(rate_limits.retry_after("x", now).total_seconds() / 60))
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert rate_limits.retry_after("y", now) == timedelta(0)
    rate_limits.reset_count("x")
    assert rate_limits.retry_after("x", now) == timedelta(0)


def test_count_begins_anew_after_its_window(config):
    now = clock.now()
    assert [rate_limits.record_hit("x", now, 60) for _ in range(3)] == [1, 2, 3]
    assert rate_limits.hit_count("x", now + timedelta(seconds=59)) == 3
    assert rate_limits.hit_count("x", now + timedelta(seconds=61)) == 0
    assert rate_limits.record_hit("x", now + timedelta(seconds=61), 60) == 1


def test_file_of_limits_is_private_and_tells_nothing(config):
    rate_limits.record_hit("login:花子:192.0.2.0/24", clock.now())
    path = config.data / "limits.db"
    assert path.stat().st_mode & 0o777 == 0o600
    everything = b"".join(one.read_bytes() for one in config.data.glob("limits.db*"))
    assert b"192.0.2" not in everything and "花子".encode() not in everything


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::9", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        (None, "?"),
        ("x", "?"),
    ],
)
def test_network_of_an_address(address, network):
    assert rate_limits.client_network(address) == network


def test_practice_list_reaches_only_its_user(school):
    hanako = school.users["花子"]
    mine = accounts.ensure_practice_list(hanako, clock.now())
    accounts.ensure_practice_list(hanako, clock.now())
    rows = list(Membership.select().where(Membership.list == mine))
    assert [(row.person.address, row.state) for row in rows] == [("user1@school.example", "active")]


def test_practice_list_follows_a_new_address(school):
    hanako = school.users["花子"]
    accounts.ensure_practice_list(hanako, clock.now())
    accounts.change_account(hanako, email="aoyama.k@example.com", now=clock.now())
    rows = Membership.select().where(
        Membership.list == accounts.ensure_practice_list(User.get_by_id(hanako.id), clock.now())
    )
    assert [row.person_id for row in rows] == [school.people["青山 健太"].id]


def test_no_name_or_address_in_the_log(school, client, caplog):
    caplog.set_level(logging.INFO)
    client.post("/login", data={"name": "花子", "password": "wrong"})
    client.post("/password", data={"name": "花子"})
    scheduler.run_due_jobs(clock.now())
    assert Letter.select().count() == 1
    assert not re.search("花子|user1@", caplog.text)
