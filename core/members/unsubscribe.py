"""Stopping and resuming mail from the page of a letter, and letters that were meant for another family (decision 2).

Everything here is reversible from the same page, changes the person behind the letter only, and is shown to the
managers: on the notice's board and in the record.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from core import audit
from core.notifications.notify import notify
from core.system import manager_alerts
from database import db
from models import Delivery, DeliveryMembership, Letter, MailingList, Membership, Notice, Person

RESUBSCRIBE_EMAIL_INTERVAL = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CoveredList:
    """A list that a letter covers. `state`: active, stopped (the reader may resume), or over (only a manager may)."""

    number: int
    name: str
    state: str


def covered_lists(delivery: Delivery) -> list[CoveredList]:
    """Return the lists that a letter covers, the letter's own first; none if the person is gone."""
    standings = _membership_states(delivery)
    names = {one.id: one.name for one in MailingList.select().where(MailingList.id.in_(list(standings)))}
    order = sorted(names, key=lambda number: (number != delivery.list_id, number))
    return [CoveredList(number, names[number], _combined_state(standings[number])) for number in order]


def _membership_states(delivery: Delivery) -> dict[int, set[tuple[str, str]]]:
    """Return (state, stopped by) of the reader's memberships in each list that the letter covers."""
    covered = DeliveryMembership.select(DeliveryMembership.list).where(
        DeliveryMembership.delivery == delivery, DeliveryMembership.list.is_null(False)
    )
    rows = Membership.select(Membership.list, Membership.state, Membership.stopped_by).where(
        Membership.person == delivery.person_id, Membership.list.in_(covered) | (Membership.list == delivery.list_id)
    )
    found: dict[int, set[tuple[str, str]]] = {}
    for number, state, by in rows.tuples():
        found.setdefault(number, set()).add((state, by))
    return found


def _combined_state(standing: set[tuple[str, str]]) -> str:
    if any(state in ("active", "unconfirmed") for state, _ in standing):
        return "active"
    return "stopped" if ("stopped", "reader") in standing else "over"


# ── stop and resume ──────────────────────────────────────────────────────────────────────────────────────────────


def unsubscribe_lists(delivery: Delivery, lists: Collection[int], now: datetime) -> int:
    """Stop the reader's mail from some of the lists that the letter covers. Return how many memberships; repeatable."""
    return _change_memberships(
        delivery,
        lists,
        "member.stopped",
        now,
        where=(Membership.state == "active",),
        state="stopped",
        stopped_by="reader",
        stopped_at=now,
    )


def resubscribe_lists(delivery: Delivery, lists: Collection[int], now: datetime) -> int:
    """Undo what the reader stopped; a manager's stop stays. Return how many memberships; repeatable.

    Where the letter was said to be another family's, everything that this stopped comes back with it.
    """
    done = _change_memberships(
        delivery,
        lists,
        "member.resumed",
        now,
        where=(Membership.state == "stopped", Membership.stopped_by == "reader"),
        state="active",
        stopped_by="",
        stopped_at=None,
    )
    if done:
        _clear_misdirected(delivery)
    return done


def _clear_misdirected(delivery: Delivery) -> None:
    row = Delivery.select(Delivery.misdirected_at).where(
        Delivery.id == delivery.id, Delivery.misdirected_at.is_null(False)
    )
    said = row.scalar()
    if said and Delivery.update(misdirected_at=None).where(Delivery.id == delivery.id).execute():
        Membership.update(state="active", stopped_by="", stopped_at=None).where(
            Membership.person == delivery.person_id,
            Membership.state == "stopped",
            Membership.stopped_by == "reader",
            Membership.stopped_at == said,
        ).execute()
        audit.log_action(None, "delivery.strange_taken_back", delivery.id, detail={"notice": delivery.notice_id})


