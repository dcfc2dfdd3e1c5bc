"""How the board is looked at: by household or person, all or one class, and what a poll must bring."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from flask import request, url_for

import clock
from core import display_names as classes
from core.reports import board as boards
from core.reports.board import Board, BoardClass, BoardUnit
from models import Notice
from web import _, language

VIEWS = ("sheet", "table", "phone", "print")
CELL_FILTERS = ("all", "yet", "trouble")
MAX_SIDE_ROWS = 60  # so many cells or rows stand beside the sheet; more have a page of their own


@dataclass(frozen=True, slots=True)
class BoardFilter:
    """One way to look at the board of a notice, as its address says."""

    number: int
    view: str = "sheet"
    by: str = "household"
    show: str = "all"
    room: str = ""

    def to(self, **changes: object) -> str:
        """Return the address of the same board with something else about it."""
        other = replace(self, **changes)  # type: ignore[arg-type]
        return url_for("responses.show_board", number=self.number, **other.asked)

    @property
    def asked(self) -> dict[str, str]:
        """Return what the address must say; what is ordinary it leaves out."""
        plain = BoardFilter(self.number)
        given = {name: getattr(self, name) for name in ("view", "by", "show", "room")}
        return {name: value for name, value in given.items() if value != getattr(plain, name)}

    @property
    def households(self) -> bool:
        return self.by == "household"


def requested_filter(notice: Notice) -> BoardFilter:
    """Read the look from the address; anything unknown is the ordinary one."""
    view, by, show = (request.args.get(name, "") for name in ("view", "by", "show"))
    return BoardFilter(
        notice.id,
        view=view if view in VIEWS else "sheet",
        by="person" if by == "person" else "household",
        show=show if show in CELL_FILTERS else "all",
        room=request.args.get("room", "")[:80],
    )


@dataclass(frozen=True, slots=True)
class SideLists:
    """What stands beside the sheet: the units to telephone, those that have not confirmed, those that were told."""

    troubled: list[BoardUnit]
    waiting: list[BoardUnit]
    told: list[BoardUnit]
    resting: list[BoardUnit]


def side_lists(board: Board, look: BoardFilter) -> SideLists:
    """Return what stands beside the sheet; of one class only, if the look is at one."""
    room = board.room(look.room) if look.room else None

    def of_room(units: Iterable[BoardUnit]) -> list[BoardUnit]:
        return [one for one in units if room is None or room.key in one.rooms]

    return SideLists(of_room(board.troubled), of_room(board.waiting), of_room(board.told), of_room(board.resting))


def filtered_classes(board: Board, look: BoardFilter) -> list[BoardClass]:
    """Return the rooms that the look shows, with the cells that it shows."""
    wanted = {"all": None, "yet": ("sent", "going", "trouble"), "trouble": ("trouble",)}[look.show]
    found = []
    for room in board.rooms:
        if look.room and room.mark != look.room:
            continue
        if wanted:
            kept = [place for place in room.places if place.state in wanted]
            room = replace(room, places=kept)
        if room.places:
            found.append(room)
    return found


def part_digests(board: Board, rooms: list[BoardClass]) -> dict[str, str]:
    """Return the digest of each part of the page that may change, in the order of the page."""
    parts = {"side": boards.short_hash(_side_digest(board)), "chips": boards.short_hash(_chips_digest(board))}
    return parts | {room.mark: boards.class_hash(room.places) for room in rooms}


def _side_digest(board: Board) -> tuple:
    open_units = (*board.troubled, *board.waiting, *board.told, *board.resting)
    return (
        tuple((one.key, one.state, one.trouble, one.numbers) for one in open_units),
        board.stopped,
        tuple(one.number for one in board.strange),
    )


def _chips_digest(board: Board) -> tuple:
    return len(board.units), board.left, len(board.troubled), tuple((one.short, one.left) for one in board.rooms)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def class_heading(room: BoardClass, board: Board) -> str:
    """Return the name of a class as people say it: 「3年2組」; grades that are no number as they stand."""
    grade, name = room.grade, room.class_name
    if not grade and not name:
        alone = all(one.list_name for one in board.rooms)
        return room.list_name if alone and room.list_name else _("%(list)s, without a class", list=room.list_name)
    return class_title(grade, name)


def class_title(grade: str, name: str) -> str:
    """Return 「3年2組」, which no spreadsheet takes for the second of March."""
    return classes.class_label(language(), grade, name)


def count_with_unit(number: int, look: BoardFilter, by_child: bool) -> str:
    """Return a count with its unit: one number per page; the board counts households (世帯), or children."""
    if look.households and by_child:
        return _("%(n)s children", n=f"{number:,}")
    return _("%(n)s households", n=f"{number:,}") if look.households else _("%(n)s persons", n=f"{number:,}")


def time_formatter(notice: Notice) -> Callable[[datetime], str]:
    """Return how a cell shows a moment: by its time of day, or by its day if that was not the day of the notice."""
    begun = clock.to_local(notice.started_at or clock.now()).date()

    def shown(at: datetime) -> str:
        there = clock.to_local(at)
        day = there.date()
        return f"{there.hour}:{there.minute:02d}" if day == begun else f"{day.month}/{day.day}"

    return shown
