"""Dates of the sample school: nothing is written into its files but weekdays and distances, so it is never out of date.

The marks that stand for dates are described in `demo/README.md`.
"""

import re
from datetime import date, datetime, time, timedelta

import clock

WEEKDAYS = "月火水木金土日"
_MARK = re.compile(r"\{(?:([+-]\d+)(/|dw|d)?|(>{1,2})([月火水木金土日]))\}")
_WRITTEN_OUT = re.compile(r"(\d{1,2})月(\d{1,2})日\(([月火水木金土日])\)")


def weekday(day: date) -> str:
    """Return the weekday as one character: 「火」."""
    return WEEKDAYS[day.weekday()]


def day_of(weekdays: str, weeks: int, today: date) -> date:
    """Return the day of one of some weekdays (「月火水」) that `weeks` puts around today.

    -1: the last before today, -2: a week before that; 0: today or the next; 1: tomorrow or later, 2: a week after that.
    """
    if weeks < 0:
        day, step, more = today - timedelta(days=1), -1, weeks + 1
    else:
        day, step, more = today + timedelta(days=min(weeks, 1)), 1, max(0, weeks - 1)
    while weekday(day) not in weekdays:
        day += timedelta(days=step)
    return day + timedelta(weeks=more)


def moment(day: date, text: str) -> datetime:
    """Return the moment of a day and a wall-clock time such as "7:00", aware, in UTC."""
    hour, _, minute = text.partition(":")
    return clock.from_local(datetime.combine(day, time(int(hour), int(minute))))


def dated(text: str, written: date) -> str:
    """Return a text with its marks as dates, counted from the day on which it was written."""
    return _MARK.sub(lambda mark: _as_date(mark, written), text)


def _as_date(mark: re.Match[str], written: date) -> str:
    if mark[3]:
        day = day_of(mark[4], len(mark[3]), written)
        return f"{day.month}月{day.day}日({weekday(day)})"
    day = written + timedelta(days=int(mark[1]))
    month = "" if day.month == written.month else f"{day.month}月"  # a day alone means the month of writing
    shapes = {
        None: f"{day.month}月{day.day}日({weekday(day)})",
        "/": f"{day.month}/{day.day}({weekday(day)})",
        "d": f"{month}{day.day}日",
        "dw": f"{month}{day.day}日({weekday(day)})",
    }
    return shapes[mark[2]]


def moved(texts: list[str], first: date) -> list[str]:
    """Move written-out dates (「10月20日(月)」) by whole weeks, so that the earliest comes on or after a day.

    The first date tells the year: the latest one before `first` whose weekday fits. Texts without a date stay.
    """
    found = [match for match in map(_WRITTEN_OUT.fullmatch, texts) if match]
    if not found:
        return texts
    start = _year_of(found[0], first)
    weeks = -(-(first - start).days // 7)
    return [_moved(text, start, weeks) for text in texts]


def _year_of(mark: re.Match[str], before: date) -> date:
    """Return the date that a mark without year means: the latest before a day on which its weekday is right."""
    for year in range(before.year, before.year - 12, -1):
        day = date(year, int(mark[1]), int(mark[2]))
        if day < before and weekday(day) == mark[3]:
            return day
    raise ValueError(f"no year has {mark[0]}")


def _moved(text: str, start: date, weeks: int) -> str:
    match = _WRITTEN_OUT.fullmatch(text)
    if match is None:
        return text
    day = date(start.year, int(match[1]), int(match[2]))
    day = day if day >= start else date(start.year + 1, day.month, day.day)
    return dated("{+0}", day + timedelta(weeks=weeks))
