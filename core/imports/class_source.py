"""The class of children whose lines carry none: from a title above the heading, the sheet's name, or the list's name."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from core.imports.columns import RosterRow, Sheet, normalise_row
from core.members.normalise import normalise_class, normalise_grade
from models import MailingList

_IN_TITLE = re.compile(
    r"(?:^|[^0-9和成RH])(?:第?([1-9一二三四五六])(?:学年|年生|年)(?!度|[0-9]*月))[\s　の]*(?:([0-9]{1,2}|[A-Z]|[^\s0-9年月日度]{1,6}?)\s*(?:組|クラス|学級))?"
)


@dataclass(frozen=True, slots=True)
class ClassSource:
    """Grade and class, and where they come from. `contradicts`: title and list name two classes."""

    grade: str = ""
    class_name: str = ""
    origin: str = ""  # title, list
    contradicts: bool = False


def class_from_text(text: str) -> tuple[str, str]:
    """Return (grade, class) of a whole text such as 3年2組 or 3-2; ("", "") if it is none."""
    row = normalise_row(1, {"room": text}, {})
    return (row.grade, row.class_name) if row.grade else ("", "")


def class_in_title(text: str) -> tuple[str, str]:
    """Return (grade, class) that stand somewhere in a title: 令和8年度 3年2組 名簿; ("", "") without a grade."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if short := re.fullmatch(r"([1-9])\s*[-‐−ーの・.]\s*([0-9]{1,2}|[A-Z])組?", plain):
        return normalise_grade(short[1]), normalise_class(short[2])
    found = [(normalise_grade(match[1]), normalise_class(match[2] or "")) for match in _IN_TITLE.finditer(plain)]
    return next((pair for pair in found if pair[1]), found[0] if found else ("", ""))


def find_class(mailing_list: MailingList, sheet: Sheet) -> ClassSource:
    """Return the class for children without one. Title and sheet name count before the name of the list."""
    titles = [found for found in map(class_in_title, sheet.titles) if found[0]]
    listed = class_in_title(mailing_list.name)
    if not titles:
        return ClassSource(*listed, "list") if listed[0] else ClassSource()
    grade, class_name = next((found for found in titles if found[1]), titles[0])
    agrees = listed[0] in ("", grade) and ("" in (listed[1], class_name) or listed[1] == class_name)
    if agrees:
        class_name = class_name or listed[1]
    return ClassSource(grade, class_name, "title", not agrees)


def give_class(rows: Iterable[RosterRow], source: ClassSource) -> int:
    """Give the class to children without one; return how many got it. A contradiction gives none."""
    count = 0
    for row in rows if source.grade and not source.contradicts else ():
        if row.child_name and not row.class_name and not row.no_person and row.grade in ("", source.grade):
            row.class_given = not row.grade or bool(source.class_name)
            count += row.class_given
            row.grade, row.class_name = source.grade, source.class_name
    return count
