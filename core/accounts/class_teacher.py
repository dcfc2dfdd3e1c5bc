"""Class teachers (担任): the user responsible for a membership (D-03, D-15 to D-18).

A notice may go out in the names of the class teachers (`core.notices.sender_names`).
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
    """One class of a list. places: its memberships; held: {user id, 0 for none: memberships}."""

    grade: str
    class_name: str
    places: int = 0
    held: dict[int, int] = field(default_factory=dict)

    @property
    def user(self) -> int | None:
        """The teacher of all memberships; 0: none; None: they differ."""
        return next(iter(self.held)) if len(self.held) == 1 else None

    @property
    def teacher(self) -> int:
        """The teacher of more than half of the class; 0: none. One family may have another."""
        return next((user for user, places in self.held.items() if user and 2 * places > self.places), 0)


def teacher_candidates(mailing_list: MailingList) -> "ModelSelect[User]":
    """Return the users who may be class teachers in a list: those with a role there or in all lists today."""
    roles = active_roles(clock.today()).where(Role.list_id.in_([0, mailing_list.id]))
    return User.select().where(User.id.in_(roles.select(Role.user))).order_by(User.name)


def candidates_by_name(mailing_list: MailingList) -> dict[str, User]:
    """Return the candidates by `teacher_name_key`, and by the key with 「先生」 if their user name ends so."""
    users = {name_key(user.name): user for user in teacher_candidates(mailing_list)}
    return {**{name.removesuffix("先生"): user for name, user in users.items()}, **users}


def teacher_name_key(typed: str) -> str:
    return name_key(typed).removesuffix("先生")


def teachers_of_classes(mailing_list: MailingList) -> list[ClassTeachers]:
    """Return the classes of a list with their teachers; memberships without a child last."""
    number = fn.COALESCE(Membership.class_teacher, 0)
    rows = (
        Membership.select(Child.grade, Child.class_name, number, fn.COUNT(Membership.id))
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.list == mailing_list, Membership.is_member)
        .group_by(Child.grade, Child.class_name, number)
        .tuples()
    )
    classes: dict[tuple[str, str], ClassTeachers] = {}
    for grade, class_name, user, places in rows:
        key = (grade or "", class_name or "")
        school_class = classes.setdefault(key, ClassTeachers(*key))
        school_class.places += places
        school_class.held[user] = places
    return sorted(classes.values(), key=lambda one: (not one.grade, one.grade.zfill(3), one.class_name.zfill(3)))


def assign_classes(mailing_list: MailingList, wanted: dict[tuple[str, str], int], by: User | None) -> int:
    """Set the teachers of whole classes: {(grade, class): user id, 0 for none}; return the memberships changed.

    Ignores users who are not candidates.
    """
    allowed = {0, *(user.id for user in teacher_candidates(mailing_list))}
    changed = 0
    with db.atomic():
        for (grade, class_name), user in wanted.items():
            if user in allowed:
                changed += _assign_class(mailing_list, grade, class_name, user)
        if changed:
            audit.log_action(by, "list.class_teacher_set", mailing_list.id, detail={"places": changed})
    return changed


def _assign_class(mailing_list: MailingList, grade: str, class_name: str, user: int) -> int:
    """Set the teacher of the memberships of a class that have another; return how many."""
    if (grade, class_name) == NO_CLASS:
        children = Child.select(Child.id).where(Child.grade == "", Child.class_name == "")
        in_class = Membership.child.is_null() | Membership.child.in_(children)
    else:
        children = Child.select(Child.id).where(Child.grade == grade, Child.class_name == class_name)
        in_class = Membership.child.in_(children)
    other = fn.COALESCE(Membership.class_teacher, 0) != user
    rows = (Membership.list == mailing_list) & Membership.is_member & in_class & other
    return int(Membership.update(class_teacher=user or None).where(rows).execute())


def teacher_by_class(mailing_list: MailingList) -> dict[tuple[str, str], int]:
    """Return {(grade, class): user id} for the classes of a list that have a teacher."""
    classes = {(one.grade, one.class_name): one.teacher for one in teachers_of_classes(mailing_list)}
    return {key: teacher for key, teacher in classes.items() if teacher and key != NO_CLASS}


def assign_new_members(mailing_list: MailingList, people: Iterable[int]) -> None:
    """Set the teacher of the child's class for members of a list without a teacher (D-03). Idempotent."""
    members = (Membership.list == mailing_list) & Membership.person.in_(list(people)) & Membership.is_member
    without = Membership.class_teacher.is_null()
    new = list(Membership.select(Membership, Child).join(Child).where(members, without))
    teachers = teacher_by_class(mailing_list) if new else {}
    for membership in new:
        child = membership.child
        if child and (teacher := teachers.get((child.grade, child.class_name))):
            Membership.update(class_teacher=teacher).where(Membership.id == membership.id, without).execute()


def assign_membership(membership: Membership, user: int, by: User | None) -> None:
    """Set the teacher of one membership (0: none). Ignores users who are not candidates."""
    if user == (membership.class_teacher_id or 0):
        return
    if user and user not in {candidate.id for candidate in teacher_candidates(membership.list)}:
        return
    with db.atomic():
        Membership.update(class_teacher=user or None).where(Membership.id == membership.id).execute()
        audit.log_action(by, "member.changed", membership.person_id, detail={"list": membership.list_id})


def has_any_teacher() -> bool:
    return Membership.select().where(Membership.class_teacher.is_null(False)).exists()
