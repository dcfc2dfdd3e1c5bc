"""Paper for parents: a hand-out for each list, and a slip for each child (T-26, T-27, T-17; field.md 5.1).

No address and no name of a guardian stands on it, only the child whose slip it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import words
from core.entry import join_codes
from core.organization import settings
from core.people import leaving
from models import Child, MailingList


@dataclass(frozen=True, slots=True)
class Ways:
    """Both ways of one code: the page (`link`) and the blank mail (`address`, `mailto`)."""

    code: str
    link: str
    address: str
    mailto: str


@dataclass(frozen=True, slots=True)
class Slip:
    """What stands on one slip."""

    child: Child
    ways: Ways


@dataclass(frozen=True, slots=True)
class Room:
    """A class with its slips: `key` as in addresses, `count` children."""

    key: str
    child: Child
    count: int


def ways(mailing_list: MailingList, code: str) -> Ways:
    """Return both ways of joining with a code."""
    force = settings()
    return Ways(
        join_codes.shown(code),
        join_codes.link(mailing_list, code, force.base_url),
        join_codes.address(mailing_list, code),
        join_codes.mailto(mailing_list, code),
    )


def children(mailing_list: MailingList, *, missing: bool = False) -> list[Child]:
    """Return the children of a list by class; `missing`: only those whose family no letter reaches yet."""
    found = join_codes.children_of(mailing_list)
    if not missing:
        return found
    nobody = leaving.children_with_nobody([one.id for one in found])
    return [one for one in found if one.id in nobody]


def rooms(found: Iterable[Child]) -> list[Room]:
    """Return the classes of some children in their order."""
    counted: dict[str, list[Child]] = {}
    for child in found:
        counted.setdefault(child.room, []).append(child)
    return [Room(key, members[0], len(members)) for key, members in counted.items()]


def slips(mailing_list: MailingList, found: Iterable[Child]) -> list[Slip]:
    """Return the slips of some children."""
    return [Slip(child, ways(mailing_list, child.join_code)) for child in found]


def printed_on(language: str, day: date) -> str:
    """Return a date as letters of a school bear it: 「令和8年4月8日」."""
    if language != "ja" or day < date(2019, 5, 1):
        return f"{words.day(language, day)} {day.year}" if language != "ja" else f"{day.year}年{day.month}月{day.day}日"
    year = day.year - 2018
    return f"令和{'元' if year == 1 else year}年{day.month}月{day.day}日"
