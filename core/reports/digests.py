"""E-mail digests of reads, answers, openings and clicks, at set times (D-18, D-20, D-32 to D-35).

The recipient is the user in whose name a letter went out: the author, the chosen user, or each class teacher. One letter
gathers all notices of a user and a frequency. It names no reader; the linked page does.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import JOIN

import clock
import i18n
from core.notices import merge_fields, sender_names
from core.notifications.notify import notify
from core.responses import tracking
from core.settings import load_settings
from database import db
from i18n import N_
from models import Answer, Delivery, DigestSubscription, Notice, User

REOPEN_AFTER = timedelta(hours=1)
"""Opened again within the hour of the opening before it: the same reading, not told (D-35)."""


@dataclass(frozen=True, slots=True)
class ResponseEvent:
    """A reader's act; `kind`: read, answer, open, reopen or click."""

    delivery: int
    kind: str
    at: datetime


def events_by_notice(notices: Iterable[int]) -> dict[int, list[ResponseEvent]]:
    """Return the events by notice in four queries; machines are left out."""
    numbers = list(notices)
    found: dict[int, list[ResponseEvent]] = defaultdict(list)
    for delivery in Delivery.select().where(Delivery.notice.in_(numbers), Delivery.read_at.is_null(False)):
        found[delivery.notice_id].append(ResponseEvent(delivery.id, "read", delivery.read_at))
    standing = Answer.by.is_null() & Answer.superseded_at.is_null()
    answers = Answer.select(Answer, Delivery).join(Delivery).where(Delivery.notice.in_(numbers), standing)
    for answer in answers:
        found[answer.delivery.notice_id].append(ResponseEvent(answer.delivery_id, "answer", answer.at))
    for notice, some in tracking.load_events(numbers).items():
        found[notice] += _opens_and_clicks(some)
    return found


def _opens_and_clicks(some: list[tracking.TrackingEvent]) -> Iterable[ResponseEvent]:
    """Turn fetches into openings and clicks; a proxy fetch counts as an opening."""
    last: dict[int, datetime] = {}
    for event in some:
        if event.by == "machine":
            continue
        if event.page != "o":
            yield ResponseEvent(event.delivery, "click", event.at)
            continue
        before = last.get(event.delivery)
        last[event.delivery] = event.at
        if before is None:
            yield ResponseEvent(event.delivery, "open", event.at)
        elif event.at - before > REOPEN_AFTER:
            yield ResponseEvent(event.delivery, "reopen", event.at)


SEND_HOUR = 8
"""Of the morning at which daily, weekly (Monday) and monthly (the first) letters go."""
MAX_NOTICE_AGE = timedelta(days=100)
"""Older notices are not looked at any more; openings and clicks are deleted after 90 days anyway."""
TITLES = {
    "hourly": N_("[Hourly] What came back, %(when)s"),
    "daily": N_("[Daily] What came back, %(when)s"),
    "weekly": N_("[Weekly] What came back, %(when)s"),
    "monthly": N_("[Monthly] What came back, %(when)s"),
}
LINES = {
    "read": N_("confirmed: %(n)s more"),
    "answer": N_("answered: %(n)s more"),
    "open": N_("opened for the first time: about %(n)s"),
    "reopen": N_("opened once more: about %(n)s"),
    "click": N_("links opened: %(n)s times"),
}


# ── times ────────────────────────────────────────────────────────────────────────────────────────────────────────


def last_due_time(timing: str, now: datetime) -> datetime:
    """Return the last due time of this frequency, which may be now."""
    local = clock.to_local(now)
    if timing == "hourly":
        return clock.from_local(local.replace(minute=0, second=0, microsecond=0, tzinfo=None))
    morning = local.replace(hour=SEND_HOUR, minute=0, second=0, microsecond=0, tzinfo=None)
    if timing == "weekly":
        morning -= timedelta(days=morning.weekday())
    elif timing == "monthly":
        morning = morning.replace(day=1)
    if clock.from_local(morning) > now:
        morning = _previous_due_time(timing, morning)
    return clock.from_local(morning)


