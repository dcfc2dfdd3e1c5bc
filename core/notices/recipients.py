"""What a notice is aimed at: lists, groups and persons to send to, and those to leave out (D-01, D-11 to D-14)."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_

from peewee import JOIN, Expression, Field, Function, ModelSelect, fn

from core import permissions
from core.members import groups
from core.permissions import Permissions
from models import Child, Group, MailingList, Membership, Notice, Person, Target


@dataclass(frozen=True, slots=True)
class TargetSet:
    """The targets of a notice, read once. Closed lists and groups are none any more.

    order: the lists, and the lists of the groups, by their place on the check page. in_groups: numbers of the places
    in lists that the groups hold. within: the lists whose places count for the people chosen alone; None: all.
    excluded: numbers of people; leaving out wins, whatever else names them (D-13).
    """

    lists: tuple[MailingList, ...]
    groups: tuple[Group, ...]
    order: dict[int, int]
    alone: frozenset[int]
    within: frozenset[int] | None
    in_groups: frozenset[int]
    excluded: frozenset[int]

    def names(self, row: Membership) -> bool:
        """Say whether a list or a group names this place in a list."""
        return row.id in self.in_groups or any(row.list_id == one.id for one in self.lists)

    @property
    def wanted(self) -> Expression:
        """Return the condition on places in lists that count for the notice."""
        asked = [
            Membership.list.in_([one.id for one in self.lists]),
            self._places_alone,
            *(Membership.id.in_(groups.membership_ids(one)) for one in self.groups),
        ]
        return reduce(or_, asked)

    @property
    def _places_alone(self) -> Expression:
        theirs = Membership.person.in_(self.alone)
        return theirs if self.within is None else theirs & Membership.list.in_(self.within)


def load_targets(notice: Notice) -> TargetSet:
    """Read the targets of a notice: three queries and one for each group."""
    rows = list(Target.select().where(Target.notice == notice).order_by(Target.id))
    by_kind = {(kind, include): [] for kind in ("list", "group", "person") for include in (True, False)}
    for row in rows:
        by_kind[row.kind, row.include].append(row.number)
    lists = _open_lists(by_kind["list", True])
    known = groups.open_groups_by_id(by_kind["group", True] + by_kind["group", False])
    included = [known[number] for number in by_kind["group", True] if number in known]
    out = [known[number] for number in by_kind["group", False] if number in known]
    return TargetSet(
        lists=tuple(lists),
        groups=tuple(included),
        order=_order([notice.out_of_id or 0, *(one.id for one in lists), *(one.list_id for one in included)]),
        alone=frozenset(by_kind["person", True]),
        within=_within(notice) if by_kind["person", True] else None,
        in_groups=frozenset(row.id for one in included for row in groups.membership_ids(one)),
        excluded=frozenset(by_kind["person", False]) | _excluded_people(by_kind["list", False], out),
    )


def _within(notice: Notice) -> frozenset[int] | None:
    lists = permissions.person_scope(notice)
    return None if lists is None else frozenset(lists)


def _order(numbers: list[int]) -> dict[int, int]:
    return {number: place for place, number in enumerate(dict.fromkeys(numbers))}


def _open_lists(numbers: list[int]) -> list[MailingList]:
    open_lists = MailingList.select().where(MailingList.id.in_(numbers), MailingList.closed_at.is_null())
    found = {one.id: one for one in open_lists}
    return [found[number] for number in numbers if number in found]


def _excluded_people(lists: list[int], out: list[Group]) -> frozenset[int]:
    """Return everybody who belongs to some lists or groups in any way, but for those who left."""
    if not lists and not out:
        return frozenset()
    asked = [Membership.list.in_(lists), *(Membership.id.in_(groups.membership_ids(one)) for one in out)]
    rows = Membership.select(Membership.person).where(reduce(or_, asked), Membership.is_member)
    return frozenset(row.person_id for row in rows)


def heading_targets(notice: Notice) -> list[MailingList | Group]:
    """Return the lists and groups that a notice is sent to, for a heading; also those that are closed by now."""
    rows = Target.select().where(Target.notice == notice, Target.include == True).order_by(Target.id)
    tables = {"list": MailingList, "group": Group}
    found = [tables[row.kind].get_or_none(tables[row.kind].id == row.number) for row in rows if row.kind in tables]
    return [one for one in found if one is not None]


_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}


def count_reachable(lists: Iterable[MailingList]) -> dict[int, int]:
    """Return how many people each list reaches by mail today, in one query. Lists without anybody are absent."""
    rows = (
        Membership.select(Membership.list, fn.COUNT(fn.DISTINCT(Membership.person)))
        .join(Person)
        .where(
            Membership.list.in_([one.id for one in lists]),
            Membership.state == "active",
            Person.address.is_null(False),
            Person.address_state.in_(("fine", "refusing")),
        )
        .group_by(Membership.list)
        .tuples()
    )
    return dict(rows)


def search_people(
    rights: Permissions, text: str = "", *, numbers: Iterable[int] | None = None, limit: int = 12
) -> list[Person]:
    """Return people of the lists that may be sent to: by number, or by a piece of a name, reading or child's name.

    Each has `.children_text` for display: 「青山 陽菜 1-1、…」. Who has left every such list is not found.
    """
    query = _selectable_people(rights)
    if numbers is not None:
        query = query.where(Person.id.in_(list(numbers)))
    else:
        query = query.where(_name_matches(text, rights)).limit(limit)
    found = list(query.order_by(Person.kana, Person.id))
    children = _children_by_person(found, rights)
    for person in found:
        person.children_text = "、".join(children.get(person.id, ()))
    return found


def may_send_to_all(
    rights: Permissions, lists: Iterable[int], persons: Iterable[int], groups: Iterable[int] = ()
) -> bool:
    """Say whether every list, person and group chosen is the user's to send to: a forged form must not pass (T-33)."""
    wanted, named = set(persons), set(groups)
    mine = {one.id for one in rights.lists("send")}
    if not set(lists) <= mine:
        return False
    theirs = Group.select().where(Group.id.in_(named), Group.list.in_(mine))
    if named and theirs.count() < len(named):
        return False
    known = {one.id for one in _selectable_people(rights).where(Person.id.in_(wanted))} if wanted else set()
    return wanted <= known


