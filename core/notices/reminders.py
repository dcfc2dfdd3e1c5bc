"""Reminders: letters of a later round to readers who have not confirmed or answered (field 2.3, T-45).

A reminder is a row with a start time (law 1). `start_due_reminders` closes the row and enqueues the letters of the next
round in one transaction. So each reminder starts exactly once, also after a restart. The letters belong to the same
deliveries, with the same links. If the server was down at the start time, the reminder is not sent late.

A reminder goes to each reader with a letter, an active membership and a deliverable address (decision 13). Left out
are readers whose household has confirmed, readers told by telephone, and letters still on their way. While a question
of the notice is open, the reminder asks for the answer of the child, household or person instead.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, time, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from peewee import JOIN, Expression, IntegrityError, ModelSelect, fn

import clock
from core import audit, household_reads
from core.delivery.queue import NewLetter, enqueue
from core.errors import NoRecipientsLeft, NotADraft, ReminderPending, SendingStarted, WrongLetterCount
from core.notices import author_copy, questions
from core.notices.audience import is_majority
from core.notices.questions import StoredQuestion
from core.notices.related_notices import count_reached
from core.permissions import target_lists
from core.settings import Settings, load_settings
from database import db, millis
from i18n import N_
from models import (
    DELIVERABLE_STATES,
    Answer,
    Delivery,
    DeliveryMembership,
    Letter,
    LetterState,
    Membership,
    MembershipState,
    Notice,
    NoticeState,
    Person,
    Reminder,
    ReminderState,
    Target,
    User,
)

INTERVAL_CHOICES_MIN = (0, 15, 30, 60)
REPEAT_CHOICES = (1, 2, 3)
QUIET_HOURS = (22, 7)
"""Local hours in which only urgent reminders start by themselves."""
EVENING_HOUR = 18
MIN_AFTER_SEND = timedelta(hours=1)
"""A deadline reminder within this time after the notice itself is skipped."""
IS_WAITING = Reminder.state == ReminderState.WAITING
STARTABLE_STATES = {
    "asked": (NoticeState.SENDING, NoticeState.SENT, NoticeState.STOPPED),
    "timed": (NoticeState.SENDING, NoticeState.SENT),
    "deadline": (NoticeState.SENDING, NoticeState.SENT),
}
"""States of a notice in which a reminder of each kind may start. A stopped notice gets only requested reminders."""
RESENDABLE_STATES = (
    LetterState.ACCEPTED,
    LetterState.UNKNOWN,
    LetterState.EXPIRED,
    LetterState.REFUSED,
    LetterState.BOUNCED,
)
"""States of the current letter that allow another round, if the person's address is deliverable."""
STATE_LABELS: dict[str, str] = {
    "waiting": N_("Waiting to be sent"),
    "begun": N_("Sent"),
    "nobody": N_("Not needed: nobody was left"),
    "called_off": N_("Called off"),
    "missed": N_("Not sent: Kairan was not running at that time"),
}


class ReminderRecipient(NamedTuple):
    delivery_id: int
    person_id: int
    name: str
    address: str
    language: str


# ── request and cancel ───────────────────────────────────────────────────────────────────────────────────────────


def available_reminder(notice: Notice, now: datetime) -> str:
    """Return what a reminder would ask for, `read` or `answer`; "" while letters are unsent or nothing is owed."""
    wants = outstanding_response(notice, now) if notice.state in STARTABLE_STATES["asked"] else ""
    if not wants:
        return ""
    unsent = Letter.state.in_((LetterState.WAITING, LetterState.SENDING))
    has_unsent = Letter.select().where(Letter.notice == notice, Letter.is_current == True, unsent).exists()
    return "" if has_unsent else wants


def needs_typed_count(notice: Notice, recipients: Sequence[ReminderRecipient]) -> bool:
    """Say whether the sender must type the number of letters: for most of the school, as for a notice (X-06)."""
    if is_majority({recipient.person_id for recipient in recipients}):
        return True
    if not any(mailing_list.whole for mailing_list in target_lists(notice)):
        return False
    return 2 * len(recipients) > count_reached(notice)


