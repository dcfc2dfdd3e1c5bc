"""What of a sent notice somebody may see: the cells of their own lists, and nothing else (T-33, T-45; decision 0008).

A notice to 全校 covers places in that list alone. Of those, whoever may look at a class sees the ones of its families:
of a child in the class, whichever guardian got the letter, and of its members without a child, of whom then no child
is named. `lists` are numbers of lists, or None for everything.
"""

from collections.abc import Collection
from typing import Any

from peewee import Case, Expression, Field, ModelSelect

from models import Delivery, DeliveryMembership, MailingList, Membership

VISIBLE_STATES = ("active", "stopped")


def visible_cells(lists: Collection[int] | None) -> Expression:
    """Return which rows may be seen of a query that joins deliveries with covers."""
    if lists is None:
        return Delivery.id.is_null(False)
    return visible_with_child(lists) | DeliveryMembership.membership.in_(_without_child(lists))


def visible_with_child(lists: Collection[int]) -> Expression:
    """Return which covers may be seen together with the child that they are about."""
    return DeliveryMembership.list.in_(list(lists)) | DeliveryMembership.membership.in_(_same_child(lists))


def child_column(field: Field, lists: Collection[int] | None) -> Field | Case:
    """Return a column of the covered child, empty where only the person is known to the list."""
    return field if lists is None else Case(None, [(visible_with_child(lists), field)], "")


def visible_deliveries(lists: Collection[int]) -> "ModelSelect[DeliveryMembership]":
    """Return the numbers of the deliveries of which at least one cell may be seen."""
    return DeliveryMembership.select(DeliveryMembership.delivery).where(visible_cells(lists))


def _same_child(lists: Collection[int]) -> "ModelSelect[Membership]":
    """Return the places in 全校 of children who are in these lists too, and of people without a child there."""
    held, there = _memberships_in(lists), _membership_alias()
    child = there.child.in_(held.select(Membership.child).where(Membership.child.is_null(False)))
    person = there.child.is_null() & there.person.in_(held.select(Membership.person))
    return there.select(there.id).where(_in_whole_school(there), child | person)


def _without_child(lists: Collection[int]) -> "ModelSelect[Membership]":
    """Return the places in 全校 of people who are in these lists for no child's sake."""
    held, there = _memberships_in(lists), _membership_alias()
    people = held.select(Membership.person).where(Membership.child.is_null())
    return there.select(there.id).where(_in_whole_school(there), there.person.in_(people))


def _memberships_in(lists: Collection[int]) -> "ModelSelect[Membership]":
    return Membership.select().where(Membership.list.in_(list(lists)), Membership.state.in_(VISIBLE_STATES))


def _membership_alias() -> Any:
    return Membership.alias("there")


def _in_whole_school(there: type[Membership]) -> Expression:
    whole = MailingList.select(MailingList.id).where(MailingList.whole == True)  # noqa: E712
    return there.list.in_(whole)
