"""The bell: huey wakes the worker early and once a minute; the tables alone say what is due (law 1).

Losing the queue's file loses nothing: the sweep finds every notice whose row says that it is due.
"""

import logging
from datetime import datetime
from functools import cache
from pathlib import Path

from huey import SqliteHuey, crontab

import clock
import config
import models
from core import delivery

log = logging.getLogger("kairan.tasks")


@cache
def bell(folder: Path) -> SqliteHuey:
    """Return the huey instance of a data folder, its two tasks registered."""
    huey = SqliteHuey("kairan", filename=str(folder / "huey.db"), fsync=True, results=False)
    huey.kairan_ring = huey.task(name="ring")(_start_due)
    huey.periodic_task(crontab(minute="*"), name="sweep")(_start_due)
    return huey


def _start_due() -> None:
    """Begin what is due; the sender processes see the letters by themselves."""
    models.db.connect(reuse_if_open=True)
    delivery.start_due(clock.now())


def ring(at: datetime | None = None) -> None:
    """Wake the worker now, or at a moment (aware). A bell that cannot be rung is no harm: the sweep comes."""
    huey = bell(config.current().data)
    try:
        if at is None:
            huey.kairan_ring()
        else:
            huey.kairan_ring.schedule(eta=at)
    except OSError as silent:
        log.warning("the bell could not be rung (%s)", type(silent).__name__)
