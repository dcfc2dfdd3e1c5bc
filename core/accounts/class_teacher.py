"""The person in charge of a member (担任): one user for each place in a list (D-03, D-15 to D-18).

A notice may go out in the names of those in charge; who has nobody in charge keeps the normal sender. The place in a
list of the notice counts first. A notice to the whole school finds the class teacher through the child's other places,
and so does one by somebody who may write to these lists; nobody else signs with a foreign list's teacher (T-33).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from peewee import JOIN, ModelSelect, fn

import clock
from core import audit
from core.accounts.accounts import name_key
from core.permissions import active_roles
from database import db
from models import Child, MailingList, Membership, Role, User

NO_CLASS = ("", "")


@dataclass(slots=True)
class ClassTeachers:
    """One class of a list: how many places it has, and who is in charge of how many of them (0: nobody)."""

    grade: str
    class_name: str
    places: int = 0
    held: dict[int, int] = field(default_factory=dict)

    @property
    def user(self) -> int | None:
        """Return who is in charge of all of them, 0 for nobody, None where they differ."""
        return next(iter(self.held)) if len(self.held) == 1 else None

    @property
    def teacher(self) -> int:
        """Return who is in charge of more than half of the class: one family may have somebody else; 0 for nobody."""
        return next((user for user, places in self.held.items() if user and 2 * places > self.places), 0)


def teacher_candidates(mailing_list: MailingList) -> ModelSelect:
    """Return the users who may be put in charge in a list: any role there or in the whole organization, today."""
    roles = active_roles(clock.today()).where(Role.list_id.in_([0, mailing_list.id]))
    return User.select().where(User.id.in_(roles.select(Role.user))).order_by(User.name)


def candidates_by_name(mailing_list: MailingList) -> dict[str, User]:
    """Return the candidates by the form in which names are compared, with and without 「先生」 at the end."""
    found = {name_key(user.name): user for user in teacher_candidates(mailing_list)}
    return {**{name.removesuffix("先生"): user for name, user in found.items()}, **found}


def teacher_name_key(typed: str) -> str:
    """Return a typed name of a teacher in the form in which `named` finds it."""
    return name_key(typed).removesuffix("先生")


def teachers_of_classes(mailing_list: MailingList) -> list[ClassTeachers]:
    """Return the classes of a list with who is in charge; places without a child last."""
    number = fn.COALESCE(Membership.in_charge, 0)
    rows = (
        Membership.select(Child.grade, Child.class_name, number, fn.COUNT(Membership.id))
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.list == mailing_list, Membership.is_member)
        .group_by(Child.grade, Child.class_name, number)
        .tuples()
    )
    found: dict[tuple[str, str], ClassTeachers] = {}
    for grade, class_name, user, places in rows:
        room = found.setdefault((grade or "", class_name or ""), ClassTeachers(grade or "", class_name or ""))
        room.places += places
        room.held[user] = places
    return sorted(found.values(), key=lambda one: (not one.grade, one.grade.zfill(3), one.class_name.zfill(3)))


def assign_classes(mailing_list: MailingList, wanted: dict[tuple[str, str], int], by: User | None) -> int:
    """Put users in charge of whole classes: {(grade, class): number of the user, 0 for nobody}; return the places.

    Numbers that are no candidate's change nothing.
    """
    allowed = {0, *(user.id for user in teacher_candidates(mailing_list))}
    changed = 0
    with db.atomic():
        for (grade, class_name), user in wanted.items():
            if user in allowed:
                changed += _assign_class(mailing_list, grade, class_name, user)
        if changed:
            audit.log_action(by, "list.in_charge_set", mailing_list.id, detail={"places": changed})
    return changed


def _assign_class(mailing_list: MailingList, grade: str, class_name: str, user: int) -> int:
    """Change the places of one class that have somebody else; return how many."""
    if (grade, class_name) == NO_CLASS:
        bare = Child.select(Child.id).where(Child.grade == "", Child.class_name == "")
        here = Membership.child.is_null() | Membership.child.in_(bare)
    else:
        here = Membership.child.in_(Child.select(Child.id).where(Child.grade == grade, Child.class_name == class_name))
    others = fn.COALESCE(Membership.in_charge, 0) != user
    return (
        Membership.update(in_charge=user or None)
        .where(Membership.list == mailing_list, Membership.is_member, here, others)
        .execute()
    )


def teacher_by_class(mailing_list: MailingList) -> dict[tuple[str, str], int]:
    """Return who is in charge of each class of a list: {(grade, class): number of the user}."""
    named_ = (room for room in teachers_of_classes(mailing_list) if (room.grade, room.class_name) != NO_CLASS)
    return {(room.grade, room.class_name): room.teacher for room in named_ if room.teacher}


def assign_new_members(mailing_list: MailingList, people: Iterable[int]) -> None:
    """Give who is new in a list the teacher of the child's class, where nobody is in charge yet (D-03). Repeatable."""
    here = (Membership.list == mailing_list) & Membership.person.in_(list(people)) & Membership.is_member
    new = list(Membership.select(Membership, Child).join(Child).where(here, Membership.in_charge.is_null()))
    known = teacher_by_class(mailing_list) if new else {}
    for row in new:
        if user := known.get((row.child.grade, row.child.class_name)):
            Membership.update(in_charge=user).where(Membership.id == row.id, Membership.in_charge.is_null()).execute()


def assign_membership(membership: Membership, user: int, by: User | None) -> None:
    """Put a user (0: nobody) in charge of one place; a number that is no candidate's changes nothing."""
    if user == (membership.in_charge_id or 0):
        return
    if user and user not in {one.id for one in teacher_candidates(membership.list)}:
        return
    with db.atomic():
        Membership.update(in_charge=user or None).where(Membership.id == membership.id).execute()
        audit.log_action(by, "member.changed", membership.person_id, detail={"list": membership.list_id})


def has_any_teacher() -> bool:
    """Say whether anybody is in charge of anybody."""
    return Membership.select().where(Membership.in_charge.is_null(False)).exists()
