"""The purge of decision 15: letters, answers and tokens are deleted thirty days after the school year.

Summaries and unsubscribe links remain (`core.reports.summaries`, `core.retention.expired_links`). Administrators are warned
two weeks before. The hourly task deletes in short transactions and yields to waiting letters. It can be killed at any
moment: a notice is closed, then summarized, then deleted.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from peewee import Field, ModelSelect, fn

import clock
import config as ground
import i18n
from core import audit
from core.accounts import who_can
from core.notifications.notify import notify_users
from core.reports import stats, summaries
from core.responses import tracking
from core.retention import expired_links
from core.settings import load_settings, purge_starts_at
from database import bulk_insert, db, due_letters
from models import (
    PENDING_STATES,
    AuditLog,
    BaseModel,
    Child,
    Delivery,
    InboundMessage,
    Letter,
    LetterState,
    Membership,
    Notice,
    NoticeState,
    NoticeStats,
    Organization,
    Person,
    Reminder,
    ReminderState,
    Rollover,
    RolloverState,
    StepSent,
)

PURGE_AFTER = timedelta(days=30)
WARN_BEFORE = timedelta(days=14)
CHUNK_SIZE = 200
"""Readers in one transaction: some hundredths of a second."""
MAX_RUN_S = 5.0
PAUSE_S = 0.02
"""Between two transactions, so that a sender that waits for the database gets it."""
BREACH_EVIDENCE_KEPT = timedelta(days=60)
"""So long the law leaves for the final report of a leak (個人情報保護法; field 3.2): until then its evidence stays."""
ENDED_STATES = (NoticeState.SENT, NoticeState.STOPPED, NoticeState.WITHDRAWN)


def school_year_start(year: int) -> datetime:
    return clock.from_local(datetime(year, 4, 1))  # noqa: DTZ001  made aware at once


def default_purge_date(year: int) -> datetime:
    """Return when notices sent before a school year are deleted."""
    return school_year_start(year) + PURGE_AFTER


def next_purge_date(now: datetime) -> datetime:
    """Return the expected date of the next purge."""
    year = clock.school_year(clock.to_local(now).date())
    if told := purge_starts_at(now):
        return told
    if Organization.load_row().purge_before_year < year and purgeable_notices(year).exists():
        return max(default_purge_date(year), now + WARN_BEFORE)
    return default_purge_date(year) if now < default_purge_date(year) else default_purge_date(year + 1)


def is_purging(now: datetime) -> bool:
    """Say whether a purge is in progress."""
    house, year = Organization.load_row(), clock.school_year(clock.to_local(now).date())
    return house.purge_before_year >= year and not purge_starts_at(now) and purgeable_notices(year).exists()


def purgeable_notices(year: int) -> "ModelSelect[Notice]":
    """Select notices from before a school year that still have letters."""
    return Notice.select().where(
        Notice.kind != "step",
        Notice.state.in_(ENDED_STATES),
        Notice.started_at < school_year_start(year),
        Notice.purged_at.is_null() | fn.EXISTS(Delivery.select(Delivery.id).where(Delivery.notice == Notice.id)),
    )


def purged_notices() -> "ModelSelect[Notice]":
    """Select the purged notices, the last one first."""
    return Notice.select().where(Notice.purged_at.is_null(False)).order_by(Notice.purged_at.desc())


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────


def warn_administrators(now: datetime) -> int:
    """Warn administrators two weeks before a purge; once a year. Return the number of letters."""
    year = clock.school_year(clock.to_local(now).date())
    house = Organization.load_row()
    if (
        house.purge_before_year >= year
        or now < default_purge_date(year) - WARN_BEFORE
        or not purgeable_notices(year).exists()
    ):
        return 0
    at = max(default_purge_date(year), now + WARN_BEFORE)
    mine = Organization.purge_before_year < year
    if not Organization.update(purge_before_year=year, purge_starts_at=at).where(mine).execute():
        return 0
    audit.log_action(None, "house.forgetting_told", detail={"year": year})
    return notify_users(
        "forgetting",
        who_can.administrators(),
        now,
        day=lambda language: i18n.format_day(language, clock.to_local(at).date()),
        notices=purgeable_notices(year).count(),
        begin=lambda language: i18n.format_day(language, school_year_start(year)),
        url=f"{load_settings().base_url}/admin/keeping",
    )


# ── deleting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def run_purge(now: datetime, *, seconds: float = MAX_RUN_S, pause: Callable[[float], object] = time.sleep) -> int:
    """Delete what is due for this many seconds; return the number of rows. Idempotent, safe to kill."""
    house = Organization.load_row()
    if house.purge_starts_at is None or now < house.purge_starts_at:
        return 0
    border, end, gone = school_year_start(house.purge_before_year), time.monotonic() + seconds, 0
    _reserve_letter_ids(border, now)
    for rows in _purge_steps(house.purge_before_year, border, now):
        gone += rows
        if time.monotonic() > end or is_queue_busy(now):
            break
        if rows:
            pause(PAUSE_S)
    return gone


def is_queue_busy(now: datetime) -> bool:
    """Say whether letters are due or in sending; then the purge waits an hour."""
    return bool(due_letters(now, 1)) or Letter.select().where(Letter.state == LetterState.SENDING).exists()


def _purge_steps(year: int, border: datetime, now: datetime) -> Iterator[int]:
    """Yield the number of rows deleted by each transaction."""
    if is_queue_busy(now):
        return
    for notice in list(purgeable_notices(year).order_by(Notice.started_at)):
        if _still_needed(notice, now):
            continue
        _close_and_summarize(notice, now)
        yield 0
        yield from _repeat_until_empty(partial(_delete_next_deliveries, notice))
        audit.log_action(None, "notice.forgotten", notice.id)
    for notice, last in _old_drip_notices(border):
        yield from _repeat_until_empty(partial(_delete_drip_deliveries, notice, last))
    service_letters = (Letter.delivery.is_null(), Letter.made_at < border, Letter.state.not_in(PENDING_STATES))
    yield from _repeat_until_empty(lambda: _delete_rows(Letter, *service_letters))
    yield from _repeat_until_empty(lambda: _delete_rows(InboundMessage, InboundMessage.at < border))
    if (
        not Rollover.select().where(Rollover.state == RolloverState.ENDED).exists()
    ):  # its classes wait for who was in them
        yield from _repeat_until_empty(lambda: _delete_left_memberships(border))
    over = Rollover.state.in_((RolloverState.DONE, RolloverState.UNDONE)) & (Rollover.done_at < border)
    Rollover.update(undo={}, roster={}).where(over).execute()
    _delete_old_backups(now)


def _repeat_until_empty(step: Callable[[], int]) -> Iterator[int]:
    while rows := step():
        yield rows


def _still_needed(notice: Notice, now: datetime) -> bool:
    """Say whether a notice has pending letters, a waiting reminder or an open breach assessment."""
    looked = AuditLog.select().where(
        AuditLog.at > now - BREACH_EVIDENCE_KEPT,
        AuditLog.number == notice.id,
        AuditLog.action.startswith("notice.incident"),
    )
    if looked.exists():
        return True
    going = Letter.select().where(Letter.notice == notice, Letter.is_current == True, Letter.state.in_(PENDING_STATES))
    return (
        going.exists()
        or Reminder.select().where(Reminder.notice == notice, Reminder.state == ReminderState.WAITING).exists()
    )


def _close_and_summarize(notice: Notice, now: datetime) -> None:
    """Close the readers' pages, then summarize, so that no answer comes in between. Idempotent."""
    if not notice.purged_at:
        Notice.update(purged_at=now, serial=Notice.serial + 1).where(
            Notice.id == notice.id, Notice.purged_at.is_null()
        ).execute()
    if NoticeStats.select().where(NoticeStats.notice == notice, NoticeStats.kept.is_null(False)).exists():
        return
    tracking.store_totals(notice)
    fresh = Notice.get_by_id(notice.id)
    stats.refresh_totals(fresh, now, again=True)
    stays = summaries.build_summary(fresh, stats.read_curve(fresh) if fresh.read_confirmation else [])
    NoticeStats.update(kept=stays, fixed=True).where(NoticeStats.notice == notice, NoticeStats.kept.is_null()).execute()


