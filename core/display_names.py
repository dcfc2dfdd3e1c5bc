"""What stands on a stamp: the surname, as it is cut into a personal seal, or 「済」 where none fits."""

from dataclasses import dataclass

import i18n


@dataclass(frozen=True, slots=True)
class Stamp:
    """The characters of one stamp. `size` is how many there are, 1 to 4, for its type size."""

    text: str
    size: int


FALLBACK_STAMP = Stamp("済", 1)


def family_name(name: str) -> str:
    """Return what stands before the first space of a name, or all of it; a title in front is none (教頭 小川 守)."""
    return _without_title(name).partition(" ")[0]


_TITLES = frozenset(
    (
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
    )
)


def _without_title(name: str) -> str:
    parts = name.split()
    return " ".join(parts[1:] if len(parts) > 1 and parts[0] in _TITLES else parts)


def given_name(name: str) -> str:
    """Return what stands behind the surname, or all of it."""
    return _without_title(name).partition(" ")[2] or name.strip()


def make_stamp(name: str) -> Stamp:
    """Return the stamp of a person; Latin letters and more than four characters do not fit into the ring."""
    text = family_name(name)
    if not text or len(text) > 4 or text.isascii():
        return FALLBACK_STAMP
    return Stamp(text, len(text))


def placeholder_stamp(name: str) -> Stamp:
    """Return what stands in the place that waits for a stamp: the surname, or its first letter."""
    found = make_stamp(name)
    return Stamp(family_name(name)[:1] or "印", 1) if found == FALLBACK_STAMP else found


def class_label(language: str, grade: str, name: str) -> str:
    """Return a class as people say it: 「3年2組」, which no spreadsheet takes for the second of March.

    Grades that are no number stay as they stand.
    """
    if not grade.isdecimal():
        return " ".join(part for part in (grade, name) if part)
    if not name:
        return i18n.say(language, "Year %(grade)s", grade=grade)
    return i18n.say(language, "Class %(grade)s-%(name)s", grade=grade, name=name)
