"""Stopping and resuming mail from the page of a letter, and letters that were meant for another family (decision 2).

Everything here is reversible from the same page, changes the person behind the letter only, and is shown to the
managers: on the notice's board and in the record.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from core import history, service
from core.house import alarms
from database import db
from models import Cover, Delivery, Letter, MailingList, Membership, Notice, Person

RESUME_LETTER_AGAIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Choice:
    """A list that a letter covers. `state`: active, stopped (the reader may resume), or over (only a manager may)."""

    number: int
    name: str
    state: str


def choices(delivery: Delivery) -> list[Choice]:
    """Return the lists that a letter covers, the letter's own first; none if the person is gone."""
    standings = _standings(delivery)
    names = {one.id: one.name for one in MailingList.select().where(MailingList.id.in_(list(standings)))}
    order = sorted(names, key=lambda number: (number != delivery.list_id, number))
    return [Choice(number, names[number], _state(standings[number])) for number in order]


def _standings(delivery: Delivery) -> dict[int, set[tuple[str, str]]]:
    """Return (state, stopped by) of the reader's memberships in each list that the letter covers."""
    covered = Cover.select(Cover.list).where(Cover.delivery == delivery, Cover.list.is_null(False))
    rows = Membership.select(Membership.list, Membership.state, Membership.stopped_by).where(
        Membership.person == delivery.person_id,
        Membership.list.in_(covered) | (Membership.list == delivery.list_id),
    )
    found: dict[int, set[tuple[str, str]]] = {}
    for number, state, by in rows.tuples():
        found.setdefault(number, set()).add((state, by))
    return found


def _state(standing: set[tuple[str, str]]) -> str:
    if any(state in ("active", "unconfirmed") for state, _ in standing):
        return "active"
    return "stopped" if ("stopped", "reader") in standing else "over"


# ── stop and resume ──────────────────────────────────────────────────────────────────────────────────────────────


def stop(delivery: Delivery, lists: Collection[int], now: datetime) -> int:
    """Stop the reader's mail from some of the lists that the letter covers. Return how many memberships; repeatable."""
    return _turn(
        delivery, lists, "member.stopped", now,
        where=(Membership.state == "active",),
        state="stopped", stopped_by="reader", stopped_at=now,
    )  # fmt: skip


def resume(delivery: Delivery, lists: Collection[int], now: datetime) -> int:
    """Undo what the reader stopped; a manager's stop stays. Return how many memberships; repeatable.

    Where the letter was said to be another family's, everything that this stopped comes back with it.
    """
    done = _turn(
        delivery, lists, "member.resumed", now,
        where=(Membership.state == "stopped", Membership.stopped_by == "reader"),
        state="active", stopped_by="", stopped_at=None,
    )  # fmt: skip
    if done:
        _not_strange_after_all(delivery)
    return done


def _not_strange_after_all(delivery: Delivery) -> None:
    row = Delivery.select(Delivery.strange_at).where(Delivery.id == delivery.id, Delivery.strange_at.is_null(False))
    said = row.scalar()
    if said and Delivery.update(strange_at=None).where(Delivery.id == delivery.id).execute():
        Membership.update(state="active", stopped_by="", stopped_at=None).where(
            Membership.person == delivery.person_id,
            Membership.state == "stopped",
            Membership.stopped_by == "reader",
            Membership.stopped_at == said,
        ).execute()
        history.log(None, "delivery.strange_taken_back", delivery.id, detail={"notice": delivery.notice_id})


def _turn(
    delivery: Delivery, lists: Collection[int], action: str, now: datetime, *, where: tuple, **fields: object
) -> int:
    covered = [number for number in _standings(delivery) if number in set(lists)]
    with db.atomic():
        done = (
            Membership.update(**fields)
            .where(Membership.person == delivery.person_id, Membership.list.in_(covered), *where)
            .execute()
        )
        if done:
            detail = {"lists": covered, "delivery": delivery.id, "alone": len(_children_left(delivery, covered))}
            history.log(None, action, delivery.person_id, detail=detail)
            Notice.update(serial=Notice.serial + 1).where(Notice.id == delivery.notice_id).execute()
    return done


def _children_left(delivery: Delivery, lists: Collection[int]) -> set[int]:
    rows = Membership.select(Membership.child).where(
        Membership.person == delivery.person_id, Membership.list.in_(lists), Membership.child.is_null(False)
    )
    return children_with_nobody({child for (child,) in rows.tuples()})


def children_with_nobody(children: Collection[int]) -> set[int]:
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


def one_click(delivery: Delivery, url: str, now: datetime) -> bool:
    """Stop every list of the letter, as RFC 8058 wants it, and write how to undo it. Safe to repeat.

    url: of the page where it can be undone. Return whether a letter about it was made: at most one a day.
    """
    names = [one.name for one in choices(delivery) if one.state == "active"]
    if not stop(delivery, [one.number for one in choices(delivery)], now):
        return False
    person = delivery.person
    if not person or not person.reachable or _told_lately(person, now):
        return False
    values = {"list": _joined(names, delivery.language), "url": url, "to_name": person.name}
    service.send(
        "resume", address=person.address, language=delivery.language, values=values, now=now, person=person,
        useful_s=RESUME_LETTER_AGAIN.days * 86400,
    )  # fmt: skip
    return True


def _joined(names: list[str], language: str) -> str:
    return "」「".join(names) if language == "ja" else "”, “".join(names)


def _told_lately(person: Person, now: datetime) -> bool:
    lately = Letter.made_at > now - RESUME_LETTER_AGAIN
    return Letter.select().where(Letter.kind == "resume", Letter.person == person, lately).exists()


# ── meant for another family ─────────────────────────────────────────────────────────────────────────────────────


def strange(delivery: Delivery, now: datetime) -> None:
    """Believe the reader that the letter was meant for another family: stop this address at once, tell the managers."""
    with db.atomic():
        stopped = _stop_everywhere(delivery, now)
        first = Delivery.update(strange_at=now).where(Delivery.id == delivery.id, Delivery.strange_at.is_null())
        if first.execute():
            history.log(None, "delivery.strange", delivery.id, detail={"notice": delivery.notice_id})
            Notice.update(serial=Notice.serial + 1).where(Notice.id == delivery.notice_id).execute()
            if delivery.person_id:
                alarms.strange(delivery, stopped or list(_standings(delivery)), _left_alone(delivery), now)


def _stop_everywhere(delivery: Delivery, now: datetime) -> list[int]:
    """Stop all mail to the person behind the letter, of lists that it does not cover too; return the lists."""
    mine = (Membership.person == delivery.person_id) & (Membership.state == "active")
    lists = [number for (number,) in Membership.select(Membership.list).where(mine).distinct().tuples()]
    Membership.update(state="stopped", stopped_by="reader", stopped_at=now).where(mine).execute()
    if lists:
        history.log(None, "member.stopped", delivery.person_id, detail={"lists": lists, "delivery": delivery.id})
    return lists


def _left_alone(delivery: Delivery) -> set[int]:
    rows = Membership.select(Membership.child).where(
        Membership.person == delivery.person_id, Membership.child.is_null(False), Membership.belongs
    )
    return children_with_nobody({child for (child,) in rows.tuples()})
