"""Which letters a sender process takes next, and what must not go after all: each claim looks anew.

A claim is committed durably with owner and boot before anything leaves (crash rules).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import JOIN, fn

from core.delivery import throttle
from core.notices import reminder_recipients
from core.settings import Settings
from database import claim_letters, db, due_letters
from mail import address as addresses
from models import DELIVERABLE_STATES, Delivery, DeliveryMembership, Letter, Membership, Notice, Person

RETRY_DELAYS_MIN = (1, 5, 15, 60, 240)
BATCH_SIZE = 100


def claim_batch(owner: str, boot: str, force: Settings, now: datetime, limit: int = BATCH_SIZE) -> list[int]:
    """Take up to `limit` letters that may go now, with their tokens; return their numbers in sending order.

    Committed durably (synchronous=FULL): after a power cut no letter may have left that no row knows of.
    """
    blocked = throttle.blocked_buckets(force, now)
    if throttle.GLOBAL_BUCKET in blocked or not due_letters(now, 1, blocked):
        return []
    db.execute_sql("PRAGMA synchronous = FULL")
    try:
        with db.atomic():
            numbers = throttle.take_tokens(due_letters(now, limit, blocked), force, now)
            return numbers if claim_letters(numbers, owner, boot, now) else []
    finally:
        db.execute_sql("PRAGMA synchronous = NORMAL")


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A claimed letter with what its delivery and its reader add; not rows, since there are thousands of them."""

    id: int
    notice_id: int | None
    delivery_id: int | None
    person_id: int | None
    kind: str
    address: str
    domain: str
    language: str
    payload: dict
    round: int
    attempts: int
    urgent: bool
    token: str | None
    list_id: int | None
    reader_language: str | None
    name: str | None
    sender_name: str | None
    child_name: str | None
    child_room: str | None
    siblings: bool | None
    values: dict | None
    address_state: str | None
    bare: bool | None


def load_claimed(numbers: list[int], owner: str) -> list[QueuedMessage]:
    """Return the letters that this owner has claimed and may still send, in the order of their numbers given."""
    found = {
        one.id: one
        for one in _select_messages(Letter.id.in_(numbers), Letter.owner == owner, Letter.state == "sending")
    }
    return [found[number] for number in numbers if number in found]


def load_message(letter: Letter) -> QueuedMessage:
    """Return a letter, claimed or not, with what its delivery and reader add."""
    return _select_messages(Letter.id == letter.id)[0]


def _select_messages(*which: Any) -> list[QueuedMessage]:
    rows = (
        Letter.select(
            Letter.id,
            Letter.notice_id,
            Letter.delivery_id,
            Letter.person_id,
            Letter.kind,
            Letter.address,
            Letter.domain,
            Letter.language,
            Letter.payload,
            Letter.round,
            Letter.attempts,
            Letter.urgent,
            Delivery.token,
            Delivery.list_id,
            Delivery.language,
            Delivery.name,
            Delivery.sender_name,
            Delivery.child_name,
            Delivery.child_room,
            Delivery.siblings,
            Delivery.values,
            Person.address_state,
            Person.bare,
        )
        .join(Delivery, JOIN.LEFT_OUTER)
        .switch(Letter)
        .join(Person, JOIN.LEFT_OUTER, on=(Letter.person == Person.id))
        .where(*which)
        .tuples()
    )
    return [QueuedMessage(*row) for row in rows]


def has_urgent(force: Settings, now: datetime) -> bool:
    """Say whether an urgent letter could go now."""
    first = due_letters(now, 1, throttle.blocked_buckets(force, now))
    return bool(first) and Letter.select().where(Letter.id == first[0][0], Letter.urgent == True).exists()


def recheck_claimed(numbers: list[int], now: datetime) -> dict[int, str]:
    """Return the claimed letters that must not go after all, with the reason: each claim looks anew.

    Somebody may have stopped, left, bounced or corrected the address since the letter was made; a corrected
    address is taken over here. Whoever has confirmed needs no reminder.
    """
    rows = (
        Letter.select(
            Letter.id,
            Letter.address,
            Letter.expires_at,
            Letter.delivery_id,
            Letter.round,
            Person.id,
            Person.address,
            Person.address_state,
        )
        .join(Person, JOIN.LEFT_OUTER)
        .where(Letter.id.in_(numbers))
        .tuples()
    )
    gone = _without_active_membership(numbers)
    kept_back: dict[int, str] = {}
    moved: list[Letter] = []
    reminders: list[int] = []
    for number, address, expires_at, delivery, round_, person, address_now, state in rows:
        if round_ > 1:
            reminders.append(number)
        if expires_at < now:
            kept_back[number] = "expired"
        elif delivery is None:
            continue  # service letters go to an address, not to a person
        elif why := gone.get(delivery) or _skip_reason(person, address_now, state):
            kept_back[number] = why
        elif address_now != address:
            moved.append(Letter(id=number, address=address_now, domain=addresses.domain_of(address_now)))
    if moved:
        Letter.bulk_update(moved, [Letter.address, Letter.domain])
    return {**(reminder_recipients.unneeded_letters(reminders, now) if reminders else {}), **kept_back}


def _skip_reason(person: int | None, address: str | None, state: str | None) -> str:
    """Say why a reader is not to get the letter after all, or nothing."""
    if person is None:
        return "left"
    if not address:
        return "no_address"
    return "" if state in DELIVERABLE_STATES else str(state)


def _without_active_membership(numbers: list[int]) -> dict[int, str]:
    """Return the deliveries all of whose memberships have been stopped or left since they were made, with which."""
    rows = (
        DeliveryMembership.select(
            DeliveryMembership.delivery,
            fn.COALESCE(fn.SUM((Membership.state == "active").cast("integer")), 0),
            fn.COALESCE(fn.SUM((Membership.state == "stopped").cast("integer")), 0),
        )
        .join(Membership, JOIN.LEFT_OUTER)
        .join(Letter, on=(Letter.delivery == DeliveryMembership.delivery))
        .where(Letter.id.in_(numbers))
        .group_by(DeliveryMembership.delivery)
        .tuples()
    )
    gone = {delivery: "stopped" if stopped else "left" for delivery, active, stopped in rows if not active}
    return _without_direct_messages(gone)


def _without_direct_messages(gone: dict[int, str]) -> dict[int, str]:
    """Leave letters to one person out of what is stopped: these may be written to somebody who has stopped (D-30)."""
    stopped = [delivery for delivery, why in gone.items() if why == "stopped"]
    if not stopped:
        return gone
    alone = Delivery.select(Delivery.id).join(Notice).where(Delivery.id.in_(stopped), Notice.kind == "individual")
    individual = {one.id for one in alone}
    return {delivery: why for delivery, why in gone.items() if delivery not in individual}


def next_retry_at(attempts: int, now: datetime) -> datetime:
    """Return when a letter is tried again after its n-th failed attempt (1, 5, 15, 60 min, 4 h …)."""
    return now + timedelta(minutes=RETRY_DELAYS_MIN[min(attempts, len(RETRY_DELAYS_MIN) - 1)])
