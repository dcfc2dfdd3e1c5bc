"""Letters that follow joining by themselves (N-12): some days after it, at a set time of the school's day.

A step owns a standing notice; the sweep adds deliveries to it as people become due. Nobody gets a step twice, whether
they rejoin or its words change: new words are a new notice, and every notice of the step counts. More people at once
than joining brings in a day (a roster was brought in) stop the step, and it asks.
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
from models import Delivery, DripStep, MailingList, Membership, Notice, Person, StepSent, Target, User, Wording

MAX_AT_ONCE = 30
MAX_DAYS = 366
PAUSE_REASONS = {"hand": N_("Paused"), "many": N_("Waits for your word: many people at once")}


class StepEnded(DomainError):
    """Somebody has ended the step meanwhile."""

    message = N_("This letter has been ended meanwhile, so it cannot be changed.")


@dataclass(frozen=True, slots=True)
class StepContent:
    """What a step says, and when: `days` after joining, at `minute` of the day (0 to 1439)."""

    days: int
    minute: int
    subject: str
    text: str
    read_confirmation: bool


@dataclass(frozen=True, slots=True)
class UpcomingSend:
    """Somebody who will get a step, and when."""

    at: datetime
    person: Person
    child: str


@dataclass(frozen=True, slots=True)
class StepStats:
    """How many people a step was sent to, in all its wordings, and how many have confirmed it."""

    sent: int = 0
    read: int = 0


# ── setting up ───────────────────────────────────────────────────────────────────────────────────────────────────


def add_step(mailing_list: MailingList, by: User, said: StepContent, now: datetime) -> DripStep:
    """Add a step to a list, for whoever joins from now on. Raises Incomplete (subject, text)."""
    with db.atomic():
        step = DripStep.create(list=mailing_list, days=said.days, minute=said.minute, since=now, created_at=now)
        _require_complete(_open_standing_notice(step, by, said, now))
        audit.log_action(by, "step.added", mailing_list.id, detail={"step": step.id})
    return step


def update_step(step: DripStep, by: User, said: StepContent, now: datetime) -> None:
    """Change words and time of a step. Raises Incomplete, Ended."""
    with db.atomic():
        _update_open_step(step, days=said.days, minute=said.minute)
        notice = standing_notice(step)
        if notice is None or (
            _content_differs(notice, said) and Delivery.select().where(Delivery.notice == notice).exists()
        ):
            _close_standing_notice(step, now)
            notice = _open_standing_notice(step, by, said, now)
        else:
            Wording.update(subject=said.subject, text=said.text).where(Wording.notice == notice).execute()
            Notice.update(read_confirmation=said.read_confirmation, updated_at=now).where(
                Notice.id == notice.id
            ).execute()
        _require_complete(notice)
        audit.log_action(by, "step.changed", step.list_id, detail={"step": step.id})


def pause_step(step: DripStep, by: User | None, now: datetime, why: str = "hand") -> None:
    """Let a step rest; who becomes due meanwhile waits."""
    _update_open_step(step, paused_at=now, pause_reason=why)
    audit.log_action(by, "step.paused", step.list_id, detail={"step": step.id, "why": why})


def resume_step(step: DripStep, by: User, now: datetime, *, skip: bool = False) -> int:
    """Let a step go on: to everybody who waits, however many, or (`skip`) only to who joins from now on.

    Return how many letters were made at once.
    """
    with db.atomic():
        _update_open_step(step, paused_at=None, pause_reason="", **({"since": now} if skip else {}))
        audit.log_action(by, "step.resumed", step.list_id, detail={"step": step.id, "skip": skip})
        return 0 if skip else _enqueue_due(DripStep.get_by_id(step.id), now)


def end_step(step: DripStep, by: User, now: datetime) -> None:
    """End a step for good; what it sent stays in the history."""
    with db.atomic():
        _update_open_step(step, ended_at=now)
        _close_standing_notice(step, now)
        audit.log_action(by, "step.ended", step.list_id, detail={"step": step.id})


def _update_open_step(step: DripStep, **fields: object) -> None:
    """Change a step that has not been ended."""
    if not DripStep.update(**fields).where(DripStep.id == step.id, DripStep.ended_at.is_null()).execute():
        raise StepEnded()
    step.__data__.update(DripStep.get_by_id(step.id).__data__)


def _open_standing_notice(step: DripStep, by: User | None, said: StepContent, now: datetime) -> Notice:
    """Open the standing notice of a step."""
    settings = load_settings()
    notice = Notice.create(
        kind="step",
        drip_step=step,
        state="standing",
        by=by,
        by_name=by.name if by else "",
        created_at=now,
        updated_at=now,
        confirmed_at=now,
        started_at=now,
        rounds=1,
        read_confirmation=said.read_confirmation,
        practice=settings.practice,
        useful_s=drafts.DEFAULT_LIFETIME_S,
    )
    Wording.create(notice=notice, language=settings.language, subject=said.subject, text=said.text)
    Target.create(notice=notice, kind="list", number=step.list_id)
    return notice


def _close_standing_notice(step: DripStep, now: datetime) -> None:
    """Close the standing notice: its last letters still leave; one that nobody got is deleted."""
    notice = standing_notice(step)
    if notice is None:
        return
    if not Delivery.select().where(Delivery.notice == notice).exists():
        Notice.delete().where(Notice.id == notice.id).execute()
        return
    Notice.update(state="sending", updated_at=now, serial=Notice.serial + 1).where(
        Notice.id == notice.id, Notice.state == "standing"
    ).execute()


def _require_complete(notice: Notice) -> None:
    """Raise Incomplete for missing words; nobody to write to is no fault of a step."""
    missing = find_missing(notice, resolve_audience(notice))
    missing.pop("targets", None)
    if missing:
        raise MissingFields(missing)


def _content_differs(notice: Notice, said: StepContent) -> bool:
    wording = notice.wording
    return (wording.subject, wording.text, notice.read_confirmation) != (
        said.subject,
        said.text,
        said.read_confirmation,
    )


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────


def steps_of_list(mailing_list: MailingList) -> list[DripStep]:
    """Return the steps of a list in the order in which a new member gets them."""
    return list(
        DripStep.select()
        .where(DripStep.list == mailing_list, DripStep.ended_at.is_null())
        .order_by(DripStep.days, DripStep.minute, DripStep.id)
    )


def standing_notice(step: DripStep) -> Notice | None:
    """Return the notice that holds the present words of a step."""
    return (
        Notice.select().where(Notice.drip_step == step, Notice.state == "standing").order_by(Notice.id.desc()).first()
    )


def step_content(step: DripStep) -> StepContent:
    """Return what a step says now."""
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
    """Count who got each step and who confirmed it; two queries."""
    steps = list(steps)
    read = fn.SUM(Case(None, [(Delivery.read_at.is_null(False), 1)], 0))
    rows = (
        Delivery.select(Notice.drip_step, fn.COUNT(Delivery.id), read)
        .join(Notice)
        .where(Notice.drip_step.in_([one.id for one in steps]), Delivery.reason == "")
        .group_by(Notice.drip_step)
        .tuples()
    )
    found = {step: StepStats(sent, done) for step, sent, done in rows}
    for step, sent, done in _earlier_sends(steps):
        now = found.get(step, StepStats())
        found[step] = StepStats(now.sent + sent, now.read + done)
    return found


def _earlier_sends(steps: Iterable[DripStep]) -> Iterable[tuple[int, int, int]]:
    """Return how many had each step in earlier school years, and how many of them confirmed it."""
    read = fn.SUM(Case(None, [(StepSent.read == True, 1)], 0))
    mine = (StepSent.step.in_([one.id for one in steps])) & (StepSent.sent == True)
    return StepSent.select(StepSent.step, fn.COUNT(StepSent.id), read).where(mine).group_by(StepSent.step).tuples()


def steps_awaiting_decision(lists: "ModelSelect[Any]") -> list[DripStep]:
    """Return the steps of some lists that wait for a person's word."""
    return list(
        DripStep.select(DripStep, MailingList)
        .join(MailingList)
        .where(DripStep.list.in_(lists), DripStep.pause_reason == "many", DripStep.ended_at.is_null())
    )


