"""The board: who has confirmed a notice, who has not, and whom to telephone (T-45, N-17)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from flask import Response, abort, make_response, redirect, render_template, request, url_for
from flask_login import current_user

import clock
from blueprints.responses import bp
from blueprints.responses.notice_head import collects_confirmations
from core import audit
from core import display_names as classes
from core.notices import merge_fields
from core.reports import board as boards
from core.reports.board import Board, BoardClass, BoardUnit
from core.reports.board_rows import FAILURE_ADVICE, FAILURE_CAUSES, READER_STATES, BoardReader, user_names
from models import Notice
from web import _, csv_response, get_notice_or_404, is_htmx, language, no_content_if_seen, permissions

VIEWS = ("sheet", "table", "print")
CELL_FILTERS = ("all", "yet", "trouble")
MAX_SIDE_ROWS = 60  # entries shown beside the board; more have their own page


@dataclass(frozen=True, slots=True)
class BoardFilter:
    """Filters of the board, from the query string."""

    number: int
    view: str = "sheet"
    by: str = "household"
    show: str = "all"
    room: str = ""

    def to(self, **changes: object) -> str:
        """Return the URL with changed filters."""
        other = replace(self, **changes)  # type: ignore[arg-type]
        return url_for("responses.show_board", number=self.number, **other.asked)

    @property
    def asked(self) -> dict[str, str]:
        """Return the query string values that differ from the defaults."""
        plain = BoardFilter(self.number)
        given = {name: getattr(self, name) for name in ("view", "by", "show", "room")}
        return {name: value for name, value in given.items() if value != getattr(plain, name)}

    @property
    def households(self) -> bool:
        return self.by == "household"


def requested_filter(notice: Notice) -> BoardFilter:
    """Parse the filters; unknown values become the default."""
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
    """Lists beside the board: units to telephone, unconfirmed units, units told by telephone."""

    troubled: list[BoardUnit]
    waiting: list[BoardUnit]
    told: list[BoardUnit]
    resting: list[BoardUnit]


def side_lists(board: Board, filters: BoardFilter) -> SideLists:
    """Return the lists beside the board, limited to one class if the filter names it."""
    room = board.room(filters.room) if filters.room else None

    def of_room(units: Iterable[BoardUnit]) -> list[BoardUnit]:
        return [unit for unit in units if room is None or room.key in unit.rooms]

    return SideLists(of_room(board.troubled), of_room(board.waiting), of_room(board.told), of_room(board.resting))


def filtered_classes(board: Board, filters: BoardFilter) -> list[BoardClass]:
    """Return the classes and cells that match the filter."""
    wanted = {"all": None, "yet": ("sent", "going"), "trouble": ("trouble",)}[filters.show]
    rooms = []
    for room in board.rooms:
        if filters.room and room.mark != filters.room:
            continue
        if wanted:
            places = [place for place in room.places if place.state in wanted]
            room = replace(room, places=places)
        if room.places:
            rooms.append(room)
    return rooms


def part_digests(board: Board, rooms: list[BoardClass]) -> dict[str, str]:
    """Return a digest for each part of the page that can change, in page order."""
    parts = {"side": boards.short_hash(_side_digest(board)), "chips": boards.short_hash(_chips_digest(board))}
    return parts | {room.mark: boards.class_hash(room.places) for room in rooms}


def _side_digest(board: Board) -> tuple:
    open_units = (*board.troubled, *board.waiting, *board.told, *board.resting)
    return (
        tuple((unit.key, unit.state, unit.trouble, unit.numbers) for unit in open_units),
        board.stopped,
        tuple(delivery.number for delivery in board.strange),
        tuple(delivery.number for delivery in board.possibly_twice),
    )


def _chips_digest(board: Board) -> tuple:
    return len(board.units), board.left, len(board.troubled), tuple((room.short, room.left) for room in board.rooms)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────
def class_heading(room: BoardClass, board: Board) -> str:
    """Return the full class name: 「3年2組」. Grades that are no number stay as they are."""
    grade, name = room.grade, room.class_name
    if not grade and not name:
        alone = all(other.list_name for other in board.rooms)
        return room.list_name if alone and room.list_name else _("%(list)s, without a class", list=room.list_name)
    return class_title(grade, name)


def class_title(grade: str, name: str) -> str:
    """Return 「3年2組」; spreadsheets read 3-2 as a date."""
    return classes.class_label(language(), grade, name)


def count_with_unit(number: int, filters: BoardFilter, by_child: bool) -> str:
    """Return a count with its unit: households (世帯), or children."""
    if filters.households and by_child:
        return _("%(n)s children", n=f"{number:,}")
    return _("%(n)s households", n=f"{number:,}") if filters.households else _("%(n)s persons", n=f"{number:,}")


def time_formatter(notice: Notice) -> Callable[[datetime], str]:
    """Return a formatter for cells: the time of day, or the date if it is not the day of the notice."""
    begun = clock.to_local(notice.started_at or clock.now()).date()

    def shown(at: datetime) -> str:
        local = clock.to_local(at)
        day = local.date()
        return f"{local.hour}:{local.minute:02d}" if day == begun else f"{day.month}/{day.day}"

    return shown


# ── the board as a file ─────────────────────────────────────────────────────────────────────────────────────────────


def csv_rows(board: Board) -> Iterator[list[str]]:
    """Yield the headings, then one line for each person with the numbers of its households (T-45)."""
    households: dict[int, dict[int, BoardUnit]] = {}
    for place, unit in enumerate(board.units, 1):
        for reader in unit.readers:
            households.setdefault(reader.number, {})[place] = unit
    yield _headings()
    for reader in sorted(board.readers, key=_class_sort_key):
        yield _csv_row(reader, households.get(reader.number, {}))


def _headings() -> list[str]:
    return [
        _("Class"),
        _("Child"),
        _("Guardian"),
        _("State"),
        _("Confirmed at"),
        _("Told by telephone at"),
        _("Reply"),
        _("Why not delivered"),
        _("Perhaps two copies"),
        _("Phone"),
        _("Household"),
        _("State of the household"),
    ]


def _class_sort_key(reader: BoardReader) -> tuple:
    first = reader.cells[0]
    return first.grade.zfill(3), first.class_name.zfill(3), first.child_kana or reader.kana, reader.number


def _csv_row(reader: BoardReader, households: dict[int, BoardUnit]) -> list[str]:
    rooms = dict.fromkeys(class_title(cell.grade, cell.class_name) for cell in reader.cells)
    return [
        _joined(rooms),
        _joined(dict.fromkeys(cell.child_name for cell in reader.cells)),
        reader.name,
        _(READER_STATES[reader.state]),
        format_cell_time(reader.read_at),
        format_cell_time(reader.phoned_at),
        _("Replied") if reader.replied_at else "",
        _(FAILURE_ADVICE[reader.trouble]) if reader.trouble else "",
        _("perhaps two copies") if reader.possibly_twice else "",
        reader.phone,
        "、".join(str(place) for place in households),
        "、".join(dict.fromkeys(_(READER_STATES[unit.state]) for unit in households.values())),
    ]


def _joined(names: dict[str, None]) -> str:
    return "、".join(name for name in names if name)


def format_cell_time(at: datetime | None) -> str:
    return clock.to_local(at).strftime("%Y-%m-%d %H:%M") if at else ""


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


TEMPLATES = {
    "sheet": "responses/board.html",
    "table": "responses/board_table.html",
    "print": "responses/board_print.html",
}
TABLE_PAGE = 200


@bp.get("/notices/<int:number>/board")
def show_board(number: int):
    """Show the board, or answer a poll with the changed parts."""
    notice = get_sent_notice(number)
    if request.args.get("view") == "phone":  # its address until it became a page
        return redirect(url_for("responses.show_phone_list", number=number))
    pulse = boards.board_version(notice, clock.now())
    if is_htmx() and (same := no_content_if_seen(pulse.serial)):
        return same
    filters = requested_filter(notice)
    drawn = boards.build_board(notice, lists=permissions().visible_lists(notice), by=filters.by)
    rooms = filtered_classes(drawn, filters)
    context = _board_values(notice, filters, drawn, rooms) | {"pulse": pulse}
    return _changed_parts(context) if is_htmx() else render_template(TEMPLATES[_page_name(notice, filters)], **context)


def get_sent_notice(number: int) -> Notice:
    """Return a notice whose sending has begun; earlier there is no board."""
    notice = get_notice_or_404(number)
    if notice.started_at is None:
        abort(404)
    if notice.purged_at:  # purged: the history shows the summary
        abort(redirect(url_for("history.show", number=number, _anchor="kept")))
    return notice


def _page_name(notice: Notice, filters: BoardFilter) -> str:
    """Return the template: stamps if the notice collects confirmations, else delivery states."""
    return "table" if filters.view == "sheet" and not collects_confirmations(notice) else filters.view


def _board_values(notice: Notice, filters: BoardFilter, drawn: boards.Board, rooms: list[boards.BoardClass]) -> dict:
    parts = part_digests(drawn, rooms)
    return {
        "notice": notice,
        "subject": merge_fields.display_subject(notice),
        "tab": "board",
        "look": filters,
        "stamps": collects_confirmations(notice),
        "board": drawn,
        "rooms": rooms,
        "side": side_lists(drawn, filters),
        "parts": parts,
        "was": "".join(parts.values()),
        "tellers": user_names({reader.phoned_by for reader in drawn.readers if reader.phoned_by}),
        "glance": MAX_SIDE_ROWS,
        "class_title": class_title,
        "title_of": lambda room: class_heading(room, drawn),
        "so_many": lambda number: count_with_unit(number, filters, drawn.by_child),
        "moment_of": time_formatter(notice),
        "ADVICE": FAILURE_ADVICE,
        "CAUSES": FAILURE_CAUSES,
        "STATES": READER_STATES,
        "page": max(1, request.args.get("page", 1, type=int)),
        "page_size": TABLE_PAGE,
    }


def _changed_parts(context: dict) -> Response:
    """Answer a poll with the count and the parts whose digest has changed."""
    was, parts = request.args.get("was", ""), context["parts"]
    if len(was) != len(context["was"]):
        return Response(status=204, headers={"HX-Refresh": "true"})
    changed = {name for place, name in enumerate(parts) if was[place * 5 : place * 5 + 5] != parts[name]}
    return make_response(render_template("responses/board_changes.html", changed=changed, by_poll=True, **context))


@bp.get("/notices/<int:number>/board.csv")
def board_csv(number: int) -> Response:
    """Send the board as CSV; the download is logged."""
    notice = get_sent_notice(number)
    drawn = boards.build_board(notice, lists=permissions().visible_lists(notice))
    audit.log_view(current_user, "board.exported", notice.id, detail={"lines": len(drawn.readers)})
    return csv_response(csv_rows(drawn), f"kairan-{notice.id}.csv")
