"""Roles end by date, and nobody is surprised (T-38, field.md 5.3 no. 11)."""

from datetime import UTC, date, datetime, timedelta

import pytest

import tasks
from core.accounts import role_expiry, roles
from core.notices.rendering import service_form
from core.permissions import permissions_of
from core.settings import load_settings
from models import Letter, Role, User

MARCH_17 = datetime(2026, 3, 17, 0, 0, tzinfo=UTC)  # 9:00 at the school, fourteen days before the end
LAST_DAY = date(2026, 3, 31)


@pytest.fixture
def ending(school) -> User:
    """送る子's role ends on 31 March."""
    user = school.users["送る子"]
    Role.update(until=LAST_DAY).where(Role.user == user).execute()
    return user


def letters() -> list[tuple[str, str, str]]:
    """Return kind, address and text of the letters about ending roles."""
    rows = Letter.select().where(Letter.kind.in_(("role-ends", "roles-end"))).order_by(Letter.id)
    return [(one.kind, one.address, service_form(one, load_settings()).text) for one in rows]


def test_the_holder_and_the_administrators_are_told_fourteen_days_before_once(school, ending):
    """T-38."""
    assert role_expiry.notify_expiring_roles(MARCH_17 - timedelta(days=1)) == 0
    assert role_expiry.notify_expiring_roles(MARCH_17.replace(hour=0) - timedelta(hours=3)) == 0  # not in the night
    assert role_expiry.notify_expiring_roles(MARCH_17) == 1
    assert role_expiry.notify_expiring_roles(MARCH_17 + timedelta(hours=1)) == 0
    assert {(kind, address) for kind, address, _ in letters()} == {
        ("roles-end", "user0@school.example"),
        ("role-ends", "user3@school.example"),
    }
    assert all("送る子さん：送信者（1年1組）　3月31日(火)まで" in text for _, _, text in letters())


def test_another_day_is_told_anew(school, ending):
    role_expiry.notify_expiring_roles(MARCH_17)
    Role.update(until=LAST_DAY + timedelta(days=7)).where(Role.user == ending).execute()
    assert role_expiry.notify_expiring_roles(MARCH_17 + timedelta(days=7)) == 1
    assert len(letters()) == 4


def test_a_list_that_would_lose_its_last_manager_is_named(school, monkeypatch):
    """T-38: it is refused to begin with; where it comes to that all the same, not silently."""
    hanako = school.users["花子"]
    with pytest.raises(roles.LastManager):
        roles.grant_role(hanako, "manager", school.lists["1-1"].id, until=LAST_DAY, by=None)
    Role.update(until=LAST_DAY).where(Role.user == hanako).execute()
    role_expiry.notify_expiring_roles(MARCH_17)
    assert all("マネージャーがいなくなります" in text for _, _, text in letters())
    Role.update(told_until=None).execute()
    Letter.delete().execute()
    Role.create(user=school.users["見る子"], list_id=school.lists["2-1"].id, kind="manager")
    Role.create(user=school.users["太郎"], list_id=school.lists["1-1"].id, kind="manager")
    role_expiry.notify_expiring_roles(MARCH_17)
    assert letters() and not any("いなくなります" in text for _, _, text in letters())


def test_closed_accounts_and_roles_that_are_over_are_left_alone(school, ending):
    User.update(disabled_at=MARCH_17).where(User.id == ending.id).execute()
    Role.update(until=MARCH_17.date() - timedelta(days=1)).where(Role.user == school.users["花子"]).execute()
    assert role_expiry.notify_expiring_roles(MARCH_17) == 0
    User.update(disabled_at=None).where(User.id == ending.id).execute()
    assert role_expiry.notify_expiring_roles(MARCH_17) == 1


def test_the_role_counts_on_its_last_day_and_not_after(school, ending):
    assert permissions_of(ending, LAST_DAY).may("send")
    assert not permissions_of(ending, LAST_DAY + timedelta(days=1)).may("send")


def test_the_hourly_bell_rings_it(school, ending, monkeypatch):
    told = []
    assert role_expiry.notify_expiring_roles in tasks.HOURLY_JOBS
    monkeypatch.setattr(tasks, "HOURLY_JOBS", (told.append,))
    tasks._housekeeping()
    assert len(told) == 1
