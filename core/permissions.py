"""Permissions of a user, from the roles in force (T-33, D-08).

A role counts in one list, or in all lists (list 0), until the end of its last day. `manage` (members, senders) includes
`send` (write and send notices), which includes `view` (boards and rosters).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from peewee import JOIN, ForeignKeyField, ModelSelect, Value, fn

import clock
from database import in_chunks
from models import Child, Group, MailingList, Membership, Notice, NoticeState, Person, Role, Target, User

ROLE_LEVELS = {"viewer": 1, "sender": 2, "manager": 3, "admin": 4}
REQUIRED_LEVELS = {"view": 1, "send": 2, "manage": 3, "admin": 4}
PRACTICE_NEEDS = ("view", "send")


@dataclass(frozen=True, slots=True)
class Permissions:
    """Permissions of one user today. by_list: list number → role level; 0: every list."""

    user_id: int
    by_list: dict[int, int]

    @property
    def is_admin(self) -> bool:
        return self.by_list.get(0, 0) >= ROLE_LEVELS["admin"]

    def may(self, need: str, list_id: int | None = None) -> bool:
        """Say whether the user may `view`, `send`, `manage` or `admin` a list (None: at least one list)."""
        enough = REQUIRED_LEVELS[need]
        if list_id is None:
            return any(level >= enough for level in self.by_list.values())
        return max(self.by_list.get(0, 0), self.by_list.get(list_id, 0)) >= enough

    def lists(self, need: str = "view") -> "ModelSelect[MailingList]":
        """Return the open lists that the user may view, send to or manage; the own practice list last.

        A practice list reaches its user and takes no members, so nobody manages it.
        """
        order = (MailingList.practice_of.is_null(False), MailingList.whole.desc(), MailingList.name, MailingList.id)
        mine = (MailingList.practice_of == self.user_id) & Value(need in PRACTICE_NEEDS)
        if self.by_list.get(0, 0) >= REQUIRED_LEVELS[need]:
            allowed = MailingList.practice_of.is_null() | mine
        else:
            numbers = [number for number, level in self.by_list.items() if level >= REQUIRED_LEVELS[need]]
            allowed = MailingList.id.in_(numbers) | mine
        return MailingList.select().where(MailingList.closed_at.is_null(), allowed).order_by(*order)

    @property
    def sendable_list_ids(self) -> list[int] | None:
        """Numbers of the lists to whose members the user may write; None: all."""
        return None if self.may("send", 0) else [mailing_list.id for mailing_list in self.lists("send")]

    def may_list(self, need: str, mailing_list: MailingList) -> bool:
        """Like `may`, for a list row. A practice list belongs to its user alone."""
        if mailing_list.practice_of_id:
            return mailing_list.practice_of_id == self.user_id and need in PRACTICE_NEEDS
        return self.may(need, mailing_list.id)

    def may_notice(self, need: str, notice: Notice) -> bool:
        """Say whether the user may see (`view`) or control (`send`) a notice.

        The writer sees it with any role left, and controls it until it starts. Other users control it if they may send
        to all of its lists, and see it if they may view one. For a drip message they must manage the list. A started
        notice to 全校 is seen by everyone who may view a list. A draft is seen by those who may control it. Without
        recipients it belongs to its writer and the administrators. Which results they see: `visible_lists`.
        """
        if self.is_admin and not self._is_others_practice(notice):
            return True
        if notice.kind == "step":
            return bool(target_lists(notice)) and self.may_in_all_lists("manage", notice)
        if notice.by_id == self.user_id and self.by_list:
            return need == "view" or notice.started_at is None or self._reaches_all_recipients(notice)
        if notice.state in (NoticeState.DRAFT, NoticeState.ASKED):
            need = "send"
        lists = target_lists(notice)
        allowed = [self.may_list(need, mailing_list) for mailing_list in lists]
        if need == "view":
            started_to_whole = notice.started_at is not None and any(mailing_list.whole for mailing_list in lists)
            return any(allowed) or (started_to_whole and self._may_view_members)
        return bool(allowed) and all(allowed)

    @property
    def _may_view_members(self) -> bool:
        return self.lists("view").where(MailingList.practice_of.is_null()).exists()

    def visible_lists(self, notice: Notice, need: str = "view") -> list[int] | None:
        """Return the lists whose families' results the user may see (`send`: also mark); None: all.

        Users who may control the notice see all results, unless it names a person whose children are in other lists.
        Other users see their own lists (`core.visibility`). The roles of today count, for the writer too.
        """
        if self.may(need, 0):
            return None
        if notice.by_id == self.user_id and (notice.started_at is None or self._reaches_all_recipients(notice)):
            return None
        if need == "view" and self.may_notice("send", notice) and self.may_see_named_recipients(notice):
            return None
        return [number for number in self.by_list if number and self.may(need, number)]

    def editable(self, column: ForeignKeyField, ids: Iterable[int]) -> set[int]:
        """Return those persons or children (`column` of Membership) all of whose lists the user manages.

        These are the rows whose name, address, telephone, household and items the user may change.
        """
        wanted = set(ids)
        if self.is_admin:
            return wanted
        managed = {row.id for row in self.lists("manage")}
        lists: dict[int, set[int]] = {number: set() for number in wanted}
        for number, list_id in memberships_of(column, wanted):
            lists[number].add(list_id)
        return {number for number, some in lists.items() if some and some <= managed}

    def may_edit_person(self, person: Person) -> bool:
        return bool(self.editable(Membership.person, [person.id]))

    def may_edit_child(self, child: Child) -> bool:
        return bool(self.editable(Membership.child, [child.id]))

    def summed_lists(self, notice: Notice) -> list[int] | None:
        """Return the lists whose sums the user may see, without names; None: all. The writer sees all sums."""
        return None if notice.by_id == self.user_id else self.visible_lists(notice)

    def _reaches_all_recipients(self, notice: Notice) -> bool:
        """Say whether the user may send to all lists, and to all people chosen by name, of a notice today."""
        may_send = all(self.may_list("send", mailing_list) for mailing_list in target_lists(notice))
        return may_send and self.may_see_named_recipients(notice)

    def may_in_all_lists(self, need: str, notice: Notice) -> bool:
        """Say whether the user holds a permission in every list that a notice goes to, besides the own practice list."""
        lists = [mailing_list for mailing_list in target_lists(notice) if mailing_list.practice_of_id != self.user_id]
        return self.is_admin or (self.may(need) and all(self.may_list(need, mailing_list) for mailing_list in lists))

    def may_see_named_recipients(self, notice: Notice) -> bool:
        """Say whether all people chosen by name, with their children, are in lists to which this user may send."""
        named = Target.select(Target.number).where(
            Target.notice == notice, Target.kind == "person", Target.include == True
        )
        if self.sendable_list_ids is None or not named.exists():
            return True
        return _person_child_pairs(named, person_scope(notice)) <= _person_child_pairs(named, self.sendable_list_ids)

    def _is_others_practice(self, notice: Notice) -> bool:
        return notice.by_id != self.user_id and any(
            mailing_list.practice_of_id not in (None, self.user_id) for mailing_list in target_lists(notice)
        )


def memberships_of(column: ForeignKeyField, ids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (id, list id) of the current memberships of persons or children in open lists, practice lists left out."""
    open_list = MailingList.closed_at.is_null() & MailingList.practice_of.is_null()
    for chunk in in_chunks(ids):
        rows = Membership.select(column, Membership.list).join(MailingList)
        yield from rows.where(column.in_(chunk), Membership.is_member, open_list).tuples()


