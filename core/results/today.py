"""What an organizer finds on the first page: what needs somebody now, what goes out next, how the latest ones stand.

Every figure is one query whatever the number of notices or people; only what the user's rights allow is counted.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import JOIN, Alias, Case, Field, ModelSelect, fn

import clock
from core import organization, sight
from core.delivery import alerts
from core.house import safekeeping
from core.house.safekeeping import Safety
from core.house.wellbeing import Renewal, near
from core.members import unsubscribed
from core.notices import drip as steps_after
from core.notices.reminder_recipients import find_recipients
from core.organization import settings
from core.results import archive, kept
from core.results.archive import Row
from core.results.board_rows import NOT_COUNTED
from core.rights import Rights
from core.road import progress
from core.road.progress import Progress
from core.signup import approvals
from models import Child, Cover, Delivery, MailingList, Membership, Notice, Person, Reminder, Step, Target, User

SHOWN = 5
UNREAD_FOR = timedelta(days=7)
"""How long a notice that was not read by all stays among what needs somebody."""
STRANGE_FOR = timedelta(days=30)
"""How long a letter that was meant for another family stays among what needs somebody."""
MISSED_FOR = timedelta(days=3)
"""How long a reminder that was missed stays among what needs somebody."""
UNREAD_AFTER = timedelta(hours=12)
"""Ordinary notices are given this time before anybody is troubled; urgent ones none."""
REFUSING = ("bounced", "complained", "refusing")


@dataclass(frozen=True, slots=True)
class Count:
    """How many households a notice went to, how many have confirmed, and how many others were told by telephone.

    by_child: the letters differed by child, so that each child counts and not the household.
    """

    households: int = 0
    read: int = 0
    told: int = 0
    by_child: bool = False

    @property
    def left(self) -> int:
        return self.households - self.read - self.told


@dataclass(frozen=True, slots=True)
class Line:
    """A notice in a list with its households."""

    row: Row
    count: Count


@dataclass(frozen=True, slots=True)
class Steps:
    """The first three steps of a new house: which are done."""

    roster: bool
    written: bool
    colleague: bool

    @property
    def open(self) -> bool:
        return not (self.roster and self.written and self.colleague)


@dataclass(frozen=True, slots=True)
class Members:
    """How many people something is the matter with, and a list in which to begin (None if nobody)."""

    count: int
    list_id: int | None


@dataclass(frozen=True, slots=True)
class Today:
    """The whole first page. `strange`: said to be meant for another family; `troubled`: how many people cannot be
    reached by mail, and the first names; `following`: letters after joining that wait for somebody's word.
    """

    asking: list[Row]
    second: list[Row]
    missed: list[tuple[Row, Reminder]]
    running: list[tuple[Row, Progress]]
    unread: list[Line]
    strange: list[Delivery]
    pending: Members
    queues: list[tuple[MailingList, int]]
    gone: list[unsubscribed.UnsubscribedPerson]
    distrusted: list[alerts.PolicyRejection]
    blocked: list[alerts.BlockedCarrier]
    troubled: tuple[int, list[Person]]
    nameless: Members
    following: list[Step]
    renewals: list[Renewal]
    forgetting: datetime | None
    unsafe: list[Safety]
    waiting: list[Row]
    drafts: list[Row]
    latest: list[Line]

    @property
    def matters(self) -> int:
        """Return how many matters need somebody now."""
        one_each = (self.pending.count, self.troubled[0], self.nameless.count, self.forgetting)
        each = (
            *self.asking,
            *self.second,
            *self.missed,
            *self.running,
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


def of(rights: Rights, now: datetime) -> Today:
    """Gather the first page of one user."""
    booked = archive.rows(archive.booked(rights).limit(4 * SHOWN))
    asking = [row for row in booked if row.notice.held_why in ("late", "changed", "proof")]
    latest = archive.rows(archive.finished(rights).limit(SHOWN))
    unread = archive.rows(_maybe_unread(rights, now))
    counts = households([row.notice.id for row in (*latest, *unread)], seen_lists(rights))
    return Today(
        asking=asking,
        second=archive.rows(archive.asked(rights).where(Notice.by != rights.user_id).limit(SHOWN)),
        missed=_missed(rights, now),
        running=running(rights, now),
        unread=[line for line in _lines(unread, counts) if line.count.left][:SHOWN],
        strange=_strange(rights, now),
        pending=_in_lists(_people(rights, "manage").where(Membership.state == "pending")),
        queues=approvals.queued_signups_by_list(rights),
        gone=unsubscribed.recently_unsubscribed(rights, now),
        distrusted=alerts.policy_rejections(now) if rights.is_admin else [],
        blocked=alerts.blocked_carriers(now) if rights.may("send") else [],
        troubled=_troubled(rights),
        nameless=_nameless(rights),
        following=steps_after.steps_awaiting_decision(rights.lists("manage").select(MailingList.id).order_by()),
        forgetting=organization.deletes_from(now) if rights.is_admin else None,
        renewals=near(clock.local(now).date()) if rights.is_admin else [],
        unsafe=[found] if rights.is_admin and (found := safekeeping.safety(now)).old else [],
        waiting=[row for row in booked if row not in asking][:SHOWN],
        drafts=archive.rows(archive.begun(rights).limit(SHOWN)),
        latest=_lines(latest, counts),
    )


def _lines(rows: list[Row], counts: dict[int, Count]) -> list[Line]:
    return [Line(row, counts.get(row.notice.id, Count())) for row in rows]


def running(rights: Rights, now: datetime) -> list[tuple[Row, Progress]]:
    """Return what is being sent now, or stands still, with how far it has come."""
    force = settings()
    rows = archive.rows(archive.running(rights).limit(SHOWN))
    return [(row, progress.of(row.notice, force, now, rights.seen(row.notice))) for row in rows]


def _missed(rights: Rights, now: datetime) -> list[tuple[Row, Reminder]]:
    """Return the notices whose last reminder did not go, because Kairan was not running, and is still owed."""
    newest = Reminder.select(fn.MAX(Reminder.id)).where(Reminder.state != "waiting").group_by(Reminder.notice)
    here = (Reminder.state == "missed") & (Reminder.done_at > now - MISSED_FOR) & Reminder.id.in_(newest)
    found = {one.notice_id: one for one in Reminder.select().where(here)}
    mine = archive.finished(rights).where(Notice.id.in_(list(found)), Notice.state.in_(("sent", "stopped")))
    rows = archive.rows(mine.limit(SHOWN))
    return [(row, found[row.notice.id]) for row in rows if find_recipients(row.notice, now)]


def _maybe_unread(rights: Rights, now: datetime) -> ModelSelect:
    """Return the notices of the last days that ask for confirmation and have had their time."""
    sent = archive.finished(rights).where(
        Notice.state != "withdrawn",
        Notice.read_confirmation == True,  # noqa: E712
        Notice.id.not_in(to_practice_lists()),
        Notice.started_at > now - UNREAD_FOR,
        (Notice.urgent == True) | (Notice.started_at < now - UNREAD_AFTER),  # noqa: E712
    )
    return sent.limit(4 * SHOWN)


def to_practice_lists() -> ModelSelect:
    """Return the notices that went to somebody's practice list: nobody but their writers waits for these."""
    lists = MailingList.select(MailingList.id).where(MailingList.practice_of.is_null(False))
    return Target.select(Target.notice).where(Target.kind == "list", Target.number.in_(lists))


