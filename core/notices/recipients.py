"""What a notice is aimed at: lists, groups and persons to send to, and those to leave out (D-01, D-11 to D-14)."""

from dataclasses import dataclass
from functools import reduce
from operator import or_

from peewee import Expression

from core import permissions
from core.members import groups
from models import Group, MailingList, Membership, Notice, Target


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