def target_lists(notice: Notice) -> list[MailingList]:
    """Return the lists that a notice is sent to, or to a group of, in the order they were chosen."""
    rows = (
        Target.select(fn.COALESCE(Group.list, Target.number))
        .join(Group, JOIN.LEFT_OUTER, on=(Target.kind == "group") & (Target.number == Group.id))
        .where(Target.notice == notice, Target.include == True, Target.kind.in_(("list", "group")))
        .order_by(Target.id)
        .tuples()
    )
    numbers = list(dict.fromkeys(number for (number,) in rows))
    lists = {row.id: row for row in MailingList.select().where(MailingList.id.in_(numbers))}
    return [lists[number] for number in numbers if number in lists]


def person_scope(notice: Notice) -> list[int] | None:
    """Return the lists whose memberships count where a notice names a person and no list; None: all.

    These are the lists to which its writer may send, so that the writer learns nothing about other lists' children.
    Confirming the notice stores them: a role that ends later removes no recipient.
    """
    if notice.state == NoticeState.DRAFT and notice.by_id:
        return person_scope_for_user(notice.by)
    within: list[int] | None = notice.within
    return within


def _person_child_pairs(named: "ModelSelect[Any]", lists: list[int] | None) -> set[tuple[int, int]]:
    """Return (person, child or 0) of people in some lists; None: in all open ones."""
    in_lists = MailingList.practice_of.is_null() & MailingList.closed_at.is_null()
    if lists is not None:
        in_lists &= Membership.list.in_(lists)
    memberships = Membership.select(Membership.person, fn.COALESCE(Membership.child, 0)).join(MailingList)
    return set(memberships.where(in_lists, Membership.person.in_(named), Membership.is_member).tuples())


def person_scope_for_user(by: User | None) -> list[int] | None:
    """Return the `within` of a notice that this user confirms; None (all lists) for the terminal."""
    return permissions_of(by).sendable_list_ids if by else None


def notice_ids_for_lists(lists: "Iterable[int] | ModelSelect[Any]") -> "ModelSelect[Target]":
    """Return a subquery with the ids of the notices that are sent to some lists, or to groups in them."""
    groups = Group.select(Group.id).where(Group.list.in_(lists))
    to_list = (Target.kind == "list") & Target.number.in_(lists)
    to_group = (Target.kind == "group") & Target.number.in_(groups)
    return Target.select(Target.notice).where(Target.include == True, to_list | to_group)


def permissions_of(user: User, today: date | None = None) -> Permissions:
    """Return what a user may do today; a disabled user may do nothing."""
    roles = active_roles(today or clock.today()).where(Role.user == user)
    return Permissions(user.id, {role.list_id: ROLE_LEVELS[role.kind] for role in roles})


def active_roles(day: date) -> "ModelSelect[Role]":
    """Return the roles in force on a day, of users who are not disabled. A role ends after its last day."""
    in_force = Role.until.is_null() | (Role.until >= day)
    return Role.select().join(User).where(User.disabled_at.is_null(), in_force)
