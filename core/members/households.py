"""Households: people and children with the same key; when one guardian has read a notice, the household has.

Guardians of one child, and children of one guardian, share a key. A column 「世帯」 of a roster overrides this, and
organizers may change it.
"""

import secrets
from collections.abc import Iterable
from typing import Any

from core import audit
from database import db
from models import Child, Membership, Person, User

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def guardian_names(children: Iterable[Child]) -> dict[int, str]:
    """Return {child id: names of the guardians}, to tell children with the same name apart."""
    rows = (
        Membership.select(Membership.child, Person.name)
        .join(Person)
        .where(Membership.child.in_([child.id for child in children]))
        .distinct()
        .tuples()
    )
    names: dict[int, list[str]] = {}
    for child, name in rows:
        names.setdefault(child, []).append(name)
    return {child: "、".join(guardians) for child, guardians in names.items()}


def new_household_key() -> str:
    """Return a new household key (55 random bits, so no file holds it by chance)."""
    return "h" + "".join(secrets.choice(_LETTERS) for _ in range(11))


def merge_households(merges: dict[str, str]) -> list[tuple[type[Person] | type[Child], int, str]]:
    """Replace household keys {old: new}; return (table, id, old key) of every changed row."""
    changed: list[tuple[type[Person] | type[Child], int, str]] = []
    if not merges:
        return changed
    tables: tuple[type[Person] | type[Child], ...] = (Person, Child)
    for table in tables:
        rows: list[Any] = list(table.select(table.id, table.household).where(table.household.in_(list(merges))))
        changed += [(table, row.id, row.household) for row in rows]
        for row in rows:
            row.household = merges[row.household]
        table.bulk_update(rows, [table.household], batch_size=500)
    return changed


def split_household(person: Person, by: User | None) -> None:
    """Give a person, and the children without another guardian, a household of their own."""
    with db.atomic():
        mine = {
            row.child_id
            for row in Membership.select().where(Membership.person == person, Membership.is_member)
            if row.child_id
        }
        shared = {
            row.child_id
            for row in Membership.select().where(
                Membership.child.in_(mine), Membership.person != person, Membership.is_member
            )
        }
        key = new_household_key()
        Person.update(household=key).where(Person.id == person.id).execute()
        Child.update(household=key).where(Child.id.in_(mine - shared)).execute()
        audit.log_action(by, "household.split", person.id)


def join_household(person: Person, other: Person, by: User | None) -> None:
    """Merge the households of two people, with their children. Idempotent."""
    with db.atomic():
        key = person.household or other.household or new_household_key()
        merge_households({old: key for old in (person.household, other.household) if old and old != key})
        Person.update(household=key).where(Person.id.in_([person.id, other.id])).execute()
        theirs = Membership.person.in_([person.id, other.id]) & Membership.is_member
        Child.update(household=key).where(Child.id.in_(Membership.select(Membership.child).where(theirs))).execute()
        audit.log_action(by, "household.joined", person.id)


def put_into_household(person: Person, child: Child) -> None:
    key = child.household or person.household or new_household_key()
    if person.household and person.household != key:
        merge_households({person.household: key})
    Person.update(household=key).where(Person.id == person.id, Person.household != key).execute()
    Child.update(household=key).where(Child.id == child.id, Child.household != key).execute()
