"""Who waits to be let in: the queue of a manager, with one press for yes and one for no (decision 5)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from peewee import JOIN, fn

from core import history
from core.entry import consent, join_letters
from core.people import members
from core.rights import Rights
from models import Applicant, Child, MailingList, Membership, Person, User, db

MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """A place that waits: whose, in which list, and how it was asked for."""

    place: Membership
    consent: consent.Shown


def pending(rights: Rights) -> list[Asked]:
    """Return who waits for this manager, the longest waiting first."""
    rows = list(
        Membership.select(Membership, Person, MailingList, Child)
        .join(Person)
        .switch(Membership)
        .join(MailingList)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.state == "pending", Membership.list.in_(_managed(rights)))
        .order_by(Membership.joined_at, Membership.id)
        .limit(MOST_SHOWN)
    )
    known = consent.terms_of(rows)
    return [Asked(row, consent.shown(row, known)) for row in rows]


def _managed(rights: Rights) -> list[int]:
    return [one.id for one in rights.lists("manage")]


def queues(rights: Rights) -> list[tuple[MailingList, int]]:
    """Return the lists of a manager in which registrations wait above the caps, and how many."""
    counted = (
        Applicant.select(Applicant.list, fn.COUNT(Applicant.id))
        .where(Applicant.list.in_(_managed(rights)))
        .group_by(Applicant.list)
        .tuples()
    )
    found = dict(counted)
    rows = MailingList.select().where(MailingList.id.in_(list(found))).order_by(MailingList.name)
    return [(row, found[row.id]) for row in rows]


def approve(mailing_list: MailingList, people: Iterable[int], by: User | None, now: datetime) -> int:
    """Let people in who wait, and greet them; return how many that changed."""
    with db.atomic():
        waited = _waiting(mailing_list, people)
        done = members.approve(mailing_list, [one.id for one in waited], by)
        for person in waited:
            join_letters.approved(mailing_list, person, now)
    return done


def refuse(mailing_list: MailingList, people: Iterable[int], by: User | None, now: datetime) -> int:
    """Refuse people who wait and tell them; whoever asks again waits for a manager again. Return how many."""
    with db.atomic():
        waited = _waiting(mailing_list, people)
        changed = {"state": "left", "stopped_by": "manager", "left_at": now}
        mine = Membership.person.in_([one.id for one in waited]) & (Membership.list == mailing_list)
        Membership.update(**changed).where(mine, Membership.state == "pending").execute()
        for person in waited:
            history.log(by, "member.refused", person.id, detail={"list": mailing_list.id})
            join_letters.refused(mailing_list, person, now)
    return len(waited)


def _waiting(mailing_list: MailingList, people: Iterable[int]) -> list[Person]:
    rows = Membership.select(Membership.person).where(
        Membership.list == mailing_list, Membership.state == "pending", Membership.person.in_(list(people))
    )
    return list(Person.select().where(Person.id.in_(rows)))
