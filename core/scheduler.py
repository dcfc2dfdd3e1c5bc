"""Whatever the clock brings: the one list of what becomes due by itself, for the bell and for `flask work --drain`."""

from datetime import datetime, timedelta

from core.delivery import lifecycle
from core.imports import job_runner
from core.notices import drip, monthly_test, reminders
from core.signup import signup
from models import Notice, Reminder


def run_due_jobs(now: datetime) -> None:
    """Begin everything whose time has come. Safe to repeat, and from several processes: the rows decide (law 1)."""
    lifecycle.start_due_notices(now)
    reminders.start_due_reminders(now)
    signup.process_queued_signups(now)
    drip.send_due_steps(now)
    monthly_test.book_due_tests(now)
    job_runner.process_import_jobs(now)  # the longest comes last


def upcoming_start_times(now: datetime) -> list[datetime]:
    """Return the moments within the next minute at which a notice or a reminder begins."""
    until = now + timedelta(minutes=1)
    notices = Notice.select(Notice.send_at).where(
        (Notice.state == "scheduled") | ((Notice.state == "held") & (Notice.hold_reason == "window")),
        Notice.send_at > now,
        Notice.send_at <= until,
    )
    again = Reminder.select(Reminder.send_at).where(
        Reminder.state == "waiting", Reminder.send_at > now, Reminder.send_at <= until
    )
    return sorted({one.send_at for one in (*notices, *again)})