def request_reminder(
    notice: Notice, by: User | None, now: datetime, at: datetime | None = None, typed: str | None = None
) -> Reminder:
    """Create a reminder that starts after the hold window, or at `at`. Its author's copy is sent at once.

    Raises NotADraft (no response is outstanding), NoRecipientsLeft, WrongLetterCount (`typed`), ReminderPending.
    """
    if not (wants := available_reminder(notice, now)):
        raise NotADraft()
    recipients = find_recipients(notice, now)
    if not recipients:
        raise NoRecipientsLeft()
    if needs_typed_count(notice, recipients) and (typed or "").strip() != str(len(recipients)):
        raise WrongLetterCount(number=len(recipients))
    settings = load_settings()
    window = settings.hold_urgent_s if notice.urgent else settings.hold_s
    try:
        with db.atomic():
            reminder = Reminder.create(
                notice=notice,
                kind="asked",
                wants=wants,
                by=by,
                made_at=now,
                letters=len(recipients),
                send_at=at or now + timedelta(seconds=window),
            )
            _bump_serial(notice, now)
            audit.log_action(by, "notice.reminder_asked", notice.id, detail={"letters": len(recipients)})
            if window or at:
                author_copy.send_reminder_copy(reminder, by, now)
    except IntegrityError as error:
        raise ReminderPending() from error
    return reminder


def cancel_reminder(reminder: Reminder, by: User | None, now: datetime) -> None:
    """Cancel a waiting reminder; a timed one has no successor then. Raises SendingStarted."""
    with db.atomic():
        if not _close(reminder, ReminderState.CALLED_OFF, now):
            raise SendingStarted()
        _bump_serial(reminder.notice, now)
        author_copy.cancel_reminder_copies(reminder, now)
        audit.log_action(by, "notice.reminder_called_off", reminder.notice_id)


def cancel_all_reminders(notice: Notice | int, now: datetime) -> None:
    """Cancel the waiting reminders of a notice that was stopped, withdrawn, corrected or updated."""
    Reminder.update(state=ReminderState.CALLED_OFF, done_at=now).where(Reminder.notice == notice, IS_WAITING).execute()


def reminders_of_notice(notice: Notice) -> list[Reminder]:
    """Return the reminders of a notice, newest first."""
    return list(Reminder.select().where(Reminder.notice == notice).order_by(Reminder.id.desc()))


def _bump_serial(notice: Notice, now: datetime) -> None:
    Notice.update(serial=Notice.serial + 1, updated_at=now).where(Notice.id == notice.id).execute()


def _close(reminder: Reminder, state: str, now: datetime, **fields: object) -> bool:
    changes = {"state": state, "done_at": now, **fields}
    return bool(Reminder.update(**changes).where(Reminder.id == reminder.id, IS_WAITING).execute())


# ── plan ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def plan_next_reminder(notice: Notice, now: datetime, place: int = 1) -> None:
    """Plan the timed reminder number `place`, if the notice wants it. Call inside a transaction."""
    rule = notice.reminder_rule
    if not rule.every_s or not outstanding_response(notice, now) or place > rule.times:
        return
    Reminder.create(notice=notice, kind="timed", place=place, made_at=now, send_at=_next_timed_start(notice, now))


def _next_timed_start(notice: Notice, now: datetime) -> datetime:
    at = now + timedelta(seconds=notice.reminder_rule.every_s)
    return at if notice.urgent else skip_quiet_hours(at)


def plan_deadline_reminder(notice: Notice, now: datetime, after: datetime | None = None) -> None:
    """Plan the reminder one day before the next deadline (later than `after`). Call inside a transaction.

    All deadlines of one day share a reminder. It goes to readers who have not answered the questions due by then.
    """
    if not notice.reminder_rule.before_deadline:
        return
    for first, last in _deadlines_by_day(notice):
        at = _day_before(first)
        if at > now + MIN_AFTER_SEND and (after is None or first > after):
            fields = {"kind": "deadline", "wants": "answer", "made_at": now, "send_at": at, "until": last}
            Reminder.create(notice=notice, **fields)
            return


