"""A letter to one person from the member's page (D-30, decision 3): not a notice to a list, and not made like one.

Somebody who has stopped the mail may be written to, and the page says so; an address that bounced or complained may
not. It goes by the same engine, with the same window to cancel, and stands in the history.
"""

from datetime import datetime

from core.refusals import NotNow, Refused
from core.rights import Rights
from core.writing import notices
from core.writing.warnings_text import Warning
from database import db
from models import Delivery, Letter, MailingList, Membership, Notice, Person, Target, User
from words import N_

KIND = "individual"


class NotReachable(Refused):
    """The address cannot be written to, whatever the letter (decision 3)."""

    message = N_("This address cannot be written to. Please telephone.")


REFUSED = {
    "none": N_("This person has no e-mail address. Please telephone."),
    "bounced": N_("This address does not exist any more, so no letter is sent to it. Please ask for the new one."),
    "complained": N_("This person reported our mail as spam, so no letter is sent to the address. Please telephone."),
}


def refusal(person: Person) -> str:
    """Return why nobody can write to this person, "" if one can."""
    return REFUSED["none"] if not person.address else REFUSED.get(person.address_state, "")


def warnings_about(person: Person) -> list[Warning]:
    """Return what to think of before writing to this person alone."""
    found = []
    places = Membership.select().join(MailingList).where(MailingList.closed_at.is_null(), Membership.person == person)
    states = {one.state for one in places}
    if "active" not in states and "stopped" in states:
        found.append(Warning("stopped", N_("This person has stopped the mail. An individual letter still arrives.")))
    if person.address_state == "refusing":
        found.append(Warning("refusing", N_("The phone's mail filter probably refuses our mail; it may not arrive.")))
    if not has_confirmed(person):
        found.append(Warning("never", NEVER))
    return found


NEVER = N_(
    "Nobody has ever confirmed a notice from this address, so it may be somebody else's. Telephone first if the letter "
    "is private."
)


def has_confirmed(person: Person) -> bool:
    """Say whether a notice was ever confirmed from a letter to the address that this person has now."""
    return (
        Delivery.select()
        .join(Letter, on=(Letter.delivery == Delivery.id))
        .where(Delivery.person == person, Delivery.read_at.is_null(False), Letter.address == person.address)
        .exists()
    )


def lists_for(person: Person, rights: Rights, came_from: int | None = None) -> list[MailingList]:
    """Return in whose name somebody may write to this person, the likeliest list first.

    That is the one whose page the writer came from, then those in which the person still gets mail, those that the
    writer manages by a role in them, a class rather than the whole school.
    """
    mine = {one.id for one in rights.lists("send") if not one.practice_of_id}
    rows = Membership.select(Membership, MailingList).join(MailingList).where(
        Membership.person == person, Membership.state.in_(("active", "stopped")), Membership.list.in_(list(mine))
    )  # fmt: skip

    def likely(row: Membership) -> tuple:
        own = rights.by_list.get(row.list_id, 0)
        return row.list_id != came_from, row.state != "active", row.list.whole, -own, row.list.name, row.id

    return list({row.list_id: row.list for row in sorted(rows, key=likely)}.values())


def write(
    person: Person, by: User, *, subject: str, text: str, read_confirmation: bool, now: datetime, form_key: str,
    out_of: MailingList | None = None,
) -> Notice:  # fmt: skip
    """Begin or change the letter of a form; `out_of`: the list in whose name it goes. Raises NotReachable, NotNow."""
    if refusal(person):
        raise NotReachable()
    with db.atomic():
        made = notices.draft(by, form_key=form_key, now=now)
        if made.by_id != by.id or (made.kind != KIND and Target.select().where(Target.notice == made).exists()):
            raise NotNow()
        Notice.update(kind=KIND, out_of=out_of).where(Notice.id == made.id).execute()
        notices.choose(made, persons=[person.id], now=now)
        notices.save(made, subject=subject, text=text, read_confirmation=read_confirmation, now=now)
    return Notice.get_by_id(made.id)


def reader_of(notice: Notice) -> Person | None:
    """Return the person an individual letter is for."""
    target = Target.get_or_none(Target.notice == notice, Target.kind == "person", Target.include == True)  # noqa: E712
    return Person.get_or_none(Person.id == target.number) if target else None
