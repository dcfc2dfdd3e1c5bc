"""Who may do what somebody else may not: named wherever the right is missing (field 4.3, no. 11)."""

from collections.abc import Collection
from dataclasses import dataclass

import clock
import i18n
from core.permissions import REQUIRED_LEVELS, ROLE_LEVELS, active_roles, target_lists
from i18n import N_
from models import MailingList, Notice, Role, User

MAX_NAMES = 3
_ROLE_PHRASES = {
    "send": N_("whoever may send to the list"),
    "manage": N_("a manager of the list"),
    "admin": N_("an administrator"),
}


@dataclass(frozen=True, slots=True)
class PermissionHolders:
    """Who holds a right: `need` says which (send, manage, admin; any: who can give it), names in the order to ask."""

    need: str
    names: tuple[str, ...]

    def sentence(self, language: str) -> str:
        """Return the sentence that sends somebody to the right person; empty if there is nobody."""
        if not self.names:
            return ""
        named = [i18n.say(language, N_("%(names)s"), names=name) for name in self.names[:MAX_NAMES]]
        shown = i18n.say(language, N_(", ")).join(named)
        if (more := len(self.names) - MAX_NAMES) > 0:
            shown = i18n.say(language, N_("%(names)s and %(n)s more"), names=shown, n=more)
        if self.need == "any":
            return i18n.say(language, N_("An administrator can give you the right: %(names)s."), names=shown)
        role = i18n.say(language, _ROLE_PHRASES[self.need])
        return i18n.say(language, N_("This can be done by %(role)s: %(names)s."), role=role, names=shown)


def holders_for_lists(need: str, lists: Collection[int]) -> PermissionHolders:
    """Return who may `send` to or `manage` all of these lists; administrators where nobody else may.

    For no list in particular: who can give the right.
    """
    if need != "admin" and lists:
        enough = [
            kind for kind, strength in ROLE_LEVELS.items() if REQUIRED_LEVELS[need] <= strength < ROLE_LEVELS["admin"]
        ]
        found = _names_with_roles_in_all(enough, lists)
        if found:
            return PermissionHolders(need, found)
    return PermissionHolders("admin" if need == "admin" or lists else "any", _user_names(Role.kind == "admin"))


def holders_for_notice(notice: Notice) -> PermissionHolders:
    """Return who may steer a notice: its writer, and who may send to all of its lists."""
    lists = [one.id for one in target_lists(notice) if not one.practice_of_id]
    found = holders_for_lists("send", lists)
    writer = (notice.by.name,) if notice.by_id and notice.by.is_active else ()
    others = tuple(name for name in found.names if name not in writer)
    return PermissionHolders(
        "send" if writer else found.need, writer + (others if found.need == "send" or not writer else ())
    )


def _names_with_roles_in_all(kinds: list[str], lists: Collection[int]) -> tuple[str, ...]:
    held: dict[str, set[int]] = {}
    rows = _active_roles_where(Role.kind.in_(kinds), Role.list_id.in_([0, *lists]))
    for row in rows:
        held.setdefault(row.user.name, set()).add(row.list_id)
    wanted = set(lists)
    return tuple(name for name, numbers in held.items() if 0 in numbers or wanted <= numbers)


def _user_names(*conditions: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.user.name for row in _active_roles_where(*conditions)))


def _active_roles_where(*conditions: object) -> list[Role]:
    return list(
        active_roles(clock.today())
        .select(Role, User)
        .where(*conditions)
        .order_by(Role.list_id == 0, Role.kind == "sender", User.id)  # who knows the list best comes first
    )


def managers_of(mailing_list: MailingList) -> list[User]:
    """Return the managers of a list today, without administrators."""
    manages = (Role.kind == "manager") & Role.list_id.in_((0, mailing_list.id))
    numbers = [row.user_id for row in active_roles(clock.today()).where(manages)]
    return list(User.select().where(User.id.in_(numbers)).order_by(User.name_key))


def administrators() -> list[User]:
    """Return the administrators of today."""
    held = active_roles(clock.today()).where(Role.kind == "admin", Role.list_id == 0)
    return list(User.select().where(User.id.in_([row.user_id for row in held])).order_by(User.name_key))
