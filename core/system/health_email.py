"""The monthly health e-mail 「元気です」, and reminders before domain or server must be renewed.

Nobody logs in to check a server that works; a missing e-mail is the alarm (field 5.3 no. 12).
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import clock
import i18n
from config import current_config
from core import audit
from core.accounts import who_can
from core.notifications.notify import notify_users
from core.settings import RENEWAL_NAMES, Renewal, list_renewals, load_settings
from i18n import N_
from models import Organization, User

if TYPE_CHECKING:
    from core.system.diagnostics import CheckResult

MIN_INSTALL_AGE = timedelta(days=7)
"""A month that begins sooner after set-up gets no e-mail."""
SEND_HOUR = 9
REMIND_DAYS_BEFORE = (60, 30, 14, 7, 1)
STATUS_MARKS = {True: "○", False: "×", None: "－"}


def collect_findings(now: datetime) -> "list[CheckResult]":
    """Run all diagnostics, failed checks first. Uses the network."""
    from core.system import diagnostics  # loads a DNS resolver, which the scheduler needs once a month

    return diagnostics.list_results(current_config(), load_settings(), now)


def send_due_emails(now: datetime) -> None:
    """Send the e-mails that are due, each once. Uses the network at most once a month."""
    send_renewal_reminders(now)
    if is_email_due(now):
        send_monthly_email(now)


def is_email_due(now: datetime) -> bool:
    """Tell whether this month's e-mail is due and not sent: from 9:00 on the first day, a week after set-up."""
    row, local = Organization.load_row(), clock.to_local(now)
    first = clock.from_local(datetime(local.year, local.month, 1, SEND_HOUR))  # noqa: DTZ001  made aware at once
    settled = row.set_up_at is not None and row.set_up_at + MIN_INSTALL_AGE < first
    return settled and first <= now and row.last_health_email != _month(now)


def _month(now: datetime) -> str:
    return clock.to_local(now).strftime("%Y-%m")


def send_monthly_email(now: datetime) -> int:
    """Run diagnostics and notify the administrators, once a month; return how many letters. Safe for two processes."""
    claimed = (
        Organization.update(last_health_email=_month(now))
        .where(Organization.last_health_email != _month(now))
        .execute()
    )
    return send_health_email(who_can.administrators(), collect_findings(now), now) if claimed else 0


def send_health_email(users: list[User], results: "list[CheckResult]", now: datetime) -> int:
    """Send the health e-mail to these users in any month; return how many letters."""
    failed, today = sum(result.ok is False for result in results), clock.to_local(now).date()
    letters = notify_users(
        "unwell" if failed else "well",
        users,
        now,
        wrong=failed,
        url=f"{load_settings().base_url}/admin/health",
        lines=lambda language: "\n".join(_result_lines(language, results, today)),
    )
    audit.log_action(None, "organization.well", detail={"letters": letters, "wrong": failed})
    return letters


def _result_lines(language: str, results: "list[CheckResult]", today: date) -> Iterator[str]:
    for result in results:
        yield f"{STATUS_MARKS[result.ok]} {i18n.say(language, result.name)}: {result.found}"
        if result.advice and result.ok is False:
            yield f"   → {i18n.say(language, result.advice)}"
    for renewal in list_renewals(today):
        yield i18n.say(
            language,
            N_("%(what)s: paid until %(day)s"),
            what=i18n.say(language, RENEWAL_NAMES[renewal.kind]),
            day=i18n.format_day(language, renewal.until),
        )


def send_renewal_reminders(now: datetime) -> int:
    """Remind the administrators 60, 30, 14, 7 days and one day before a renewal; return how many letters.

    `renewal_reminders_sent` holds the marks of the reminders that were sent: each goes out once per date.
    """
    row, today = Organization.load_row(), clock.to_local(now).date()
    due = {mark: renewal for renewal in list_renewals(today) if (mark := _reminder_mark(renewal))}
    sent = set(row.renewal_reminders_sent.split())
    if due.keys() == sent:
        return 0
    unchanged = Organization.renewal_reminders_sent == row.renewal_reminders_sent
    if not Organization.update(renewal_reminders_sent=" ".join(sorted(due))).where(unchanged).execute():
        return 0
    return sum(_send_renewal_reminder(renewal, now) for mark, renewal in due.items() if mark not in sent)


def _reminder_mark(renewal: Renewal) -> str:
    """Return the mark of the nearest reminder that is due, "" if none is."""
    step = min((days for days in REMIND_DAYS_BEFORE if renewal.days <= days), default=None)
    return f"{renewal.kind}:{renewal.until.isoformat()}:{step}" if step is not None and renewal.days >= 0 else ""


def _send_renewal_reminder(renewal: Renewal, now: datetime) -> int:
    letters = notify_users(
        "renewal",
        who_can.administrators(),
        now,
        what=lambda language: i18n.say(language, RENEWAL_NAMES[renewal.kind]),
        days=renewal.days,
        day=lambda language: i18n.format_day(language, renewal.until),
        url=f"{load_settings().base_url}/admin/health",
    )
    audit.log_action(None, "organization.renewal", detail={"what": renewal.kind, "days": renewal.days})
    return letters
