"""Stop and resume the mail of a list for its reader: from the page of a letter, by mail, or with one click.

Every change is reversible on the same page and touches only the reader of the letter. Managers see it on the notice's
board and in the audit log (decision 2).
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import JOIN, Expression, ModelSelect

from core import audit, rate_limits
from core.notifications.notify import notify
from core.permissions import Permissions
from database import db
from models import (
    AddressState,
    Child,
    Delivery,
    DeliveryMembership,
    Letter,
    MailingList,
    Membership,
    MembershipState,
    Notice,
    Person,
)

RESUBSCRIBE_EMAIL_INTERVAL = timedelta(days=1)
REPORTED_FOR = timedelta(days=7)
MAX_REPORTED = 5

_STOPPED_BY_READER = (Membership.state == MembershipState.STOPPED) & (Membership.stopped_by == "reader")
_RESUMED = {"state": MembershipState.ACTIVE, "stopped_by": "", "stopped_at": None}


def _stopped(now: datetime) -> dict[str, Any]:
    return {"state": MembershipState.STOPPED, "stopped_by": "reader", "stopped_at": now}


# ── state ────────────────────────────────────────────────────────────────────────────────────────────────────────


def combined_state(states: Iterable[tuple[str, str]]) -> str:
    """Combine the (state, stopped_by) of one reader's memberships in one list.

    Return active, pending, stopped (the reader may resume), over (only a manager may resume), or "" without memberships.
    """
    pairs = set(states)
    if any(state in (MembershipState.ACTIVE, MembershipState.UNCONFIRMED) for state, _ in pairs):
        return MembershipState.ACTIVE
    if any(state == MembershipState.PENDING for state, _ in pairs):
        return MembershipState.PENDING
    if (MembershipState.STOPPED, "reader") in pairs:
        return MembershipState.STOPPED
    return "over" if pairs else ""


def subscription_state(person: Person, mailing_list: MailingList) -> str:
    """Return what the reader can do with a list: stop it (active), resume it (stopped), neither (over, "")."""
    rows = Membership.select().where(Membership.person == person, Membership.list == mailing_list, Membership.is_member)
    state = combined_state((row.state, row.stopped_by) for row in rows)
    return MembershipState.ACTIVE if state == MembershipState.PENDING else state


@dataclass(frozen=True, slots=True)
class CoveredList:
    """A list that a letter covers. `state`: active, stopped (the reader may resume), or over (only a manager may)."""

    number: int
    name: str
    state: str


def covered_lists(delivery: Delivery) -> list[CoveredList]:
    """Return the lists that a letter covers, the letter's own first; none if the person is gone."""
    by_list = membership_states(delivery)
    names = {row.id: row.name for row in MailingList.select().where(MailingList.id.in_(list(by_list)))}
    order = sorted(names, key=lambda number: (number != delivery.list_id, number))
    states = {
        number: combined_state(pair for pair in by_list[number] if pair[0] != MembershipState.PENDING)
        for number in order
    }
    return [CoveredList(number, names[number], states[number] or "over") for number in order]


def membership_states(delivery: Delivery) -> dict[int, set[tuple[str, str]]]:
    """Return (state, stopped_by) of the reader's memberships in each list that the letter covers."""
    covered = DeliveryMembership.select(DeliveryMembership.list).where(
        DeliveryMembership.delivery == delivery, DeliveryMembership.list.is_null(False)
    )
    rows = Membership.select(Membership.list, Membership.state, Membership.stopped_by).where(
        Membership.person == delivery.person_id, Membership.list.in_(covered) | (Membership.list == delivery.list_id)
    )
    states: dict[int, set[tuple[str, str]]] = {}
    for number, state, stopped_by in rows.tuples():
        states.setdefault(number, set()).add((state, stopped_by))
    return states


# ── stop and resume, from the page of a letter ───────────────────────────────────────────────────────────────────


def unsubscribe_lists(delivery: Delivery, lists: Collection[int], now: datetime) -> int:
    """Stop the reader's mail from some of the lists that the letter covers. Return how many memberships; repeatable."""
    return _change_covered(delivery, lists, "member.stopped", Membership.state == MembershipState.ACTIVE, _stopped(now))