def _deadlines_by_day(notice: Notice) -> list[tuple[datetime, datetime]]:
    """Return the first and last deadline of each day that has one."""
    deadlines = sorted({question.deadline for question in questions.load_questions(notice.id) if question.deadline})
    days = [list(group) for _, group in groupby(deadlines, key=lambda deadline: clock.to_local(deadline).date())]
    return [(day[0], day[-1]) for day in days]


def _day_before(deadline: datetime) -> datetime:
    """Return the moment one day before a deadline; in the quiet hours 18:00 of the evening, or the end of the night."""
    at = deadline - timedelta(days=1)
    local = clock.to_local(at)
    if QUIET_HOURS[1] <= local.hour < QUIET_HOURS[0]:
        return at
    hour = EVENING_HOUR if local.hour >= QUIET_HOURS[0] else QUIET_HOURS[1]
    return clock.from_local(datetime.combine(local.date(), time(hour)))


def skip_quiet_hours(at: datetime) -> datetime:
    """Return `at`, or the end of the quiet hours that it lies in."""
    local = clock.to_local(at)
    if QUIET_HOURS[1] <= local.hour < QUIET_HOURS[0]:
        return at
    day = local.date() + timedelta(days=local.hour >= QUIET_HOURS[0])
    return clock.from_local(datetime.combine(day, time(QUIET_HOURS[1])))


def is_superseded(notice: Notice) -> bool:
    """Say whether a newer urgent notice to one of its lists follows this urgent notice."""
    if not notice.urgent:
        return False
    others = Target.alias()
    lists = Target.select(Target.number).where(Target.notice == notice, Target.kind == "list", Target.include == True)
    return bool(
        Notice.select()
        .join(others, on=(others.notice == Notice.id))
        .where(
            others.kind == "list",
            others.include == True,
            others.number.in_(lists),
            Notice.urgent == True,
            Notice.started_at > notice.started_at,
            Notice.state != NoticeState.WITHDRAWN,
        )
        .exists()
    )


# ── start ────────────────────────────────────────────────────────────────────────────────────────────────────────


def start_due_reminders(now: datetime) -> list[int]:
    """Start every due reminder; return the ids of the notices. Idempotent."""
    due = (
        Reminder.select(Reminder.id).where(IS_WAITING, Reminder.send_at <= now).order_by(Reminder.send_at, Reminder.id)
    )
    settings = load_settings()
    return [notice_id for row in list(due) if (notice_id := _start_reminder(row.id, now, settings))]


def _start_reminder(number: int, now: datetime, settings: Settings) -> int:
    """Start one reminder in its own transaction; return the notice's id, 0 if nothing is sent."""
    with db.atomic():
        reminder = (
            Reminder.select(Reminder, Notice)
            .join(Notice)
            .where(Reminder.id == number, IS_WAITING, Reminder.send_at <= now)
            .first()
        )
        if reminder is None or not _may_start(reminder, now, settings):
            return 0
        reminder.wants = outstanding_response(reminder.notice, now)
        recipients = find_recipients(reminder.notice, now, reminder.until)
        if not recipients:
            _close(reminder, ReminderState.NOBODY, now)
            _bump_serial(reminder.notice, now)
        elif not _enqueue_round(reminder, recipients, now):
            return 0
        _plan_following(reminder, now)
        return reminder.notice_id if recipients else 0


