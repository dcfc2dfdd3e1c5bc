"""The hand-over sheet 引き継ぎ書: what the next administrator must know, on one A4 page, without passwords."""

import socket
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from peewee import JOIN

import clock
from config import current_config
from core import audit, backup
from core.errors import require_length
from core.members.lists import count_members_by_list
from core.permissions import active_roles
from core.settings import load_settings
from models import AllowedSender, MailingList, Organization, Role, User

MAX_NOTE_CHARS = 4000


class ListLine(NamedTuple):
    """A list: its address, the number of members, and the names of its allowed senders."""

    list: MailingList
    address: str
    people: int
    posters: tuple[str, ...]


class RoleLine(NamedTuple):
    """A role of a user, for a list or (None) the whole organization, and its last day."""

    user: User
    kind: str
    list: MailingList | None
    until: date | None


@dataclass(frozen=True, slots=True)
class HandoverSheet:
    """Everything on the sheet. `mail`: name and port of the mail server, never user or password."""

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
    settings, newest = load_settings(), backup.newest_backup()
    return HandoverSheet(
        made_at=now,
        house=Organization.load_row(),
        pages=settings.base_url,
        mail_domain=settings.mail_domain,
        machine=socket.gethostname(),
        folder=str(current_config().data.resolve()),
        mail=f"{settings.route.host}:{settings.route.port}" if settings.route else "",
        backup=str(newest) if newest else "",
        lists=tuple(_list_lines(settings.mail_domain)),
        roles=tuple(_role_lines(clock.to_local(now).date())),
    )


def _list_lines(domain: str) -> list[ListLine]:
    lists: list[MailingList] = list(MailingList.open_lists())
    numbers = [mailing_list.id for mailing_list in lists]
    counts = count_members_by_list(numbers)
    senders: dict[int, list[str]] = {}
    ordered = AllowedSender.select().order_by(AllowedSender.name, AllowedSender.id)
    for sender in ordered.where(AllowedSender.list.in_(numbers)):
        senders.setdefault(sender.list_id, []).append(sender.name or sender.address)
    return [
        ListLine(each, f"{each.address}@{domain}", counts[each.id]["members"], tuple(senders.get(each.id, ())))
        for each in lists
    ]


def _role_lines(today: date) -> list[RoleLine]:
    """Return the active roles, administrators first, without those of practice lists."""
    rows: list[Role] = list(
        active_roles(today)
        .select(Role, User, MailingList)
        .switch(Role)
        .join(MailingList, JOIN.LEFT_OUTER, on=(Role.list_id == MailingList.id), attr="list_row")
    )
    lines = [RoleLine(row.user, row.kind, getattr(row, "list_row", None) or None, row.until) for row in rows]
    lines = [line for line in lines if line.list is None or (line.list.id and line.list.practice_of_id is None)]
    rank = {kind: number for number, kind in enumerate(Role.KINDS)}
    return sorted(lines, key=lambda line: (rank[line.kind], line.list.name if line.list else "", line.user.name))


def save_note(text: str, by: User | None) -> None:
    """Save the note on the sheet: contracts, telephone numbers, customs; no passwords. Raises TooLong."""
    note = require_length(text.replace("\r\n", "\n"), MAX_NOTE_CHARS, "note")
    Organization.update(handover=note).where(Organization.id == 1).execute()
    audit.log_action(by, "organization.changed")