def resubscribe_lists(delivery: Delivery, lists: Collection[int], now: datetime) -> int:
    """Undo what the reader stopped; a manager's stop stays. Return how many memberships; repeatable.

    If the letter was reported as meant for another family, resume everything that the report stopped.
    """
    count = _change_covered(delivery, lists, "member.resumed", _STOPPED_BY_READER, _RESUMED)
    if count:
        _clear_misdirected(delivery)
    return count


def _clear_misdirected(delivery: Delivery) -> None:
    row = Delivery.select(Delivery.misdirected_at).where(
        Delivery.id == delivery.id, Delivery.misdirected_at.is_null(False)
    )
    reported_at = row.scalar()
    if reported_at and Delivery.update(misdirected_at=None).where(Delivery.id == delivery.id).execute():
        Membership.update(**_RESUMED).where(
            Membership.person == delivery.person_id, _STOPPED_BY_READER, Membership.stopped_at == reported_at
        ).execute()
        audit.log_action(None, "delivery.strange_taken_back", delivery.id, detail={"notice": delivery.notice_id})


def _change_covered(
    delivery: Delivery, lists: Collection[int], action: str, where: Expression, fields: dict[str, Any]
) -> int:
    covered = [number for number in membership_states(delivery) if number in set(lists)]

    def detail() -> dict[str, Any]:
        return {"delivery": delivery.id, "alone": len(_unreachable_children_in_lists(delivery, covered))}

    with db.atomic():
        count = _change_memberships(delivery.person_id, covered, action, where, fields, detail)
        if count:
            Notice.update(serial=Notice.serial + 1).where(Notice.id == delivery.notice_id).execute()
    return count


def _change_memberships(
    person_id: int | None,
    lists: list[int],
    action: str,
    where: Expression,
    fields: dict[str, Any],
    detail: Callable[[], dict[str, Any]],
) -> int:
    """Update the reader's memberships in some lists and log it; `detail` runs after the update."""
    with db.atomic():
        count = (
            Membership.update(**fields)
            .where(Membership.person == person_id, Membership.list.in_(lists), where)
            .execute()
        )
        if count:
            audit.log_action(None, action, person_id, detail={"lists": lists, **detail()})
    return count


def _unreachable_children_in_lists(delivery: Delivery, lists: Collection[int]) -> set[int]:
    rows = Membership.select(Membership.child).where(
        Membership.person == delivery.person_id, Membership.list.in_(lists), Membership.child.is_null(False)
    )
    return unreachable_children({child for (child,) in rows.tuples()})


def unreachable_children(children: Collection[int]) -> set[int]:
    """Return the children without a guardian who has a working address and gets mail, in any list."""
    if not children:
        return set()
    reached = (
        Membership.select(Membership.child)
        .join(Person)
        .where(
            Membership.child.in_(list(children)),
            Membership.state == MembershipState.ACTIVE,
            Person.address.is_null(False),
            Person.address_state.in_((AddressState.FINE, AddressState.REFUSING)),
        )
        .tuples()
    )
    return set(children) - {child for (child,) in reached}


# ── stop and resume one list, without a letter ───────────────────────────────────────────────────────────────────


def unsubscribe_from_list(person: Person, mailing_list: MailingList, now: datetime) -> bool:
    """Stop a list for a reader; a membership that waits for approval ends. Repeatable."""
    active = Membership.state.in_((MembershipState.ACTIVE, MembershipState.UNCONFIRMED))
    stopped = _change_in_list(person, mailing_list, "member.stopped", active, _stopped(now))
    left = {"state": MembershipState.LEFT, "left_at": now}
    return bool(
        stopped
        + _change_in_list(person, mailing_list, "member.left", Membership.state == MembershipState.PENDING, left)
    )


def resubscribe_to_list(person: Person, mailing_list: MailingList) -> bool:
    """Undo what the reader stopped; a manager's stop stays. Repeatable."""
    return bool(_change_in_list(person, mailing_list, "member.resumed", _STOPPED_BY_READER, _RESUMED))


def _change_in_list(
    person: Person, mailing_list: MailingList, action: str, where: Expression, fields: dict[str, Any]
) -> int:
    return _change_memberships(person.id, [mailing_list.id], action, where, fields, lambda: {"by": "mail"})


