"""Who still has to hear of a notice: the readers of a reminder, looked at when it is asked for and at every claim.

Left out are those who confirmed, whose household did, who were told by telephone, who stopped or left, whose address
is excluded, families without an address, and those whose letter is still on its way (field 2.3, decision 13). While a
notice has a question that still takes answers, what is wanted is the answer: of the child, household or person.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from peewee import JOIN, ModelSelect, fn

from core.writing import questions
from core.writing.questions import Asked
from models import REACHABLE, Answer, Cover, Delivery, Letter, Membership, Notice, Person, Reminder

HAD_A_LETTER = ("accepted", "unknown", "expired", "refused", "bounced")
"""States of a newest letter after which another one makes sense, if the person's address is one that we write to."""


class Reader(NamedTuple):
    """One reader to be reminded."""

    delivery_id: int
    person_id: int
    name: str
    address: str
    language: str


def wanted(notice: Notice, now: datetime) -> str:
    """Return what the readers of a notice owe now: `answer`, `read`, or nothing."""
    if _open_questions(notice.id, now):
        return "answer"
    return "read" if notice.read_confirmation else ""


def to_remind(notice: Notice, now: datetime, until: datetime | None = None) -> list[Reader]:
    """Return the readers of a reminder sent now, by kana. A few queries, whatever the number of people.

    until: only for the questions whose deadline comes by then.
    """
    wants = wanted(notice, now)
    if not wants:
        return []
    settled = _settled(notice.id, wants, now, until=until)
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


def unneeded(numbers: Collection[int], now: datetime) -> dict[int, str]:
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
        for delivery in _settled(notice, wants, now, list(letters), until)
    }


# ── who has it ───────────────────────────────────────────────────────────────────────────────────────────────────


def _settled(
    notice: int, wants: str, now: datetime, only: list[int] | None = None, until: datetime | None = None
) -> set[int]:
    """Return the deliveries (of `only`, if given) that need no reminder."""
    some = (Delivery.notice == notice) & (Delivery.id.in_(only) if only is not None else Delivery.id.is_null(False))
    asked = _open_questions(notice, now, until) if wants == "answer" else []
    return _answered(asked, some) if asked else _read(notice, some)


def _read(notice: int, some) -> set[int]:
    """Return those who confirmed or were told, and those whose whole household did: it has read, as on the board."""
    done = Delivery.read_at.is_null(False) | Delivery.told_at.is_null(False) | Delivery.strange_at.is_null(False)
    settled = {one.id for one in Delivery.select(Delivery.id).where(some, done)}
    told = {household for _, household in _households((Delivery.notice == notice) & done) if household}
    mine: dict[int, list[str]] = {}
    for delivery, household in _households(some):
        mine.setdefault(delivery, []).append(household)
    return settled | {delivery for delivery, homes in mine.items() if all(one in told for one in homes)}


def _open_questions(notice: int, now: datetime, until: datetime | None = None) -> list[Asked]:
    found = [one for one in questions.of(notice) if one.is_open(now)]
    return [one for one in found if until is None or (one.deadline and one.deadline <= until)]


def _answered(asked: list[Asked], some) -> set[int]:
    """Return those whose units have answered everything that still takes answers, and who said "not meant for me"."""
    rows = Answer.select(Answer.question, Answer.unit).where(
        Answer.question.in_([one.id for one in asked]), Answer.superseded_at.is_null()
    )
    given = set(rows.tuples())
    homes: dict[int, str] = {}
    for delivery, household in _households(some):
        if household:
            homes.setdefault(delivery, f"h{household}")
    people = Delivery.select(Delivery.id, Delivery.person, Delivery.child, Delivery.strange_at).where(some).tuples()
    settled = set()
    for delivery, person, child, strange_at in people:
        own = f"p{person}" if person else f"d{delivery}"
        units = questions.keys(own, homes.get(delivery, own), child)
        if strange_at or all((one.id, units[one.unit]) in given for one in asked):
            settled.add(delivery)
    return settled


def _households(which) -> ModelSelect:
    """Return (delivery, household) of the cells of some deliveries, the first cell of each first."""
    return Cover.select(Cover.delivery, Cover.household).join(Delivery).where(which).order_by(Cover.id).tuples()
