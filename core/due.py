"""Whatever the clock brings: the one list of what becomes due by itself, for the bell and for `flask work --drain`."""

from datetime import datetime

from core.entry import joining
from core.road import delivery
from core.roster import work
from core.writing import reception, reminders, steps


def begin(now: datetime) -> None:
    """Begin everything whose time has come. Safe to repeat, and from several processes: the rows decide (law 1)."""
    delivery.start_due(now)
    reminders.begin_due(now)
    joining.admit(now)
    steps.sweep(now)
    reception.book_due(now)
    work.work(now)  # the longest comes last
