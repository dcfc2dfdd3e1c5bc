"""Merge two rows of one person, after the holder of the address or a manager agreed (decision 87)."""

from datetime import datetime

from core import audit
from core.members.normalise import is_same_name
from database import db
from mail.address import comparison_key
from models import Child, Delivery, Letter, Membership, MembershipState, Person, User


def merge_person(duplicate: Person, person: Person, by: User | None, now: datetime) -> None:
    """Give memberships and letters of a row to the person, and delete the row. The person's own values stay.

    A person without an address gets that of the row. A child with the name of one of the person's children is that
    child. What the reader stopped stays stopped.
    """
    with db.atomic():
        own = {row.child_id: row.child for row in _memberships(person) if row.child_id and row.child}
        replaced = set()
        for membership in _memberships(duplicate):
            child = next(
                (one for one in own.values() if membership.child and is_same_name(one.name, membership.child.name)),
                None,
            )
            if child:
                replaced.add(membership.child_id)
            _move_membership(membership, person, child.id if child else membership.child_id, now)
        _move_letters(duplicate, person)
        kept = Membership.select(Membership.child).where(
            Membership.child.is_null(False), Membership.person != duplicate
        )
        Child.delete().where(Child.id.in_(list(replaced)), Child.id.not_in(kept)).execute()
        Person.delete().where(Person.id == duplicate.id).execute()
        if duplicate.address:
            columns = ("address", "address_key", "violates_rfc", "language")
            fields = {column: getattr(duplicate, column) for column in columns}
            Person.update(**fields).where(Person.id == person.id, Person.address.is_null()).execute()
        audit.log_action(by, "member.merged", person.id)


def _memberships(person: Person) -> list[Membership]:
    return list(Membership.select().where(Membership.person == person).order_by(Membership.id))


def _move_membership(membership: Membership, person: Person, child_id: int | None, now: datetime) -> None:
    """Move a membership, or open the person's own one for the same child; the other one then goes with its row."""
    same = (Membership.person == person) & (Membership.list == membership.list_id)
    same &= Membership.child.is_null() if child_id is None else Membership.child == child_id
    own = Membership.get_or_none(same)
    if own is None:
        Membership.update(person=person, child=child_id).where(Membership.id == membership.id).execute()
    elif not own.is_member and own.stopped_by != "reader" and membership.state == MembershipState.ACTIVE:
        opened = {"state": MembershipState.ACTIVE, "stopped_by": "", "left_at": None, "joined_at": now}
        Membership.update(**opened).where(Membership.id == own.id).execute()


def _move_letters(duplicate: Person, person: Person) -> None:
    """Move the deliveries of notices that the person did not get, with their letters.

    A delivery to another address than the one they share stays without a person: its link would act for all lists.
    """
    known = Delivery.select(Delivery.notice).where(Delivery.person == person)
    found = Delivery.select(Delivery.id).where(Delivery.person == duplicate, Delivery.notice.not_in(known))
    key = comparison_key(person.address or duplicate.address or "@")
    letters = Letter.select(Letter.delivery, Letter.address).where(Letter.delivery.in_(found)).tuples()
    elsewhere = {delivery for delivery, address in letters if comparison_key(address) != key}
    moved = [row.id for row in found if row.id not in elsewhere]
    Delivery.update(person=person).where(Delivery.id.in_(moved)).execute()
    Letter.update(person=person).where(Letter.delivery.in_(moved)).execute()
