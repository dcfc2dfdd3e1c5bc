"""Classes as people say them."""

import i18n


def class_label(language: str, grade: str, name: str) -> str:
    """Return a class as people say it: 「3年2組」, which no spreadsheet takes for the second of March.

    Grades that are no number stay as they stand.
    """
    if not grade.isdecimal():
        return " ".join(part for part in (grade, name) if part)
    if not name:
        return i18n.say(language, "Year %(grade)s", grade=grade)
    return i18n.say(language, "Class %(grade)s-%(name)s", grade=grade, name=name)
