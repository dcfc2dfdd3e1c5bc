"""Members whose household read none of the last three notices: the school should call them before the typhoon."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import JOIN

from core import household_reads
from models import (
    STARTED_STATES,
    Child,
    Delivery,
    DeliveryMembership,
    MailingList,
    Membership,
    MembershipState,
    Notice,
    Person,
    Target,
)

NOTICES_CHECKED = 3
MIN_NOTICE_AGE = timedelta(hours=12)
"""A notice that is younger says nothing yet."""


@dataclass(frozen=True, slots=True)
class NonReader:
    """A person, with the children's classes."""

    person: Person
    children: tuple[str, ...]


def last_confirmable_notices(mailing_list: MailingList, now: datetime) -> list[Notice]:
    """Return the last three notices of a list that asked for a confirmation and are old enough, newest first."""
    return list(
        Notice.select()
        .join(Target, on=(Target.notice == Notice.id))
        .where(
            Target.kind == "list",
            Target.include == True,
            Target.number == mailing_list.id,
            Notice.read_confirmation == True,
            Notice.state.in_(STARTED_STATES),
            Notice.purged_at.is_null(),
            Notice.started_at < now - MIN_NOTICE_AGE,
        )
        .order_by(Notice.started_at.desc(), Notice.id.desc())
        .limit(NOTICES_CHECKED)
    )


def find_non_readers(mailing_list: MailingList, notices: list[Notice]) -> list[NonReader]:
    """Return the non-readers by kana; [] if the list has had fewer than three notices."""
    if len(notices) < NOTICES_CHECKED:
        return []
    numbers = [one.id for one in notices]
    people = list(_non_reader_ids(mailing_list, numbers))
    found = Person.select().where(Person.id.in_(people)).order_by(Person.kana, Person.name, Person.id)
    children = _children(mailing_list, people)
    return [NonReader(one, tuple(children.get(one.id, ()))) for one in found]


def _non_reader_ids(mailing_list: MailingList, notice_ids: list[int]) -> set[int]:
    """Return the active members who got all these notices and whose household has read none of them."""
    in_list = DeliveryMembership.select(DeliveryMembership.delivery).where(DeliveryMembership.list == mailing_list)
    active = Membership.select(Membership.person).where(
        Membership.list == mailing_list, Membership.state == MembershipState.ACTIVE
    )
    received = (Delivery.reason == "") & Delivery.id.in_(in_list) & Delivery.person.in_(active)
    read = household_reads.settled_deliveries(notice_ids, Delivery.read_at.is_null(False), received)
    notices: dict[int, set[int]] = {}
    readers = set()
    rows = Delivery.select(Delivery.person, Delivery.notice, Delivery.id).where(
        Delivery.notice.in_(notice_ids), received
    )
    for person, notice, delivery in rows.tuples():
        notices.setdefault(person, set()).add(notice)
        if delivery in read:
            readers.add(person)
    return {person for person, got in notices.items() if len(got) == len(notice_ids)} - readers


def _children(mailing_list: MailingList, people: list[int]) -> dict[int, list[str]]:
    """Return {person id: labels such as 「3-2 鈴木 海斗」}."""
    rows = (
        Membership.select(Membership, Child)
        .join(Child, JOIN.LEFT_OUTER)
        .where(
            Membership.list == mailing_list, Membership.person.in_(people), Membership.state == MembershipState.ACTIVE
        )
        .order_by(Membership.id)
    )
    found: dict[int, list[str]] = {}
    for row in rows:
        if row.child:
            found.setdefault(row.person_id, []).append(f"{row.child.room} {row.child.name}".strip())
    return found
