"""Requests for a mailed link, queued before anything is looked up.

The page does the same work for every typed name or address; a background job looks it up. So the time of the answer
does not tell whether an account or a member exists.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from database import db
from models import LinkRequest

MAX_AGE = timedelta(hours=1)
"""Older requests are dropped: nobody waits for the letter any more."""


def enqueue_request(purpose: str, typed: str, now: datetime) -> None:
    """Queue a request. `purpose`: login, password or page."""
    LinkRequest.create(purpose=purpose, typed=typed, at=now)


def process_requests(purposes: tuple[str, ...], send: Callable[[str, str, datetime], None], now: datetime) -> int:
    """Call `send(purpose, typed, now)` once for each request of these purposes; return how many."""
    done = 0
    for row in list(LinkRequest.select().where(LinkRequest.purpose.in_(purposes)).order_by(LinkRequest.id)):
        with db.atomic():
            if not LinkRequest.delete().where(LinkRequest.id == row.id).execute():
                continue  # another process took it
            if row.at > now - MAX_AGE:
                send(row.purpose, row.typed, now)
                done += 1
    return done
