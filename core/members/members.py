"""Edit members, stop and resume their mail, approve and remove them, correct their addresses (T-24, T-32, T-36).

A person has one membership in a list for each child. Each verb on a list changes all memberships of a person there.
A reader's own stop is only undone on the reader's wish.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from peewee import fn

from core import audit
from core.accounts import class_teacher
from core.errors import DomainError, require_length
from core.members.normalise import (
    CHILD_ITEMS,
    address_fields,
    normalise_class,
    normalise_grade,
    normalise_kana,
    normalise_phone,
    normalise_text,
    parse_member_address,
)
from core.notifications.letter_limits import Caused, allows_letter
from core.notifications.notify import notify
from database import db
from i18n import N_
from mail import address as addresses
from models import AddressState, Child, Delivery, MailingList, Membership, MembershipState, Person, User

MAX_ITEM_LENGTH, MAX_ITEM_NAME_LENGTH = 500, 200
NAME_REQUIRED = N_("Please enter a name.")
CHILD_NAME_REQUIRED = N_("Please enter the child’s name.")


class AddressTaken(DomainError):
    """Another person has this address; name `person` only to users who may see that person."""

    def __init__(self, person: Person) -> None:
        super().__init__(N_("Another member already has this address."), "address")
        self.person = person


class StoppedByReader(DomainError):
    """Some people stopped the mail themselves; `people` says how many."""

    def __init__(self, people: int) -> None:
        super().__init__(N_("%(number)s of them stopped the mail themselves."), number=people)
        self.people = people


# ── adding ───────────────────────────────────────────────────────────────────────────────────────────────────────


# ── editing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def edit_person(person: Person, by: User | None, *, name: str, kana: str, phone: str, language: str) -> None:
    """Change the fields of a person. A person without an address needs a name."""
    clean_name = normalise_text(name)
    if not clean_name and not person.address:
        raise DomainError(NAME_REQUIRED, "name")
    with db.atomic():
        Person.update(
            name=clean_name, kana=normalise_kana(kana), phone=normalise_phone(phone), language=language
        ).where(Person.id == person.id).execute()
        audit.log_action(by, "member.changed", person.id)


def edit_membership(
    membership: Membership, by: User | None, *, relation: str, items: Mapping[str, str], child: Mapping[str, str]
) -> None:
    """Change a membership: relation, custom items, and the child (name, kana, grade, class).

    Items of the child (district, number in class …) are shared by all lists. A membership without a child gets one if a
    name is given.
    """
    own, of_child = split_items(items, bool(membership.child_id or normalise_text(child.get("name", ""))))
    with db.atomic():
        save_membership(membership, relation, own, _save_child(membership, child, of_child), by)


def save_membership(
    membership: Membership, relation: str, own: dict[str, str], child_id: int | None, by: User | None
) -> None:
    """Write relation, items and child of a membership."""
    with db.atomic():
        Membership.update(relation=normalise_text(relation), attributes=own, child=child_id).where(
            Membership.id == membership.id
        ).execute()
        class_teacher.assign_new_members(membership.list, [membership.person_id])
        audit.log_action(by, "member.changed", membership.person_id, detail={"list": membership.list_id})


def split_items(items: Mapping[str, str], has_child: bool) -> tuple[dict[str, str], dict[str, str]]:
    clean = {
        normalise_text(require_length(key, MAX_ITEM_NAME_LENGTH, "items")): require_length(
            text, MAX_ITEM_LENGTH, "items"
        )
        for key, text in items.items()
        if normalise_text(key) and text.strip()
    }
    of_child = {key: text for key, text in clean.items() if has_child and key.lower() in CHILD_ITEMS}
    return {key: text for key, text in clean.items() if key not in of_child}, of_child


def _save_child(membership: Membership, child: Mapping[str, str], items: dict[str, str]) -> int | None:
    name = normalise_text(child.get("name", ""))
    fields = {
        "name": name,
        "kana": normalise_kana(child.get("kana", "")),
        "grade": normalise_grade(child.get("grade", "")),
        "class_name": normalise_class(child.get("class_name", "")),
        "attributes": items,
    }
    if membership.child_id:
        if not name:
            raise DomainError(CHILD_NAME_REQUIRED, "child_name")
        Child.update(**fields).where(Child.id == membership.child_id).execute()
        return membership.child_id
    return Child.create(**fields, household=membership.person.household).id if name else None


# ── stop, resume, approve, leave ─────────────────────────────────────────────────────────────────────────────────


def stop_mail(mailing_list: MailingList, people: Iterable[int], by: User | None, now: datetime) -> int:
    """Stop the mail of a list to these people, as a manager; return how many people changed."""
    fields = {"state": MembershipState.STOPPED, "stopped_by": "manager", "stopped_at": now}
    return _change_state(
        mailing_list,
        people,
        (MembershipState.ACTIVE, MembershipState.UNCONFIRMED, MembershipState.PENDING),
        fields,
        by,
        "member.stopped",
    )


def resume_mail(
    mailing_list: MailingList, people: Iterable[int], by: User | None, now: datetime, *, wished: bool = False
) -> int:
    """Resume the mail of a list to these people; return how many people changed.

    Raises StoppedByReader and changes nothing if some stopped it themselves, unless `wished` (field.md 3.1: the law
    forbids mail against a refusal).
    """
    numbers = list(people)
    refused = _memberships_in(mailing_list, numbers).where(
        Membership.state == MembershipState.STOPPED, Membership.stopped_by != "manager"
    )
    own = {row.person_id for row in refused}
    if own and not wished:
        raise StoppedByReader(len(own))
    fields = {"state": MembershipState.ACTIVE, "stopped_by": "", "stopped_at": None}
    return _change_state(mailing_list, numbers, (MembershipState.STOPPED,), fields, by, "member.resumed")


def approve_members(mailing_list: MailingList, people: Iterable[int], by: User | None) -> int:
    """Let pending or refused people into a list; return how many people changed."""
    fields = {"state": MembershipState.ACTIVE, "stopped_by": "", "left_at": None}
    return _change_state(
        mailing_list, people, (MembershipState.PENDING, MembershipState.REFUSED), fields, by, "member.approved"
    )


def remove_members(mailing_list: MailingList, people: Iterable[int], by: User | None, now: datetime) -> int:
    """Remove people from a list; the retention purge deletes their history. Return how many people changed."""
    states = (MembershipState.UNCONFIRMED, MembershipState.PENDING, MembershipState.ACTIVE, MembershipState.STOPPED)
    return _change_state(
        mailing_list, people, states, {"state": MembershipState.LEFT, "left_at": now}, by, "member.removed"
    )


def _memberships_in(mailing_list: MailingList, people: list[int]) -> Any:
    return Membership.select().where(Membership.list == mailing_list, Membership.person.in_(people))


def _change_state(
    mailing_list: MailingList,
    people: Iterable[int],
    before: tuple[str, ...],
    fields: dict[str, Any],
    by: User | None,
    action: str,
) -> int:
    """Change all memberships of these people in a list that are in one of the states `before`; log it; return the people."""
    with db.atomic():
        rows = list(_memberships_in(mailing_list, list(people)).where(Membership.state.in_(before)))
        moved = {row.person_id for row in rows}
        changed = (
            Membership.update(**fields)
            .where(Membership.id.in_([row.id for row in rows]), Membership.state.in_(before))
            .execute()
        )
        if changed and len(moved) == 1:
            audit.log_action(by, action, moved.pop(), detail={"list": mailing_list.id})
            return 1
        if changed:
            audit.log_action(by, action, mailing_list.id, kind="list", detail={"people": len(moved)})
    return len(moved)


# ── the address ──────────────────────────────────────────────────────────────────────────────────────────────────


def change_address(person: Person, typed: str, by: User | None, now: datetime, *, holds_key: bool = True) -> None:
    """Correct an address. A bounced or refusing state ends; a complaint stays.

    Memberships, household and history are kept. Raises DomainError for an unusable address, AddressTaken.
    `holds_key`: False if another row keeps the key of this address.
    """
    clean = parse_member_address(typed)
    fields = {**address_fields(clean), "bare": False}
    new_key = fields["address_key"]
    if person.address_state in (AddressState.BOUNCED, AddressState.REFUSING):
        fields |= deliverable_fields(now)
    with db.atomic():
        other = Person.get_or_none(Person.address_key == new_key, Person.id != person.id)
        if other is not None and holds_key:
            raise AddressTaken(other)
        if not holds_key:
            fields["address_key"] = None
        Person.update(**fields).where(Person.id == person.id).execute()
        _notify_old_address(person, new_key, now)
        audit.log_action(by, "member.address_changed", person.id)


def _notify_old_address(person: Person, new_key: str, now: datetime) -> None:
    """Notify the old address of the change, unless it is dead or was reported as another family's (decision 2)."""
    strange = Delivery.select().where(Delivery.person == person, Delivery.misdirected_at.is_null(False)).exists()
    if not person.is_deliverable or addresses.comparison_key(person.address or "") == new_key or strange:
        return
    if allows_letter(Caused.ADDRESS_CHANGE, None, person.address, now):
        notify("moved", person, now, to_name="")


