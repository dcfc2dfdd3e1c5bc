"""Who may do what in which list: the one place that decides (T-33, D-08).

A role in a list, or in the whole organization (list 0), until the end of its last day. Needs, each including the
next: `manage` (members, senders), `send` (write and send notices), `view` (read boards and rosters).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from peewee import JOIN, Value, fn

import clock
from models import Group, MailingList, Membership, ModelSelect, Notice, Role, Target, User

ROLE_LEVELS = {"viewer": 1, "sender": 2, "manager": 3, "admin": 4}
REQUIRED_LEVELS = {"view": 1, "send": 2, "manage": 3, "admin": 4}
PRACTICE_NEEDS = ("view", "send")


@dataclass(frozen=True, slots=True)
class Permissions:
    """What one user may do today: list number → strength; 0 stands for every list."""

    user_id: int
    by_list: dict[int, int]

    @property
    def is_admin(self) -> bool:
        return self.by_list.get(0, 0) >= ROLE_LEVELS["admin"]

    def may(self, need: str, list_id: int | None = None) -> bool:
        """Say whether the user may `view`, `send`, `manage` or `admin` a list (None: any list at all)."""
        enough = REQUIRED_LEVELS[need]
        if list_id is None:
            return any(strength >= enough for strength in self.by_list.values())
        return max(self.by_list.get(0, 0), self.by_list.get(list_id, 0)) >= enough

    def lists(self, need: str = "view") -> "ModelSelect[MailingList]":
        """Return the open lists that the user may view, send to or manage; the own practice list last.

        Nobody manages a practice list: it reaches its user and takes no members.
        """
        order = (MailingList.practice_of.is_null(False), MailingList.whole.desc(), MailingList.name, MailingList.id)
        mine = (MailingList.practice_of == self.user_id) & Value(need in PRACTICE_NEEDS)
        if self.by_list.get(0, 0) >= REQUIRED_LEVELS[need]:
            allowed = MailingList.practice_of.is_null() | mine
        else:
            numbers = [number for number, strength in self.by_list.items() if strength >= REQUIRED_LEVELS[need]]
            allowed = MailingList.id.in_(numbers) | mine
        return MailingList.select().where(MailingList.closed_at.is_null(), allowed).order_by(*order)

    @property
    def sendable_list_ids(self) -> list[int] | None:
        """Return the lists to whose members the user may write; None: all."""
        return None if self.may("send", 0) else [one.id for one in self.lists("send")]

    def may_list(self, need: str, mailing_list: MailingList) -> bool:
        """Say the same of a list row: a practice list belongs to its user alone."""
        if mailing_list.practice_of_id:
            return mailing_list.practice_of_id == self.user_id and need in PRACTICE_NEEDS
        return self.may(need, mailing_list.id)

    def may_notice(self, need: str, notice: Notice) -> bool:
        """Say whether the user may see (`view`) or steer (`send`) a notice.

        The writer may with any role left. Others: see it if one of its lists is theirs to view, or once it goes to
        全校 and so to their families; steer it only if all of its lists are theirs to send to; a draft is seen by who
        may steer it. Without recipients it belongs to its writer and administrators. How much they see: `seen`.
        """
        if self.is_admin and not self._is_others_practice(notice):
            return True
        if notice.by_id == self.user_id and self.by_list:
            return True
        if notice.state in ("draft", "asked"):
            need = "send"
        lists = target_lists(notice)
        asked = [self.may_list(need, one) for one in lists]
        if need == "view":
            return any(asked) or (self._has_families and notice.started_at is not None and any(o.whole for o in lists))
        return bool(asked) and all(asked)

    @property
    def _has_families(self) -> bool:
        return self.lists("view").where(MailingList.practice_of.is_null()).exists()

    def seen(self, notice: Notice, need: str = "view") -> list[int] | None:
        """Return the lists of whose families the user may see (or with `send`: mark) what a notice did; None: all.

        Whoever steers the notice sees all of it, unless it names somebody whose children stand in lists of others;
        everybody else their own lists (`core.visibility`).
        """
        if self.may(need, 0) or notice.by_id == self.user_id:
            return None
        if need == "view" and self.may_notice("send", notice) and self.may_see_named_recipients(notice):
            return None
        return [number for number in self.by_list if number and self.may(need, number)]

    def may_in_all_lists(self, need: str, notice: Notice) -> bool:
        """Say whether the user holds a right in every list that a notice goes to; the own practice list is free."""
        lists = [one for one in target_lists(notice) if one.practice_of_id != self.user_id]
        return self.is_admin or (self.may(need) and all(self.may_list(need, one) for one in lists))

    def may_see_named_recipients(self, notice: Notice) -> bool:
        """Say whether all who were chosen by name, with the children they bring along, stand in lists of this user."""
        named = Target.select(Target.number).where(
            Target.notice == notice, Target.kind == "person", Target.include == True
        )
        if self.sendable_list_ids is None or not named.exists():
            return True
        return _person_child_pairs(named, person_scope(notice)) <= _person_child_pairs(named, self.sendable_list_ids)

    def _is_others_practice(self, notice: Notice) -> bool:
        return notice.by_id != self.user_id and any(
            one.practice_of_id not in (None, self.user_id) for one in target_lists(notice)
        )


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
    found = {one.id: one for one in MailingList.select().where(MailingList.id.in_(numbers))}
    return [found[number] for number in numbers if number in found]


def person_scope(notice: Notice) -> list[int] | None:
    """Return the lists whose places count where a notice names a person and no list; None: all.

    Those that its writer may send to, so that nobody reads of another list's child. They are frozen when the notice is
    confirmed: a role that ends meanwhile takes nobody out.
    """
    if notice.state == "draft" and notice.by_id:
        return person_scope_for_user(notice.by)
    return notice.within


def _person_child_pairs(named: "ModelSelect[Any]", lists: list[int] | None) -> set[tuple[int, int]]:
    """Return (person, child or 0) of people as some lists show them; None: all that are open."""
    practice = MailingList.practice_of.is_null() & MailingList.closed_at.is_null()
    places = Membership.select(Membership.person, fn.COALESCE(Membership.child, 0)).join(MailingList)
    here = practice if lists is None else practice & Membership.list.in_(lists)
    return set(places.where(here, Membership.person.in_(named), Membership.is_member).tuples())


def person_scope_for_user(by: User | None) -> list[int] | None:
    """Return what a notice that this user confirms keeps as `within`; the terminal's reaches all lists."""
    return permissions_of(by).sendable_list_ids if by else None


def notice_ids_for_lists(lists: "Iterable[int] | ModelSelect[Any]") -> "ModelSelect[Target]":
    """Return the numbers of the notices that are sent to some lists, or to a group of one, as a query."""
    groups = Group.select(Group.id).where(Group.list.in_(lists))
    to_list = (Target.kind == "list") & Target.number.in_(lists)
    to_group = (Target.kind == "group") & Target.number.in_(groups)
    return Target.select(Target.notice).where(Target.include == True, to_list | to_group)


def permissions_of(user: User, today: date | None = None) -> Permissions:
    """Return what a user may do today; nothing for a disabled one."""
    roles = active_roles(today or clock.today()).where(Role.user == user)
    return Permissions(user.id, {role.list_id: ROLE_LEVELS[role.kind] for role in roles})


def active_roles(day: date) -> ModelSelect:
    """Return the roles in force on a day, of users who are not disabled. A role ends after its last day."""
    in_force = Role.until.is_null() | (Role.until >= day)
    return Role.select().join(User).where(User.disabled_at.is_null(), in_force)
