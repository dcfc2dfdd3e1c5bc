"""Families without a working address: reported to managers, with slips for the children's bags (E-09, E-12).

A bounced address is excluded, never deleted. A slip shows only the family's own address, half hidden.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import i18n
from core.accounts import who_can
from core.members import address_states, join_codes
from core.notifications.notify import notify_users
from core.settings import load_settings
from core.signup import carrier_help, handouts
from mail import address as addresses
from models import AddressState, Child, MailingList, Membership, MembershipState, Person, User

BATCH_WINDOW = timedelta(minutes=20)
"""So long after the latest of them the names are gathered before the managers hear of them."""
MAX_NAMES = 60
"""Names in one letter."""
UNDELIVERABLE_STATES = (AddressState.BOUNCED, AddressState.REFUSING)


@dataclass(frozen=True, slots=True)
class AddressSlip:
    """The content of a slip: the child, the reader, and how to register a new address."""

    person: Person
    child: Child | None
    address: str
    gone: bool
    ways: handouts.JoinLinks
    help: carrier_help.Guidance


def address_slips(mailing_list: MailingList, language: str, person: Person | None = None) -> list[AddressSlip]:
    """Return the slips of a list (or one person) by class."""
    return [_address_slip(row, language) for row in _undeliverable_memberships(mailing_list, person)]


def _undeliverable_memberships(mailing_list: MailingList, person: Person | None) -> list[Membership]:
    rows = (
        Membership.select(Membership, Person, Child)
        .join(Person)
        .switch(Membership)
        .join(Child, join_type="LEFT OUTER JOIN")
        .where(
            Membership.list == mailing_list,
            Membership.state == MembershipState.ACTIVE,
            Person.address_state.in_(UNDELIVERABLE_STATES),
        )
        .order_by(Child.grade, Child.class_name, Child.kana, Person.kana, Person.id)
    )
    return list(rows.where(Membership.person == person) if person else rows)


def _address_slip(row: Membership, language: str) -> AddressSlip:
    code = join_codes.child_code(row.list, row.child) if row.child else row.list.join_code
    address = row.person.address or ""
    return AddressSlip(
        row.person,
        row.child if row.child_id else None,
        addresses.mask_address(address),
        row.person.address_state == AddressState.BOUNCED,
        handouts.join_links(row.list, code),
        carrier_help.guidance_for_address(address, language),
    )


# ── to the managers ──────────────────────────────────────────────────────────────────────────────────────────────


def notify_managers(now: datetime) -> int:
    """Report newly failing addresses to the managers; return the number of letters. Idempotent."""
    Person.update(reported_address_state=AddressState.FINE).where(
        Person.address_state == AddressState.FINE, Person.reported_address_state != AddressState.FINE
    ).execute()
    fresh = list(
        Person.select().where(
            Person.address_state != AddressState.FINE,
            Person.address_state_at.is_null(False),
            Person.reported_address_state != Person.address_state,
        )
    )
    if not fresh or max(one.address_state_at for one in fresh) > now - BATCH_WINDOW:
        return 0
    written = 0
    for mailing_list, rows in _memberships_by_list(fresh).items():
        users = who_can.managers_of(mailing_list) or who_can.administrators()
        written += _notify(users, mailing_list, rows, now)
    for one in fresh:
        Person.update(reported_address_state=one.address_state).where(Person.id == one.id).execute()
    return written


def _memberships_by_list(people: list[Person]) -> dict[MailingList, list[Membership]]:
    """Return the active memberships by list; a class list wins over the whole school."""
    rows = (
        Membership.select(Membership, Person, Child, MailingList)
        .join(Person)
        .switch(Membership)
        .join(Child, join_type="LEFT OUTER JOIN")
        .switch(Membership)
        .join(MailingList)
        .where(
            Membership.person.in_(people),
            Membership.state == MembershipState.ACTIVE,
            MailingList.closed_at.is_null(),
            MailingList.practice_of.is_null(),
        )
        .order_by(MailingList.whole, MailingList.id, Child.grade, Child.class_name, Person.kana)
    )
    found: dict[MailingList, list[Membership]] = {}
    seen: set[int] = set()
    for row in rows:
        if not row.list.whole or row.person_id not in seen:
            found.setdefault(row.list, []).append(row)
            seen.add(row.person_id)
    return found


def _notify(users: list[User], mailing_list: MailingList, rows: list[Membership], now: datetime) -> int:
    return notify_users(
        "unreached",
        users,
        now,
        list=mailing_list.name,
        number=len({row.person_id for row in rows}),
        names=lambda language: "\n".join(_name_lines(language, rows)),
        url=f"{load_settings().base_url}/lists/{mailing_list.id}?state=undelivered",
    )


def _name_lines(language: str, rows: Iterable[Membership]) -> list[str]:
    """Return one line a person: child, name, reason; no address."""
    lines = []
    for row in list(rows)[:MAX_NAMES]:
        name = row.person.name or i18n.say(language, "(no name)")
        child = f"{row.child.name}　" if row.child else ""
        why = i18n.say(language, address_states.CLAUSES.get(row.person.address_state, ""))
        lines.append(f"{child}{name}: {why}")
    return list(dict.fromkeys(lines))
