"""The one clock: aware UTC inside, the school's local time on pages and in letters.

Tests and the acceptance of time-dependent rules move it by `set_offset` (KAIRAN_CLOCK_OFFSET_S); SQL clocks
are never used, so that one offset moves everything.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Tokyo")

_offset = timedelta(0)


def set_offset(seconds: float) -> None:
    """Move the clock by so many seconds (negative: into the past)."""
    global _offset
    _offset = timedelta(seconds=seconds)


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC) + _offset


def to_local(moment: datetime) -> datetime:
    """Return the same moment in the school's zone (Asia/Tokyo, no summer time)."""
    return moment.astimezone(ZONE)


def today() -> date:
    """Return the school's date of today."""
    return to_local(now()).date()


def from_local(naive: datetime) -> datetime:
    """Read a wall-clock time typed by an organizer as the school's time; return it aware, in UTC."""
    return naive.replace(tzinfo=ZONE).astimezone(UTC)


def school_year(day: date) -> int:
    """Return the school year (April to March) that a date belongs to, named by its first calendar year."""
    return day.year if day.month >= 4 else day.year - 1
