"""The clock: aware UTC inside, the school's local time on pages and in letters.

`set_offset` (KAIRAN_CLOCK_OFFSET_S) moves it for tests of time-dependent rules. SQL never reads a clock, so one offset
moves everything.
"""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Tokyo")

_offset = timedelta(0)


def set_offset(seconds: float) -> None:
    """Move the clock (seconds; negative: into the past)."""
    global _offset
    _offset = timedelta(seconds=seconds)


def now() -> datetime:
    return datetime.now(UTC) + _offset


def since_boot() -> timedelta:
    """Return the time since the machine started, sleep included. Nobody can set this clock."""
    steady = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return timedelta(seconds=time.clock_gettime(steady)) + _offset


def boot_id() -> str:
    """Return the id of this boot of the machine; it changes after a power cut or restart."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown boot"


def to_local(moment: datetime) -> datetime:
    """Return the moment in the school's zone (Asia/Tokyo, no summer time)."""
    return moment.astimezone(ZONE)


def today() -> date:
    return to_local(now()).date()


def from_local(naive: datetime) -> datetime:
    """Return a wall-clock time of the school as an aware UTC moment."""
    return naive.replace(tzinfo=ZONE).astimezone(UTC)


def parse_local_time(text: str) -> datetime | None:
    """Parse a datetime-local value in the school's time zone; None if it is invalid or outside 2000–2099.

    A value with an offset keeps it.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not 2000 <= moment.year < 2100:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else from_local(moment)


def school_year(day: date) -> int:
    """Return the school year (April to March) of a date, named by its first calendar year."""
    return day.year if day.month >= 4 else day.year - 1
