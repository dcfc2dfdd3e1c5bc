"""Families who were told by telephone: marked at their place in the sheet, and the mark can be taken back."""

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
    """Note that somebody telephoned; `lists`: those the caller may act for (None: all). Return how many. Repeatable."""
    return _mark(notice, numbers, by, lists, "delivery.told", Delivery.phoned_at.is_null(), phoned_at=now, phoned_by=by)


def unmark_phoned(notice: Notice, numbers: Collection[int], *, by: User, lists: Collection[int] | None) -> int:
    """Take the mark back. Return how many. Repeatable."""
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
