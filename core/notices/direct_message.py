"""A direct message to one person from the member's page (D-30, decision 3).

It also goes to a person who has stopped the mail, with a warning, but not to a bounced or complained address. Otherwise
it is an ordinary notice, with hold window and history.
"""

from datetime import datetime

from core.errors import DomainError, NotADraft
from core.notices import drafts
from core.notices.content_checks import SendWarning
from core.permissions import Permissions
from database import db
from i18n import N_
from models import (
    AddressState,
    Delivery,
    Letter,
    MailingList,
    Membership,
    MembershipState,
    Notice,
    Person,
    Target,
    User,
)

KIND = "individual"


class NotReachable(DomainError):
    message = N_("This address cannot be written to. Please telephone.")


UNREACHABLE_REASONS = {
    "none": N_("This person has no e-mail address. Please telephone."),
    "bounced": N_("This address does not exist any more, so no letter is sent to it. Please ask for the new one."),
    "complained": N_("This person reported our mail as spam, so no letter is sent to the address. Please telephone."),
}


def unreachable_reason(person: Person) -> str:
    """Return why the address of a person gets no letter, or ""."""
    return UNREACHABLE_REASONS["none"] if not person.address else UNREACHABLE_REASONS.get(person.address_state, "")


def warnings_for_person(person: Person) -> list[SendWarning]:
    warnings = []
    places = Membership.select().join(MailingList).where(MailingList.closed_at.is_null(), Membership.person == person)
    states = {place.state for place in places}
    if MembershipState.ACTIVE not in states and MembershipState.STOPPED in states:
        warnings.append(
            SendWarning("stopped", N_("This person has stopped the mail. An individual letter still arrives."))
        )
    if person.address_state == AddressState.REFUSING:
        warnings.append(
            SendWarning("refusing", N_("The phone's mail filter probably refuses our mail; it may not arrive."))
        )
    if not has_ever_confirmed(person):
        warnings.append(SendWarning("never", NEVER_CONFIRMED))
    return warnings


NEVER_CONFIRMED = N_(
    "Nobody has ever confirmed a notice from this address, so it may be somebody else's. Telephone first if the letter "
    "is private."
)


def has_ever_confirmed(person: Person) -> bool:
    """Say whether a letter to the person's current address was ever confirmed."""
    return (
        Delivery.select()
        .join(Letter, on=(Letter.delivery == Delivery.id))
        .where(Delivery.person == person, Delivery.read_at.is_null(False), Letter.address == person.address)
        .exists()
    )


def sender_lists(person: Person, rights: Permissions, came_from: int | None = None) -> list[MailingList]:
    """Return the lists of a person in whose name the user may write, most likely first.

    Order: the list whose page the user came from, active memberships, classes before the whole school, own roles.
    """
    sendable = {mailing_list.id for mailing_list in rights.lists("send") if not mailing_list.practice_of_id}
    rows = (
        Membership.select(Membership, MailingList)
        .join(MailingList)
        .where(
            Membership.person == person,
            Membership.state.in_((MembershipState.ACTIVE, MembershipState.STOPPED)),
            Membership.list.in_(list(sendable)),
        )
    )

    def order(row: Membership) -> tuple[object, ...]:
        role_level = rights.by_list.get(row.list_id, 0)
        return (
            row.list_id != came_from,
            row.state != MembershipState.ACTIVE,
            row.list.whole,
            -role_level,
            row.list.name,
            row.id,
        )

    return list({row.list_id: row.list for row in sorted(rows, key=order)}.values())


def write_draft(
    person: Person,
    by: User,
    *,
    subject: str,
    text: str,
    read_confirmation: bool,
    now: datetime,
    form_key: str,
    out_of: MailingList | None = None,
) -> Notice:
    """Create or change the draft of a form. out_of: the list in whose name it goes. Raises NotReachable, NotADraft."""
    if unreachable_reason(person):
        raise NotReachable()
    with db.atomic():
        notice = drafts.create_draft(by, form_key=form_key, now=now)
        if notice.by_id != by.id or (notice.kind != KIND and Target.select().where(Target.notice == notice).exists()):
            raise NotADraft()
        Notice.update(kind=KIND, out_of=out_of).where(Notice.id == notice.id).execute()
        drafts.set_recipients(notice, persons=[person.id], now=now)
        drafts.save_draft(notice, subject=subject, text=text, read_confirmation=read_confirmation, now=now)
    return Notice.get_by_id(notice.id)


def recipient_of(notice: Notice) -> Person | None:
    target = Target.get_or_none(Target.notice == notice, Target.kind == "person", Target.include == True)  # noqa: E712
    return Person.get_or_none(Person.id == target.number) if target else None