def _change_memberships(
    delivery: Delivery, lists: Collection[int], action: str, now: datetime, *, where: tuple, **fields: object
) -> int:
    covered = [number for number in _membership_states(delivery) if number in set(lists)]
    with db.atomic():
        done = (
            Membership.update(**fields)
            .where(Membership.person == delivery.person_id, Membership.list.in_(covered), *where)
            .execute()
        )
        if done:
            detail = {
                "lists": covered,
                "delivery": delivery.id,
                "alone": len(_unreachable_children_in_lists(delivery, covered)),
            }
            audit.log_action(None, action, delivery.person_id, detail=detail)
            Notice.update(serial=Notice.serial + 1).where(Notice.id == delivery.notice_id).execute()
    return done


def _unreachable_children_in_lists(delivery: Delivery, lists: Collection[int]) -> set[int]:
    rows = Membership.select(Membership.child).where(
        Membership.person == delivery.person_id, Membership.list.in_(lists), Membership.child.is_null(False)
    )
    return unreachable_children({child for (child,) in rows.tuples()})


def unreachable_children(children: Collection[int]) -> set[int]:
    """Return those of some children for whom no guardian with a working address is left in any list."""
    if not children:
        return set()
    reached = (
        Membership.select(Membership.child)
        .join(Person)
        .where(
            Membership.child.in_(list(children)),
            Membership.state == "active",
            Person.address.is_null(False),
            Person.address_state.in_(("fine", "refusing")),
        )
        .tuples()
    )
    return set(children) - {child for (child,) in reached}


# ── one click in the mail program ────────────────────────────────────────────────────────────────────────────────


def handle_one_click(delivery: Delivery, url: str, now: datetime) -> bool:
    """Stop every list of the letter, as RFC 8058 wants it, and write how to undo it. Safe to repeat.

    url: of the page where it can be undone. Return whether a letter about it was made: at most one a day.
    """
    names = [one.name for one in covered_lists(delivery) if one.state == "active"]
    if not unsubscribe_lists(delivery, [one.number for one in covered_lists(delivery)], now):
        return False
    person = delivery.person
    if not person or not person.is_deliverable or _was_emailed_recently(person, now):
        return False
    notify("resume", person, now, language=delivery.language, list=_join_names(names, delivery.language), url=url)
    return True


def _join_names(names: list[str], language: str) -> str:
    return "」「".join(names) if language == "ja" else "”, “".join(names)


def _was_emailed_recently(person: Person, now: datetime) -> bool:
    lately = Letter.made_at > now - RESUBSCRIBE_EMAIL_INTERVAL
    return Letter.select().where(Letter.kind == "resume", Letter.person == person, lately).exists()


# ── meant for another family ─────────────────────────────────────────────────────────────────────────────────────


def report_misdirected(delivery: Delivery, now: datetime) -> None:
    """Believe the reader that the letter was meant for another family: stop this address at once, tell the managers."""
    with db.atomic():
        stopped = _unsubscribe_everywhere(delivery, now)
        first = Delivery.update(misdirected_at=now).where(Delivery.id == delivery.id, Delivery.misdirected_at.is_null())
        if first.execute():
            audit.log_action(None, "delivery.strange", delivery.id, detail={"notice": delivery.notice_id})
            Notice.update(serial=Notice.serial + 1).where(Notice.id == delivery.notice_id).execute()
            if delivery.person_id:
                manager_alerts.alert_misdirected(
                    delivery,
                    stopped or list(_membership_states(delivery)),
                    _unreachable_children_of_reader(delivery),
                    now,
                )


def _unsubscribe_everywhere(delivery: Delivery, now: datetime) -> list[int]:
    """Stop all mail to the person behind the letter, of lists that it does not cover too; return the lists."""
    mine = (Membership.person == delivery.person_id) & (Membership.state == "active")
    lists = [number for (number,) in Membership.select(Membership.list).where(mine).distinct().tuples()]
    Membership.update(state="stopped", stopped_by="reader", stopped_at=now).where(mine).execute()
    if lists:
        audit.log_action(None, "member.stopped", delivery.person_id, detail={"lists": lists, "delivery": delivery.id})
    return lists


def _unreachable_children_of_reader(delivery: Delivery) -> set[int]:
    rows = Membership.select(Membership.child).where(
        Membership.person == delivery.person_id, Membership.child.is_null(False), Membership.is_member
    )
    return unreachable_children({child for (child,) in rows.tuples()})
