"""Shorter waits for a hostile server: a row that waits for an answer takes parts of a second instead of minutes.

Only the lengths change, as this table says. `KAIRAN_FAULTS_SPEED` makes the wall clock of a process run that much faster
(`tests/faults/site/sitecustomize.py`), so that an hour of retries takes seconds.
"""

import os
import sys
import time
from datetime import UTC, datetime, timedelta

REPLY_S, CONNECT_S, SLICE_S = 0.4, 0.4, 0.05
SPEED, STARTED = "KAIRAN_FAULTS_SPEED", "KAIRAN_FAULTS_STARTED"


def shorten_waits(setattr_=setattr) -> None:
    """Shorten what a worker waits for a server. setattr_: of a `monkeypatch`."""
    from core.delivery import worker
    from mail import smtp, smtp_session

    setattr_(smtp, "REPLY_LIMITS_S", dict.fromkeys(smtp.REPLY_LIMITS_S, REPLY_S))
    setattr_(smtp, "OTHER_LIMIT_S", REPLY_S)
    setattr_(smtp, "PIPELINING_TRIAL_S", REPLY_S)
    setattr_(smtp_session, "OTHER_LIMIT_S", REPLY_S)
    setattr_(smtp_session, "CONNECT_LIMIT_S", CONNECT_S)
    setattr_(smtp_session, "QUIT_LIMIT_S", REPLY_S)
    setattr_(smtp_session, "SLICE_S", SLICE_S)
    setattr_(worker, "HOUSEKEEPING_S", 0.2)
    setattr_(worker, "FINISH_CHECK_S", 0.1)
    setattr_(worker, "POLL_S", 0.02)


def quicken_clock() -> None:
    """Let the clock of this process run faster, together with all processes that were given the same start."""
    import clock

    speed, started = float(os.environ[SPEED]), float(os.environ[STARTED])
    clock.now = lambda: datetime.fromtimestamp(started + (time.time() - started) * speed, UTC) + clock._offset
    clock.since_boot = lambda: clock.now() - datetime(1970, 1, 1, tzinfo=UTC)


def quicken_process() -> None:
    """Called at the start of every Python process of such a row."""
    if not os.environ.get(SPEED):
        return
    quicken_clock()
    if "send-letters" in sys.orig_argv:
        shorten_waits()


def moment(started: float, speed: float) -> datetime:
    """Return what the quick clock says now."""
    return datetime.fromtimestamp(started, UTC) + timedelta(seconds=(time.time() - started) * speed)
