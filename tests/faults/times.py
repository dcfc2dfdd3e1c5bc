"""Shorter waits for a hostile server, so that a row takes parts of a second instead of minutes."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import clock
from core.delivery import worker
from database import EPOCH
from mail import smtp, smtp_session

REPLY_S, SLICE_S = 1.5, 0.05
PATIENT_S = 30.0
"""For rows in which every answer comes or the connection ends: a slow machine must not make a letter unknown."""


def shorten_waits(set_to: Callable[..., object], reply_s: float) -> None:
    """Shorten what a worker waits for a server; only the lengths change. set_to: of a `monkeypatch`."""
    set_to(smtp, "REPLY_LIMITS_S", dict.fromkeys(smtp.REPLY_LIMITS_S, reply_s))
    set_to(smtp, "OTHER_LIMIT_S", reply_s)
    set_to(smtp, "PIPELINING_TRIAL_S", reply_s)
    set_to(smtp_session, "OTHER_LIMIT_S", reply_s)
    set_to(smtp_session, "CONNECT_LIMIT_S", reply_s)
    set_to(smtp_session, "QUIT_LIMIT_S", reply_s)
    set_to(smtp_session, "SLICE_S", SLICE_S)
    set_to(worker, "HOUSEKEEPING_S", 0.2)
    set_to(worker, "FINISH_CHECK_S", 0.1)
    set_to(worker, "POLL_S", 0.05)


def quicken_clock(set_to: Callable[..., object], speed: float) -> None:
    """Let the wall clock of this process and of those that it forks run faster: an hour of retries takes seconds."""
    started, offset = time.time(), clock._offset

    def now() -> datetime:
        return datetime.fromtimestamp(started, UTC) + timedelta(seconds=(time.time() - started) * speed) + offset

    set_to(clock, "now", now)
    set_to(clock, "since_boot", lambda: now() - EPOCH)