def deliverable_fields(now: datetime) -> dict[str, Any]:
    """Return the columns of a person whose address is no longer suppressed."""
    return {
        "address_state": AddressState.FINE,
        "address_reason": "",
        "address_state_at": now,
        "address_state_notice_id": None,
    }


def clear_suppression(person: Person, by: User | None, now: datetime) -> bool:
    """Make a bounced or refusing address deliverable again (E-09, D-38); False if it was not suppressed."""
    with db.atomic():
        changed = (
            Person.update(**deliverable_fields(now))
            .where(Person.id == person.id, Person.address_state.in_((AddressState.BOUNCED, AddressState.REFUSING)))
            .execute()
        )
        if changed:
            audit.log_action(by, "member.address_released", person.id)
    return bool(changed)


def person_by_address(address: str) -> Person | None:
    return Person.get_or_none(Person.address_key == addresses.comparison_key(address)) if "@" in address else None


def people_at_address(address: str) -> list[Person]:
    """Return all rows with this address; who holds the key comes first (`core.members.merge`)."""
    key = addresses.comparison_key(address) if "@" in address else ""
    second = Person.address_key.is_null() & (fn.LOWER(Person.address) == key)
    rows = Person.select().where((Person.address_key == key) | second) if key else []
    return sorted(rows, key=lambda row: (row.address_key is None, row.id))
