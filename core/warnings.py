"""What an organizer should look at again before sending: each a sentence, none of them forbids anything.

D-28 and D-29 (footer and postal address), field 4.3 no. 8 (night), 4.4 no. 16 (day words), X-04.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import clock
import words
from core.audience import Audience
from core.organization import Settings, settings
from models import Notice
from words import N_

FOOTER_OFF = N_(
    "The way to stop the mail and the school's address are required by law (特定電子メール法) in mail that advertises."
    " We do not recommend leaving them out."
)
NIGHT = (22, 6)
_DATE = re.compile(r"(?<!\d)(\d{1,2})(?:月(\d{1,2})日|/(\d{1,2}))[（(]([月火水木金土日])[）)]")
_DAYS = {"今日": 0, "本日": 0, "きょう": 0, "明日": 1, "あした": 1, "あす": 1, "明後日": 2, "あさって": 2}
_DAY_WORD = re.compile(r"今日|本日|きょう|明日|あした|明後日|あさって|(?<![ぁ-ん])あす(?=[、はのにも\s])")
_WEEK = "月火水木金土日"


@dataclass(frozen=True, slots=True)
class Warning:
    """A sentence with its values; `kind` names it for pages that offer a way out (`night`: book for the morning)."""

    kind: str
    message: str
    values: dict[str, object] = field(default_factory=dict)


def of(
    notice: Notice, audience: Audience, now: datetime, at: datetime | None = None, language: str = "ja"
) -> list[Warning]:
    """Return what to look at again before this notice goes out at a time (None: now)."""
    force, begins = settings(), at or now
    wording = notice.wording
    text = f"{wording.subject}\n{wording.text}"
    return [
        *_of_the_night(begins, now, at),
        *_of_day_words(text, begins, at, language),
        *_of_weekdays(text, clock.local(begins).date(), language),
        *_of_the_footer(notice, force),
    ]


def _of_the_night(begins: datetime, now: datetime, at: datetime | None) -> Iterator[Warning]:
    hour = clock.local(begins).hour
    if hour >= NIGHT[0] or hour < NIGHT[1]:
        sentence = (
            N_("It will be %(time)s then. The sound of the phone may wake somebody.")
            if at
            else N_("It is %(time)s now. The sound of the phone may wake somebody.")
        )
        yield Warning("night", sentence, {"time": words.time_of_day(begins)})


def _of_day_words(text: str, begins: datetime, at: datetime | None, language: str) -> Iterator[Warning]:
    """Say which day "tomorrow" will be for the reader of a letter that goes out on another day."""
    if at is None or clock.local(at).date() == clock.today():
        return
    sentence = N_("The text says “%(word)s” but goes out on %(day)s; readers will take it as %(read)s.")
    for word in dict.fromkeys(_DAY_WORD.findall(text)):
        read_as = clock.local(begins).date() + timedelta(days=_DAYS[word])
        values = {"word": word, "day": words.day(language, begins), "read": words.day(language, read_as)}
        yield Warning("day", sentence, values)


def _of_weekdays(text: str, today: date, language: str) -> Iterator[Warning]:
    """Say which date stands beside the wrong day of the week."""
    for month, day, other_day, weekday in dict.fromkeys(_DATE.findall(text)):
        named = _nearest(int(month), int(day or other_day), today)
        if named and _WEEK[named.weekday()] != weekday:
            written = f"{month}月{day}日({weekday})" if day else f"{month}/{other_day}({weekday})"
            yield Warning(
                "weekday",
                N_("“%(written)s”: that day is %(day)s."),
                {"written": written, "day": words.day(language, named)},
            )


def _nearest(month: int, day: int, today: date) -> date | None:
    """Return the date nearest to today with this month and day."""
    found = []
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            found.append(date(year, month, day))
        except ValueError:
            continue
    return min(found, key=lambda one: abs(one - today), default=None)


def _of_the_footer(notice: Notice, force: Settings) -> Iterator[Warning]:
    if not notice.footer:
        yield Warning("footer", FOOTER_OFF)
    elif not force.postal:
        yield Warning("postal", N_("The postal address of the school is not set, so the footer has none."))
