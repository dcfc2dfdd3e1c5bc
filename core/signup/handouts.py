"""Paper for parents: a hand-out for each list, a slip for each child (T-26, T-27, T-17; field.md 5.1).

A hand-out bears no address and no guardian's name; a slip bears its child only.
"""

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import i18n
from core.members import join_codes, unsubscribe
from core.settings import load_settings
from models import Child, MailingList


@dataclass(frozen=True, slots=True)
class JoinLinks:
    """Both ways to use a code: the page (`link`) and the blank mail (`address`, `mailto`)."""

    code: str
    link: str
    address: str
    mailto: str


@dataclass(frozen=True, slots=True)
class ChildSlip:
    child: Child
    ways: JoinLinks


@dataclass(frozen=True, slots=True)
class ClassSlips:
    """A class with its slips: `key` as in addresses, `count` children."""

    key: str
    child: Child
    count: int


def join_links(mailing_list: MailingList, code: str) -> JoinLinks:
    settings = load_settings()
    return JoinLinks(
        join_codes.format_code(code),
        join_codes.join_url(mailing_list, code, settings.base_url),
        join_codes.join_address(mailing_list, code),
        join_codes.join_mailto(mailing_list, code),
    )


def children_for_slips(mailing_list: MailingList, *, missing: bool = False) -> list[Child]:
    """Return the children of a list by class; `missing`: only those whose family no letter reaches."""
    children = join_codes.children_in_list(mailing_list)
    if not missing:
        return children
    unreachable = unsubscribe.unreachable_children([child.id for child in children])
    return [child for child in children if child.id in unreachable]


def group_by_class(children: Iterable[Child]) -> list[ClassSlips]:
    """Return the classes of some children in their order."""
    counted: dict[str, list[Child]] = {}
    for child in children:
        counted.setdefault(child.room, []).append(child)
    return [ClassSlips(key, members[0], len(members)) for key, members in counted.items()]


def child_slips(mailing_list: MailingList, children: Iterable[Child]) -> list[ChildSlip]:
    return [
        ChildSlip(child, join_links(mailing_list, join_codes.child_code(mailing_list, child))) for child in children
    ]


def format_print_date(language: str, day: date) -> str:
    """Return a date in the form of school letters: 「令和8年4月8日」."""
    if language != "ja" or day < date(2019, 5, 1):
        return (
            f"{i18n.format_day(language, day)} {day.year}"
            if language != "ja"
            else f"{day.year}年{day.month}月{day.day}日"
        )
    year = day.year - 2018
    return f"令和{'元' if year == 1 else year}年{day.month}月{day.day}日"


# ── QR codes (ISO/IEC 18004) by segno: an SVG path for pages, PNG for download ──

QUIET_ZONE_MODULES = 4
"""Modules of white around the code, as the standard requires."""
PIXELS_PER_MODULE = 12
"""Pixels of a module in a PNG: sharp on paper at 6 cm."""


@dataclass(frozen=True, slots=True)
class QrPath:
    """A code for SVG: `size` modules in both directions, quiet zone included, and the black path."""

    size: int
    path: str


@lru_cache(maxsize=2000)
def qr_svg_path(text: str) -> QrPath:
    code = _encode(text)
    svg = code.svg_inline(border=QUIET_ZONE_MODULES, omitsize=True)
    path = re.search(r'<path[^>]* d="([^"]+)"', svg)
    assert path  # noqa: S101
    return QrPath(code.symbol_size(border=QUIET_ZONE_MODULES)[0], path[1])


def qr_png(text: str) -> bytes:
    out = io.BytesIO()
    _encode(text).save(out, kind="png", scale=PIXELS_PER_MODULE, border=QUIET_ZONE_MODULES)
    return out.getvalue()


def _encode(text: str):  # type: ignore[no-untyped-def]
    import segno  # rarely needed, so not imported at every start

    return segno.make(text, error="m", micro=False)