def upcoming_sends(step: DripStep, now: datetime) -> list[UpcomingSend]:
    """Return who will get a step, the next first; who waits now stands in front."""
    found = {}
    for member in _members_without_step(step, now):
        at = step_due_at(member.joined_at, step)
        if member.person_id not in found or at < found[member.person_id].at:
            found[member.person_id] = UpcomingSend(at, member.person, member.child.name if member.child_id else "")
    return sorted(found.values(), key=lambda one: (one.at, one.person.id))


def people_due(step: DripStep, now: datetime) -> set[int]:
    """Return the people who are due and have not got the step yet."""
    return {one.person.id for one in upcoming_sends(step, now) if one.at <= now}


def step_due_at(joined: datetime, step: DripStep) -> datetime:
    """Return when somebody who joined then gets a step; never before the joining itself."""
    day = clock.to_local(joined).date() + timedelta(days=step.days)
    at = clock.from_local(datetime.combine(day, time(step.minute // 60, step.minute % 60)))
    return at if at >= joined else at + timedelta(days=1)


def _members_without_step(step: DripStep, now: datetime) -> ModelSelect:
    """Return the active members who joined since the step stands and have not got it in any wording."""
    had = Delivery.select(Delivery.person).join(Notice).where(Notice.drip_step == step, Delivery.person.is_null(False))
    before = StepSent.select(StepSent.person).where(StepSent.step == step, StepSent.person.is_null(False))
    return (
        Membership.select(Membership, Person)
        .join(Person)
        .where(
            Membership.list == step.list_id,
            Membership.state == "active",
            Membership.joined_at >= step.since,
            Membership.joined_at <= now,
            Membership.person.not_in(had),
            Membership.person.not_in(before),
        )
        .order_by(Membership.joined_at, Membership.id)
    )


# ── by itself ────────────────────────────────────────────────────────────────────────────────────────────────────


def send_due_steps(now: datetime) -> int:
    """Make the letters of everybody who is due; return how many. Safe to repeat, and from several processes."""
    made = 0
    at_work = DripStep.ended_at.is_null() & DripStep.paused_at.is_null() & MailingList.closed_at.is_null()
    for step in list(DripStep.select().join(MailingList).where(at_work)):
        people = people_due(step, now)
        if len(people) > MAX_AT_ONCE:
            pause_step(step, None, now, "many")
        elif people:
            with db.atomic():
                made += _enqueue_due(step, now)
    return made


def _enqueue_due(step: DripStep, now: datetime) -> int:
    """Write the rows of everybody who is due. Call inside a transaction: it looks anew who has got it meanwhile."""
    people = people_due(step, now)
    if not people or step.ended_at or standing_notice(step) is None:
        return 0
    notice = _notice_for_mail_mode(step, now)
    audience = _limit_audience(resolve_audience(notice), people)
    create_deliveries(notice, audience, now)
    Notice.update(updated_at=now, serial=Notice.serial + 1).where(Notice.id == notice.id).execute()
    return audience.letters


def _notice_for_mail_mode(step: DripStep, now: datetime) -> Notice:
    """Return the standing notice; a new one if the old was for practice and letters leave the house by now."""
    notice = standing_notice(step)
    practice = load_settings().practice
    if notice is not None and notice.practice == practice:
        return notice
    said, by = step_content(step), notice.by if notice else None
    _close_standing_notice(step, now)
    return _open_standing_notice(step, by, said, now)


def _limit_audience(audience: Audience, people: set[int]) -> Audience:
    return replace(
        audience,
        receiving=tuple(one for one in audience.receiving if one.person_id in people),
        left_out=tuple(one for one in audience.left_out if one.person_id in people),
    )
