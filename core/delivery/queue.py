"""The queue of letters: enqueue, claim a batch, and recheck the claimed letters before they are sent.

A claim is committed durably with owner and boot before anything leaves (crash rules).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from peewee import JOIN, SQL, Case, fn

from core.delivery import throttle
from core.settings import Settings
from database import bulk_insert, claim_letters, db, due_letters, millis
from mail import address as addresses
from models import (
    DELIVERABLE_STATES,
    Delivery,
    DeliveryMembership,
    Letter,
    LetterState,
    Membership,
    MembershipState,
    Notice,
    Person,
)

RETRY_DELAYS_MIN = (1, 5, 15, 60, 240)
BATCH_SIZE = 100
MAX_WAIT = (timedelta(hours=1), timedelta(minutes=RETRY_DELAYS_MIN[-1]))
"""The longest wait of a letter: before the last step of the delays, and from then on. A carrier pauses for an hour."""


class NewLetter(NamedTuple):
    """One letter to enqueue."""

    delivery_id: int
    person_id: int
    address: str
    language: str


def enqueue(notice: Notice, letters: Iterable[NewLetter], now: datetime, round_: int = 1) -> None:
    """Write the letters of one round of a notice. Call inside a transaction."""
    shared = {
        "notice": notice.id,
        "round": round_,
        "urgent": notice.urgent,
        "made_at": now,
        "next_attempt_at": now,
        "expires_at": now + timedelta(seconds=notice.useful_s),
    }
    rows = (
        {
            **shared,
            "delivery": letter.delivery_id,
            "person": letter.person_id,
            "address": letter.address,
            "domain": addresses.domain_of(letter.address),
            "language": letter.language,
        }
        for letter in letters
    )
    bulk_insert(Letter, rows)


def claim_batch(owner: str, boot: str, settings: Settings, now: datetime, limit: int = BATCH_SIZE) -> list[int]:
    """Claim up to `limit` due letters and take their tokens; return their ids in sending order.

    Without a mail server no letter of a real notice is claimed, and in a live or restored installation none at all.
    Committed durably (synchronous=FULL): a letter must not leave before its claim survives a power cut.
    """
    blocked = throttle.blocked_buckets(settings, now)
    if (
        settings.quarantined
        or settings.lacks_route
        or throttle.GLOBAL_BUCKET in blocked
        or not due_letters(now, 1, blocked, settings.practice)
    ):
        return []
    db.execute_sql("PRAGMA synchronous = FULL")
    try:
        with db.atomic():
            numbers = throttle.take_tokens(due_letters(now, limit, blocked, settings.practice), settings, now)
            return numbers if claim_letters(numbers, owner, boot, now) else []
    finally:
        db.execute_sql("PRAGMA synchronous = NORMAL")


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A letter with the fields of its delivery and person. No model rows: there are thousands of them.

    practice: of its notice; None for a service letter.
    """

    id: int
    notice_id: int | None
    delivery_id: int | None
    person_id: int | None
    kind: str
    address: str
    domain: str
    language: str
    payload: dict[str, Any]
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
    values: dict[str, str] | None
    address_state: str | None
    bare: bool | None
    practice: bool | None


def load_claimed(numbers: list[int], owner: str) -> list[QueuedMessage]:
    """Return the letters that this owner still has claimed, in the order of `numbers`."""
    rows = _select_messages(Letter.id.in_(numbers), Letter.owner == owner, Letter.state == LetterState.SENDING)
    claimed = {message.id: message for message in rows}
    return [claimed[number] for number in numbers if number in claimed]


def load_message(letter: Letter) -> QueuedMessage:
    """Return the message of a letter, claimed or not."""
    return _select_messages(Letter.id == letter.id)[0]


def _select_messages(*conditions: Any) -> list[QueuedMessage]:
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
            Notice.practice,
        )
        .join(Delivery, JOIN.LEFT_OUTER)
        .switch(Letter)
        .join(Notice, JOIN.LEFT_OUTER, on=(Letter.notice == Notice.id))
        .switch(Letter)
        .join(Person, JOIN.LEFT_OUTER, on=(Letter.person == Person.id))
        .where(*conditions)
        .tuples()
    )
    return [QueuedMessage(*row) for row in rows]


