"""The monthly reception test of a list: a notice scheduled automatically to find dead addresses (N-09).

It is an ordinary scheduled notice with read confirmation. Its owner gets the author's copy three days ahead and can
reschedule, edit or cancel it. People who never confirm: `core.reports.non_readers`.
"""

from calendar import monthrange
from datetime import date, datetime, time, timedelta

import clock
import i18n
from core import audit
from core.notices import approval, drafts
from core.notices.audience import resolve_audience
from core.settings import load_settings
from database import db
from i18n import N_
from models import MailingList, Notice, User

BOOK_AHEAD = timedelta(days=3)
MAX_DAY_OF_MONTH = 28
TEST_SUBJECT = N_("[Test] Does our mail reach you? (%(month)s)")
TEST_TEXT = N_(
    "Dear parents,\n"
    "\n"
    "This is our monthly test of the mail.\n"
    "When it has reached you, please open the link below and press “I have read this”. That is all.\n"
    "\n"
    "If your address is about to change, please tell us before you change it.\n"
    "\n"
    "%(organization)s\n"
)


def set_test_day(mailing_list: MailingList, by: User, day: int | None, minute: int) -> None:
    """Schedule monthly tests on a day (1 to 28) at a minute of the day; None: stop. Scheduled tests stay."""
    MailingList.update(monthly_test_day=day, monthly_test_minute=minute, monthly_test_user=by).where(
        MailingList.id == mailing_list.id
    ).execute()
    audit.log_action(by, "list.reception", mailing_list.id, detail={"day": day or 0})


def next_test_at(mailing_list: MailingList, now: datetime) -> datetime | None:
    """Return the start of the next test; None without monthly tests."""
    if not mailing_list.monthly_test_day:
        return None
    today = clock.to_local(now).date()
    at = _test_time(mailing_list, today.replace(day=1))
    booked = mailing_list.last_test_month
    if at <= now or booked == f"{today:%Y-%m}":
        at = _test_time(mailing_list, _next_month(today))
    return at


def _test_time(mailing_list: MailingList, first: date) -> datetime:
    minutes = mailing_list.monthly_test_minute
    day = first.replace(day=min(mailing_list.monthly_test_day or 1, MAX_DAY_OF_MONTH))
    return clock.from_local(datetime.combine(day, time(minutes // 60, minutes % 60)))


def _next_month(day: date) -> date:
    return day.replace(day=1) + timedelta(days=monthrange(day.year, day.month)[1])


def book_due_tests(now: datetime) -> list[int]:
    """Schedule the tests of the next three days; return the ids of the notices. Idempotent by list and month."""
    lists = MailingList.select().where(MailingList.monthly_test_day.is_null(False), MailingList.closed_at.is_null())
    booked = []
    for mailing_list in list(lists):
        at = next_test_at(mailing_list, now)
        if at is not None and at - now <= BOOK_AHEAD and (notice := _book_test(mailing_list, at, now)):
            booked.append(notice.id)
    return booked


def _book_test(mailing_list: MailingList, at: datetime, now: datetime) -> Notice | None:
    """Schedule one test. None if another process did, or the list reaches no person."""
    month = f"{clock.to_local(at):%Y-%m}"
    with db.atomic():
        unbooked = (MailingList.id == mailing_list.id) & (MailingList.last_test_month != month)
        if not MailingList.update(last_test_month=month).where(unbooked).execute():
            return None
        notice = _create_test_notice(mailing_list, at, now)
        audience = resolve_audience(notice)
        if not audience.receiving:
            drafts.delete_draft(notice, None)
            return None
        return approval.confirm_send(
            notice, by=notice.by, fingerprint=audience.fingerprint, now=now, at=at, typed=str(audience.letters)
        )


def _create_test_notice(mailing_list: MailingList, at: datetime, now: datetime) -> Notice:
    settings, by = load_settings(), mailing_list.monthly_test_user
    notice = drafts.create_draft(by if by and by.is_active else None, now=now, route="monthly")
    month = i18n.format_month(settings.language, clock.to_local(at).date())
    drafts.save_draft(
        notice,
        now=now,
        read_confirmation=True,
        subject=i18n.say(settings.language, TEST_SUBJECT, month=month),
        text=i18n.say(settings.language, TEST_TEXT, organization=settings.name),
    )
    drafts.set_recipients(notice, lists=[mailing_list.id], now=now)
    return notice
