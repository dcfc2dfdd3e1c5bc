"""The rows behind the board: readers, their children and classes, and the state of their letters.

One query for any number of readers. The query itself leaves out what the user may not see.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from peewee import JOIN, ModelSelect

from core import visibility
from core.delivery.lifecycle import letters_possibly_twice
from core.household_reads import NOT_INTENDED
from core.members.unsubscribe import unreachable_children
from database import db, millis
from i18n import N_
from models import PENDING_STATES, Delivery, DeliveryMembership, Letter, LetterState, Membership, Notice, Person, User

FAILURE_ADVICE: dict[str, str] = {
    "no_address": N_("This family has no e-mail address. Please telephone."),
    "unknown_user": N_("This address does not exist any more. Please telephone, ask for the new one and enter it."),
    "bounced": N_("This address does not exist any more. Please telephone, ask for the new one and enter it."),
    "filtered": N_("Probably refused by the phone's mail filter. Please telephone and ask to let our domain through."),
    "full": N_("The mailbox is full; only its owner can make room. Please telephone."),
    "policy": N_("The receiving server does not trust our mail server. Please telephone, and tell an administrator."),
    "complained": N_("Our mail was reported as spam from this address, so nothing is sent there. Please telephone."),
    "stopped": N_("This family has stopped the mail. Please telephone if it matters."),
    "expired": N_("It could not be delivered in time. Please telephone."),
    "unknown": N_("Sending broke off, nobody knows whether it arrived. Send it again from the notice, or telephone."),
    "cancelled": N_("Sending was stopped before this letter left."),
    "deferred": N_("The receiving server is busy. Kairan keeps trying by itself."),
    "other": N_("The receiving server refused the letter. Please telephone."),
}
FAILURE_CAUSES: dict[str, str] = {
    "no_address": N_("no address"),
    "unknown_user": N_("address unknown"),
    "bounced": N_("address unknown"),
    "filtered": N_("probably filtered"),
    "full": N_("mailbox full"),
    "policy": N_("refused as untrusted"),
    "complained": N_("reported as spam"),
    "stopped": N_("has stopped the mail"),
    "expired": N_("not in time"),
    "unknown": N_("perhaps arrived"),
    "cancelled": N_("sending stopped"),
    "deferred": N_("being tried again"),
    "other": N_("refused"),
}
"""The causes of FAILURE_ADVICE in a word or two."""
READER_STATES: dict[str, str] = {
    "read": N_("Confirmed"),
    "told": N_("Told by telephone"),
    "sent": N_("Not yet"),
    "going": N_("Being sent"),
    "trouble": N_("Not delivered"),
}
UNCERTAIN = (LetterState.DEFERRED, LetterState.UNKNOWN)
"""States of letters that have advice of their own and may still arrive, or may have arrived."""

LETTER_STATES: dict[str, str] = {
    "accepted": N_("sent"),
    "waiting": N_("waiting"),
    "sending": N_("being sent"),
    "deferred": N_("being tried again"),
    "refused": N_("refused"),
    "bounced": N_("came back"),
    "unknown": N_("outcome unknown"),
    "expired": N_("given up"),
    "skipped": N_("not sent"),
    "cancelled": N_("sending stopped"),
}


class CoveredMembership(NamedTuple):
    """Household, list, child and class of a membership as they were when sending began."""

    household: str
    list_id: int | None
    child_name: str
    child_kana: str
    grade: str
    class_name: str


@dataclass(slots=True)
class BoardReader:
    """One delivery with its memberships. `trouble`: why no letter arrived, a key of FAILURE_ADVICE, or empty."""

    number: int
    person_id: int | None
    name: str
    kana: str
    phone: str
    resting: bool  # had stopped the mail before this notice
    letter: str  # state of the newest letter; empty: there is none
    trouble: str
    read_at: datetime | None
    read_via: str
    phoned_at: datetime | None
    phoned_by: int | None
    replied_at: datetime | None
    misdirected_at: datetime | None
    child: str = ""  # the letter is about this child alone
    possibly_twice: bool = False
    cells: list[CoveredMembership] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Say whether certainly no letter arrived."""
        return bool(self.trouble) and self.letter not in UNCERTAIN

    @property
    def state(self) -> str:
        """Return a key of READER_STATES."""
        if self.read_at:
            return "read"
        if self.phoned_at:
            return "told"
        if self.failed:
            return "trouble"
        return "going" if self.letter in PENDING_STATES else "sent"


@dataclass(frozen=True, slots=True)
class StoppedReader:
    """A reader who unsubscribed after this notice. `alone`: children without another reader."""

    person_id: int | None
    name: str
    children: tuple[str, ...]
    alone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BoardData:
    readers: tuple[BoardReader, ...]
    stopped: tuple[StoppedReader, ...]

    @property
    def letters(self) -> dict[str, int]:
        """Count the current letters by state."""
        return dict(Counter(one.letter for one in self.readers if one.letter))


