"""The organizer's first page: open tasks, what goes out next, and the latest notices.

Each figure is one query for any number of notices or members. Only lists within the user's permissions count.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import JOIN, ModelSelect, fn

import clock
from core import backup, clock_watch, settings
from core.backup import BackupStatus
from core.delivery import alerts
from core.household_reads import HouseholdCount
from core.members import change_requests, unsubscribe
from core.notices import drip as steps_after
from core.notices import workflow
from core.notices.reminders import find_recipients
from core.permissions import Permissions
from core.reports import notice_list, progress, summaries
from core.reports.notice_list import NoticeRow
from core.reports.progress import Progress
from core.settings import Renewal, load_settings, near_renewals
from core.signup import approvals
from models import (
    AddressState,
    Child,
    Delivery,
    DripStep,
    Letter,
    LetterState,
    MailingList,
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

MAX_SHOWN = 5
UNREAD_FOR = timedelta(days=7)
"""How long a notice that was not read by all stays among what needs somebody."""
MISDIRECTED_FOR = timedelta(days=30)
"""How long a letter that was meant for another family stays among what needs somebody."""
MISSED_FOR = timedelta(days=3)
"""How long a reminder that was missed stays among what needs somebody."""
UNREAD_AFTER = timedelta(hours=12)
"""Ordinary notices are given this time before anybody is troubled; urgent ones none."""
FAILED_ADDRESS_STATES = (AddressState.BOUNCED, AddressState.COMPLAINED, AddressState.REFUSING)


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """A notice with its household counts."""

    row: NoticeRow
    count: HouseholdCount


@dataclass(frozen=True, slots=True)
class SetupSteps:
    """The first three steps of a new installation; True where done."""

    roster: bool
    written: bool
    colleague: bool

    @property
    def open(self) -> bool:
        return not (self.roster and self.written and self.colleague)


@dataclass(frozen=True, slots=True)
class MemberCount:
    """How many members need attention, and one list to start with (None if there are none)."""

    count: int
    list_id: int | None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The first page. `strange`: letters reported as meant for another family; `troubled`: number of unreachable
    members and the first names; `following`: drip messages that wait for a decision.
    """

    asking: list[NoticeRow]
    second: list[NoticeRow]
    missed: list[tuple[NoticeRow, Reminder]]
    running: list[tuple[NoticeRow, Progress]]
    unclear: list[tuple[NoticeRow, int]]
    unread: list[NoticeLine]
    strange: list[Delivery]
    pending: MemberCount
    requests: int
    queues: list[tuple[MailingList, int]]
    gone: list[unsubscribe.UnsubscribedPerson]
    distrusted: list[alerts.PolicyRejection]
    blocked: list[alerts.BlockedCarrier]
    troubled: tuple[int, list[Person]]
    nameless: MemberCount
    following: list[DripStep]
    renewals: list[Renewal]
    forgetting: datetime | None
    unsafe: list[BackupStatus]
    clock_jump: timedelta | None
    waiting: list[NoticeRow]
    drafts: list[NoticeRow]
    latest: list[NoticeLine]

    @property
    def matters(self) -> int:
        """Count the open tasks."""
        one_each = (
            self.pending.count,
            self.requests,
            self.troubled[0],
            self.nameless.count,
            self.forgetting,
            self.clock_jump,
        )
        each = (
            *self.asking,
            *self.second,
            *self.missed,
            *self.running,
            *self.unclear,
            *self.unread,
            *self.strange,
            *self.gone,
            *self.distrusted,
            *self.blocked,
            *self.queues,
            *self.following,
            *self.renewals,
            *self.unsafe,
        )
        return len(each) + sum(bool(one) for one in one_each)


