"""What an organizer should look at again before sending: each a sentence, none of them forbids anything (law 7).

D-28 and D-29 (footer and postal address), field 4.3 no. 8 (night), 4.4 no. 16 and 17, 5.3 no. 2 and 3, X-04, X-06.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta

import clock
import i18n
from core.notices import attachments, html_body, previous_send, questions
from core.notices import content_checks as of_text
from core.notices.audience import Audience
from core.notices.content_checks import SendWarning
from core.settings import Settings, load_settings
from i18n import N_
from models import Notice, Wording

FOOTER_OFF = N_(
    "The way to stop the mail and the school's address are required by law (特定電子メール法) in mail that advertises."
    " We do not recommend leaving them out."
)
MIN_TEXT_CHARS = 40
IMAGE_ONLY = N_(
    "There are hardly any words beside the picture. Some cannot see it, and filters take such letters for advertising:"
    " please write what it is about into the text."
)
NIGHT_HOURS = (22, 6)
MORNING_TIME = time(7)


def collect_warnings(
    notice: Notice, audience: Audience, now: datetime, at: datetime | None = None, language: str = "ja"
) -> list[SendWarning]:
    """Return what to look at again before this notice goes out at a time (None: now)."""
    force, begins = load_settings(), at or now
    wording = notice.wording
    text = f"{wording.subject}\n{wording.text}"
    filled_in = of_text.strip_blanks(text)  # the date of a sample is told once, as a blank
    day = clock.to_local(begins).date()
    files = [one.name for one in attachments.files_of_notice(notice)]
    return [
        *_check_night(begins, now, at),
        *of_text.check_blanks(
            "\n".join([text, *(line for ask in questions.question_drafts(notice) for line in ask.choices)])
        ),
        *of_text.check_other_classes(text, audience),
        *of_text.check_files(wording.text, len(files)),
        *of_text.check_file_names(files),
        *_check_image_only(wording),
        *of_text.check_day_words(text, begins, at, language),
        *of_text.check_subject(wording.subject, begins, language),
        *of_text.check_weekdays(filled_in, day, language),
        *of_text.check_past_dates(filled_in, day, language),
        *previous_send.check_size(notice, audience),
        *previous_send.check_duplicate(notice, audience, now, language),
        *_check_footer(notice, force),
    ]


def _check_night(begins: datetime, now: datetime, at: datetime | None) -> Iterator[SendWarning]:
    hour = clock.to_local(begins).hour
    if hour >= NIGHT_HOURS[0] or hour < NIGHT_HOURS[1]:
        sentence = (
            N_("It will be %(time)s then. The sound of the phone may wake somebody.")
            if at
            else N_("It is %(time)s now. The sound of the phone may wake somebody.")
        )
        yield SendWarning("night", sentence, {"time": i18n.format_time(begins)}, at=_next_morning(begins))


def _check_image_only(wording: Wording) -> Iterator[SendWarning]:
    """Say that a picture has hardly any words beside it: some do not see it, filters take it for advertising."""
    shown = html_body.image_ids_of_wording(wording)
    if shown and html_body.text_length_without_images(wording) < MIN_TEXT_CHARS:
        yield SendWarning("picture", IMAGE_ONLY)


def _next_morning(begins: datetime) -> datetime:
    """Return the first seven o'clock after a moment of the night."""
    local = clock.to_local(begins)
    day = local.date() + timedelta(days=local.time() >= MORNING_TIME)
    return clock.from_local(datetime.combine(day, MORNING_TIME))


def _check_footer(notice: Notice, force: Settings) -> Iterator[SendWarning]:
    if not notice.footer:
        yield SendWarning("footer", FOOTER_OFF)
    elif not force.postal:
        yield SendWarning("postal", N_("The postal address of the school is not set, so the footer has none."))
