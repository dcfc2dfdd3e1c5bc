"""Which results of a sent notice a user may see: those of the own lists (T-33, T-45; decision 0008).

A notice to 全校 covers memberships in that list alone. A user who may view a class sees the responses of its families.
These are the children in the class, whichever guardian got the letter, and members without a child. The latter without
the names of their children in other lists. `lists` are list numbers; None: all.
"""

from collections.abc import Collection

from peewee import Case, Expression, Field, ModelAlias, ModelSelect

from core.permissions import Permissions
from models import Delivery, DeliveryMembership, MailingList, Membership, MembershipState, Notice

VISIBLE_STATES = (MembershipState.ACTIVE, MembershipState.STOPPED)


def visible_cells(lists: Collection[int] | None) -> Expression:
    """Return the condition for a query that joins deliveries with their memberships."""
    if lists is None:
        return Delivery.id.is_null(False)
    return visible_with_child(lists) | DeliveryMembership.membership.in_(_without_child(lists))


def visible_with_child(lists: Collection[int]) -> Expression:
    """Return the condition for memberships that may be seen together with their child."""
    return DeliveryMembership.list.in_(list(lists)) | DeliveryMembership.membership.in_(_same_child(lists))


def child_column(field: Field, lists: Collection[int] | None) -> Field | Case:
    """Return a column of the child, empty where the lists know only the person."""
    return field if lists is None else Case(None, [(visible_with_child(lists), field)], "")


def visible_deliveries(lists: Collection[int]) -> "ModelSelect[DeliveryMembership]":
    """Return a subquery with the ids of the deliveries of which at least one membership may be seen."""
    return DeliveryMembership.select(DeliveryMembership.delivery).where(visible_cells(lists))


def delivery_in_lists(notice: Notice, number: int, lists: Collection[int] | None) -> Delivery | None:
    """Return the delivery of a notice with this id if these lists (None: all) may see it."""
    seen = Delivery.id.in_(visible_deliveries(lists)) if lists is not None else Delivery.id == number
    return Delivery.get_or_none(Delivery.id == number, Delivery.notice == notice, seen)


def may_see_delivery(rights: Permissions, delivery: Delivery) -> bool:
    """Say whether a user may read today what this reader answered or wrote."""
    notice = delivery.notice
    return rights.may_notice("view", notice) and bool(
        delivery_in_lists(notice, delivery.id, rights.visible_lists(notice))
    )


def _same_child(lists: Collection[int]) -> "ModelSelect[Membership]":
    """Return memberships in 全校: of children who are in these lists too, and of people without a child there."""
    in_lists, in_whole = _memberships_in(lists), Membership.alias("in_whole")
    child = in_whole.child.in_(in_lists.select(Membership.child).where(Membership.child.is_null(False)))
    person = in_whole.child.is_null() & in_whole.person.in_(in_lists.select(Membership.person))
    query: ModelSelect[Membership] = in_whole.select(in_whole.id).where(_is_in_whole_list(in_whole), child | person)
    return query


def _without_child(lists: Collection[int]) -> "ModelSelect[Membership]":
    """Return memberships in 全校: of people who are in these lists without a child."""
    in_lists, in_whole = _memberships_in(lists), Membership.alias("in_whole")
    people = in_lists.select(Membership.person).where(Membership.child.is_null())
    query: ModelSelect[Membership] = in_whole.select(in_whole.id).where(
        _is_in_whole_list(in_whole), in_whole.person.in_(people)
    )
    return query


def _memberships_in(lists: Collection[int]) -> "ModelSelect[Membership]":
    return Membership.select().where(Membership.list.in_(list(lists)), Membership.state.in_(VISIBLE_STATES))


def _is_in_whole_list(membership: "ModelAlias[Membership]") -> Expression:
    whole = MailingList.select(MailingList.id).where(MailingList.whole == True)  # noqa: E712
    condition: Expression = membership.list.in_(whole)
    return condition