def _may_start(reminder: Reminder, now: datetime, settings: Settings) -> bool:
    """Say whether a due reminder starts now; otherwise close it, postpone it to the morning, or leave it waiting."""
    notice = reminder.notice
    automatic = reminder.kind != "asked"
    if automatic and not notice.urgent and (later := skip_quiet_hours(now)) > now:
        Reminder.update(send_at=later).where(Reminder.id == reminder.id).execute()
        return False
    if now - reminder.send_at > timedelta(seconds=settings.late_s):
        _close_unsent(reminder, ReminderState.MISSED, now)
        if reminder.kind == "deadline":
            plan_deadline_reminder(notice, now, reminder.until)
        return False
    if notice.state in (NoticeState.PAUSED, NoticeState.HELD):
        return False  # it starts when sending resumes, unless that is too late
    if notice.state not in STARTABLE_STATES[reminder.kind] or (automatic and is_superseded(notice)):
        _close_unsent(reminder, ReminderState.CALLED_OFF, now)
        return False
    return True


def _close_unsent(reminder: Reminder, state: str, now: datetime) -> None:
    if _close(reminder, state, now):
        _bump_serial(reminder.notice, now)
        audit.log_action(None, f"notice.reminder_{state}", reminder.notice_id)


def _enqueue_round(reminder: Reminder, recipients: list[ReminderRecipient], now: datetime) -> bool:
    """Open the next round of the notice with a new letter for each recipient; False if another process did."""
    notice = reminder.notice
    can_start = Notice.state.in_(STARTABLE_STATES[reminder.kind])
    opened = (
        Notice.update(state=NoticeState.SENDING, rounds=Notice.rounds + 1, serial=Notice.serial + 1, updated_at=now)
        .where(Notice.id == notice.id, Notice.rounds == notice.rounds, can_start)
        .execute()
    )
    if not opened:
        return False
    number = notice.rounds + 1
    for start in range(0, len(recipients), 500):
        deliveries = [recipient.delivery_id for recipient in recipients[start : start + 500]]
        Letter.update(is_current=False).where(Letter.delivery.in_(deliveries)).execute()
    letters = (NewLetter(row.delivery_id, row.person_id, row.address, row.language) for row in recipients)
    enqueue(notice, letters, now, number)
    _close(reminder, ReminderState.BEGUN, now, wants=reminder.wants, round=number, letters=len(recipients))
    detail = {"letters": len(recipients), "round": number, "kind": reminder.kind}
    audit.log_action(reminder.by, "notice.reminded", notice.id, detail=detail)
    return True


def _plan_following(reminder: Reminder, now: datetime) -> None:
    """Plan the next automatic reminder. A requested one postpones the waiting timed one."""
    if reminder.kind == "timed":
        plan_next_reminder(reminder.notice, now, reminder.place + 1)
    elif reminder.kind == "deadline":
        plan_deadline_reminder(reminder.notice, now, reminder.until)
    else:
        at = _next_timed_start(reminder.notice, now)
        Reminder.update(send_at=fn.MAX(Reminder.send_at, millis(at))).where(
            Reminder.notice == reminder.notice_id, Reminder.kind == "timed", IS_WAITING
        ).execute()


# ── recipients ───────────────────────────────────────────────────────────────────────────────────────────────────


def outstanding_response(notice: Notice, now: datetime) -> str:
    """Return what the readers of a notice still owe: `answer`, `read`, or ""."""
    if _open_questions(notice.id, now):
        return "answer"
    return "read" if notice.read_confirmation else ""


def find_recipients(notice: Notice, now: datetime, until: datetime | None = None) -> list[ReminderRecipient]:
    """Return the recipients of a reminder sent now, by kana. The number of queries is constant.

    until: consider only questions with a deadline up to then.
    """
    wants = outstanding_response(notice, now)
    if not wants:
        return []
    settled = _settled_deliveries(notice.id, wants, now, until=until)
    candidates = map(ReminderRecipient._make, _select_candidates(notice))
    return [recipient for recipient in candidates if recipient.delivery_id not in settled]