def unsubscribe_and_notify(person: Person, mailing_list: MailingList, url: str, now: datetime) -> bool:
    """Stop a list and mail the link that undoes it; False if there was nothing to stop. Repeatable."""
    if not unsubscribe_from_list(person, mailing_list, now):
        return False
    send_link_daily("resume", person, mailing_list, url, now)
    return True


def send_link_daily(kind: str, person: Person, mailing_list: MailingList, url: str, now: datetime) -> None:
    """Mail a link (kind: leave, resume) to the member's own address, at most once a day for each list."""
    if (
        not person.is_deliverable
        or rate_limits.record_hit(f"resume letter:{kind}:{mailing_list.id}:{person.id}", now, 86400) > 1
    ):
        return
    notify(kind, person, now, list=mailing_list.name, url=url)


# ── one click in the mail program ────────────────────────────────────────────────────────────────────────────────


def handle_one_click(delivery: Delivery, url: str, now: datetime) -> bool:
    """Stop every list of the letter (RFC 8058) and mail the link that undoes it. Safe to repeat.

    url: of the page where it can be undone. Return whether a letter about it was made: at most one a day.
    """
    covered = covered_lists(delivery)
    if not unsubscribe_lists(delivery, [row.number for row in covered], now):
        return False
    person = delivery.person
    if not person or not person.is_deliverable or _was_emailed_recently(person, now):
        return False
    names = [row.name for row in covered if row.state == MembershipState.ACTIVE]
    between = "」「" if delivery.language == "ja" else "”, “"
    notify("resume", person, now, language=delivery.language, list=between.join(names), url=url)
    return True


def _was_emailed_recently(person: Person, now: datetime) -> bool:
    lately = Letter.made_at > now - RESUBSCRIBE_EMAIL_INTERVAL
    return Letter.select().where(Letter.kind == "resume", Letter.person == person, lately).exists()


# ── recent unsubscribes, for managers ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class UnsubscribedPerson:
    """A reader who stopped the mail or left. `unreachable_children`: names of the children whom no letter reaches any more."""

    person: Person
    at: datetime
    lists: tuple[str, ...]
    left: bool
    unreachable_children: tuple[str, ...]


def select_with_names() -> "ModelSelect[Membership]":
    """Select memberships with person, list and child."""
    query = Membership.select(Membership, Person, MailingList, Child).join(Person)
    return query.switch(Membership).join(MailingList).switch(Membership).join(Child, JOIN.LEFT_OUTER)


def recently_unsubscribed(rights: Permissions, now: datetime) -> list[UnsubscribedPerson]:
    """Return who unsubscribed lately from the lists of a manager; readers with unreachable children come first."""
    managed = [row.id for row in rights.lists("manage") if not row.practice_of_id]
    since = now - REPORTED_FOR
    recently = ((Membership.state == MembershipState.STOPPED) & (Membership.stopped_at > since)) | (
        (Membership.state == MembershipState.LEFT) & (Membership.left_at > since)
    )
    rows = list(
        select_with_names()
        .where(Membership.list.in_(managed), Membership.stopped_by == "reader", recently)
        .order_by(Membership.id)
        .limit(100)
    )
    alone = unreachable_children({row.child_id for row in rows if row.child_id})
    by_person: dict[int, list[Membership]] = {}
    for row in rows:
        by_person.setdefault(row.person_id, []).append(row)
    people = [_unsubscribed_person(memberships, alone) for memberships in by_person.values()]
    return sorted(people, key=lambda row: (not row.unreachable_children, -row.at.timestamp()))[:MAX_REPORTED]


def _unsubscribed_person(memberships: list[Membership], alone: set[int]) -> UnsubscribedPerson:
    moments = [row.left_at or row.stopped_at for row in memberships]
    return UnsubscribedPerson(
        person=memberships[0].person,
        at=max(moment for moment in moments if moment),
        lists=tuple(dict.fromkeys(row.list.name for row in memberships)),
        left=any(row.state == MembershipState.LEFT for row in memberships),
        unreachable_children=tuple(
            dict.fromkeys(row.child.name for row in memberships if row.child and row.child_id in alone)
        ),
    )
