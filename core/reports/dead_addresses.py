"""Addresses to clean up once a year: bounced, refusing, unsubscribed or never read (E-12).

Carriers treat senders to dead addresses as spammers. Kairan deletes no member here; organizers ask the family.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from peewee import JOIN

from core.members import member_list
from core.members.address_states import LABELS
from core.permissions import Permissions
from core.reports import non_readers
from i18n import N_
from models import AddressState, Child, MailingList, Membership, MembershipState, Person

REASONS: dict[str, str] = {
    "bounced": LABELS["bounced"],
    "complained": LABELS["complained"],
    "refusing": LABELS["refusing"],
    "pending": N_("Registration not completed"),
    "stopped": LABELS["stopped"],
    "silent": N_("No confirmation three times running"),
}


@dataclass(frozen=True, slots=True)
class DeadAddress:
    """One person with one reason. `since`: None if unknown; `address`: as far as the user may see it."""

    person: Person
    why: str
    since: datetime | None
    lists: tuple[str, ...]
    children: tuple[str, ...]
    address: str


def list_dead_addresses(rights: Permissions, now: datetime, list_id: int | None = None) -> list[DeadAddress]:
    """Return the members with a reason in the user's lists, by reason, then kana."""
    lists = [one for one in rights.lists("view") if not one.practice_of_id and list_id in (None, one.id)]
    never = _non_reader_ids(lists, now)
    managed = {one.id for one in rights.lists("manage")}
    held: dict[int, list[Membership]] = {}
    for place in _memberships_in(lists):
        held.setdefault(place.person_id, []).append(place)
    found = [made for places in held.values() if (made := _dead_address(places, never, managed))]
    order = list(REASONS)
    return sorted(found, key=lambda one: (order.index(one.why), one.person.kana == "", one.person.kana, one.person.id))


def count_by_reason(some: Iterable[DeadAddress]) -> dict[str, int]:
    found = dict.fromkeys(REASONS, 0)
    for one in some:
        found[one.why] += 1
    return {why: number for why, number in found.items() if number}


def _memberships_in(lists: list[MailingList]) -> Iterable[Membership]:
    return (
        Membership.select(Membership, Person, Child, MailingList)
        .join(Person)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .switch(Membership)
        .join(MailingList)
        .where(Membership.list.in_(lists), Membership.is_member, Person.address.is_null(False))
        .order_by(MailingList.whole, MailingList.name, Membership.id)
    )


def _non_reader_ids(lists: list[MailingList], now: datetime) -> set[int]:
    """Return persons whose household read none of the last three notices of a list."""
    return {
        row.person.id
        for one in lists
        for row in non_readers.find_non_readers(one, non_readers.last_confirmable_notices(one, now))
    }


def _dead_address(places: list[Membership], never: set[int], managed: set[int]) -> DeadAddress | None:
    person = places[0].person
    why, since, there = _worst_reason(person, places, never)
    if not why:
        return None
    children = dict.fromkeys(f"{one.child.room} {one.child.name}".strip() for one in there if one.child)
    return DeadAddress(
        person,
        why,
        since,
        tuple(dict.fromkeys(one.list.name for one in there)),
        tuple(children),
        member_list.display_address(person, any(one.list_id in managed for one in places)),
    )


def _worst_reason(
    person: Person, places: list[Membership], never: set[int]
) -> tuple[str, datetime | None, list[Membership]]:
    """Return the gravest reason, its date and its memberships; "" if there is none."""
    if person.address_state != AddressState.FINE:
        return person.address_state, person.address_state_at, places
    open_lists = [one for one in places if one.state in (MembershipState.PENDING, MembershipState.UNCONFIRMED)]
    if open_lists:
        return "pending", min(one.joined_at for one in open_lists), open_lists
    stopped = [one for one in places if one.state == MembershipState.STOPPED]
    if stopped:
        return "stopped", min((one.stopped_at for one in stopped if one.stopped_at), default=None), stopped
    return ("silent", None, places) if person.id in never else ("", None, places)
