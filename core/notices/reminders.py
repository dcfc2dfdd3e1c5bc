"""Sending a notice again to those who have not confirmed it: by a button, or by itself (field 2.3, T-45).

A reminder is a row that says when it begins (law 1): `begin_due` finds it, also after a restart, and makes letters of
the next round in the transaction that closes the row, so that it begins exactly once. The letters belong to the same
deliveries: same links, same state. One that Kairan slept through is not sent late; the page says so.
"""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from itertools import groupby

from peewee import IntegrityError, fn

import clock
from core import audit
from core.delivery.queue import NewLetter, enqueue
from core.errors import NoRecipientsLeft, NotADraft, ReminderPending, SendingStarted, WrongLetterCount
from core.notices import author_copy, questions
from core.notices.audience import is_majority
from core.notices.reminder_recipients import ReminderRecipient, find_recipients, outstanding_response
from core.permissions import target_lists
from core.settings import Settings, load_settings
from database import db, millis
from i18n import N_
from models import Delivery, Letter, Notice, Reminder, Target, User

INTERVAL_CHOICES_MIN = (0, 15, 30, 60)
REPEAT_CHOICES = (1, 2, 3)
QUIET_HOURS = (22, 7)
"""From this hour to that one nothing goes by itself, unless it is urgent."""
EVENING_HOUR = 18
MIN_AFTER_SEND = timedelta(hours=1)
"""A deadline reminder less than this after the notice itself would only be in the way."""
IS_WAITING = Reminder.state == "waiting"
STARTABLE_STATES = {
    "asked": ("sending", "sent", "stopped"),
    "timed": ("sending", "sent"),
    "deadline": ("sending", "sent"),
}
"""States of a notice in which a reminder may begin: nothing goes by itself after somebody stopped the rest."""
STATE_LABELS: dict[str, str] = {
    "waiting": N_("Waiting to be sent"),
    "begun": N_("Sent"),
    "nobody": N_("Not needed: nobody was left"),
    "called_off": N_("Called off"),
    "missed": N_("Not sent: Kairan was not running at that time"),
}


# ── asking and calling off ───────────────────────────────────────────────────────────────────────────────────────


def available_reminder(notice: Notice, now: datetime) -> str:
    """Return what a reminder sent now asks for, `read` or `answer`; nothing while the first letters are under way."""
    wants = outstanding_response(notice, now) if notice.state in STARTABLE_STATES["asked"] else ""
    if not wants:
        return ""
    fresh = Letter.state.in_(("waiting", "sending"))
    waits = Letter.select().where(Letter.notice == notice, Letter.is_current == True, fresh).exists()
    return "" if waits else wants


def needs_typed_count(notice: Notice, readers: Sequence[ReminderRecipient]) -> bool:
    """Say whether the number is typed: a reminder to most of the whole school is as large as a notice (X-06)."""
    if is_majority({one.person_id for one in readers}):
        return True
    if not any(one.whole for one in target_lists(notice)):
        return False
    letters = Delivery.select().where(Delivery.notice == notice, Delivery.reason == "").count()
    return 2 * len(readers) > letters


def request_reminder(
    notice: Notice, by: User | None, now: datetime, at: datetime | None = None, typed: str | None = None
) -> Reminder:
    """Let a reminder go to whoever has not confirmed: after the hold window, or at a time `at`. A copy goes first.

    Raises NotNow (nothing to remind of), NobodyLeft, WrongNumber (most of the whole school wants its number typed),
    AlreadyAsked (double tap, or somebody else was faster).
    """
    if not (wants := available_reminder(notice, now)):
        raise NotADraft()
    readers = find_recipients(notice, now)
    if not readers:
        raise NoRecipientsLeft()
    if needs_typed_count(notice, readers) and (typed or "").strip() != str(len(readers)):
        raise WrongLetterCount(number=len(readers))
    force = load_settings()
    window = force.hold_urgent_s if notice.urgent else force.hold_s
    try:
        with db.atomic():
            made = Reminder.create(
                notice=notice,
                kind="asked",
                wants=wants,
                by=by,
                made_at=now,
                letters=len(readers),
                send_at=at or now + timedelta(seconds=window),
            )
            _bump_serial(notice, now)
            audit.log_action(by, "notice.reminder_asked", notice.id, detail={"letters": len(readers)})
            if window or at:
                author_copy.send_reminder_copy(made, by, now)
    except IntegrityError as twice:
        raise ReminderPending() from twice
    return made


