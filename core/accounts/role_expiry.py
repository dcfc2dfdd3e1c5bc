"""E-mails about roles that end: to the user and the administrators, fourteen days before (T-38, field.md 5.3 no. 11).

`core.accounts.roles` refuses an end date for a list's last manager. If a list loses its other managers later, the
e-mail names the list.
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
    """A role that ends soon. `alone`: the list then has no manager."""

    role: Role
    until: date
    user: User
    place: str
    alone: bool

    def line(self, language: str) -> str:
        place = self.place or i18n.say(language, WHOLE_ORGANIZATION)
        values = {"name": self.user.name, "place": place, "role": i18n.say(language, roles.ROLE_LABELS[self.role.kind])}
        line = i18n.say(language, _ROLE_LINE, day=i18n.format_day(language, self.until), **values)
        return f"{line}\n  {i18n.say(language, _LAST_MANAGER_LINE)}" if self.alone else line


_ROLE_LINE = N_("%(name)s: %(role)s (%(place)s), until %(day)s")
_LAST_MANAGER_LINE = N_("The list then has no manager. Please name one.")


def expiring_roles(today: date) -> list[ExpiringRole]:
    """Return the roles that end within fourteen days, the nearest first."""
    rows = active_roles(today).where(Role.until.is_null(False), Role.until <= today + WARN_BEFORE)
    ending: list[Role] = list(rows.select(Role, User).order_by(Role.until, User.name, Role.id))
    lists = MailingList.select().where(MailingList.id.in_([role.list_id for role in ending]))
    names = {mailing_list.id: mailing_list.name for mailing_list in lists}
    return [
        ExpiringRole(role, role.until, role.user, names.get(role.list_id, ""), _is_last_manager(role, role.until))
        for role in ending
        if role.until
    ]


def _is_last_manager(role: Role, until: date) -> bool:
    if role.kind != "manager" or not role.list_id:
        return False
    managers = active_roles(until + timedelta(days=1)).where(Role.kind == "manager", Role.list_id == role.list_id)
    return not managers.where(Role.user != role.user_id).exists()


def notify_expiring_roles(now: datetime) -> int:
    """Notify users whose role ends soon, and the administrators, once for each end. Return how many roles."""
    if clock.to_local(now).hour < SEND_HOUR:
        return 0
    with db.atomic():
        ends = [ending for ending in expiring_roles(clock.to_local(now).date()) if _mark_notified(ending.role)]
        if not ends:
            return 0
        admins = who_can.administrators()
        _notify("roles-end", admins, ends, now)
        for user in dict.fromkeys(ending.user for ending in ends if ending.user not in admins):
            _notify("role-ends", [user], [ending for ending in ends if ending.user == user], now)
        audit.log_action(None, "role.end_told", detail={"roles": len(ends)})
    return len(ends)


def _mark_notified(role: Role) -> bool:
    """Record that this end was notified; False if it was before. A changed date is notified again."""
    fresh = Role.told_until.is_null() | (Role.told_until != role.until)
    return bool(Role.update(told_until=role.until).where(Role.id == role.id, fresh).execute())


def _notify(kind: str, users: list[User], ends: list[ExpiringRole], now: datetime) -> None:
    url = f"{load_settings().base_url}/users"
    notify_users(kind, users, now, lines=lambda language: "\n".join(ending.line(language) for ending in ends), url=url)
