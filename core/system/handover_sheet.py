"""The hand-over sheet (引き継ぎ書): what whoever comes next must know, on one sheet of A4. No password stands on it."""

import socket
from dataclasses import dataclass
from datetime import date, datetime

from peewee import JOIN, fn

import clock
import config as ground
from core import audit, backup
from core.permissions import active_roles
from core.settings import load_settings
from models import AllowedSender, MailingList, Membership, Organization, Role, User


@dataclass(frozen=True, slots=True)
class ListLine:
    """A list with its address, how many people are in it, and who posts to it by mail."""

    list: MailingList
    address: str
    people: int
    posters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoleLine:
    """Who holds which role where (list None: the whole organization), and until when."""

    user: User
    kind: str
    list: MailingList | None
    until: date | None


@dataclass(frozen=True, slots=True)
class HandoverSheet:
    """Everything on the sheet. `mail`: the mail server's name and port; never its user or password."""

    made_at: datetime
    house: Organization
    pages: str
    mail_domain: str
    machine: str
    folder: str
    mail: str
    backup: str
    lists: tuple[ListLine, ...]
    roles: tuple[RoleLine, ...]


def build_sheet(now: datetime) -> HandoverSheet:
    """Gather the sheet as things stand now."""
    force, newest = load_settings(), backup.newest_backup()
    return HandoverSheet(
        made_at=now,
        house=Organization.load_row(),
        pages=force.base_url,
        mail_domain=force.mail_domain,
        machine=socket.gethostname(),
        folder=str(ground.current_config().data.resolve()),
        mail=f"{force.route.host}:{force.route.port}" if force.route else "",
        backup=str(newest) if newest else "",
        lists=tuple(_list_lines(force.mail_domain)),
        roles=tuple(_role_lines(clock.to_local(now).date())),
    )


def _list_lines(domain: str) -> list[ListLine]:
    lists = list(MailingList.open_lists())
    numbers = [one.id for one in lists]
    people = dict(
        Membership.select(Membership.list, fn.COUNT(fn.DISTINCT(Membership.person)))
        .where(Membership.list.in_(numbers), Membership.is_member)
        .group_by(Membership.list)
        .tuples()
    )
    posters: dict[int, list[str]] = {}
    for row in (
        AllowedSender.select().where(AllowedSender.list.in_(numbers)).order_by(AllowedSender.name, AllowedSender.id)
    ):
        posters.setdefault(row.list_id, []).append(row.name or row.address)
    return [
        ListLine(one, f"{one.address}@{domain}", people.get(one.id, 0), tuple(posters.get(one.id, ()))) for one in lists
    ]


def _role_lines(today: date) -> list[RoleLine]:
    """Return the roles in force, administrators first, practice lists left out."""
    rows = list(
        active_roles(today)
        .select(Role, User, MailingList)
        .switch(Role)
        .join(MailingList, JOIN.LEFT_OUTER, on=(Role.list_id == MailingList.id), attr="place")
    )
    found = [RoleLine(one.user, one.kind, getattr(one, "place", None) or None, one.until) for one in rows]
    found = [one for one in found if one.list is None or (one.list.id and one.list.practice_of_id is None)]
    order = {kind: place for place, kind in enumerate(Role.KINDS)}
    return sorted(found, key=lambda one: (order[one.kind], one.list.name if one.list else "", one.user.name))


def save_note(text: str, by: User | None) -> None:
    """Keep what only people know: contracts, telephone numbers, customs. Passwords do not belong here."""
    Organization.update(handover=text.replace("\r\n", "\n").strip()[:4000]).where(Organization.id == 1).execute()
    audit.log_action(by, "organization.changed")