def cancel_reminder(reminder: Reminder, by: User | None, now: datetime) -> None:
    """Call off a reminder that has not begun, and with one that goes by itself those after it. Raises TooLate."""
    with db.atomic():
        if not _close(reminder, "called_off", now):
            raise SendingStarted()
        _bump_serial(reminder.notice, now)
        author_copy.cancel_reminder_copies(reminder, now)
        audit.log_action(by, "notice.reminder_called_off", reminder.notice_id)


def cancel_all_reminders(notice: Notice | int, now: datetime) -> None:
    """Call off whatever waits: the notice was stopped, withdrawn, corrected, brought up to date. In a transaction."""
    Reminder.update(state="called_off", done_at=now).where(Reminder.notice == notice, IS_WAITING).execute()


def reminders_of_notice(notice: Notice) -> list[Reminder]:
    """Return the reminders of a notice, the last one first."""
    return list(Reminder.select().where(Reminder.notice == notice).order_by(Reminder.id.desc()))


def _bump_serial(notice: Notice, now: datetime) -> None:
    Notice.update(serial=Notice.serial + 1, updated_at=now).where(Notice.id == notice.id).execute()


def _close(reminder: Reminder, state: str, now: datetime, **fields: object) -> bool:
    change = {"state": state, "done_at": now, **fields}
    return bool(Reminder.update(**change).where(Reminder.id == reminder.id, IS_WAITING).execute())


# ── by itself ────────────────────────────────────────────────────────────────────────────────────────────────────


def plan_next_reminder(notice: Notice, now: datetime, place: int = 1) -> None:
    """Plan the first (or next) reminder that goes by itself, if the notice wants one. Call inside a transaction."""
    if not notice.remind_every_s or not outstanding_response(notice, now) or place > notice.remind_times:
        return
    at = now + timedelta(seconds=notice.remind_every_s)
    at = at if notice.urgent else skip_quiet_hours(at)
    Reminder.create(notice=notice, kind="timed", place=place, made_at=now, send_at=at)


def plan_deadline_reminder(notice: Notice, now: datetime, after: datetime | None = None) -> None:
    """Plan the one that goes a day before the next deadline (after one), if the notice wants it. In a transaction.

    Deadlines of one day are one matter; those of other days follow, each to whoever has not answered its questions.
    """
    if not notice.remind_before:
        return
    for first, last in _deadlines(notice):
        at = _day_before(first)
        if at > now + MIN_AFTER_SEND and (after is None or first > after):
            fields = {"kind": "deadline", "wants": "answer", "made_at": now, "send_at": at, "until": last}
            Reminder.create(notice=notice, **fields)
            return


def _deadlines(notice: Notice) -> list[tuple[datetime, datetime]]:
    """Return the first and the last deadline of each day that has one."""
    ends = sorted({one.deadline for one in questions.load_questions(notice.id) if one.deadline})
    days = [list(held) for _, held in groupby(ends, key=lambda end: clock.to_local(end).date())]
    return [(held[0], held[-1]) for held in days]


def _day_before(end: datetime) -> datetime:
    """Return a day before a deadline; one late in the evening is told at six, when families sit together."""
    at = end - timedelta(days=1)
    local = clock.to_local(at)
    if QUIET_HOURS[1] <= local.hour < QUIET_HOURS[0]:
        return at
    return clock.from_local(
        datetime.combine(local.date(), time(EVENING_HOUR if local.hour >= QUIET_HOURS[0] else QUIET_HOURS[1]))
    )


def skip_quiet_hours(at: datetime) -> datetime:
    """Return the moment itself, or seven in the morning if it lies in the quiet hours."""
    local = clock.to_local(at)
    if QUIET_HOURS[1] <= local.hour < QUIET_HOURS[0]:
        return at
    day = local.date() + timedelta(days=local.hour >= QUIET_HOURS[0])
    return clock.from_local(datetime.combine(day, time(QUIET_HOURS[1])))


def is_superseded(notice: Notice) -> bool:
    """Say whether an urgent notice has been followed by a newer urgent one to one of its lists: then it rests."""
    if not notice.urgent:
        return False
    others = Target.alias()
    mine = Target.select(Target.number).where(Target.notice == notice, Target.kind == "list", Target.include == True)
    return (
        Notice.select()
        .join(others, on=(others.notice == Notice.id))
        .where(
            others.kind == "list",
            others.include == True,
            others.number.in_(mine),
            Notice.urgent == True,
            Notice.started_at > notice.started_at,
            Notice.state != "withdrawn",
        )
        .exists()
    )


