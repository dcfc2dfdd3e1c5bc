"""Scheduler entry point: run every job whose due time has passed. `tasks` and `flask work --drain` call it."""

from datetime import datetime, timedelta

from core import clock_watch, quarantine
from core.accounts import login_links
from core.imports import jobs
from core.members import preference_page
from core.notices import drip, monthly_test, reminders, start
from core.signup import signup
from models import Notice, Reminder


def run_due_jobs(now: datetime) -> None:
    """Start everything whose time has come. Idempotent, also from several processes: the rows decide (law 1).

    A restored copy starts nothing until an administrator takes over.
    """
    if quarantine.is_active():
        return
    clock_watch.check_clock(now)
    start.start_due_notices(now)
    login_links.send_requested_links(now)
    preference_page.send_requested_links(now)
    signup.send_requested_links(now)
    preference_page.send_merge_links(now)
    reminders.start_due_reminders(now)
    signup.process_queued_signups(now)
    drip.send_due_steps(now)
    monthly_test.book_due_tests(now)
    jobs.process_import_jobs(now)  # the longest comes last


def upcoming_start_times(now: datetime) -> list[datetime]:
    """Return the moments within the next minute at which a notice or a reminder starts."""
    until = now + timedelta(minutes=1)
    notices = Notice.select(Notice.send_at).where(start.WAITS_FOR_START, Notice.send_at > now, Notice.send_at <= until)
    due_reminders = Reminder.select(Reminder.send_at).where(
        reminders.IS_WAITING, Reminder.send_at > now, Reminder.send_at <= until
    )
    return sorted({row.send_at for row in (*notices, *due_reminders)})
