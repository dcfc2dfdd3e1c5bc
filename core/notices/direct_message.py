"""A letter to one person from the member's page (D-30, decision 3): not a notice to a list, and not made like one.

Somebody who has stopped the mail may be written to, and the page says so; an address that bounced or complained may
not. It goes by the same engine, with the same window to cancel, and stands in the history.
"""

from datetime import datetime

from core.errors import DomainError, NotADraft
from core.notices import drafts
from core.notices.content_checks import SendWarning
from core.permissions import Permissions
from database import db
from i18n import N_
from models import Delivery, Letter, MailingList, Membership, Notice, Person, Target, User

KIND = "individual"


class NotReachable(DomainError):
    """The address cannot be written to, whatever the letter (decision 3)."""

    message = N_("This address cannot be written to. Please telephone.")


UNREACHABLE_REASONS = {
    "none": N_("This person has no e-mail address. Please telephone."),
    "bounced": N_("This address does not exist any more, so no letter is sent to it. Please ask for the new one."),
    "complained": N_("This person reported our mail as spam, so no letter is sent to the address. Please telephone."),
}


def unreachable_reason(person: Person) -> str:
    """Return why nobody can write to this person, "" if one can."""
    return UNREACHABLE_REASONS["none"] if not person.address else UNREACHABLE_REASONS.get(person.address_state, "")


def warnings_for_person(person: Person) -> list[SendWarning]:
    """Return what to think of before writing to this person alone."""
    found = []
    places = Membership.select().join(MailingList).where(MailingList.closed_at.is_null(), Membership.person == person)
    states = {one.state for one in places}
    if "active" not in states and "stopped" in states:
        found.append(
            SendWarning("stopped", N_("This person has stopped the mail. An individual letter still arrives."))
        )
    if person.address_state == "refusing":
        found.append(
            SendWarning("refusing", N_("The phone's mail filter probably refuses our mail; it may not arrive."))
        )
    if not has_ever_confirmed(person):
        found.append(SendWarning("never", NEVER_CONFIRMED))
    return found


NEVER_CONFIRMED = N_(
    "Nobody has ever confirmed a notice from this address, so it may be somebody else's. Telephone first if the letter "
    "is private."
)


def has_ever_confirmed(person: Person) -> bool:
    """Say whether a notice was ever confirmed from a letter to the address that this person has now."""
    return (
        Delivery.select()
        .join(Letter, on=(Letter.delivery == Delivery.id))
        .where(Delivery.person == person, Delivery.read_at.is_null(False), Letter.address == person.address)
        .exists()
    )


def sender_lists(person: Person, rights: Permissions, came_from: int | None = None) -> list[MailingList]:
    """Return in whose name somebody may write to this person, the likeliest list first.

    That is the one whose page the writer came from, then those in which the person still gets mail, those that the
    writer manages by a role in them, a class rather than the whole school.
    """
    mine = {one.id for one in rights.lists("send") if not one.practice_of_id}
    rows = (
        Membership.select(Membership, MailingList)
        .join(MailingList)
        .where(
            Membership.person == person, Membership.state.in_(("active", "stopped")), Membership.list.in_(list(mine))
        )
    )

    def likely(row: Membership) -> tuple:
        own = rights.by_list.get(row.list_id, 0)
        return row.list_id != came_from, row.state != "active", row.list.whole, -own, row.list.name, row.id

    return list({row.list_id: row.list for row in sorted(rows, key=likely)}.values())


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
    """Begin or change the letter of a form; `out_of`: the list in whose name it goes. Raises NotReachable, NotNow."""
    if unreachable_reason(person):
        raise NotReachable()
    with db.atomic():
        made = drafts.create_draft(by, form_key=form_key, now=now)
        if made.by_id != by.id or (made.kind != KIND and Target.select().where(Target.notice == made).exists()):
            raise NotADraft()
        Notice.update(kind=KIND, out_of=out_of).where(Notice.id == made.id).execute()
        drafts.set_recipients(made, persons=[person.id], now=now)
        drafts.save_draft(made, subject=subject, text=text, read_confirmation=read_confirmation, now=now)
    return Notice.get_by_id(made.id)


def recipient_of(notice: Notice) -> Person | None:
    """Return the person an individual letter is for."""
    target = Target.get_or_none(Target.notice == notice, Target.kind == "person", Target.include == True)  # noqa: E712
    return Person.get_or_none(Person.id == target.number) if target else None
