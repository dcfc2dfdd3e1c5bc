"""What an organizer should look at again before sending: each a sentence, none of them forbids anything (law 7).

D-28 and D-29 (footer and postal address), field 4.3 no. 8 (night), 4.4 no. 16 and 17, 5.3 no. 2 and 3, X-04, X-06.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta

import clock
import words
from core.organization import Settings, settings
from core.writing import attachments, comparing, decoration, questions
from core.writing import warnings_text as of_text
from core.writing.audience import Audience
from core.writing.warnings_text import Warning
from models import Notice, Wording
from words import N_

FOOTER_OFF = N_(
    "The way to stop the mail and the school's address are required by law (特定電子メール法) in mail that advertises."
    " We do not recommend leaving them out."
)
FEW = 40
PICTURE_ALONE = N_(
    "There are hardly any words beside the picture. Some cannot see it, and filters take such letters for advertising:"
    " please write what it is about into the text."
)
NIGHT = (22, 6)
MORNING = time(7)


def of(
    notice: Notice, audience: Audience, now: datetime, at: datetime | None = None, language: str = "ja"
) -> list[Warning]:
    """Return what to look at again before this notice goes out at a time (None: now)."""
    force, begins = settings(), at or now
    wording = notice.wording
    text = f"{wording.subject}\n{wording.text}"
    filled_in = of_text.without_blanks(text)  # the date of a sample is told once, as a blank
    day = clock.local(begins).date()
    files = [one.name for one in attachments.of(notice)]
    return [
        *_of_the_night(begins, now, at),
        *of_text.of_blanks("\n".join([text, *(line for ask in questions.as_written(notice) for line in ask.choices)])),
        *of_text.of_other_classes(text, audience),
        *of_text.of_files(wording.text, len(files)),
        *of_text.of_file_names(files),
        *_of_a_picture_alone(wording),
        *of_text.of_day_words(text, begins, at, language),
        *of_text.of_the_subject(wording.subject, begins, language),
        *of_text.of_weekdays(filled_in, day, language),
        *of_text.of_past_dates(filled_in, day, language),
        *comparing.of_size(notice, audience),
        *comparing.of_the_same_again(notice, audience, now, language),
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
        yield Warning("night", sentence, {"time": words.time_of_day(begins)}, at=_next_morning(begins))


def _of_a_picture_alone(wording: Wording) -> Iterator[Warning]:
    """Say that a picture has hardly any words beside it: some do not see it, filters take it for advertising."""
    shown = decoration.marks_in(wording)
    if shown and decoration.words_beside(wording) < FEW:
        yield Warning("picture", PICTURE_ALONE)


def _next_morning(begins: datetime) -> datetime:
    """Return the first seven o'clock after a moment of the night."""
    local = clock.local(begins)
    day = local.date() + timedelta(days=local.time() >= MORNING)
    return clock.from_local(datetime.combine(day, MORNING))


def _of_the_footer(notice: Notice, force: Settings) -> Iterator[Warning]:
    if not notice.footer:
        yield Warning("footer", FOOTER_OFF)
    elif not force.postal:
        yield Warning("postal", N_("The postal address of the school is not set, so the footer has none."))
