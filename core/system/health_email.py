"""Kairan looks after itself: the monthly 「元気です」 letter, and reminders before domain or server run out.

Nobody logs in to look at a server that works; a letter that fails to come is the alarm (field 5.3 no. 12).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import clock
import i18n
from config import current_config
from core import audit
from core.accounts import who_can
from core.notifications.notify import notify_users
from core.settings import load_settings
from i18n import N_
from models import Organization, User

MIN_INSTALL_AGE = timedelta(days=7)
"""So long after the set-up begins the month that gets its first letter: a new house has been looked at anyway."""
SEND_HOUR = 9
REMIND_DAYS_BEFORE = (60, 30, 14, 7, 1)
CHECK_NAMES = {
    "dkim": N_("DNS: the key of the signature (DKIM)"),
    "spf": N_("DNS: who may send (SPF)"),
    "dmarc": N_("DNS: what others do with forgeries (DMARC)"),
    "mx": N_("DNS: where mail comes in (MX)"),
    "ptr": N_("DNS: the reverse name (PTR)"),
    "smtp": N_("Mail server"),
    "incoming": N_("Incoming mail"),
    "disk": N_("Free disk space"),
    "clock": N_("Clock"),
    "queue": N_("Letters that wait"),
    "base_url": N_("Address of the pages"),
    "certificate": N_("Certificate of the pages"),
    "backup": N_("Backup"),
}
STATUS_MARKS = {True: "○", False: "×", None: "－"}
RENEWAL_NAMES = {"domain": N_("the domain"), "server": N_("the server")}


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """One matter: its name, fine or not (None: could not be asked), what was found, what to do (source strings)."""

    kind: str
    ok: bool | None
    found: str
    advice: str

    @property
    def name(self) -> str:
        return CHECK_NAMES.get(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class Renewal:
    """Something that must be paid again: domain or server, until which day, in how many days."""

    kind: str
    until: date
    days: int


def collect_findings(now: datetime) -> list[HealthFinding]:
    """Examine DNS, mail server, disk, clock, queue and certificate, what is wrong first. Asks the network."""
    from core.system import diagnostics  # once a month: the clock's process does not keep a resolver in memory for it

    report = diagnostics.run_diagnostics(current_config(), load_settings(), now)
    records = [
        HealthFinding(one["kind"], one["ok"], "、".join(one["found"] or []) or one["name"], one["advice"])
        for one in report["records"]
    ]
    checks = [HealthFinding(one["kind"], one["ok"], one["found"], one["advice"]) for one in report["checks"]]
    return sorted([*checks, *records], key=lambda one: one.ok is not False)


def list_renewals(today: date) -> list[Renewal]:
    """Return what must be renewed, the nearest first; nothing for dates that nobody has entered."""
    house = Organization.load_row()
    dates = (("domain", house.domain_until), ("server", house.server_until))
    return sorted(
        (Renewal(kind, until, (until - today).days) for kind, until in dates if until), key=lambda one: one.until
    )


def near_renewals(today: date, within: int = 30) -> list[Renewal]:
    """Return what must be renewed within so many days, or should have been."""
    return [one for one in list_renewals(today) if one.days <= within]


# ── by itself ────────────────────────────────────────────────────────────────────────────────────────────────────


def send_due_emails(now: datetime) -> None:
    """Send the letters whose day has come, each once. Asks the network at most once a month."""
    send_renewal_reminders(now)
    if is_email_due(now):
        send_monthly_email(now)


def is_email_due(now: datetime) -> bool:
    """Say whether this month's letter has not been sent: from 9:00 on its first day, a week after the set-up."""
    house, local = Organization.load_row(), clock.to_local(now)
    first = clock.from_local(datetime(local.year, local.month, 1, SEND_HOUR))  # noqa: DTZ001  made aware at once
    settled = house.set_up_at is not None and house.set_up_at + MIN_INSTALL_AGE < first
    return settled and first <= now and house.last_health_email != _month(now)


def _month(now: datetime) -> str:
    return clock.to_local(now).strftime("%Y-%m")


def send_monthly_email(now: datetime) -> int:
    """Examine everything and write to the administrators; return to how many. Once a month, whoever comes second."""
    taken = (
        Organization.update(last_health_email=_month(now))
        .where(Organization.last_health_email != _month(now))
        .execute()
    )
    return send_health_email(who_can.administrators(), collect_findings(now), now) if taken else 0


def send_health_email(users: list[User], found: list[HealthFinding], now: datetime) -> int:
    """Send the letter to some users, whatever the month; return how many letters."""
    wrong, today = sum(one.ok is False for one in found), clock.to_local(now).date()
    written = notify_users(
        "unwell" if wrong else "well",
        users,
        now,
        wrong=wrong,
        url=f"{load_settings().base_url}/admin/health",
        lines=lambda language: "\n".join(_finding_lines(language, found, today)),
    )
    audit.log_action(None, "organization.well", detail={"letters": written, "wrong": wrong})
    return written


def _finding_lines(language: str, found: list[HealthFinding], today: date) -> Iterator[str]:
    for one in found:
        yield f"{STATUS_MARKS[one.ok]} {i18n.say(language, one.name)}: {one.found}"
        if one.advice and one.ok is False:
            yield f"   → {i18n.say(language, one.advice)}"
    for one in list_renewals(today):
        yield i18n.say(
            language,
            N_("%(what)s: paid until %(day)s"),
            what=i18n.say(language, RENEWAL_NAMES[one.kind]),
            day=i18n.format_day(language, one.until),
        )


def send_renewal_reminders(now: datetime) -> int:
    """Remind the administrators 60, 30, 14, 7 days and a day before a renewal date; return how many letters."""
    house, today = Organization.load_row(), clock.to_local(now).date()
    reached = {mark: one for one in list_renewals(today) if (mark := _reminder_mark(one))}
    told = set(house.renewal_reminders_sent.split())
    fresh = [one for mark, one in reached.items() if mark not in told]
    if reached.keys() == told:
        return 0
    before = Organization.renewal_reminders_sent == house.renewal_reminders_sent
    if not Organization.update(renewal_reminders_sent=" ".join(sorted(reached))).where(before).execute():
        return 0
    return sum(_send_renewal_reminder(one, now) for one in fresh)


def _reminder_mark(one: Renewal) -> str:
    """Return a mark of the nearest reminder that is due, so that each is sent once for each date; "" if none is."""
    step = min((days for days in REMIND_DAYS_BEFORE if one.days <= days), default=None)
    return f"{one.kind}:{one.until.isoformat()}:{step}" if step is not None and one.days >= 0 else ""


def _send_renewal_reminder(one: Renewal, now: datetime) -> int:
    written = notify_users(
        "renewal",
        who_can.administrators(),
        now,
        what=lambda language: i18n.say(language, RENEWAL_NAMES[one.kind]),
        days=one.days,
        day=lambda language: i18n.format_day(language, one.until),
        url=f"{load_settings().base_url}/admin/health",
    )
    audit.log_action(None, "organization.renewal", detail={"what": one.kind, "days": one.days})
    return written
