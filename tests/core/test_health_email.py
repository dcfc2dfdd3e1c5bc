"""The monthly 「元気です」 letter and the reminders of renewals: once each, to administrators, in their language."""

from datetime import UTC, date, datetime, timedelta

import pytest

import clock
from core.notices.rendering import service_form
from core.settings import load_settings, near_renewals
from core.system import health_email
from core.system.diagnostics import CheckResult
from models import Letter, Organization, User

READY = datetime(2026, 4, 2, 0, 0, tzinfo=UTC)
FIRST_OF_MAY = datetime(2026, 5, 1, 0, 0, tzinfo=UTC)  # 9:00 at the school
FINE = [CheckResult("disk", True, "9000 MB", ""), CheckResult("ptr", None, "mail.example.jp", "?")]
WRONG = [CheckResult("disk", False, "12 MB", "Make room: less than 500 MB are free."), *FINE]


@pytest.fixture
def house(school, monkeypatch) -> None:
    """A school that was set up on 2 April, whose machine is looked at without network."""
    Organization.update(set_up_at=READY).execute()
    monkeypatch.setattr(health_email, "collect_findings", lambda now: FINE)


def letters(*kinds: str) -> list[Letter]:
    return list(Letter.select().where(Letter.kind.in_(kinds)).order_by(Letter.id))


def words(letter: Letter) -> tuple[str, str]:
    form = service_form(letter, load_settings())
    return form.subject, form.text


def test_once_a_month_from_nine_on_the_first_day_to_administrators_only(house):
    for hours in range(0, 24 * 62, 1):
        health_email.send_due_emails(FIRST_OF_MAY - timedelta(hours=20) + timedelta(hours=hours))
    sent = letters("well", "unwell")
    assert [one.address for one in sent] == ["user0@school.example"] * 3
    assert [clock.to_local(one.made_at).strftime("%m-%d %H") for one in sent] == ["05-01 09", "06-01 09", "07-01 09"]


def test_a_machine_that_slept_through_the_first_day_writes_when_it_wakes(house):
    health_email.send_due_emails(FIRST_OF_MAY + timedelta(days=12))
    health_email.send_due_emails(FIRST_OF_MAY + timedelta(days=12, hours=1))
    assert len(letters("well")) == 1


@pytest.mark.parametrize("ready", [None, FIRST_OF_MAY - timedelta(days=3)])
def test_a_house_that_is_not_set_up_or_quite_new_is_left_in_peace(house, ready):
    Organization.update(set_up_at=ready).execute()
    health_email.send_due_emails(FIRST_OF_MAY + timedelta(hours=1))
    assert letters("well", "unwell") == []


def test_the_letter_says_what_is_wrong_first_and_what_to_do(house):
    health_email.send_health_email([User.get(User.name == "守")], WRONG, FIRST_OF_MAY)
    subject, text = words(letters("unwell")[0])
    assert subject == "【月の点検】確認が必要なことが1件あります"
    assert "× ディスクの空き: 12 MB" in text
    assert text.index("→") < text.index("○ ディスクの空き: 9000 MB")
    assert "/admin/health" in text


def test_the_letter_of_a_sound_house_names_the_dates(house):
    Organization.update(domain_until=date(2027, 3, 31)).execute()
    User.update(language="en").execute()
    health_email.send_health_email([User.get(User.name == "守")], FINE, FIRST_OF_MAY)
    subject, text = words(letters("well")[0])
    assert subject == "[Monthly] Kairan is well"
    assert "the domain: paid until" in text


def test_renewals_are_reminded_of_on_their_days_and_once_each(house):
    Organization.update(domain_until=date(2026, 8, 1), server_until=date(2026, 5, 20)).execute()
    for day in range(0, 95):
        for hour in (0, 5):
            health_email.send_renewal_reminders(FIRST_OF_MAY + timedelta(days=day, hours=hour))
    days = [(one.payload["what"], int(one.payload["days"])) for one in letters("renewal")]
    assert days == [
        ("サーバー", 19),
        ("サーバー", 14),
        ("サーバー", 7),
        ("サーバー", 1),
        ("ドメイン", 60),
        ("ドメイン", 30),
        ("ドメイン", 14),
        ("ドメイン", 7),
        ("ドメイン", 1),
    ]


def test_a_new_date_begins_anew(house):
    Organization.update(domain_until=date(2026, 5, 5)).execute()
    assert health_email.send_renewal_reminders(FIRST_OF_MAY) == 1
    Organization.update(domain_until=date(2027, 5, 5)).execute()
    assert health_email.send_renewal_reminders(FIRST_OF_MAY) == 0
    assert near_renewals(date(2026, 5, 1)) == []
    assert health_email.send_renewal_reminders(datetime(2027, 5, 1, tzinfo=UTC)) == 1