# ── beginning ────────────────────────────────────────────────────────────────────────────────────────────────────


def start_due_reminders(now: datetime) -> list[int]:
    """Begin every reminder whose time has come; return the numbers of the notices. Repeatable."""
    due = (
        Reminder.select(Reminder.id).where(IS_WAITING, Reminder.send_at <= now).order_by(Reminder.send_at, Reminder.id)
    )
    force = load_settings()
    return [number for one in list(due) if (number := _start_reminder(one.id, now, force))]


def _start_reminder(number: int, now: datetime, force: Settings) -> int:
    """Begin one reminder in a transaction of its own; return the notice's number, 0 if nothing is sent."""
    with db.atomic():
        one = (
            Reminder.select(Reminder, Notice)
            .join(Notice)
            .where(Reminder.id == number, IS_WAITING, Reminder.send_at <= now)
            .first()
        )
        if one is None or not _may_start(one, now, force):
            return 0
        one.wants = outstanding_response(one.notice, now)
        readers = find_recipients(one.notice, now, one.until)
        if not readers:
            _close(one, "nobody", now)
            _bump_serial(one.notice, now)
        elif not _create_letters(one, readers, now):
            return 0
        _plan_following(one, now)
        return one.notice_id if readers else 0


def _may_start(one: Reminder, now: datetime, force: Settings) -> bool:
    """Say whether a due reminder goes now; else close it, move it to the morning, or leave it for the next look."""
    notice = one.notice
    by_itself = one.kind != "asked"
    if by_itself and not notice.urgent and (later := skip_quiet_hours(now)) > now:
        Reminder.update(send_at=later).where(Reminder.id == one.id).execute()
        return False
    if now - one.send_at > timedelta(seconds=force.late_s):
        return _mark_missed(one, now)
    if notice.state in ("paused", "held"):
        return False  # the road is closed: it goes when it opens, unless that is too late
    if notice.state not in STARTABLE_STATES[one.kind] or (by_itself and is_superseded(notice)):
        return _close_unsent(one, "called_off", now)
    return True


def _mark_missed(one: Reminder, now: datetime) -> bool:
    """Name it as missed; the deadlines that come after have their own."""
    _close_unsent(one, "missed", now)
    if one.kind == "deadline":
        plan_deadline_reminder(one.notice, now, one.until)
    return False


def _close_unsent(one: Reminder, state: str, now: datetime) -> bool:
    if _close(one, state, now):
        _bump_serial(one.notice, now)
        audit.log_action(None, f"notice.reminder_{state}", one.notice_id)
    return False


def _create_letters(one: Reminder, readers: list[ReminderRecipient], now: datetime) -> bool:
    """Open the next round of the notice: a new letter for each reader, of the same delivery."""
    notice = one.notice
    taken = (
        Notice.update(state="sending", rounds=Notice.rounds + 1, serial=Notice.serial + 1, updated_at=now)
        .where(Notice.id == notice.id, Notice.rounds == notice.rounds, Notice.state.in_(STARTABLE_STATES[one.kind]))
        .execute()
    )
    if not taken:
        return False
    number = notice.rounds + 1
    for start in range(0, len(readers), 500):
        some = [each.delivery_id for each in readers[start : start + 500]]
        Letter.update(is_current=False).where(Letter.delivery.in_(some)).execute()
    letters = (NewLetter(each.delivery_id, each.person_id, each.address, each.language) for each in readers)
    enqueue(notice, letters, now, number)
    _close(one, "begun", now, wants=one.wants, round=number, letters=len(readers))
    detail = {"letters": len(readers), "round": number, "kind": one.kind}
    audit.log_action(one.by, "notice.reminded", notice.id, detail=detail)
    return True


def _plan_following(one: Reminder, now: datetime) -> None:
    """Plan the next one that goes by itself; one that a person sent puts it off."""
    if one.kind == "timed":
        plan_next_reminder(one.notice, now, one.place + 1)
    if one.kind == "deadline":
        plan_deadline_reminder(one.notice, now, one.until)
    if one.kind != "asked":
        return
    at = now + timedelta(seconds=one.notice.remind_every_s)
    at = at if one.notice.urgent else skip_quiet_hours(at)
    Reminder.update(send_at=fn.MAX(Reminder.send_at, millis(at))).where(
        Reminder.notice == one.notice_id, Reminder.kind == "timed", IS_WAITING
    ).execute()
