"""Which cells of a sent notice a user may see: those of the user's own lists (T-33, T-45; decision 8).

A notice to the whole school covers memberships of that list only. A class viewer sees those of children in the class, and of
members without a child, then without any child's name. `lists`: list ids, None for all.
"""

from collections.abc import Collection
from typing import Any

from peewee import Case, Expression, Field, ModelSelect

from models import Delivery, DeliveryMembership, MailingList, Membership

VISIBLE_STATES = ("active", "stopped")


def visible_cells(lists: Collection[int] | None) -> Expression:
    """Return the condition for visible cells, in a query that joins Delivery and DeliveryMembership."""
    if lists is None:
        return Delivery.id.is_null(False)
    return visible_with_child(lists) | DeliveryMembership.membership.in_(_without_child(lists))


def visible_with_child(lists: Collection[int]) -> Expression:
    """Return the condition for cells whose child may be named."""
    return DeliveryMembership.list.in_(list(lists)) | DeliveryMembership.membership.in_(_same_child(lists))


def child_column(field: Field, lists: Collection[int] | None) -> Field | Case:
    """Return a column of the child, empty where only the person may be seen."""
    return field if lists is None else Case(None, [(visible_with_child(lists), field)], "")


def visible_deliveries(lists: Collection[int]) -> "ModelSelect[DeliveryMembership]":
    """Select the deliveries with at least one visible cell."""
    return DeliveryMembership.select(DeliveryMembership.delivery).where(visible_cells(lists))


def _same_child(lists: Collection[int]) -> "ModelSelect[Membership]":
    """Select whole-school memberships of children (or childless members) of these lists."""
    held, there = _memberships_in(lists), _membership_alias()
    child = there.child.in_(held.select(Membership.child).where(Membership.child.is_null(False)))
    person = there.child.is_null() & there.person.in_(held.select(Membership.person))
    return there.select(there.id).where(_in_whole_school(there), child | person)


def _without_child(lists: Collection[int]) -> "ModelSelect[Membership]":
    """Select whole-school memberships of members who are in these lists without a child."""
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
