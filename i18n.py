"""Translation by gettext catalogues and date formats by Babel, without Flask.

Source strings are English; `translations/ja` is complete (tests check it). `N_` marks a string in a constant; `say`
translates it for display.
"""

import re
from datetime import date, datetime
from functools import cache
from pathlib import Path

from babel.dates import format_date
from babel.support import NullTranslations, Translations

import clock

LANGUAGES = {"ja": "日本語", "en": "English"}
DEFAULT_LANGUAGE = "ja"
TRANSLATIONS_DIR = Path(__file__).parent / "translations"


def N_(message: str) -> str:
    """Mark a string for the catalogue; `say` translates it later."""
    return message


class LazyMessage(str):
    """A source string with its placeholder values, translated later in the reader's language."""

    values: dict[str, object]

    def __new__(cls, message: str, **values: object) -> "LazyMessage":
        lazy = super().__new__(cls, message)
        lazy.values = values
        return lazy


@cache
def load_catalog(language: str) -> NullTranslations:
    """Return the gettext catalogue of a language; English and unknown languages show the source strings."""
    return Translations.load(TRANSLATIONS_DIR, [language]) if language in LANGUAGES else NullTranslations()


def say(language: str, message: str, /, **values: object) -> str:
    """Translate a source string and fill its `%(name)s` placeholders."""
    text = load_catalog(language).gettext(message) if message else ""
    if isinstance(message, LazyMessage):
        values = message.values | values
    if not values:
        return text
    return (text if language == "ja" else _in_singular(text, values)) % values


_COUNTED_NOUN = re.compile(
    r"(%\((\w+)\)s) (people|persons|letters|households|children|members|lines|devices|days|hours|minutes|seconds|slips"
    r"|readers|registrations|changes|files|places|entries|mails|matters|things)\b"
    r"(?: (are|were|have|do|go|wait|need|leave|stay)\b)?"
)
_SINGULAR_FORMS = {
    "people": "person",
    "children": "child",
    "entries": "entry",
    "are": "is",
    "were": "was",
    "have": "has",
    "do": "does",
    "go": "goes",
}


def _in_singular(text: str, values: dict[str, object]) -> str:
    """Put counted nouns and their verbs in the singular: "1 letter goes out", not "1 letters go out"."""

    def singular(match: re.Match[str]) -> str:
        if str(values.get(match[2])) != "1":
            return match[0]
        noun = _SINGULAR_FORMS.get(match[3], match[3].removesuffix("s"))
        verb = match[4] and _SINGULAR_FORMS.get(match[4], f"{match[4]}s")
        return f"{match[1]} {noun} {verb}" if verb else f"{match[1]} {noun}"

    return _COUNTED_NOUN.sub(singular, text)


def format_day(language: str, moment: datetime | date) -> str:
    """Return 「10月14日(火)」 or "Tue 14 Oct"."""
    on = clock.to_local(moment).date() if isinstance(moment, datetime) else moment
    if language == "ja":
        return f"{on.month}月{on.day}日({format_date(on, 'EEE', locale='ja')})"
    return format_date(on, "EEE d MMM", locale="en")


def format_full_date(language: str, moment: datetime | date) -> str:
    """Return 「2026年10月14日(水)」 or "Wed 14 Oct 2026"."""
    on = clock.to_local(moment).date() if isinstance(moment, datetime) else moment
    return f"{on.year}年{format_day(language, on)}" if language == "ja" else f"{format_day(language, on)} {on.year}"


def format_month(language: str, on: date) -> str:
    """Return 「12月」 or "December"."""
    return f"{on.month}月" if language == "ja" else format_date(on, "MMMM", locale="en")


def format_time(moment: datetime) -> str:
    """Return the school's wall-clock time, as 「6:12」."""
    at = clock.to_local(moment)
    return f"{at.hour}:{at.minute:02d}"


def format_datetime(language: str, moment: datetime) -> str:
    """Return 「10月14日(火) 6:12」 or "Tue 14 Oct 6:12", with the year unless it is the current one."""
    year = clock.to_local(moment).year
    shown = f"{format_day(language, moment)} {format_time(moment)}"
    if year == clock.today().year:
        return shown
    return f"{year}年{shown}" if language == "ja" else f"{shown}, {year}"
