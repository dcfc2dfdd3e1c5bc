"""Who still has to hear of a notice: the readers of a reminder, looked at when it is asked for and at every claim.

Left out are those who confirmed, whose household did, who were told by telephone, who stopped or left, whose address
is excluded, families without an address, and those whose letter is still on its way (field 2.3, decision 13).
"""

from collections.abc import Collection
from typing import NamedTuple

from peewee import JOIN, ModelSelect, fn

from models import REACHABLE, Cover, Delivery, Letter, Membership, Notice, Person, Reminder

HAD_A_LETTER = ("accepted", "unknown", "expired", "refused", "bounced")
"""States of a newest letter after which another one makes sense, if the person's address is one that we write to."""


class Reader(NamedTuple):
    """One reader to be reminded."""

    delivery_id: int
    person_id: int
    name: str
    address: str
    language: str


def to_remind(notice: Notice, wants: str = "read") -> list[Reader]:
    """Return the readers of a reminder sent now, by kana. Three queries, whatever the number of people."""
    settled = _settled(notice.id, wants)
    found = [Reader(*row) for row in _candidates(notice).tuples()]
    return [one for one in found if one.delivery_id not in settled]


def _candidates(notice: Notice) -> ModelSelect:
    """Return who got a letter, may still be written to, and has an active membership left."""
    active = (
        Cover.select()
        .join(Membership)
        .where(Cover.delivery == Delivery.id, Membership.state == "active")
    )  # fmt: skip
    return (
        Delivery.select(Delivery.id, Person.id, Delivery.name, Person.address, Delivery.language)
        .join(Person)
        .switch(Delivery)
        .join(Letter, on=(Letter.delivery == Delivery.id) & (Letter.newest == True))  # noqa: E712
        .where(
            Delivery.notice == notice, Delivery.reason == "", Letter.state.in_(HAD_A_LETTER),
            Person.address.is_null(False), Person.address != "", Person.address_state.in_(REACHABLE),
            fn.EXISTS(active),
        )
        .order_by(Delivery.kana, Delivery.id)
    )  # fmt: skip


def unneeded(numbers: Collection[int]) -> dict[int, str]:
    """Return the claimed letters of reminders whose readers have confirmed in the meantime, each with `read`."""
    rows = (
        Letter.select(Letter.id, Letter.notice, Letter.delivery, Reminder.wants)
        .join(Reminder, JOIN.LEFT_OUTER, on=(Reminder.notice == Letter.notice) & (Reminder.round == Letter.round))
        .where(Letter.id.in_(list(numbers)), Letter.round > 1, Letter.delivery.is_null(False))
        .tuples()
    )
    waiting: dict[tuple[int, str], dict[int, int]] = {}
    for number, notice, delivery, wants in rows:
        waiting.setdefault((notice, wants or "read"), {})[delivery] = number
    return {
        letters[delivery]: "read"
        for (notice, wants), letters in waiting.items()
        for delivery in _settled(notice, wants, list(letters))
    }


# ── who has it ───────────────────────────────────────────────────────────────────────────────────────────────────


def _settled(notice: int, wants: str, only: list[int] | None = None) -> set[int]:
    """Return the deliveries (of `only`, if given) that need no reminder: theirs, or all of their households', is done.

    What one guardian read the household has read, as on the board.
    """
    done = _done(wants)
    some = Delivery.id.in_(only) if only is not None else Delivery.id.is_null(False)
    settled = {one.id for one in Delivery.select(Delivery.id).where(Delivery.notice == notice, some, done)}
    mine: dict[int, list[str]] = {}
    for delivery, household in _households(notice, some):
        mine.setdefault(delivery, []).append(household)
    told = {household for _, household in _households(notice, done) if household}
    return settled | {delivery for delivery, homes in mine.items() if all(one in told for one in homes)}


def _done(wants: str):
    """Return the condition under which a delivery needs no reminder."""
    silent = Delivery.told_at.is_null(False) | Delivery.strange_at.is_null(False)
    return silent | Delivery.read_at.is_null(False)


def _households(notice: int, which) -> ModelSelect:
    """Return (delivery, household) of the cells of a notice."""
    return (
        Cover.select(Cover.delivery, Cover.household)
        .join(Delivery)
        .where(Delivery.notice == notice, which)
        .tuples()
    )  # fmt: skip
