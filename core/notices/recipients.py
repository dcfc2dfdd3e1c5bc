"""The targets of a notice: included and excluded lists, groups and persons; the search of the recipients page.

D-01, D-10 to D-14, X-04.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from peewee import JOIN, Expression, Field, Function, ModelSelect, fn

from core import permissions
from core.members import groups
from core.permissions import Permissions
from models import DELIVERABLE_STATES, Child, Group, MailingList, Membership, MembershipState, Notice, Person, Target


@dataclass(frozen=True, slots=True)
class TargetSet:
    """The targets of a notice without closed lists and groups.

    order: {list id: position on the check page}, also for the lists of groups. alone: ids of people chosen singly.
    within: lists whose memberships count for these people; None: all. in_groups: ids of the memberships in the groups.
    excluded: ids of people; an exclusion overrides every inclusion (D-13).
    """

    lists: tuple[MailingList, ...]
    groups: tuple[Group, ...]
    order: dict[int, int]
    alone: frozenset[int]
    within: frozenset[int] | None
    in_groups: frozenset[int]
    excluded: frozenset[int]

    def names(self, row: Membership) -> bool:
        """Say whether a chosen list or group includes this membership."""
        return row.id in self.in_groups or any(row.list_id == mailing_list.id for mailing_list in self.lists)

    @property
    def wanted(self) -> Expression:
        """Return the condition on memberships that count for the notice."""
        single = Membership.person.in_(self.alone)
        conditions = [
            Membership.list.in_([mailing_list.id for mailing_list in self.lists]),
            single if self.within is None else single & Membership.list.in_(self.within),
            *(Membership.id.in_(groups.membership_ids(group)) for group in self.groups),
        ]
        return reduce(or_, conditions)


def load_targets(notice: Notice) -> TargetSet:
    """Load the targets of a notice: three queries and one for each group."""
    by_kind: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for row in Target.select().where(Target.notice == notice).order_by(Target.id):
        by_kind[row.kind, row.include].append(row.number)
    lists = _open_lists(by_kind["list", True])
    known = groups.open_groups_by_id(by_kind["group", True] + by_kind["group", False])
    included = [known[number] for number in by_kind["group", True] if number in known]
    excluded = [known[number] for number in by_kind["group", False] if number in known]
    order = dict.fromkeys([notice.out_of_id or 0, *(row.id for row in lists), *(row.list_id for row in included)])
    within = permissions.person_scope(notice) if by_kind["person", True] else None
    return TargetSet(
        lists=tuple(lists),
        groups=tuple(included),
        order={list_id: position for position, list_id in enumerate(order)},
        alone=frozenset(by_kind["person", True]),
        within=None if within is None else frozenset(within),
        in_groups=frozenset(row.id for group in included for row in groups.membership_ids(group)),
        excluded=frozenset(by_kind["person", False]) | _excluded_people(by_kind["list", False], excluded),
    )


def _open_lists(numbers: list[int]) -> list[MailingList]:
    open_lists = MailingList.select().where(MailingList.id.in_(numbers), MailingList.closed_at.is_null())
    by_id = {mailing_list.id: mailing_list for mailing_list in open_lists}
    return [by_id[number] for number in numbers if number in by_id]


def _excluded_people(lists: list[int], excluded_groups: list[Group]) -> frozenset[int]:
    """Return the ids of the members of excluded lists and groups, in any state but `left`."""
    if not lists and not excluded_groups:
        return frozenset()
    group_members = (Membership.id.in_(groups.membership_ids(group)) for group in excluded_groups)
    excluded = reduce(or_, [Membership.list.in_(lists), *group_members])
    rows = Membership.select(Membership.person).where(excluded, Membership.is_member)
    return frozenset(row.person_id for row in rows)


def heading_targets(notice: Notice) -> list[MailingList | Group]:
    """Return the included lists and groups for a heading, also closed ones."""
    rows = Target.select().where(Target.notice == notice, Target.include == True).order_by(Target.id)
    tables: dict[str, type[MailingList] | type[Group]] = {"list": MailingList, "group": Group}
    targets = [tables[row.kind].get_or_none(tables[row.kind].id == row.number) for row in rows if row.kind in tables]
    return [target for target in targets if target is not None]


# ── recipients page ──────────────────────────────────────────────────────────────────────────────────────────────


_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}


def count_reachable(lists: Iterable[MailingList]) -> dict[int, int]:
    """Return {list id: number of reachable people}, in one query. Lists that reach no person are absent."""
    rows = (
        Membership.select(Membership.list, fn.COUNT(fn.DISTINCT(Membership.person)))
        .join(Person)
        .where(
            Membership.list.in_([mailing_list.id for mailing_list in lists]),
            Membership.state == MembershipState.ACTIVE,
            Person.address.is_null(False),
            Person.address_state.in_(DELIVERABLE_STATES),
        )
        .group_by(Membership.list)
        .tuples()
    )
    return dict(rows)


def search_people(
    rights: Permissions, text: str = "", *, numbers: Iterable[int] | None = None, limit: int = 12
) -> list[Person]:
    """Return members of the lists that the user may send to: by id, or by part of a name, kana or child's name.

    Each gets `children_text` for display: 「青山 陽菜 1-1、…」.
    """
    query = _selectable_people(rights)
    if numbers is not None:
        query = query.where(Person.id.in_(list(numbers)))
    else:
        query = query.where(_name_matches(text, rights)).limit(limit)
    people: list[Any] = list(query.order_by(Person.kana, Person.id))
    children = _children_by_person(people, rights)
    for person in people:
        person.children_text = "、".join(children.get(person.id, ()))
    return people


def may_send_to_all(
    rights: Permissions, lists: Iterable[int], persons: Iterable[int], groups: Iterable[int] = ()
) -> bool:
    """Say whether the user may send to every list, person and group: a forged form must be refused (T-33)."""
    person_ids, group_ids = set(persons), set(groups)
    sendable = {mailing_list.id for mailing_list in rights.lists("send")}
    if not set(lists) <= sendable:
        return False
    if group_ids and Group.select().where(Group.id.in_(group_ids), Group.list.in_(sendable)).count() < len(group_ids):
        return False
    if not person_ids:
        return True
    return person_ids == {person.id for person in _selectable_people(rights).where(Person.id.in_(person_ids))}


def may_still_send(rights: Permissions, notice: Notice) -> bool:
    """Say whether the user may (still) send to the targets of a draft: a role may have ended."""
    rows = list(Target.select().where(Target.notice == notice, Target.include == True))
    return may_send_to_all(
        rights,
        [row.number for row in rows if row.kind == "list"],
        [row.number for row in rows if row.kind == "person"],
        [row.number for row in rows if row.kind == "group"],
    )


def target_ids(notice: Notice) -> dict[tuple[str, bool], set[int]]:
    """Return {(kind, include): ids}."""
    numbers: dict[tuple[str, bool], set[int]] = {}
    for row in Target.select().where(Target.notice == notice):
        numbers.setdefault((row.kind, row.include), set()).add(row.number)
    return numbers


def people_changed_since(notice: Notice, moment: datetime) -> list[Person]:
    """Return the people who joined, left, stopped or changed their address state since a moment, by kana."""
    ids = target_ids(notice)
    groups_lists = Group.select(Group.list).where(Group.id.in_(ids.get(("group", True), set())))
    lists = ids.get(("list", True), set()) | {group.list_id for group in groups_lists}
    named = Membership.list.in_(lists) | Membership.person.in_(ids.get(("person", True), set()))
    changed = Membership.select(Membership.person).where(
        named, (Membership.joined_at >= moment) | (Membership.stopped_at >= moment) | (Membership.left_at >= moment)
    )
    active = Membership.select(Membership.person).where(named, Membership.state == MembershipState.ACTIVE)
    return list(
        Person.select()
        .where(Person.id.in_(changed) | ((Person.address_state_at >= moment) & Person.id.in_(active)))
        .order_by(Person.kana, Person.id)
    )


def _selectable_people(rights: Permissions) -> "ModelSelect[Person]":
    members = Membership.select(Membership.person).where(
        Membership.list.in_(_sendable_lists(rights)), Membership.is_member
    )
    return Person.select().where(Person.id.in_(members))


def _sendable_lists(rights: Permissions) -> "ModelSelect[MailingList]":
    return rights.lists("send").select(MailingList.id).order_by()


def _name_matches(text: str, rights: Permissions) -> Expression:
    """Match part of a name or kana, also of a child. Hiragana matches katakana; spaces are ignored.

    Children are matched in the user's lists only: a search must not reveal siblings in other lists.
    """
    wanted = unicodedata.normalize("NFKC", text).replace(" ", "")
    if not wanted:
        return Person.id.is_null()
    kana = wanted.translate(_KATAKANA)
    by_child = (
        Membership.select(Membership.person)
        .join(Child, JOIN.INNER)
        .where(Membership.list.in_(_sendable_lists(rights)), Membership.is_member)
        .where(_without_spaces(Child.name).contains(wanted) | _without_spaces(Child.kana).contains(kana))
    )
    return (
        _without_spaces(Person.name).contains(wanted)
        | _without_spaces(Person.kana).contains(kana)
        | Person.id.in_(by_child)
    )


def _without_spaces(column: Field) -> Function:
    return fn.REPLACE(fn.REPLACE(column, " ", ""), "\u3000", "")


def _children_by_person(people: list[Person], rights: Permissions) -> dict[int, list[str]]:
    """Return {person id: children with class}, only from lists that the user may send to."""
    rows = (
        Membership.select(Membership.person, Child)
        .join(Child)
        .where(Membership.person.in_([person.id for person in people]))
        .where(Membership.list.in_(_sendable_lists(rights)), Membership.is_member)
        .order_by(Child.id)
    )
    names: dict[int, dict[int, str]] = defaultdict(dict)
    for row in rows:
        if row.child:
            names[row.person_id][row.child.id] = f"{row.child.name} {row.child.room}".strip()
    return {person: list(by_child.values()) for person, by_child in names.items()}
