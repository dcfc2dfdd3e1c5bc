"""The names of somebody who joined by a blank mail (decision 5): asked once, on the own page."""

from models import MailingList, Membership, Person


def membership_without_names(person: Person, mailing_list: MailingList) -> Membership | None:
    """Return the place in the list that still lacks its names; None once they are known."""
    if person.name:
        return None
    return Membership.get_or_none(
        Membership.person == person,
        Membership.list == mailing_list,
        Membership.child.is_null(),
        Membership.state.in_(("active", "pending", "unconfirmed")),
    )
