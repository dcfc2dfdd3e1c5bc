"""A notice among the others of its lists: the one before it, whether there is a newer one, and how many it reached."""

from datetime import datetime

from peewee import ModelSelect

import clock
from database import prepared_query
from models import Delivery, Notice, Target


def latest_to_same_list(notice: Notice) -> Notice | None:
    """Return the last notice that was sent to the first list of this one, for the check page (X-09)."""
    first = (
        Target.select(Target.number)
        .where(Target.notice == notice, Target.kind == "list", Target.include == True)
        .order_by(Target.id)
        .limit(1)
    )
    others = Target.alias()
    return (
        Notice.latest()
        .join(others, on=(others.notice == Notice.id))
        .where(
            others.kind == "list",
            others.include == True,
            others.number.in_(first),
            Notice.id != notice.id,
            Notice.started_at.is_null(False),
            Notice.kind == "notice",
        )
        .first()
    )


def newer_exists(notice: Notice) -> bool:
    """Say whether a later notice of one of the same lists has begun to be sent (its page then says so)."""
    return bool(_select_newer(notice.id, notice.started_at or clock.now()))


@prepared_query
def _select_newer(notice: int, since: datetime) -> ModelSelect:
    mine, others = Target.alias(), Target.alias()
    numbers = mine.select(mine.number).where(mine.notice == notice, mine.kind == "list", mine.include == True)
    return (
        Notice.select(Notice.id)
        .join(others, on=(others.notice == Notice.id))
        .where(
            others.kind == "list",
            others.number.in_(numbers),
            Notice.id != notice,
            Notice.started_at.is_null(False),
            Notice.started_at > since,
            Notice.state != "withdrawn",
            Notice.kind == "notice",
        )
        .limit(1)
    )


def count_reached(notice: Notice) -> int:
    """Return how many people the notice was sent to (frozen when sending began)."""
    return Delivery.select().where(Delivery.notice == notice, Delivery.reason == "").count()
