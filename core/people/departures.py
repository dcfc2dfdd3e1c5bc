"""Who has stopped the mail or left by own wish: names, and children who have nobody left (decision 2)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import JOIN

from core.people import leaving
from core.rights import Rights
from models import Child, MailingList, Membership, Person

SHOWN_FOR = timedelta(days=7)
MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Gone:
    """A person who has stopped or left. `alone`: names of the children whom no letter reaches any more."""

    person: Person
    at: datetime
    lists: tuple[str, ...]
    left: bool
    alone: tuple[str, ...]


def lately(rights: Rights, now: datetime) -> list[Gone]:
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
    alone = leaving.children_with_nobody({row.child_id for row in rows if row.child_id})
    by_person: dict[int, list[Membership]] = {}
    for row in rows:
        by_person.setdefault(row.person_id, []).append(row)
    found = [_gone(places, alone) for places in by_person.values()]
    return sorted(found, key=lambda one: (not one.alone, -one.at.timestamp()))[:MOST_SHOWN]


def _gone(places: list[Membership], alone: set[int]) -> Gone:
    moments = [one.left_at or one.stopped_at for one in places]
    return Gone(
        person=places[0].person,
        at=max(moment for moment in moments if moment),
        lists=tuple(dict.fromkeys(one.list.name for one in places)),
        left=any(one.state == "left" for one in places),
        alone=tuple(dict.fromkeys(one.child.name for one in places if one.child_id in alone)),
    )
