"""Marks for families told by telephone, and their removal."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from peewee import Expression

from core import audit, visibility
from database import db
from models import Delivery, Notice, User


def mark_phoned(
    notice: Notice, numbers: Collection[int], *, by: User, lists: Collection[int] | None, now: datetime
) -> int:
    """Mark deliveries as told by telephone; `lists`: those the user may act for, None for all. Return how many. Idempotent."""
    return _mark(notice, numbers, by, lists, "delivery.told", Delivery.phoned_at.is_null(), phoned_at=now, phoned_by=by)


def unmark_phoned(notice: Notice, numbers: Collection[int], *, by: User, lists: Collection[int] | None) -> int:
    """Remove the marks. Return how many. Idempotent."""
    return _mark(
        notice,
        numbers,
        by,
        lists,
        "delivery.told_taken_back",
        Delivery.phoned_at.is_null(False),
        phoned_at=None,
        phoned_by=None,
    )


def _mark(
    notice: Notice,
    numbers: Collection[int],
    by: User,
    lists: Collection[int] | None,
    action: str,
    where: Expression,
    **fields: Any,
) -> int:
    chosen = Delivery.id.in_(list(numbers))
    if lists is not None:
        chosen &= Delivery.id.in_(visibility.visible_deliveries(lists))
    with db.atomic():
        done = Delivery.update(**fields).where(Delivery.notice == notice, chosen, where).execute()
        if done:
            audit.log_action(by, action, notice.id, detail={"deliveries": sorted(numbers)})
    return done