def _select_candidates(notice: Notice) -> "ModelSelect[Any]":
    """Return the readers with a sent letter, a deliverable address and an active membership."""
    active = (
        DeliveryMembership.select()
        .join(Membership)
        .where(DeliveryMembership.delivery == Delivery.id, Membership.state == MembershipState.ACTIVE)
    )
    return (
        Delivery.select(Delivery.id, Person.id, Delivery.name, Person.address, Delivery.language)
        .join(Person)
        .switch(Delivery)
        .join(Letter, on=(Letter.delivery == Delivery.id) & (Letter.is_current == True))  # noqa: E712
        .where(
            Delivery.notice == notice,
            Delivery.reason == "",
            Letter.state.in_(RESENDABLE_STATES),
            Person.address.is_null(False),
            Person.address != "",
            Person.address_state.in_(DELIVERABLE_STATES),
            fn.EXISTS(active),
        )
        .order_by(Delivery.kana, Delivery.id)
        .tuples()
    )


def unneeded_letters(letter_ids: Collection[int], now: datetime) -> dict[int, str]:
    """Return {letter id: `read` or `answer`} of claimed reminder letters whose readers have responded meanwhile."""
    rows = (
        Letter.select(Letter.id, Letter.notice, Letter.delivery, Reminder.wants, Reminder.until)
        .join(Reminder, JOIN.LEFT_OUTER, on=(Reminder.notice == Letter.notice) & (Reminder.round == Letter.round))
        .where(Letter.id.in_(list(letter_ids)), Letter.round > 1, Letter.delivery.is_null(False))
        .tuples()
    )
    by_reminder: dict[tuple[int, str, datetime | None], dict[int, int]] = {}
    for letter, notice, delivery, wants, until in rows:
        by_reminder.setdefault((notice, wants or "read", until), {})[delivery] = letter
    return {
        letters[delivery]: wants
        for (notice, wants, until), letters in by_reminder.items()
        for delivery in _settled_deliveries(notice, wants, now, list(letters), until)
    }


def _settled_deliveries(
    notice: int, wants: str, now: datetime, only: list[int] | None = None, until: datetime | None = None
) -> set[int]:
    """Return the deliveries of a notice (of `only`, if given) that need no reminder."""
    deliveries = (Delivery.notice == notice) & (
        Delivery.id.in_(only) if only is not None else Delivery.id.is_null(False)
    )
    if wants == "answer" and (open_questions := _open_questions(notice, now, until)):
        return _answered_deliveries(open_questions, deliveries)
    done = Delivery.read_at.is_null(False) | Delivery.phoned_at.is_null(False) | Delivery.misdirected_at.is_null(False)
    return household_reads.settled_deliveries([notice], done, deliveries)


def _open_questions(notice: int, now: datetime, until: datetime | None = None) -> list[StoredQuestion]:
    return [
        question
        for question in questions.load_questions(notice)
        if question.is_open(now) and (until is None or (question.deadline and question.deadline <= until))
    ]


def _answered_deliveries(open_questions: list[StoredQuestion], deliveries: Expression) -> set[int]:
    """Return the deliveries whose units have answered every open question, and the misdirected ones."""
    rows = Answer.select(Answer.question, Answer.unit).where(
        Answer.question.in_([question.id for question in open_questions]), Answer.superseded_at.is_null()
    )
    answered = set(rows.tuples())
    households: dict[int, str] = {}
    for delivery, household in _select_households(deliveries):
        if household:
            households.setdefault(delivery, f"h{household}")
    columns = (Delivery.id, Delivery.person, Delivery.child, Delivery.misdirected_at)
    settled = set()
    for delivery, person, child, misdirected_at in Delivery.select(*columns).where(deliveries).tuples():
        own_key = f"p{person}" if person else f"d{delivery}"
        keys = questions.answer_keys(own_key, households.get(delivery, own_key), child)
        if misdirected_at or all((question.id, keys[question.unit]) in answered for question in open_questions):
            settled.add(delivery)
    return settled


def _select_households(deliveries: Expression) -> "ModelSelect[Any]":
    """Return (delivery, household), the first membership of each delivery first."""
    return (
        DeliveryMembership.select(DeliveryMembership.delivery, DeliveryMembership.household)
        .join(Delivery)
        .where(deliveries)
        .order_by(DeliveryMembership.id)
        .tuples()
    )