def seen_lists(rights: Rights) -> set[int] | None:
    """Return the lists whose households this user may count; None for everybody's."""
    if rights.may("view", 0):
        return None
    return {one.id for one in rights.lists("view")}


def households(notices: Collection[int], lists: Collection[int] | None) -> dict[int, Count]:
    """Count households of notices as the board does: read by one guardian is read by the household.

    Where the letters differ by child, each child of a household counts. Of a notice whose letters are deleted the sums
    speak, to who may see all of it.
    """
    units = (
        Delivery.select(
            Delivery.notice,
            _any(Delivery.read_at, "read"),
            _any(Delivery.told_at, "told"),
            fn.MAX(Delivery.child_name != "").alias("named"),
        )
        .join(Cover, JOIN.LEFT_OUTER)
        .where(Delivery.notice.in_(list(notices)), Delivery.reason.not_in(NOT_COUNTED), sight.cells(lists))
        .group_by(Delivery.notice, *unit_keys())
        .alias("units")
    )
    found = (
        Delivery.select(
            units.c.notice_id,
            fn.COUNT(units.c.read),
            fn.SUM(units.c.read),
            fn.SUM(units.c.told * (1 - units.c.read)),
            fn.MAX(units.c.named),
        )
        .from_(units)
        .group_by(units.c.notice_id)
        .tuples()
    )
    stayed = kept.several(notices) if lists is None else {}
    return {notice: Count(*counted, by_child=bool(named)) for notice, *counted, named in found} | {
        notice: Count(one.households, one.read, one.told, by_child=one.by_child) for notice, one in stayed.items()
    }


