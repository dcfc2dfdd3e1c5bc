"""What readers did with the letters of some notices, one by one and in order: reads, answers, openings, clicks."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.results import tracking
from models import Answer, Delivery

AGAIN_AFTER = timedelta(hours=1)
"""Opened again within the hour of the opening before it: the same reading, not told (D-35)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a reader did with a letter; `kind`: read, answer, open, reopen, click."""

    delivery: int
    kind: str
    at: datetime


def of(notices: Iterable[int]) -> dict[int, list[Fact]]:
    """Return the facts by notice. Four queries, however many notices; what machines did is left out."""
    numbers = list(notices)
    found: dict[int, list[Fact]] = defaultdict(list)
    for delivery in Delivery.select().where(Delivery.notice.in_(numbers), Delivery.read_at.is_null(False)):
        found[delivery.notice_id].append(Fact(delivery.id, "read", delivery.read_at))
    standing = Answer.by.is_null() & Answer.superseded_at.is_null()
    answers = Answer.select(Answer, Delivery).join(Delivery).where(Delivery.notice.in_(numbers), standing)
    for answer in answers:
        found[answer.delivery.notice_id].append(Fact(answer.delivery_id, "answer", answer.at))
    for notice, some in tracking.events(numbers).items():
        found[notice] += _of_tracking(some)
    return found


def _of_tracking(some: list[tracking.Event]) -> Iterable[Fact]:
    """Turn fetches into openings and clicks; a provider's proxy opens only when somebody looks."""
    last: dict[int, datetime] = {}
    for event in some:
        if event.by == "machine":
            continue
        if event.page != "o":
            yield Fact(event.delivery, "click", event.at)
            continue
        before = last.get(event.delivery)
        last[event.delivery] = event.at
        if before is None:
            yield Fact(event.delivery, "open", event.at)
        elif event.at - before > AGAIN_AFTER:
            yield Fact(event.delivery, "reopen", event.at)
