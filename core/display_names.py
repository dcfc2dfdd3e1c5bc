"""How people and classes are shown: the surname on a stamp, the given name, 「3年2組」."""

from dataclasses import dataclass

import i18n

_TITLES = frozenset(
    [
        "校長",
        "副校長",
        "教頭",
        "園長",
        "主幹",
        "主任",
        "担任",
        "教諭",
        "講師",
        "養護",
        "司書",
        "事務",
        "事務長",
        "用務",
        "用務員",
        "先生",
        "会長",
        "副会長",
        "書記",
        "会計",
        "監査",
        "顧問",
        "部長",
        "監督",
        "コーチ",
    ]
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The characters of a stamp. `size`: their number, 1 to 4, which selects the type size."""

    text: str
    size: int


FALLBACK_STAMP = Stamp("済", 1)


def family_name(name: str) -> str:
    """Return the part before the first space, without a leading title (教頭 小川 守)."""
    return _without_title(name).partition(" ")[0]


def given_name(name: str) -> str:
    """Return the part after the surname; the whole name if there is no space."""
    return _without_title(name).partition(" ")[2] or name.strip()


def _without_title(name: str) -> str:
    parts = name.split()
    return " ".join(parts[1:] if len(parts) > 1 and parts[0] in _TITLES else parts)


def make_stamp(name: str) -> Stamp:
    """Return the stamp of a person: 「済」 for Latin letters and for surnames of more than four characters."""
    text = family_name(name)
    if not text or len(text) > 4 or text.isascii():
        return FALLBACK_STAMP
    return Stamp(text, len(text))


def placeholder_stamp(name: str) -> Stamp:
    """Return the outline of a stamp that is still missing: the surname, or its first character."""
    stamp = make_stamp(name)
    return Stamp(family_name(name)[:1] or "印", 1) if stamp == FALLBACK_STAMP else stamp


def class_label(language: str, grade: str, name: str) -> str:
    """Return 「3年2組」, since spreadsheets read "3-2" as a date. A grade that is not a number stays as it is."""
    if not grade.isdecimal():
        return " ".join(part for part in (grade, name) if part)
    if not name:
        return i18n.say(language, "Year %(grade)s", grade=grade)
    return i18n.say(language, "Class %(grade)s-%(name)s", grade=grade, name=name)
