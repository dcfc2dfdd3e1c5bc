"""Sign-ups that wait for a manager's approval (decision 5).

pending → active, pending → refused, refused → active (undo). A refused person may sign up again and waits for approval
again, whatever the mode of the list.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import Expression, Node, fn

from core import audit
from core.members import change_requests, consent, households, members, merge, unsubscribe
from core.permissions import Permissions
from core.signup import emails
from core.signup.signup import guardian_without_address, is_in_other_lists
from database import db
from models import MailingList, Membership, MembershipState, Person, QueuedSignup, User

MAX_SHOWN = 100
REJECTED_SHOWN_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class MembershipRequest:
    """A pending membership with its consent record."""

    place: Membership
    consent: consent.ConsentView


def pending_requests(rights: Permissions) -> list[MembershipRequest]:
    """Return the requests that this manager decides, the oldest first."""
    return _requests_where(rights, Membership.state == MembershipState.PENDING, Membership.joined_at)


def recently_rejected(rights: Permissions, now: datetime) -> list[MembershipRequest]:
    """Return recent rejections in these lists, the latest first, so that a mistake can be undone."""
    refused = (Membership.state == MembershipState.REFUSED) & (Membership.left_at > now - REJECTED_SHOWN_FOR)
    return _requests_where(rights, refused, Membership.left_at.desc())


def _requests_where(rights: Permissions, which: Expression, order: Node) -> list[MembershipRequest]:
    rows = list(
        unsubscribe.select_with_names()
        .where(which, Membership.list.in_(_managed_list_ids(rights)))
        .order_by(order, Membership.id)
        .limit(MAX_SHOWN)
    )
    known = consent.consent_texts_by_id(rows)
    return [MembershipRequest(row, consent.consent_view(row, known)) for row in rows]


def _managed_list_ids(rights: Permissions) -> list[int]:
    return [row.id for row in rights.lists("manage")]


def queued_signups_by_list(rights: Permissions) -> list[tuple[MailingList, int]]:
    """Return the lists of a manager with sign-ups queued above the quota, and how many."""
    counted = (
        QueuedSignup.select(QueuedSignup.list, fn.COUNT(QueuedSignup.id))
        .where(QueuedSignup.list.in_(_managed_list_ids(rights)))
        .group_by(QueuedSignup.list)
        .tuples()
    )
    counts = dict(counted)
    rows = MailingList.select().where(MailingList.id.in_(list(counts))).order_by(MailingList.name)
    return [(row, counts[row.id]) for row in rows]


def approve_requests(mailing_list: MailingList, people: Iterable[int], by: User | None, now: datetime) -> int:
    """Approve pending or refused people and send the welcome letter; return how many changed."""
    with db.atomic():
        approved = _people_in_states(mailing_list, people, (MembershipState.PENDING, MembershipState.REFUSED))
        count = members.approve_members(mailing_list, [person.id for person in approved], by)
        for person in approved:
            emails.send_approved(mailing_list, _settle_family(mailing_list, person, by, now), now)
    return count


def _settle_family(mailing_list: MailingList, person: Person, by: User | None, now: datetime) -> Person:
    """Give an approved guardian the household of the child; return the row of the guardian.

    If the roster names one guardian without an address, and the person has no name and no other list, they are the
    same.
    """
    memberships = list(Membership.select().where(Membership.person == person, Membership.is_member))
    for row in memberships:
        if row.list_id != mailing_list.id or row.state != MembershipState.ACTIVE or row.child is None:
            continue
        guardian = None if person.name or len(memberships) > 1 else guardian_without_address(mailing_list, row.child)
        if guardian and is_in_other_lists(guardian, mailing_list):
            change_requests.request_merge(guardian, person, mailing_list.id, by, now)
        elif guardian:
            joined = {"joined_via": row.joined_via, "consent": row.consent}
            merge.merge_person(person, guardian, by, now)
            Membership.update(**joined).where(
                Membership.person == guardian, Membership.list == mailing_list, Membership.child == row.child_id
            ).execute()
            return Person.get_by_id(guardian.id)
        households.put_into_household(Person.get_by_id(person.id), row.child)
    return Person.get_by_id(person.id)


def reject_requests(mailing_list: MailingList, people: Iterable[int], by: User | None, now: datetime) -> int:
    """Reject pending people and notify them. Return how many."""
    with db.atomic():
        rejected = _people_in_states(mailing_list, people, (MembershipState.PENDING,))
        changed = {"state": MembershipState.REFUSED, "left_at": now}
        theirs = Membership.person.in_([person.id for person in rejected]) & (Membership.list == mailing_list)
        Membership.update(**changed).where(theirs, Membership.state == MembershipState.PENDING).execute()
        for person in rejected:
            audit.log_action(by, "member.refused", person.id, detail={"list": mailing_list.id})
            emails.send_rejected(mailing_list, person, now)
    return len(rejected)


def _people_in_states(mailing_list: MailingList, people: Iterable[int], states: tuple[str, ...]) -> list[Person]:
    rows = Membership.select(Membership.person).where(
        Membership.list == mailing_list, Membership.state.in_(states), Membership.person.in_(list(people))
    )
    return list(Person.select().where(Person.id.in_(rows)))
