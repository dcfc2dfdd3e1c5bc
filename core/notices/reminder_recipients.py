"""Who still has to hear of a notice: the readers of a reminder, looked at when it is asked for and at every claim.

Left out are those who confirmed, whose household did, who were told by telephone, who stopped or left, whose address
is excluded, families without an address, and those whose letter is still on its way (field 2.3, decision 13). While a
notice has a question that still takes answers, what is wanted is the answer: of the child, household or person.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from peewee import JOIN, ModelSelect, fn

from core import household_reads
from core.notices import questions
from core.notices.questions import StoredQuestion
from models import (
    DELIVERABLE_STATES,
    Answer,
    Delivery,
    DeliveryMembership,
    Letter,
    Membership,
    Notice,
    Person,
    Reminder,
)

RESENDABLE_STATES = ("accepted", "unknown", "expired", "refused", "bounced")
"""States of a newest letter after which another one makes sense, if the person's address is one that we write to."""


class ReminderRecipient(NamedTuple):
    """One reader to be reminded."""

    delivery_id: int
    person_id: int
    name: str
    address: str
    language: str


def outstanding_response(notice: Notice, now: datetime) -> str:
    """Return what the readers of a notice owe now: `answer`, `read`, or nothing."""
    if _open_questions(notice.id, now):
        return "answer"
    return "read" if notice.read_confirmation else ""


def find_recipients(notice: Notice, now: datetime, until: datetime | None = None) -> list[ReminderRecipient]:
    """Return the readers of a reminder sent now, by kana. A few queries, whatever the number of people.

    until: only for the questions whose deadline comes by then.
    """
    wants = outstanding_response(notice, now)
    if not wants:
        return []
    settled = _settled_deliveries(notice.id, wants, now, until=until)
    found = [ReminderRecipient(*row) for row in _select_candidates(notice).tuples()]
    return [one for one in found if one.delivery_id not in settled]


def _select_candidates(notice: Notice) -> ModelSelect:
    """Return who got a letter, may still be written to, and has an active membership left."""
    active = (
        DeliveryMembership.select()
        .join(Membership)
        .where(DeliveryMembership.delivery == Delivery.id, Membership.state == "active")
    )
    return (
        Delivery.select(Delivery.id, Person.id, Delivery.name, Person.address, Delivery.language)
        .join(Person)
        .switch(Delivery)
        .join(Letter, on=(Letter.delivery == Delivery.id) & (Letter.is_current == True))  # noqa: E712
        .where(
            Delivery.notice == notice,
            Delivery.reason == "",
            Letter.state.in_(RESENDABLE_STATES),
            Person.address.is_null(False),
            Person.address != "",
            Person.address_state.in_(DELIVERABLE_STATES),
            fn.EXISTS(active),
        )
        .order_by(Delivery.kana, Delivery.id)
    )


def unneeded_letters(numbers: Collection[int], now: datetime) -> dict[int, str]:
    """Return the claimed letters of reminders whose readers owe nothing any more, each with `read` or `answer`."""
    rows = (
        Letter.select(Letter.id, Letter.notice, Letter.delivery, Reminder.wants, Reminder.until)
        .join(Reminder, JOIN.LEFT_OUTER, on=(Reminder.notice == Letter.notice) & (Reminder.round == Letter.round))
        .where(Letter.id.in_(list(numbers)), Letter.round > 1, Letter.delivery.is_null(False))
        .tuples()
    )
    waiting: dict[tuple[int, str, datetime | None], dict[int, int]] = {}
    for number, notice, delivery, wants, until in rows:
        waiting.setdefault((notice, wants or "read", until), {})[delivery] = number
    return {
        letters[delivery]: wants
        for (notice, wants, until), letters in waiting.items()
        for delivery in _settled_deliveries(notice, wants, now, list(letters), until)
    }


# ── who has it ───────────────────────────────────────────────────────────────────────────────────────────────────


def _settled_deliveries(
    notice: int, wants: str, now: datetime, only: list[int] | None = None, until: datetime | None = None
) -> set[int]:
    """Return the deliveries (of `only`, if given) that need no reminder."""
    some = (Delivery.notice == notice) & (Delivery.id.in_(only) if only is not None else Delivery.id.is_null(False))
    asked = _open_questions(notice, now, until) if wants == "answer" else []
    if asked:
        return _answered_deliveries(asked, some)
    done = Delivery.read_at.is_null(False) | Delivery.phoned_at.is_null(False) | Delivery.misdirected_at.is_null(False)
    return household_reads.settled_deliveries([notice], done, some)


def _open_questions(notice: int, now: datetime, until: datetime | None = None) -> list[StoredQuestion]:
    found = [one for one in questions.load_questions(notice) if one.is_open(now)]
    return [one for one in found if until is None or (one.deadline and one.deadline <= until)]


def _answered_deliveries(asked: list[StoredQuestion], some) -> set[int]:
    """Return those whose units have answered everything that still takes answers, and who said "not meant for me"."""
    rows = Answer.select(Answer.question, Answer.unit).where(
        Answer.question.in_([one.id for one in asked]), Answer.superseded_at.is_null()
    )
    given = set(rows.tuples())
    homes: dict[int, str] = {}
    for delivery, household in _select_households(some):
        if household:
            homes.setdefault(delivery, f"h{household}")
    people = Delivery.select(Delivery.id, Delivery.person, Delivery.child, Delivery.misdirected_at).where(some).tuples()
    settled = set()
    for delivery, person, child, misdirected_at in people:
        own = f"p{person}" if person else f"d{delivery}"
        units = questions.answer_keys(own, homes.get(delivery, own), child)
        if misdirected_at or all((one.id, units[one.unit]) in given for one in asked):
            settled.add(delivery)
    return settled


def _select_households(which) -> ModelSelect:
    """Return (delivery, household) of the cells of some deliveries, the first cell of each first."""
    return (
        DeliveryMembership.select(DeliveryMembership.delivery, DeliveryMembership.household)
        .join(Delivery)
        .where(which)
        .order_by(DeliveryMembership.id)
        .tuples()
    )
