"""Every letter that a person can cause has a limit, for the user and kind and for the target address."""

import ast
import re

import pytest

import clock
from core.inbound import allowed_senders
from core.notifications import letter_limits
from core.notifications.letter_limits import PER_ADDRESS, PER_USER_AND_HOUR, Caused, TooManyLetters, count_letter
from models import Letter, MailingList, User
from tests.architecture.test_dependencies import MODULES
from tests.cast import PASSWORD

COUNTED = "letter_limits"
OWN_LIMIT = "rate_limits"
SENT_BY = {
    "core.accounts.change_email": COUNTED,
    "core.accounts.devices": OWN_LIMIT,
    "core.accounts.login_links": COUNTED,
    "core.accounts.role_expiry": "scheduled",
    "core.accounts.second_factor": OWN_LIMIT,
    "core.delivery.alerts": OWN_LIMIT,
    "core.inbound.allowed_senders": COUNTED,
    "core.inbound.post_by_mail": OWN_LIMIT,
    "core.inbound.replies": OWN_LIMIT,
    "core.members.change_requests": OWN_LIMIT,
    "core.members.members": COUNTED,
    "core.members.preference_page": OWN_LIMIT,
    "core.members.unsubscribe": OWN_LIMIT,
    "core.notices.approval": COUNTED,
    "core.notices.author_copy": COUNTED,
    "core.reports.digests": "scheduled",
    "core.reports.undeliverable": "scheduled",
    "core.responses.misdirected": OWN_LIMIT,
    "core.retention.purge": "scheduled",
    "core.signup.emails": COUNTED,
    "core.system.health_email": "scheduled",
    "core.system.mail_settings": COUNTED,
    "core.system.nightly_backup": OWN_LIMIT,
    "blueprints.admin.mail_setup": COUNTED,
}
"""Modules that make service letters, and what limits them. `health_email` is also sent by a button, counted there."""


def test_every_module_that_makes_service_letters_says_what_limits_them():
    found = {}
    for module, path in MODULES.items():
        source = path.read_text("utf-8")
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if calls & {"notify", "notify_users"} and module != "core.notifications.notify":
            limit = next((name for name in (COUNTED, OWN_LIMIT) if re.search(rf"\b{name}\b", source)), "")
            found[module] = SENT_BY.get(module) if SENT_BY.get(module) == "scheduled" else limit
    assert found == SENT_BY


@pytest.mark.parametrize("kind", list(Caused))
def test_each_kind_has_a_limit_of_its_own_that_ends(kind, school):
    user, now = school.users["花子"], clock.now()
    for _ in range(PER_USER_AND_HOUR[kind]):
        count_letter(kind, user, None, now)
    with pytest.raises(TooManyLetters) as refused:
        count_letter(kind, user, None, now)
    assert refused.value.values == {"minutes": 60}
    others = [other for other in Caused if other is not kind]
    assert all(letter_limits.allows_letter(other, user, None, now) for other in others)
    assert letter_limits.allows_letter(kind, school.users["守"], None, now)
    clock.set_offset(3601)
    count_letter(kind, user, None, clock.now())


def test_one_address_gets_no_more_whoever_asks_and_whatever_for(school):
    (_, hourly), (_, daily) = PER_ADDRESS
    users, kinds = list(school.users.values()), list(Caused)
    sent, address = 0, "victim@example.net"
    for hour in range(4):
        clock.set_offset(hour * 3601)
        for number in range(hourly + 3):
            by, kind = users[number % len(users)], kinds[number % len(kinds)]
            sent += letter_limits.allows_letter(kind, by, address, clock.now())
    assert sent <= daily
    with pytest.raises(TooManyLetters) as refused:
        count_letter(Caused.INVITATION, None, "VICTIM@example.net", clock.now())
    assert 1 <= refused.value.values["hours"] <= 24
    assert letter_limits.allows_letter(Caused.INVITATION, None, "other@example.net", clock.now())


def letters(kind: str) -> int:
    return Letter.select().where(Letter.kind == kind).count()


def test_trial_letters_to_a_typed_address_end_with_the_time_of_the_next(school, as_, monkeypatch):
    mailing_list = MailingList.get_by_id(school.lists["1-1"].id)
    sender = allowed_senders.add_sender(mailing_list, None, "victim@example.net", "", clock.now())
    browser, page = as_("守"), f"/lists/{mailing_list.id}/senders/{sender.id}/trial"
    answers = [browser.post(page) for _ in range(25)]
    assert [answer.status_code for answer in answers] == [303] * 9 + [429] * 16
    assert letters("sender") == 10
    assert "60分" in answers[-1].text


def test_test_letters_to_a_member_end(school, as_):
    person, browser = school.people["青山 健太"], as_("守")
    answers = [browser.post(f"/members/{person.id}/test").status_code for _ in range(25)]
    assert answers == [303] * 10 + [429] * 15 and letters("test") == 10


def test_letters_to_a_new_address_of_an_account_end(school, as_):
    browser = as_("花子")
    answers = [
        browser.post("/account/email", data={"email": f"new{number}@example.net", "password": PASSWORD})
        for number in range(8)
    ]
    assert [answer.status_code for answer in answers] == [303] * 5 + [422] * 3 and letters("email") == 5
    assert "60分" in answers[-1].text
    assert User.get(User.name == "花子").pending_email == "new4@example.net"
