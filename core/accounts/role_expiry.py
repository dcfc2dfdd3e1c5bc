"""Roles end by date: who holds one, and the administrators, are told fourteen days before (T-38, field.md 5.3 no. 11).

No list loses its last manager silently: giving the last one an end is refused by `core.accounts.roles`; where it
comes to that all the same (an account was closed meanwhile), the letter names the list.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import clock
import i18n
from core import audit
from core.accounts import roles, who_can
from core.notifications.notify import notify_users
from core.permissions import active_roles
from core.settings import load_settings
from database import db
from i18n import N_
from models import MailingList, Role, User

WARN_BEFORE = timedelta(days=14)
SEND_HOUR = 8
WHOLE_ORGANIZATION = N_("The whole organization")


@dataclass(frozen=True, slots=True)
class ExpiringRole:
    """A role that ends soon; `alone`: nobody would manage the list after it."""

    role: Role
    user: User
    place: str
    alone: bool

    def line(self, language: str) -> str:
        """Return the role in one line of a letter."""
        place = self.place or i18n.say(language, WHOLE_ORGANIZATION)
        values = {"name": self.user.name, "place": place, "role": i18n.say(language, roles.ROLE_LABELS[self.role.kind])}
        said = i18n.say(language, _ROLE_LINE, day=i18n.format_day(language, self.role.until), **values)
        return f"{said}\n  {i18n.say(language, _LAST_MANAGER_LINE)}" if self.alone else said


_ROLE_LINE = N_("%(name)s: %(role)s (%(place)s), until %(day)s")
_LAST_MANAGER_LINE = N_("Nobody would manage this list after that. Please name somebody.")


def expiring_roles(today: date) -> list[ExpiringRole]:
    """Return the roles that end within fourteen days, the nearest first."""
    rows = active_roles(today).where(Role.until.is_null(False), Role.until <= today + WARN_BEFORE)
    found = list(rows.select(Role, User).order_by(Role.until, User.name, Role.id))
    names = {one.id: one.name for one in MailingList.select().where(MailingList.id.in_([r.list_id for r in found]))}
    return [ExpiringRole(one, one.user, names.get(one.list_id, ""), _is_last_manager(one)) for one in found]


def _is_last_manager(role: Role) -> bool:
    """Say whether no other manager of this list is there on the day after."""
    if role.kind != "manager" or not role.list_id:
        return False
    others = active_roles(role.until + timedelta(days=1)).where(Role.kind == "manager", Role.list_id == role.list_id)
    return not others.where(Role.user != role.user_id).exists()


def notify_expiring_roles(now: datetime) -> int:
    """Tell whose role ends soon, and the administrators; each end once. Return how many roles."""
    if clock.to_local(now).hour < SEND_HOUR:
        return 0
    with db.atomic():
        ends = [one for one in expiring_roles(clock.to_local(now).date()) if _mark_notified(one.role)]
        if not ends:
            return 0
        admins = who_can.administrators()
        _notify("roles-end", admins, ends, now)
        for user in dict.fromkeys(one.user for one in ends if one.user not in admins):
            _notify("role-ends", [user], [one for one in ends if one.user == user], now)
        audit.log_action(None, "role.end_told", detail={"roles": len(ends)})
    return len(ends)


def _mark_notified(role: Role) -> bool:
    """Note that this end has been told; False if it was before. Another date is told anew."""
    fresh = Role.told_until.is_null() | (Role.told_until != role.until)
    return bool(Role.update(told_until=role.until).where(Role.id == role.id, fresh).execute())


def _notify(kind: str, users: list[User], ends: list[ExpiringRole], now: datetime) -> None:
    url = f"{load_settings().base_url}/users"
    notify_users(kind, users, now, lines=lambda language: "\n".join(one.line(language) for one in ends), url=url)