def load_dashboard(rights: Permissions, now: datetime) -> Dashboard:
    booked = notice_list.notice_rows(notice_list.scheduled_notices(rights).limit(4 * MAX_SHOWN))
    asking = [row for row in booked if row.notice.hold_reason in workflow.DECISION_REASONS]
    latest = notice_list.notice_rows(notice_list.finished_notices(rights).limit(MAX_SHOWN))
    unread = notice_list.notice_rows(_select_maybe_unread(rights, now))
    counts = summaries.count_households([row.notice.id for row in (*latest, *unread)], countable_lists(rights))
    return Dashboard(
        asking=asking,
        second=notice_list.notice_rows(
            notice_list.notices_in_review(rights).where(Notice.by != rights.user_id).limit(MAX_SHOWN)
        ),
        missed=_missed_reminders(rights, now),
        running=sending_with_progress(rights, now),
        unclear=_unclear_notices(rights, now),
        unread=[line for line in _lines(unread, counts) if line.count.left][:MAX_SHOWN],
        strange=_misdirected_deliveries(rights, now),
        pending=_count_people(_select_memberships(rights, "manage").where(Membership.state == MembershipState.PENDING)),
        requests=len(change_requests.decidable_requests(rights)) if rights.may("manage") else 0,
        queues=approvals.queued_signups_by_list(rights),
        gone=unsubscribe.recently_unsubscribed(rights, now),
        distrusted=alerts.policy_rejections(now) if rights.is_admin else [],
        blocked=alerts.blocked_carriers(now) if rights.may("send") else [],
        troubled=_unreachable_members(rights),
        nameless=_incomplete_members(rights),
        following=steps_after.steps_awaiting_decision(rights.lists("manage").select(MailingList.id).order_by()),
        forgetting=settings.purge_starts_at(now) if rights.is_admin else None,
        renewals=near_renewals(clock.to_local(now).date()) if rights.is_admin else [],
        unsafe=[found] if rights.is_admin and (found := backup.current_status(now)).needs_attention else [],
        clock_jump=clock_watch.unconfirmed_jump() if rights.is_admin else None,
        waiting=[row for row in booked if row not in asking][:MAX_SHOWN],
        drafts=notice_list.notice_rows(notice_list.nonempty_drafts(rights).limit(MAX_SHOWN)),
        latest=_lines(latest, counts),
    )


def _lines(rows: list[NoticeRow], counts: dict[int, HouseholdCount]) -> list[NoticeLine]:
    return [NoticeLine(row, counts.get(row.notice.id, HouseholdCount())) for row in rows]


def sending_with_progress(rights: Permissions, now: datetime) -> list[tuple[NoticeRow, Progress]]:
    """Return the notices in sending or paused, with their progress."""
    current = load_settings()
    rows = notice_list.notice_rows(notice_list.sending_notices(rights).limit(MAX_SHOWN))
    return [(row, progress.notice_progress(row.notice, current, now, rights.visible_lists(row.notice))) for row in rows]


def _unclear_notices(rights: Permissions, now: datetime) -> list[tuple[NoticeRow, int]]:
    """Return recent finished notices with letters of unknown outcome and their number: only a person can decide."""
    if not rights.may("send"):
        return []
    counts = dict(
        Letter.select(Letter.notice, fn.COUNT(Letter.id))
        .where(
            Letter.state == LetterState.UNKNOWN,
            Letter.is_current == True,  # noqa: E712
            Letter.delivery.is_null(False),
            Letter.done_at > now - UNREAD_FOR,
        )
        .group_by(Letter.notice)
        .tuples()
    )
    mine = notice_list.finished_notices(rights).where(
        Notice.id.in_(list(counts)), Notice.state.in_((NoticeState.SENT, NoticeState.STOPPED))
    )
    return [(row, counts[row.notice.id]) for row in notice_list.notice_rows(mine.limit(MAX_SHOWN))]


def _missed_reminders(rights: Permissions, now: datetime) -> list[tuple[NoticeRow, Reminder]]:
    """Return notices whose last reminder was missed while Kairan was stopped, and is still needed."""
    newest = (
        Reminder.select(fn.MAX(Reminder.id)).where(Reminder.state != ReminderState.WAITING).group_by(Reminder.notice)
    )
    here = (Reminder.state == ReminderState.MISSED) & (Reminder.done_at > now - MISSED_FOR) & Reminder.id.in_(newest)
    found = {one.notice_id: one for one in Reminder.select().where(here)}
    mine = notice_list.finished_notices(rights).where(
        Notice.id.in_(list(found)), Notice.state.in_((NoticeState.SENT, NoticeState.STOPPED))
    )
    rows = notice_list.notice_rows(mine.limit(MAX_SHOWN))
    return [(row, found[row.notice.id]) for row in rows if find_recipients(row.notice, now)]