def counts_children(notice: Notice) -> bool:
    """Say whether each child counts in this notice, since the letters differed by child."""
    if stays := kept.of(notice):
        return stays.by_child
    return Delivery.select().where(Delivery.notice == notice, Delivery.child_name != "").exists()


def unit_keys() -> tuple[Any, ...]:
    """Return by what the cells of a notice are grouped into households; who has none stands alone."""
    household = fn.COALESCE(Cover.household, "")
    return household, Delivery.child_name, Case(None, [(household == "", Delivery.id)], 0)


def _any(moment: Field, name: str) -> Alias:
    """Return 1 for a household of which one reader has this moment, else 0."""
    return fn.MAX(Case(None, [(moment.is_null(False), 1)], 0)).alias(name)


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _people(rights: Rights, need: str) -> ModelSelect:
    """Return the memberships of lists that the user may view or manage; no practice lists."""
    mine = rights.lists(need).where(MailingList.practice_of.is_null()).select(MailingList.id).order_by()
    return Membership.select(Membership.id).where(Membership.list.in_(mine))


def _strange(rights: Rights, now: datetime) -> list[Delivery]:
    """Return the letters that a reader said were meant for another family, while the mail to that address stands."""
    stopped = _people(rights, "view").where(Membership.state == "stopped", Membership.stopped_by == "reader")
    said = Delivery.select().where(
        Delivery.strange_at > now - STRANGE_FOR, Delivery.person.in_(stopped.select(Membership.person))
    )
    return list(said.order_by(Delivery.strange_at.desc()).limit(SHOWN))


def _troubled(rights: Rights) -> tuple[int, list[Person]]:
    """Return how many active members our letters do not reach, and the first three."""
    members = _people(rights, "view").where(Membership.state == "active").select(Membership.person)
    found = Person.select().where(Person.address_state.in_(REFUSING), Person.id.in_(members))
    return found.count(), list(found.order_by(Person.kana, Person.id).limit(3))


def _in_lists(members: ModelSelect) -> Members:
    """Count the people of some memberships, and name the last of their lists: a class, rather than the whole school."""
    return Members(*members.select(fn.COUNT(Membership.person.distinct()), fn.MAX(Membership.list)).tuples().get())


def _nameless(rights: Rights) -> Members:
    """Count active members without a name, or whose child has no class."""
    no_class = Membership.child.is_null(False) & (Child.grade == "") & (Child.class_name == "")
    found = _people(rights, "manage").join(Person).switch(Membership).join(Child, JOIN.LEFT_OUTER)
    return _in_lists(found.where(Membership.state == "active", (Person.name == "") | no_class))


# ── the beginning ────────────────────────────────────────────────────────────────────────────────────────────────


def steps(user: User, rights: Rights) -> Steps | None:
    """Return the first three steps while a new house still needs them; None once it runs, or for who cannot write."""
    if not rights.may("send") or archive.gone_out(rights).where(Notice.id.not_in(to_practice_lists())).exists():
        return None
    found = Steps(
        roster=not rights.may("manage") or _people(rights, "manage").exists(),
        written=Notice.select().where(Notice.by == user, Notice.confirmed_at.is_null(False)).exists(),
        colleague=not rights.is_admin or User.select().count() > 1,
    )
    return found if found.open else None