def has_urgent(settings: Settings, now: datetime) -> bool:
    """Return whether an urgent letter is due."""
    first = due_letters(now, 1, throttle.blocked_buckets(settings, now), settings.practice)
    return bool(first) and Letter.select().where(Letter.id == first[0][0], Letter.urgent == True).exists()


def recheck_claimed(numbers: Collection[int], now: datetime) -> dict[int, str]:
    """Return the claimed letters that must not be sent any more, each with the reason. Updates corrected addresses.

    Since the letter was made, its reader may have unsubscribed, left, bounced or corrected the address.
    """
    rows = (
        Letter.select(
            Letter.id,
            Letter.address,
            Letter.expires_at,
            Letter.delivery_id,
            Person.id,
            Person.address,
            Person.address_state,
        )
        .join(Person, JOIN.LEFT_OUTER)
        .where(Letter.id.in_(list(numbers)))
        .tuples()
    )
    inactive = _without_active_membership(numbers)
    skipped: dict[int, str] = {}
    corrected: list[Letter] = []
    for number, address, expires_at, delivery, person, current_address, state in rows:
        if expires_at < now:
            skipped[number] = "expired"
        elif delivery is None:
            continue  # a service letter goes to an address, not to a person
        elif reason := inactive.get(delivery) or _skip_reason(person, current_address, state):
            skipped[number] = reason
        elif current_address != address:
            corrected.append(Letter(id=number, address=current_address, domain=addresses.domain_of(current_address)))
    if corrected:
        Letter.bulk_update(corrected, [Letter.address, Letter.domain])
    return skipped


def _skip_reason(person: int | None, address: str | None, state: str | None) -> str:
    """Return why a letter must not go to this person any more; empty: it may."""
    if person is None:
        return "left"
    if not address:
        return "no_address"
    return "" if state in DELIVERABLE_STATES else str(state)


def _without_active_membership(numbers: Collection[int]) -> dict[int, str]:
    """Return the deliveries without an active membership, each with `stopped` or `left`."""
    rows = (
        DeliveryMembership.select(
            DeliveryMembership.delivery,
            fn.COALESCE(fn.SUM((Membership.state == MembershipState.ACTIVE).cast("integer")), 0),
            fn.COALESCE(fn.SUM((Membership.state == MembershipState.STOPPED).cast("integer")), 0),
        )
        .join(Membership, JOIN.LEFT_OUTER)
        .join(Letter, on=(Letter.delivery == DeliveryMembership.delivery))
        .where(Letter.id.in_(list(numbers)))
        .group_by(DeliveryMembership.delivery)
        .tuples()
    )
    inactive = {delivery: "stopped" if stopped else "left" for delivery, active, stopped in rows if not active}
    return _without_direct_messages(inactive)


def _without_direct_messages(inactive: dict[int, str]) -> dict[int, str]:
    """Leave out direct messages to people who stopped the mail: these may still be sent (D-30)."""
    stopped = [delivery for delivery, reason in inactive.items() if reason == "stopped"]
    if not stopped:
        return inactive
    direct = Delivery.select(Delivery.id).join(Notice).where(Delivery.id.in_(stopped), Notice.kind == "individual")
    direct_ids = {row.id for row in direct}
    return {delivery: reason for delivery, reason in inactive.items() if delivery not in direct_ids}


def next_retry_at(attempts: int, now: datetime) -> datetime:
    """Return when a letter is tried again after its n-th failed attempt (1, 5, 15, 60 min, 4 h …)."""
    return now + timedelta(minutes=RETRY_DELAYS_MIN[min(attempts, len(RETRY_DELAYS_MIN) - 1)])


def bound_waits(now: datetime) -> int:
    """Make letters due whose next attempt is further away than any delay: the clock was set back. Return how many."""
    last_step = Letter.attempts >= len(RETRY_DELAYS_MIN)
    longest = Case(None, [(last_step, millis(now + MAX_WAIT[1]))], millis(now + MAX_WAIT[0]))
    queued = SQL("(state IN ('waiting','deferred'))") & Letter.urgent.in_((True, False))  # as the index has it
    too_far = queued & (Letter.next_attempt_at > longest) & (Letter.kind != "test")
    numbers = [letter.id for letter in Letter.select(Letter.id).where(too_far)]
    if not numbers:
        return 0
    bound: int = Letter.update(next_attempt_at=now).where(Letter.id.in_(numbers), queued).execute()
    return bound