def _delete_next_deliveries(notice: Notice) -> int:
    rows = Delivery.select(Delivery.id).where(Delivery.notice == notice).order_by(Delivery.id).limit(CHUNK_SIZE)
    return _delete_deliveries([number for (number,) in rows.tuples()])


def _delete_deliveries(deliveries: list[int]) -> int:
    """Delete deliveries with their letters, answers, visits and bounces."""
    if not deliveries:
        return 0
    with db.atomic():
        expired_links.save_expired_links(deliveries)
        Delivery.delete().where(Delivery.id.in_(deliveries)).execute()
    return len(deliveries)


def _old_drip_notices(border: datetime) -> list[tuple[Notice, int]]:
    """Return drip notices with their last delivery before this time."""
    rows = (
        Letter.select(Letter.notice, fn.MAX(Letter.delivery))
        .join(Notice)
        .where(Notice.kind == "step", Letter.round == 1, Letter.delivery.is_null(False), Letter.made_at < border)
        .group_by(Letter.notice)
        .tuples()
    )
    held = {one.id: one for one in Notice.select().where(Notice.kind == "step")}
    return [(held[notice], last) for notice, last in rows]


def _delete_drip_deliveries(notice: Notice, last: int) -> int:
    """Delete old deliveries of a drip step; keep who received it, so that it is not sent again."""
    mine = (Delivery.notice == notice) & (Delivery.id <= last)
    rows = list(Delivery.select().where(mine).order_by(Delivery.id).limit(CHUNK_SIZE))
    with db.atomic():
        if notice.drip_step_id:
            had = (
                {
                    "step": notice.drip_step_id,
                    "person": one.person_id,
                    "sent": one.reason == "",
                    "read": one.read_at is not None,
                }
                for one in rows
            )
            bulk_insert(StepSent, had)
        return _delete_deliveries([one.id for one in rows])


