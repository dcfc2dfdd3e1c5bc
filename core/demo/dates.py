"""Dates of the sample school: nothing is written into its files but weekdays and distances, so it is never out of date.

The marks that stand for dates are described in `demo/README.md`.
"""

import re
from datetime import date, datetime, time, timedelta

import clock

WEEKDAYS = "月火水木金土日"
_DATE_MARK = re.compile(r"\{(?:([+-]\d+)(/|dw|d)?|(>{1,2})([月火水木金土日]))\}")
_FULL_DATE = re.compile(r"(\d{1,2})月(\d{1,2})日\(([月火水木金土日])\)")


def weekday_char(day: date) -> str:
    """Return the weekday as one character: 「火」."""
    return WEEKDAYS[day.weekday()]


def day_for_weekdays(weekdays: str, weeks: int, today: date) -> date:
    """Return the day of one of some weekdays (「月火水」) that `weeks` puts around today.

    -1: the last before today, -2: a week before that; 0: today or the next; 1: tomorrow or later, 2: a week after that.
    """
    if weeks < 0:
        day, step, more = today - timedelta(days=1), -1, weeks + 1
    else:
        day, step, more = today + timedelta(days=min(weeks, 1)), 1, max(0, weeks - 1)
    while weekday_char(day) not in weekdays:
        day += timedelta(days=step)
    return day + timedelta(weeks=more)


def local_moment(day: date, text: str) -> datetime:
    """Return the moment of a day and a wall-clock time such as "7:00", aware, in UTC."""
    hour, _, minute = text.partition(":")
    return clock.from_local(datetime.combine(day, time(int(hour), int(minute))))


def fill_dates(text: str, written: date) -> str:
    """Return a text with its marks as dates, counted from the day on which it was written."""
    return _DATE_MARK.sub(lambda mark: _format_mark(mark, written), text)


def _format_mark(mark: re.Match[str], written: date) -> str:
    if mark[3]:
        day = day_for_weekdays(mark[4], len(mark[3]), written)
        return f"{day.month}月{day.day}日({weekday_char(day)})"
    day = written + timedelta(days=int(mark[1]))
    month = "" if day.month == written.month else f"{day.month}月"  # a day alone means the month of writing
    shapes = {
        None: f"{day.month}月{day.day}日({weekday_char(day)})",
        "/": f"{day.month}/{day.day}({weekday_char(day)})",
        "d": f"{month}{day.day}日",
        "dw": f"{month}{day.day}日({weekday_char(day)})",
    }
    return shapes[mark[2]]


def shift_dates(texts: list[str], first: date) -> list[str]:
    """Move written-out dates (「10月20日(月)」) by whole weeks, so that the earliest comes on or after a day.

    The first date tells the year: the latest one before `first` whose weekday fits. Texts without a date stay.
    """
    found = [match for match in map(_FULL_DATE.fullmatch, texts) if match]
    if not found:
        return texts
    start = _year_of(found[0], first)
    weeks = -(-(first - start).days // 7)
    return [_shift_text(text, start, weeks) for text in texts]


def _year_of(mark: re.Match[str], before: date) -> date:
    """Return the date that a mark without year means: the latest before a day on which its weekday is right."""
    for year in range(before.year, before.year - 12, -1):
        day = date(year, int(mark[1]), int(mark[2]))
        if day < before and weekday_char(day) == mark[3]:
            return day
    raise ValueError(f"no year has {mark[0]}")


def _shift_text(text: str, start: date, weeks: int) -> str:
    match = _FULL_DATE.fullmatch(text)
    if match is None:
        return text
    day = date(start.year, int(match[1]), int(match[2]))
    day = day if day >= start else date(start.year + 1, day.month, day.day)
    return fill_dates("{+0}", day + timedelta(weeks=weeks))
