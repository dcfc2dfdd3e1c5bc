"""Drip steps: letters sent some days after joining a list, at a set local time (N-12).

A step owns a standing notice, to which the scheduler adds deliveries for the people who are due. Changed words open a
new notice. A person gets each step once, counting all its notices, also after rejoining. More than `MAX_AT_ONCE` due
people (an import) pause the step until a user decides.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any

from peewee import Case, ModelSelect, fn

import clock
from core import audit
from core.errors import DomainError, MissingFields
from core.notices import drafts
from core.notices.audience import Audience, resolve_audience
from core.notices.content_checks import find_missing
from core.notices.start import create_deliveries
from core.settings import load_settings
from database import db
from i18n import N_
from models import (
    Delivery,
    DripStep,
    MailingList,
    Membership,
    MembershipState,
    Notice,
    NoticeState,
    Person,
    StepSent,
    Target,
    User,
    Wording,
)

MAX_AT_ONCE = 30
MAX_DAYS = 366
PAUSE_REASONS = {"hand": N_("Paused"), "many": N_("Waits for your word: many people at once")}


class StepEnded(DomainError):
    message = N_("This letter has been ended meanwhile, so it cannot be changed.")


@dataclass(frozen=True, slots=True)
class StepContent:
    """days: after joining. minute: of the local day, 0 to 1439."""

    days: int
    minute: int
    subject: str
    text: str
    read_confirmation: bool


@dataclass(frozen=True, slots=True)
class UpcomingSend:
    at: datetime
    person: Person
    child: str


@dataclass(frozen=True, slots=True)
class StepStats:
    """People to whom a step was sent, in all its notices, and those who have confirmed it."""

    sent: int = 0
    read: int = 0


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────


def add_step(mailing_list: MailingList, by: User, content: StepContent, now: datetime) -> DripStep:
    """Add a step for members who join from now on. Raises MissingFields (subject, text)."""
    with db.atomic():
        step = DripStep.create(list=mailing_list, days=content.days, minute=content.minute, since=now, created_at=now)
        _require_complete(_open_standing_notice(step, by, content, now))
        audit.log_action(by, "step.added", mailing_list.id, detail={"step": step.id})
    return step


def update_step(step: DripStep, by: User, content: StepContent, now: datetime) -> None:
    """Change words and time of a step. Raises MissingFields, StepEnded."""
    with db.atomic():
        _update_open_step(step, days=content.days, minute=content.minute)
        notice = standing_notice(step)
        if notice is None or (
            _content_differs(notice, content) and Delivery.select().where(Delivery.notice == notice).exists()
        ):
            _close_standing_notice(step, now)
            notice = _open_standing_notice(step, by, content, now)
        else:
            Wording.update(subject=content.subject, text=content.text).where(Wording.notice == notice).execute()
            Notice.update(read_confirmation=content.read_confirmation, updated_at=now).where(
                Notice.id == notice.id
            ).execute()
        _require_complete(notice)
        audit.log_action(by, "step.changed", step.list_id, detail={"step": step.id})


def pause_step(step: DripStep, by: User | None, now: datetime, why: str = "hand") -> None:
    """Pause a step; people who become due wait. Raises StepEnded."""
    _update_open_step(step, paused_at=now, pause_reason=why)
    audit.log_action(by, "step.paused", step.list_id, detail={"step": step.id, "why": why})


def resume_step(step: DripStep, by: User, now: datetime, *, skip: bool = False) -> int:
    """Resume a step, for all waiting people or (`skip`) only for members who join from now on. Raises StepEnded.

    Return the number of letters enqueued.
    """
    with db.atomic():
        _update_open_step(step, paused_at=None, pause_reason="", **({"since": now} if skip else {}))
        audit.log_action(by, "step.resumed", step.list_id, detail={"step": step.id, "skip": skip})
        return 0 if skip else _enqueue_due(DripStep.get_by_id(step.id), now)


def end_step(step: DripStep, by: User, now: datetime) -> None:
    """End a step; its notices stay in the history. Raises StepEnded."""
    with db.atomic():
        _update_open_step(step, ended_at=now)
        _close_standing_notice(step, now)
        audit.log_action(by, "step.ended", step.list_id, detail={"step": step.id})


def _update_open_step(step: DripStep, **fields: object) -> None:
    if not DripStep.update(**fields).where(DripStep.id == step.id, DripStep.ended_at.is_null()).execute():
        raise StepEnded()
    step.__data__.update(DripStep.get_by_id(step.id).__data__)


def _open_standing_notice(step: DripStep, by: User | None, content: StepContent, now: datetime) -> Notice:
    settings = load_settings()
    notice = Notice.create(
        kind="step",
        drip_step=step,
        state=NoticeState.STANDING,
        by=by,
        by_name=by.name if by else "",
        created_at=now,
        updated_at=now,
        confirmed_at=now,
        started_at=now,
        rounds=1,
        read_confirmation=content.read_confirmation,
        practice=settings.practice,
        useful_s=drafts.DEFAULT_LIFETIME_S,
    )
    Wording.create(notice=notice, language=settings.language, subject=content.subject, text=content.text)
    Target.create(notice=notice, kind="list", number=step.list_id)
    return notice


def _close_standing_notice(step: DripStep, now: datetime) -> None:
    """Let the last letters of the standing notice leave; delete it if it has no delivery."""
    notice = standing_notice(step)
    if notice is None:
        return
    if not Delivery.select().where(Delivery.notice == notice).exists():
        Notice.delete().where(Notice.id == notice.id).execute()
        return
    Notice.update(state=NoticeState.SENDING, updated_at=now, serial=Notice.serial + 1).where(
        Notice.id == notice.id, Notice.state == NoticeState.STANDING
    ).execute()


def _require_complete(notice: Notice) -> None:
    """Raise MissingFields. A step may have no recipients yet."""
    missing = find_missing(notice, resolve_audience(notice))
    missing.pop("targets", None)
    if missing:
        raise MissingFields(missing)


def _content_differs(notice: Notice, content: StepContent) -> bool:
    wording = notice.wording
    return (wording.subject, wording.text, notice.read_confirmation) != (
        content.subject,
        content.text,
        content.read_confirmation,
    )


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


def steps_of_list(mailing_list: MailingList) -> list[DripStep]:
    """Return the open steps of a list by due time."""
    return list(
        DripStep.select()
        .where(DripStep.list == mailing_list, DripStep.ended_at.is_null())
        .order_by(DripStep.days, DripStep.minute, DripStep.id)
    )


def standing_notice(step: DripStep) -> Notice | None:
    """Return the notice with the current words of a step."""
    standing = (Notice.drip_step == step) & (Notice.state == NoticeState.STANDING)
    notice: Notice | None = Notice.select().where(standing).order_by(Notice.id.desc()).first()
    return notice


def step_content(step: DripStep) -> StepContent:
    notice = standing_notice(step)
    wording = notice.wording if notice else None
    return StepContent(
        step.days,
        step.minute,
        wording.subject if wording else "",
        wording.text if wording else "",
        notice.read_confirmation if notice else False,
    )


def step_stats(steps: Iterable[DripStep]) -> dict[int, StepStats]:
    """Return {step id: stats}; two queries."""
    steps = list(steps)
    read = fn.SUM(Case(None, [(Delivery.read_at.is_null(False), 1)], 0))
    rows = (
        Delivery.select(Notice.drip_step, fn.COUNT(Delivery.id), read)
        .join(Notice)
        .where(Notice.drip_step.in_([step.id for step in steps]), Delivery.reason == "")
        .group_by(Notice.drip_step)
        .tuples()
    )
    stats = {step: StepStats(sent, done) for step, sent, done in rows}
    for step, sent, done in _earlier_sends(steps):
        current = stats.get(step, StepStats())
        stats[step] = StepStats(current.sent + sent, current.read + done)
    return stats


def _earlier_sends(steps: Iterable[DripStep]) -> Iterable[tuple[int, int, int]]:
    """Return (step id, sent, read) of earlier school years, whose notices are purged."""
    read = fn.SUM(Case(None, [(StepSent.read == True, 1)], 0))
    earlier = (StepSent.step.in_([step.id for step in steps])) & (StepSent.sent == True)
    return StepSent.select(StepSent.step, fn.COUNT(StepSent.id), read).where(earlier).group_by(StepSent.step).tuples()


def steps_awaiting_decision(lists: "ModelSelect[Any]") -> list[DripStep]:
    """Return the steps that are paused because too many people are due at once."""
    return list(
        DripStep.select(DripStep, MailingList)
        .join(MailingList)
        .where(DripStep.list.in_(lists), DripStep.pause_reason == "many", DripStep.ended_at.is_null())
    )


def upcoming_sends(step: DripStep, now: datetime) -> list[UpcomingSend]:
    """Return the people who will get a step, by due time."""
    upcoming: dict[int, UpcomingSend] = {}
    for member in _members_without_step(step, now):
        at = step_due_at(member.joined_at, step)
        if member.person_id not in upcoming or at < upcoming[member.person_id].at:
            upcoming[member.person_id] = UpcomingSend(at, member.person, member.child.name if member.child else "")
    return sorted(upcoming.values(), key=lambda send: (send.at, send.person.id))


def people_due(step: DripStep, now: datetime) -> set[int]:
    """Return the ids of the people who are due and have not got the step."""
    return {send.person.id for send in upcoming_sends(step, now) if send.at <= now}


def step_due_at(joined: datetime, step: DripStep) -> datetime:
    """Return when a member who joined at `joined` gets a step; never before that time."""
    day = clock.to_local(joined).date() + timedelta(days=step.days)
    at = clock.from_local(datetime.combine(day, time(step.minute // 60, step.minute % 60)))
    return at if at >= joined else at + timedelta(days=1)


def _members_without_step(step: DripStep, now: datetime) -> "ModelSelect[Membership]":
    """Return the active members who joined since the step exists and got none of its notices."""
    received = (
        Delivery.select(Delivery.person).join(Notice).where(Notice.drip_step == step, Delivery.person.is_null(False))
    )
    received_earlier = StepSent.select(StepSent.person).where(StepSent.step == step, StepSent.person.is_null(False))
    return (
        Membership.select(Membership, Person)
        .join(Person)
        .where(
            Membership.list == step.list_id,
            Membership.state == MembershipState.ACTIVE,
            Membership.joined_at >= step.since,
            Membership.joined_at <= now,
            Membership.person.not_in(received),
            Membership.person.not_in(received_earlier),
        )
        .order_by(Membership.joined_at, Membership.id)
    )


# ── sending ────────────────────────────────────────────────────────────────────────────────────────────────────


def send_due_steps(now: datetime) -> int:
    """Enqueue the letters of all due people; return how many. Idempotent, also from several processes."""
    count = 0
    is_running = DripStep.ended_at.is_null() & DripStep.paused_at.is_null() & MailingList.closed_at.is_null()
    for step in list(DripStep.select().join(MailingList).where(is_running)):
        people = people_due(step, now)
        if len(people) > MAX_AT_ONCE:
            pause_step(step, None, now, "many")
        elif people:
            with db.atomic():
                count += _enqueue_due(step, now)
    return count


def _enqueue_due(step: DripStep, now: datetime) -> int:
    """Create the deliveries of all due people. Call inside a transaction: it queries the due people again."""
    people = people_due(step, now)
    if not people or step.ended_at or standing_notice(step) is None:
        return 0
    notice = _notice_for_mail_mode(step, now)
    audience = _limit_audience(resolve_audience(notice), people)
    create_deliveries(notice, audience, now)
    Notice.update(updated_at=now, serial=Notice.serial + 1).where(Notice.id == notice.id).execute()
    return audience.letters


def _notice_for_mail_mode(step: DripStep, now: datetime) -> Notice:
    """Return the standing notice; a new one if practice mode has changed."""
    notice = standing_notice(step)
    practice = load_settings().practice
    if notice is not None and notice.practice == practice:
        return notice
    content, by = step_content(step), notice.by if notice else None
    _close_standing_notice(step, now)
    return _open_standing_notice(step, by, content, now)


def _limit_audience(audience: Audience, people: set[int]) -> Audience:
    return replace(
        audience,
        receiving=tuple(row for row in audience.receiving if row.person_id in people),
        left_out=tuple(row for row in audience.left_out if row.person_id in people),
    )