def _delete_rows(table: type[BaseModel], *conditions: Any) -> int:
    numbers = table.select(table.id).where(*conditions).order_by(table.id).limit(CHUNK_SIZE)
    return table.delete().where(table.id.in_([row for (row,) in numbers.tuples()])).execute()


def _delete_left_memberships(border: datetime) -> int:
    """Delete memberships left or refused before this time, and persons and children without any list."""
    old = Membership.select().where(Membership.state.in_(Membership.GONE), Membership.left_at < border)
    rows = list(old.order_by(Membership.id).limit(CHUNK_SIZE))
    people, children = {one.person_id for one in rows}, {one.child_id for one in rows if one.child_id}
    with db.atomic():
        Membership.delete().where(Membership.id.in_([one.id for one in rows])).execute()
        _delete_unlisted(Person, people, Membership.person)
        _delete_unlisted(Child, children, Membership.child)
    return len(rows)


def _delete_unlisted(table: type[BaseModel], numbers: Iterable[int], place: Field) -> None:
    held = Membership.select(place).where(place.in_(list(numbers)))
    table.delete().where(table.id.in_(list(numbers)), table.id.not_in(held)).execute()


def _reserve_letter_ids(border: datetime, now: datetime) -> None:
    """Keep the highest letter id in use: SQLite would reuse it, but Message-IDs and return paths hold it."""
    newest = Letter.select().order_by(Letter.id.desc()).first()
    if newest is not None and newest.made_at < border:
        moments = {"made_at": now, "next_attempt_at": now, "expires_at": now, "done_at": now}
        Letter.create(kind="place", address="", domain="", state=LetterState.CANCELLED, **moments)


def _delete_old_backups(now: datetime) -> None:
    """Delete automatic backups older than thirty days."""
    for path in (ground.current_config().data / "backups").glob("before-*.tar.gz"):
        with suppress(OSError):
            if path.stat().st_mtime < (now - PURGE_AFTER).timestamp():
                path.unlink()