def load_board_data(notice: Notice, lists: Collection[int] | None) -> BoardData:
    """Load the rows by kana. `lists`: visible lists, None for all."""
    readers: dict[int, BoardReader] = {}
    leavers: dict[int, list[tuple[int | None, str]]] = {}
    begun = millis(notice.started_at) if notice.started_at else 0
    twice = {letter.delivery_id for letter in letters_possibly_twice(notice)}
    for row in db.execute(_select_rows(notice, lists)).fetchall():
        reader = readers.get(row[0]) or readers.setdefault(row[0], _build_reader(row))
        reader.possibly_twice = row[0] in twice
        reader.cells.append(CoveredMembership(row[15] or "", row[16], *(value or "" for value in row[17:21])))
        if row[21] == "stopped" and row[22] == "reader" and row[23] >= begun:
            leavers.setdefault(row[0], []).append((row[24], row[17] or ""))
    return BoardData(tuple(readers.values()), _stopped_readers(readers, leavers))


def _select_rows(notice: Notice, lists: Collection[int] | None) -> "ModelSelect[Delivery]":
    child = (
        DeliveryMembership.child_name,
        DeliveryMembership.child_kana,
        DeliveryMembership.grade,
        DeliveryMembership.class_name,
    )
    return (
        Delivery.select(
            Delivery.id,
            Delivery.person,
            Delivery.name,
            Delivery.kana,
            Person.phone,
            Delivery.reason,
            Letter.state,
            Letter.reason,
            Delivery.read_at,
            Delivery.read_via,
            Delivery.phoned_at,
            Delivery.phoned_by,
            Delivery.replied_at,
            Delivery.misdirected_at,
            Delivery.child_name,
            DeliveryMembership.household,
            DeliveryMembership.list,
            *(visibility.child_column(one, lists) for one in child),
            Membership.state,
            Membership.stopped_by,
            Membership.stopped_at,
            Membership.child,
        )
        .join(DeliveryMembership, JOIN.LEFT_OUTER)
        .join(Membership, JOIN.LEFT_OUTER)
        .switch(Delivery)
        .join(Person, JOIN.LEFT_OUTER)
        .switch(Delivery)
        .join(Letter, JOIN.LEFT_OUTER, on=(Letter.delivery == Delivery.id) & (Letter.is_current == True))  # noqa: E712
        .where(Delivery.notice == notice, Delivery.reason.not_in(NOT_INTENDED), visibility.visible_cells(lists))
        .order_by(Delivery.kana, Delivery.id, DeliveryMembership.id)
    )


def _build_reader(row: tuple) -> BoardReader:
    """Build a reader from a raw row, in which times are integers."""
    number, person, name, kana, phone, reason, letter, why = row[:8]
    read_at, how, phoned_at, phoned_by, replied_at, misdirected_at, child = row[8:15]
    return BoardReader(
        number,
        person,
        name,
        kana,
        phone or "",
        reason == "stopped",
        letter or "",
        _failure_key(reason, letter, why),
        _as_datetime(read_at),
        how,
        _as_datetime(phoned_at),
        phoned_by,
        _as_datetime(replied_at),
        _as_datetime(misdirected_at),
        child,
    )


def _as_datetime(number: int | None) -> datetime | None:
    return Delivery.read_at.python_value(number)


def _failure_key(reason: str, letter: str | None, why: str | None) -> str:
    """Return the key of FAILURE_ADVICE for an undelivered letter."""
    found = reason
    if not reason and letter in (LetterState.REFUSED, LetterState.BOUNCED, LetterState.SKIPPED):
        found = why or "other"
    elif not reason and letter in (
        LetterState.EXPIRED,
        LetterState.UNKNOWN,
        LetterState.CANCELLED,
        LetterState.DEFERRED,
    ):
        found = letter
    return found if not found or found in FAILURE_ADVICE else "other"


def _stopped_readers(
    readers: dict[int, BoardReader], leavers: dict[int, list[tuple[int | None, str]]]
) -> tuple[StoppedReader, ...]:
    nobody = unreachable_children({child for held in leavers.values() for child, _ in held if child})
    found = []
    for number, held in leavers.items():
        children = tuple(dict.fromkeys(name for child, name in held if child))
        alone = tuple(dict.fromkeys(name for child, name in held if child in nobody))
        found.append(StoppedReader(readers[number].person_id, readers[number].name, children, alone))
    return tuple(found)


def user_names(users: Collection[int]) -> dict[int, str]:
    return dict(User.select(User.id, User.name).where(User.id.in_(list(users))).tuples()) if users else {}


def natural_sort_key(text: str) -> tuple[int, int, str]:
    """Return a sort key that puts 2 before 10 and numbers before words."""
    return (0, int(text), "") if text.isdecimal() else (1, 0, text)
