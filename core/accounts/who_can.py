"""Users who hold a permission; pages name them where the reader lacks it (field 4.3, no. 11)."""

from collections.abc import Collection
from dataclasses import dataclass

from peewee import Expression, ModelSelect

import clock
import i18n
from core.permissions import REQUIRED_LEVELS, ROLE_LEVELS, active_roles, target_lists
from i18n import N_
from models import MailingList, Notice, Role, User

MAX_NAMES = 3
_ROLE_PHRASES = {
    "send": N_("a user who may send to the list"),
    "manage": N_("a manager of the list"),
    "admin": N_("an administrator"),
}


@dataclass(frozen=True, slots=True)
class PermissionHolders:
    """Names of users with a permission, in the order to ask. need: send, manage, admin; any: who can grant it."""

    need: str
    names: tuple[str, ...]

    def sentence(self, language: str) -> str:
        """Return the sentence that names them; empty without names."""
        if not self.names:
            return ""
        shown = [i18n.say(language, N_("%(names)s"), names=name) for name in self.names[:MAX_NAMES]]
        names = i18n.say(language, N_(", ")).join(shown)
        if (more := len(self.names) - MAX_NAMES) > 0:
            names = i18n.say(language, N_("%(names)s and %(n)s more"), names=names, n=more)
        if self.need == "any":
            return i18n.say(language, N_("An administrator can give you the right: %(names)s."), names=names)
        role = i18n.say(language, _ROLE_PHRASES[self.need])
        return i18n.say(language, N_("This can be done by %(role)s: %(names)s."), role=role, names=names)


def managers_of(mailing_list: MailingList) -> list[User]:
    """Return the users who manage a list today, without the administrators, by name."""
    return _users_with(Role.kind == "manager", Role.list_id.in_((0, mailing_list.id)))


def administrators() -> list[User]:
    """Return the administrators of today, by name."""
    return _users_with(Role.kind == "admin", Role.list_id == 0)


def _users_with(*conditions: Expression) -> list[User]:
    ids = active_roles(clock.today()).where(*conditions).select(Role.user)
    return list(User.select().where(User.id.in_(ids)).order_by(User.name_key))


def holders_for_lists(need: str, lists: Collection[int]) -> PermissionHolders:
    """Return who may `send` to or `manage` all of these lists; else the administrators.

    Without lists: who can grant the permission.
    """
    if need != "admin" and lists:
        levels = range(REQUIRED_LEVELS[need], ROLE_LEVELS["admin"])
        kinds = [kind for kind, level in ROLE_LEVELS.items() if level in levels]
        if names := _names_with_roles_in_all(kinds, set(lists)):
            return PermissionHolders(need, names)
    names = tuple(dict.fromkeys(role.user.name for role in _roles_by_user(Role.kind == "admin")))
    return PermissionHolders("admin" if need == "admin" or lists else "any", names)


def holders_for_notice(notice: Notice) -> PermissionHolders:
    """Return who may control a notice: its writer, and the users who may send to all of its lists."""
    lists = [mailing_list.id for mailing_list in target_lists(notice) if not mailing_list.practice_of_id]
    holders = holders_for_lists("send", lists)
    if notice.by is None or not notice.by.is_active:
        return holders
    others = [name for name in holders.names if name != notice.by.name] if holders.need == "send" else []
    return PermissionHolders("send", (notice.by.name, *others))


def _names_with_roles_in_all(kinds: list[str], lists: set[int]) -> tuple[str, ...]:
    by_name: dict[str, set[int]] = {}
    for role in _roles_by_user(Role.kind.in_(kinds), Role.list_id.in_([0, *lists])):
        by_name.setdefault(role.user.name, set()).add(role.list_id)
    return tuple(name for name, held in by_name.items() if 0 in held or lists <= held)


def _roles_by_user(*conditions: Expression) -> "ModelSelect[Role]":
    """Return active roles with their users: list roles before those for all lists, managers before senders."""
    order = (Role.list_id == 0, Role.kind == "sender", User.id)
    return active_roles(clock.today()).select(Role, User).where(*conditions).order_by(*order)
