"""Requests for a mailed link, queued before anything is looked up.

The page does the same work for every typed name or address; a background job looks it up. So the time of the answer
does not tell whether an account or a member exists.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from database import db
from models import LinkRequest


def enqueue_request(purpose: str, typed: str, now: datetime, details: dict[str, object] | None = None) -> None:
    """Queue a request. `purpose`: login, password, page or signup."""
    LinkRequest.create(purpose=purpose, typed=typed, details=details or {}, at=now)


def process_requests(
    purposes: tuple[str, ...],
    send: Callable[[LinkRequest, datetime], None],
    now: datetime,
    max_age: timedelta = timedelta(hours=1),
) -> int:
    """Call `send` once for each request of these purposes; return how many.

    Requests older than max_age are dropped: nobody waits for the letter any more.
    """
    done = 0
    for row in list(LinkRequest.select().where(LinkRequest.purpose.in_(purposes)).order_by(LinkRequest.id)):
        with db.atomic():
            if not LinkRequest.delete().where(LinkRequest.id == row.id).execute():
                continue  # another process took it
            if row.at > now - max_age:
                send(row, now)
                done += 1
    return done
