"""The names of somebody who joined by a blank mail (decision 5): asked once, behind the link of the welcome letter."""

from core import members
from models import MailingList, Membership, Person, db


def open_place(person: Person, mailing_list: MailingList) -> Membership | None:
    """Return the place in the list that still lacks its names; None once they are known."""
    if person.name:
        return None
    return Membership.get_or_none(
        Membership.person == person,
        Membership.list == mailing_list,
        Membership.child.is_null(),
        Membership.state.in_(("active", "pending", "unconfirmed")),
    )


def name(
    place: Membership, *, name: str, kana: str, child_name: str, child_kana: str, grade: str, class_name: str
) -> None:
    """Write the names down as the member typed them. Raises members.Refused with the field."""
    person = place.person
    child = {"name": child_name, "kana": child_kana, "grade": grade, "class_name": class_name}
    with db.atomic():
        members.edit(person, None, name=name, kana_=kana, phone_=person.phone, language=person.language)
        members.edit_place(place, None, relation=place.relation, items=place.attributes, child=child)
