"""Roles end by date: who holds one, and the administrators, are told fourteen days before (T-38, field.md 5.3 no. 11).

No list loses its last manager silently: giving the last one an end is refused by `core.organizers.roles`; where it
comes to that all the same (an account was closed meanwhile), the letter names the list.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import clock
import words
from core import history, service
from core.door import senders
from core.organization import settings
from core.organizers import roles
from database import db
from models import MailingList, Role, User
from words import N_

BEFORE = timedelta(days=14)
HOUR = 8
USEFUL_S = 7 * 86400
HOUSE = N_("The whole organization")


@dataclass(frozen=True, slots=True)
class End:
    """A role that ends soon; `alone`: nobody would manage the list after it."""

    role: Role
    user: User
    place: str
    alone: bool

    def line(self, language: str) -> str:
        """Return the role in one line of a letter."""
        place = self.place or words.say(language, HOUSE)
        values = {"name": self.user.name, "place": place, "role": words.say(language, roles.WORDS[self.role.kind])}
        said = words.say(language, _LINE, day=words.day(language, self.role.until), **values)
        return f"{said}\n  {words.say(language, _ALONE)}" if self.alone else said


_LINE = N_("%(name)s: %(role)s (%(place)s), until %(day)s")
_ALONE = N_("Nobody would manage this list after that. Please name somebody.")


def soon(today: date) -> list[End]:
    """Return the roles that end within fourteen days, the nearest first."""
    rows = roles.in_force(today).where(Role.until.is_null(False), Role.until <= today + BEFORE)
    found = list(rows.select(Role, User).order_by(Role.until, User.name, Role.id))
    names = {one.id: one.name for one in MailingList.select().where(MailingList.id.in_([r.list_id for r in found]))}
    return [End(one, one.user, names.get(one.list_id, ""), _is_alone(one)) for one in found]


def _is_alone(role: Role) -> bool:
    """Say whether no other manager of this list is there on the day after."""
    if role.kind != "manager" or not role.list_id:
        return False
    others = roles.in_force(role.until + timedelta(days=1)).where(Role.kind == "manager", Role.list_id == role.list_id)
    return not others.where(Role.user != role.user_id).exists()


def remind(now: datetime) -> int:
    """Tell whose role ends soon, and the administrators; each end once. Return how many roles."""
    if clock.local(now).hour < HOUR:
        return 0
    with db.atomic():
        ends = [one for one in soon(clock.local(now).date()) if _taken(one.role)]
        if not ends:
            return 0
        admins = senders.administrators()
        for admin in admins:
            _write("roles-end", admin, ends, now)
        _tell_each([one for one in ends if one.user not in admins], now)
        history.log(None, "role.end_told", detail={"roles": len(ends)})
    return len(ends)


def _taken(role: Role) -> bool:
    """Note that this end has been told; False if it was before. Another date is told anew."""
    fresh = Role.told_until.is_null() | (Role.told_until != role.until)
    return bool(Role.update(told_until=role.until).where(Role.id == role.id, fresh).execute())


def _tell_each(ends: list[End], now: datetime) -> None:
    of_user: dict[User, list[End]] = defaultdict(list)
    for one in ends:
        of_user[one.user].append(one)
    for user, own in of_user.items():
        _write("role-ends", user, own, now)


def _write(kind: str, user: User, ends: list[End], now: datetime) -> None:
    if not user.email:
        return
    values = {
        "to_name": user.name, "lines": "\n".join(one.line(user.language) for one in ends),
        "url": f"{settings().base_url}/users",
    }  # fmt: skip
    service.send(
        kind, address=user.email, language=user.language, values=values, now=now, urgent=False, useful_s=USEFUL_S
    )