def may_still_send(rights: Permissions, notice: Notice) -> bool:
    """Say whether the targets of a draft are still the user's to send to: roles end, drafts stay."""
    rows = list(Target.select().where(Target.notice == notice, Target.include == True))
    return may_send_to_all(
        rights,
        [row.number for row in rows if row.kind == "list"],
        [row.number for row in rows if row.kind == "person"],
        [row.number for row in rows if row.kind == "group"],
    )


def target_ids(notice: Notice) -> dict[tuple[str, bool], set[int]]:
    """Return the numbers of a notice's targets by (kind, include)."""
    numbers: dict[tuple[str, bool], set[int]] = {}
    for row in Target.select().where(Target.notice == notice):
        numbers.setdefault((row.kind, row.include), set()).add(row.number)
    return numbers


def people_changed_since(notice: Notice, moment: datetime) -> list[Person]:
    """Return whose coming, leaving, stopping or new address changed the audience since a moment, by kana."""
    numbers = target_ids(notice)
    lists, alone = numbers.get(("list", True), set()), numbers.get(("person", True), set())
    of_groups = Group.select(Group.list).where(Group.id.in_(numbers.get(("group", True), set())))
    lists |= {one.list_id for one in of_groups}
    moved = Membership.select(Membership.person).where(
        Membership.list.in_(lists) | Membership.person.in_(alone),
        (Membership.joined_at >= moment) | (Membership.stopped_at >= moment) | (Membership.left_at >= moment),
    )
    bounced = Membership.select(Membership.person).where(
        Membership.list.in_(lists) | Membership.person.in_(alone), Membership.state == "active"
    )
    return list(
        Person.select()
        .where(Person.id.in_(moved) | ((Person.address_state_at >= moment) & Person.id.in_(bounced)))
        .order_by(Person.kana, Person.id)
    )


def _selectable_people(rights: Permissions) -> ModelSelect:
    member = Membership.select(Membership.person).where(
        Membership.list.in_(_sendable_lists(rights)), Membership.is_member
    )
    return Person.select().where(Person.id.in_(member))


def _sendable_lists(rights: Permissions) -> ModelSelect:
    return rights.lists("send").select(MailingList.id).order_by()


def _name_matches(text: str, rights: Permissions) -> Expression:
    """Match a piece of a name or reading, the child's too; hiragana finds katakana, spaces do not matter.

    Children of other lists find nobody: that two children are brother and sister is not for everybody to learn.
    """
    wanted = unicodedata.normalize("NFKC", text).replace(" ", "")
    reading = wanted.translate(_KATAKANA)
    child = (
        Membership.select(Membership.person)
        .join(Child, JOIN.INNER)
        .where(Membership.list.in_(_sendable_lists(rights)), Membership.is_member)
        .where(_without_spaces(Child.name).contains(wanted) | _without_spaces(Child.kana).contains(reading))
    )
    return (
        _without_spaces(Person.name).contains(wanted)
        | _without_spaces(Person.kana).contains(reading)
        | Person.id.in_(child)
        if wanted
        else Person.id.is_null()
    )


def _without_spaces(column: Field) -> Function:
    return fn.REPLACE(fn.REPLACE(column, " ", ""), "\u3000", "")


def _children_by_person(found: list[Person], rights: Permissions) -> dict[int, list[str]]:
    """Return each one's children in the lists that may be sent to: of other lists' children nobody learns here."""
    rows = (
        Membership.select(Membership.person, Child)
        .join(Child)
        .where(Membership.person.in_([one.id for one in found]))
        .where(Membership.list.in_(_sendable_lists(rights)), Membership.is_member)
        .order_by(Child.id)
    )
    names: dict[int, dict[int, str]] = {}
    for row in rows:
        shown = f"{row.child.name} {row.child.room}".strip()
        names.setdefault(row.person_id, {})[row.child.id] = shown
    return {person: list(by_child.values()) for person, by_child in names.items()}
