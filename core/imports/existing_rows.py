"""What the tables already know about the people of a roster, loaded in a few queries whatever its length."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from peewee import Expression, Field

from core.accounts import class_teacher
from core.imports.columns import RosterRow
from models import Child, MailingList, Membership, Person, User

_MAX_IN_VALUES = 10_000  # values in one IN (…); SQLite takes 32,766


@dataclass(slots=True)
class ExistingRows:
    """Rows of the tables that lines of the roster may mean."""

    by_key: dict[str, Person] = field(default_factory=dict)
    by_name: dict[str, list[Person]] = field(default_factory=lambda: defaultdict(list))
    children: dict[str, list[Child]] = field(default_factory=lambda: defaultdict(list))
    of_person: dict[int, list[Child]] = field(default_factory=lambda: defaultdict(list))
    here: dict[int, list[Membership]] = field(default_factory=lambda: defaultdict(list))  # by person, in this list
    teachers: dict[str, User] = field(default_factory=dict)  # who may be put in charge here, by name
    of_classes: dict[tuple[str, str], int] = field(default_factory=dict)  # who is in charge of a class here


def load_existing_rows(mailing_list: MailingList, rows: list[RosterRow], keys: Iterable[str]) -> ExistingRows:
    """Load everybody whom the rows may mean: by address, by name, by child's name, and their memberships."""
    known = ExistingRows()
    people: dict[int, Person] = {}
    for person in _select_in_chunks(Person, Person.address_key, keys):
        known.by_key[person.address_key] = people[person.id] = person
    for person in _select_in_chunks(Person, Person.name, {row.name for row in rows if row.name}):
        person = people.setdefault(person.id, person)
        known.by_name[person.name].append(person)
    children: dict[int, Child] = {}
    for child in _select_in_chunks(Child, Child.name, {row.child_name for row in rows if row.child_name}):
        known.children[child.name].append(children.setdefault(child.id, child))
    _load_memberships(known, mailing_list, people, children)
    if any(row.in_charge for row in rows):
        known.teachers = class_teacher.candidates_by_name(mailing_list)
    known.of_classes = class_teacher.teacher_by_class(mailing_list)
    return known


def _load_memberships(
    known: ExistingRows, mailing_list: MailingList, people: dict[int, Person], children: dict[int, Child]
) -> None:
    rows = list(_select_in_chunks(Membership, Membership.person, people))
    missing = {row.child_id for row in rows if row.child_id} - set(children)
    children |= {child.id: child for child in _select_in_chunks(Child, Child.id, missing)}
    for row in rows:
        if row.child_id and row.is_member and children[row.child_id] not in known.of_person[row.person_id]:
            known.of_person[row.person_id].append(children[row.child_id])
        if row.list_id == mailing_list.id:
            known.here[row.person_id].append(row)


def _select_in_chunks(table: type[Any], column: Field, values: Iterable[Any], *more: Expression) -> Iterable[Any]:
    wanted = list(values)
    for start in range(0, len(wanted), _MAX_IN_VALUES):
        yield from table.select().where(column.in_(wanted[start : start + _MAX_IN_VALUES]), *more).order_by(table.id)
