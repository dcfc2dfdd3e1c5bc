"""Who has stopped the mail or left by own wish: names, and children who have nobody left (decision 2)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import JOIN

from core.members import unsubscribe
from core.permissions import Permissions
from models import Child, MailingList, Membership, Person

SHOWN_FOR = timedelta(days=7)
MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class UnsubscribedPerson:
    """A person who has stopped or left. `alone`: names of the children whom no letter reaches any more."""

    person: Person
    at: datetime
    lists: tuple[str, ...]
    left: bool
    alone: tuple[str, ...]


def recently_unsubscribed(rights: Permissions, now: datetime) -> list[UnsubscribedPerson]:
    """Return who went in the last days from the lists of a manager, first those whose children have nobody."""
    managed = [one.id for one in rights.lists("manage") if not one.practice_of_id]
    since = now - SHOWN_FOR
    went = ((Membership.state == "stopped") & (Membership.stopped_at > since)) | (
        (Membership.state == "left") & (Membership.left_at > since)
    )
    rows = list(
        Membership.select(Membership, Person, MailingList, Child)
        .join(Person)
        .switch(Membership)
        .join(MailingList)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.list.in_(managed), Membership.stopped_by == "reader", went)
        .order_by(Membership.id)
        .limit(100)
    )
    alone = unsubscribe.unreachable_children({row.child_id for row in rows if row.child_id})
    by_person: dict[int, list[Membership]] = {}
    for row in rows:
        by_person.setdefault(row.person_id, []).append(row)
    found = [_unsubscribed_person(places, alone) for places in by_person.values()]
    return sorted(found, key=lambda one: (not one.alone, -one.at.timestamp()))[:MAX_SHOWN]


def _unsubscribed_person(places: list[Membership], alone: set[int]) -> UnsubscribedPerson:
    moments = [one.left_at or one.stopped_at for one in places]
    return UnsubscribedPerson(
        person=places[0].person,
        at=max(moment for moment in moments if moment),
        lists=tuple(dict.fromkeys(one.list.name for one in places)),
        left=any(one.state == "left" for one in places),
        alone=tuple(dict.fromkeys(one.child.name for one in places if one.child_id in alone)),
    )
