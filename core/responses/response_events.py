"""What readers did with the letters of some notices, one by one and in order: reads, answers, openings, clicks."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.responses import tracking
from models import Answer, Delivery

REOPEN_AFTER = timedelta(hours=1)
"""Opened again within the hour of the opening before it: the same reading, not told (D-35)."""


@dataclass(frozen=True, slots=True)
class ResponseEvent:
    """Something that a reader did with a letter; `kind`: read, answer, open, reopen, click."""

    delivery: int
    kind: str
    at: datetime


def events_by_notice(notices: Iterable[int]) -> dict[int, list[ResponseEvent]]:
    """Return the facts by notice. Four queries, however many notices; what machines did is left out."""
    numbers = list(notices)
    found: dict[int, list[ResponseEvent]] = defaultdict(list)
    for delivery in Delivery.select().where(Delivery.notice.in_(numbers), Delivery.read_at.is_null(False)):
        found[delivery.notice_id].append(ResponseEvent(delivery.id, "read", delivery.read_at))
    standing = Answer.by.is_null() & Answer.superseded_at.is_null()
    answers = Answer.select(Answer, Delivery).join(Delivery).where(Delivery.notice.in_(numbers), standing)
    for answer in answers:
        found[answer.delivery.notice_id].append(ResponseEvent(answer.delivery_id, "answer", answer.at))
    for notice, some in tracking.load_events(numbers).items():
        found[notice] += _opens_and_clicks(some)
    return found


def _opens_and_clicks(some: list[tracking.TrackingEvent]) -> Iterable[ResponseEvent]:
    """Turn fetches into openings and clicks; a provider's proxy opens only when somebody looks."""
    last: dict[int, datetime] = {}
    for event in some:
        if event.by == "machine":
            continue
        if event.page != "o":
            yield ResponseEvent(event.delivery, "click", event.at)
            continue
        before = last.get(event.delivery)
        last[event.delivery] = event.at
        if before is None:
            yield ResponseEvent(event.delivery, "open", event.at)
        elif event.at - before > REOPEN_AFTER:
            yield ResponseEvent(event.delivery, "reopen", event.at)