def _select_maybe_unread(rights: Permissions, now: datetime) -> "ModelSelect[Notice]":
    """Select recent notices that ask for a confirmation and are old enough."""
    sent = notice_list.finished_notices(rights).where(
        Notice.state != NoticeState.WITHDRAWN,
        Notice.read_confirmation == True,  # noqa: E712
        Notice.id.not_in(practice_notice_ids()),
        Notice.started_at > now - UNREAD_FOR,
        (Notice.urgent == True) | (Notice.started_at < now - UNREAD_AFTER),  # noqa: E712
    )
    return sent.limit(4 * MAX_SHOWN)


def practice_notice_ids() -> "ModelSelect[Target]":
    """Select the notices sent to practice lists; only their authors read these."""
    lists = MailingList.select(MailingList.id).where(MailingList.practice_of.is_null(False))
    return Target.select(Target.notice).where(Target.kind == "list", Target.number.in_(lists))


def countable_lists(rights: Permissions) -> set[int] | None:
    """Return the lists whose households this user may count; None for all."""
    if rights.may("view", 0):
        return None
    return {one.id for one in rights.lists("view")}


def counts_by_child(notice: Notice) -> bool:
    """Say whether each child counts, because letters differ by child."""
    if stays := summaries.summary_of_notice(notice):
        return stays.by_child
    return Delivery.select().where(Delivery.notice == notice, Delivery.child_name != "").exists()


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _select_memberships(rights: Permissions, need: str) -> "ModelSelect[Membership]":
    """Select memberships of lists with this permission, without practice lists."""
    mine = rights.lists(need).where(MailingList.practice_of.is_null()).select(MailingList.id).order_by()
    return Membership.select(Membership.id).where(Membership.list.in_(mine))


def _misdirected_deliveries(rights: Permissions, now: datetime) -> list[Delivery]:
    """Return letters reported as meant for another family while that address is still stopped."""
    stopped = _select_memberships(rights, "view").where(
        Membership.state == MembershipState.STOPPED, Membership.stopped_by == "reader"
    )
    said = Delivery.select().where(
        Delivery.misdirected_at > now - MISDIRECTED_FOR, Delivery.person.in_(stopped.select(Membership.person))
    )
    return list(said.order_by(Delivery.misdirected_at.desc()).limit(MAX_SHOWN))


def _unreachable_members(rights: Permissions) -> tuple[int, list[Person]]:
    """Count active members whose address fails, and return the first three."""
    members = (
        _select_memberships(rights, "view").where(Membership.state == MembershipState.ACTIVE).select(Membership.person)
    )
    found = Person.select().where(Person.address_state.in_(FAILED_ADDRESS_STATES), Person.id.in_(members))
    return found.count(), list(found.order_by(Person.kana, Person.id).limit(3))


def _count_people(members: "ModelSelect[Any]") -> MemberCount:
    """Count the persons of these memberships, and return their last list: a class rather than the whole school."""
    return MemberCount(*members.select(fn.COUNT(Membership.person.distinct()), fn.MAX(Membership.list)).tuples().get())


def _incomplete_members(rights: Permissions) -> MemberCount:
    """Count active members without a name, or whose child has no class."""
    no_class = Membership.child.is_null(False) & (Child.grade == "") & (Child.class_name == "")
    found = _select_memberships(rights, "manage").join(Person).switch(Membership).join(Child, JOIN.LEFT_OUTER)
    return _count_people(found.where(Membership.state == MembershipState.ACTIVE, (Person.name == "") | no_class))


# ── the beginning ────────────────────────────────────────────────────────────────────────────────────────────────


def setup_steps(user: User, rights: Permissions) -> SetupSteps | None:
    """Return the first three steps; None if a notice was sent before or the user cannot write."""
    if (
        not rights.may("send")
        or notice_list.sent_notices(rights).where(Notice.id.not_in(practice_notice_ids())).exists()
    ):
        return None
    found = SetupSteps(
        roster=not rights.may("manage") or _select_memberships(rights, "manage").exists(),
        written=Notice.select().where(Notice.by == user, Notice.confirmed_at.is_null(False)).exists(),
        colleague=not rights.is_admin or User.select().count() > 1,
    )
    return found if found.open else None