def _previous_due_time(timing: str, morning: datetime) -> datetime:
    if timing == "monthly":
        return (morning - timedelta(days=1)).replace(day=1)
    return morning - timedelta(days=7 if timing == "weekly" else 1)


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────


def send_due_digests(now: datetime) -> int:
    """Send every due digest; return how many. Idempotent: the reported time is saved with the letter."""
    due: dict[tuple[int, str], list[DigestSubscription]] = defaultdict(list)
    for row in _select_open_digests(now):
        if row.told_until < last_due_time(row.timing, now):
            due[row.user_id, row.timing].append(row)
    if not due:
        return 0
    facts = events_by_notice({row.notice_id for rows in due.values() for row in rows})
    return sum(_send_digest(rows, facts, last_due_time(timing, now), now) for (_, timing), rows in sorted(due.items()))


def _select_open_digests(now: datetime) -> Iterable[DigestSubscription]:
    return (
        DigestSubscription.select(DigestSubscription, Notice, User)
        .join(Notice)
        .switch(DigestSubscription)
        .join(User)
        .where(Notice.started_at > now - MAX_NOTICE_AGE, User.disabled_at.is_null(), User.email.is_null(False))
        .order_by(DigestSubscription.notice.desc(), DigestSubscription.id)
    )


def _send_digest(
    rows: list[DigestSubscription], facts: dict[int, list[ResponseEvent]], until: datetime, now: datetime
) -> int:
    """Mark one user's events as reported and send the letter if there are any; return 0 or 1."""
    with db.atomic():
        fresh = [row for row in rows if _claim_row(row, until)]
        user = rows[0].user
        lines = [line for notice, some in _by_notice(fresh) for line in _notice_lines(notice, some, facts, until, user)]
        if not lines:
            return 0
        title = i18n.say(user.language, TITLES[rows[0].timing], when=i18n.format_day(user.language, until))
        notify("digest", user, now, title=title, lines="\n".join(lines).strip("\n"))
    return 1


def _claim_row(row: DigestSubscription, until: datetime) -> bool:
    mine = (DigestSubscription.id == row.id) & (DigestSubscription.told_until == row.told_until)
    return bool(DigestSubscription.update(told_until=until).where(mine).execute())


def _by_notice(rows: list[DigestSubscription]) -> Iterator[tuple[Notice, list[DigestSubscription]]]:
    found: dict[int, list[DigestSubscription]] = defaultdict(list)
    for row in rows:
        found[row.notice_id].append(row)
    for some in found.values():
        yield some[0].notice, some


def _notice_lines(
    notice: Notice, rows: list[DigestSubscription], facts: dict[int, list[ResponseEvent]], until: datetime, user: User
) -> Iterator[str]:
    """Return the lines about one notice: none, or subject, news and URL."""
    mine = _deliveries_for_user(notice, user)
    news = []
    for row in rows:
        count = sum(
            one.kind == row.kind and row.told_until < one.at <= until and one.delivery in mine
            for one in facts.get(notice.id, ())
        )
        if count:
            news.append("  " + i18n.say(user.language, LINES[row.kind], n=count))
    if news:
        yield from (merge_fields.display_subject(notice), *news)
        yield f"{load_settings().base_url}/notices/{notice.id}/board"
        yield ""


def _deliveries_for_user(notice: Notice, user: User) -> set[int]:
    """Return the deliveries about which this user is informed (D-18)."""
    rows = (
        Delivery.select(Delivery, User)
        .join(User, JOIN.LEFT_OUTER, on=(Delivery.class_teacher == User.id))
        .where(Delivery.notice == notice)
    )
    found = set()
    for row in rows:
        row.notice = notice
        told = sender_names.response_recipient(row)
        if told is not None and told.id == user.id:
            found.add(row.id)
    return found
