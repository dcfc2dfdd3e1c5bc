"""What a household has read: one rule for board, dashboard, statistics, reminders, non-readers and the reader's page.

A notice read by one guardian is read by the household. Where letters differ by child, each child of the household
counts by itself. A reader without a household counts alone (field 2.3, 5.1).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from peewee import JOIN, Case, Expression, Field, ModelSelect, fn

from core import visibility
from database import millis
from models import Delivery, DeliveryMembership, Letter, LetterState

NOT_INTENDED = ("excluded", "left", "pending", "unconfirmed", "missing")
"""Reasons of readers for whom the notice was not meant; the board leaves them out."""
NOT_COUNTED = (*NOT_INTENDED, "stopped")
"""The same, and readers who had stopped the mail before: the board names them, but expects no stamp."""
NOT_ARRIVED = (
    LetterState.REFUSED,
    LetterState.BOUNCED,
    LetterState.SKIPPED,
    LetterState.EXPIRED,
    LetterState.CANCELLED,
)
"""States of letters that certainly did not arrive; a deferred letter is still tried, an unknown one may have."""


@dataclass(frozen=True, slots=True)
class HouseholdCount:
    """Households of a notice, each in one part: `read`, `told` by telephone, `failed` (no letter arrived), `unread`.

    by_child: each child counts, not the household.
    """

    households: int = 0
    read: int = 0
    told: int = 0
    failed: int = 0
    by_child: bool = False

    @property
    def left(self) -> int:
        """Return how many have neither confirmed nor been told."""
        return self.households - self.read - self.told

    @property
    def unread(self) -> int:
        return self.left - self.failed


class Cell(NamedTuple):
    """A delivery in one household. `child_name` is empty where letters do not differ by child."""

    notice_id: int
    delivery_id: int
    household: str
    child_name: str

    @property
    def unit(self) -> tuple[int, str, str] | None:
        """Return the household (and child) that this cell counts for; None if it has no household."""
        return (self.notice_id, self.household, self.child_name) if self.household else None


def unit_key(household: str, child_name: str, delivery_id: int) -> str:
    """Return the key of the household (and child) that a cell of the board counts for."""
    return f"{household}\t{child_name}" if household else f"d{delivery_id}"


def unit_columns() -> tuple[Any, ...]:
    """Return the columns that group cells in SQL as `unit_key` does."""
    household = fn.COALESCE(DeliveryMembership.household, "")
    return household, Delivery.child_name, Case(None, [(household == "", Delivery.id)], 0)


def count_households(notices: Collection[int], lists: Collection[int] | None) -> dict[int, HouseholdCount]:
    """Count the households of notices in one query. `lists`: only cells visible to these lists; None: all."""
    failed = fn.MIN(Case(None, [(_has_not_arrived(notices), 1)], 0)).alias("failed")
    units = _select_units(
        (Delivery.notice, _any_reader(Delivery.read_at, "read"), _any_reader(Delivery.phoned_at, "told"), failed),
        Delivery.notice.in_(list(notices)),
        visibility.visible_cells(lists),
    ).alias("units")
    rows = (
        Delivery.select(
            units.c.notice_id,
            fn.COUNT(units.c.read),
            fn.SUM(units.c.read),
            fn.SUM(units.c.told * (1 - units.c.read)),
            fn.SUM(units.c.failed * (1 - units.c.told) * (1 - units.c.read)),
            fn.MAX(units.c.by_child),
        )
        .from_(units)
        .group_by(units.c.notice_id)
        .tuples()
    )
    return {
        notice: HouseholdCount(all_, read, told, failed, bool(by_child))
        for notice, all_, read, told, failed, by_child in rows
    }


def first_read_times(notice_id: int) -> list[int]:
    """Return when each household first read a notice: milliseconds since 1970, in order."""
    first = fn.MIN(Delivery.read_at)
    rows = _select_units((first,), Delivery.notice == notice_id).having(first.is_null(False)).tuples()
    return sorted(at if isinstance(at, int) else millis(at) for at, *_ in rows)


def has_another_reader_read(delivery: Delivery) -> bool:
    """Say whether another letter of this notice to the same household (and child) was read."""
    households = DeliveryMembership.select(DeliveryMembership.household).where(
        DeliveryMembership.delivery == delivery, DeliveryMembership.household != ""
    )
    read = Delivery.read_at.is_null(False) & (Delivery.id != delivery) & (Delivery.child_name == delivery.child_name)
    return (
        _select_cells(Delivery.notice == delivery.notice_id, read, DeliveryMembership.household.in_(households))
        .limit(1)
        .exists()
    )


def settled_deliveries(notices: Collection[int], is_done: Expression, among: Expression) -> set[int]:
    """Return the deliveries of `among` that are done themselves, or all of whose households are.

    is_done: a condition on `Delivery` such as `Delivery.read_at.is_null(False)`.
    """
    of_notices = Delivery.notice.in_(list(notices))
    done = {one.id for one in Delivery.select(Delivery.id).where(of_notices, among, is_done)}
    done_units = {Cell(*row).unit for row in _select_cells(of_notices, is_done).tuples()} - {None}
    units: dict[int, list[tuple[int, str, str] | None]] = {}
    for row in _select_cells(of_notices, among).tuples():
        units.setdefault(row[1], []).append(Cell(*row).unit)
    return done | {delivery for delivery, its_units in units.items() if done_units.issuperset(its_units)}


def _select_cells(*conditions: Expression) -> "ModelSelect[Any]":
    return (
        DeliveryMembership.select(
            Delivery.notice, DeliveryMembership.delivery, DeliveryMembership.household, Delivery.child_name
        )
        .join(Delivery)
        .where(*conditions)
    )


def _select_units(columns: tuple[Any, ...], *conditions: Expression) -> "ModelSelect[Any]":
    """Select columns, one row for each household (and child) that counts, `by_child` last."""
    by_child = fn.MAX(Delivery.child_name != "").alias("by_child")
    return (
        Delivery.select(*columns, by_child)
        .join(DeliveryMembership, JOIN.LEFT_OUTER)
        .where(Delivery.reason.not_in(NOT_COUNTED), *conditions)
        .group_by(Delivery.notice, *unit_columns())
    )


def _has_not_arrived(notices: Collection[int]) -> Expression:
    """Return the condition for deliveries without a letter, or whose current letter certainly did not arrive."""
    failed = Letter.select(Letter.delivery).where(
        Letter.notice.in_(list(notices)),
        Letter.is_current == True,  # noqa: E712
        Letter.state.in_(NOT_ARRIVED),
        Letter.delivery.is_null(False),
    )
    return (Delivery.reason != "") | Delivery.id.in_(failed)


def _any_reader(moment: Field, name: str) -> Any:
    """Return 1 if one reader of the household has this moment, else 0."""
    return fn.MAX(Case(None, [(moment.is_null(False), 1)], 0)).alias(name)
