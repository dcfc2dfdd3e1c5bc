"""The board: who has confirmed a notice, who has not, and whom to telephone (T-45, N-17)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from flask import Response, abort, make_response, redirect, render_template, request, url_for
from flask_login import current_user

import clock
from blueprints.responses import bp
from core import audit
from core import display_names as classes
from core.notices import merge_fields, questions
from core.notices.recipients import heading_targets
from core.permissions import target_lists
from core.reports import board as boards
from core.reports.board import Board, BoardClass, BoardUnit
from core.reports.board_rows import FAILURE_ADVICE, LETTER_STATES, READER_STATES, BoardReader, user_names
from core.responses import phone_marks
from i18n import N_
from models import MailingList, Notice
from web import (
    _,
    csv_response,
    flash_message,
    forbid,
    get_notice_or_404,
    is_htmx,
    language,
    no_content_if_seen,
    parse_row_id,
    permissions,
    redirect_to,
    who_can_sentence,
)

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


# ── the board as a file ─────────────────────────────────────────────────────────────────────────────────────────────


def csv_rows(readers: tuple[BoardReader, ...]) -> Iterator[list[str]]:
    """Yield the headings, then one line for each person (T-45)."""
    yield _headings()
    for one in sorted(readers, key=_class_sort_key):
        yield _csv_row(one)


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
        _("Phone"),
    ]


def _class_sort_key(one: BoardReader) -> tuple:
    first = one.cells[0]
    return first.grade.zfill(3), first.class_name.zfill(3), first.child_kana or one.kana, one.number


def _csv_row(one: BoardReader) -> list[str]:
    rooms = dict.fromkeys(class_title(cell.grade, cell.class_name) for cell in one.cells)
    return [
        _joined(rooms),
        _joined(dict.fromkeys(cell.child_name for cell in one.cells)),
        one.name,
        _(READER_STATES[one.state]),
        format_cell_time(one.read_at),
        format_cell_time(one.phoned_at),
        _("Replied") if one.replied_at else "",
        _(FAILURE_ADVICE[one.trouble]) if one.trouble else "",
        one.phone,
    ]


def _joined(names: dict[str, None]) -> str:
    return "、".join(name for name in names if name)


def format_cell_time(at: datetime | None) -> str:
    return clock.to_local(at).strftime("%Y-%m-%d %H:%M") if at else ""


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


TEMPLATES = {
    "sheet": "responses/board.html",
    "table": "responses/board_table.html",
    "phone": "responses/board_phone.html",
    "print": "responses/board_print.html",
}
TABLE_PAGE = 200


@bp.get("/notices/<int:number>/board")
def show_board(number: int):
    """Show the circulation sheet, or bring a poll what has changed in it since."""
    notice = get_sent_notice(number)
    pulse = boards.board_version(notice, clock.now())
    if is_htmx() and (same := no_content_if_seen(pulse.serial)):
        return same
    look = requested_filter(notice)
    drawn = boards.build_board(notice, lists=permissions().visible_lists(notice), by=look.by)
    rooms = filtered_classes(drawn, look)
    context = _board_values(notice, look, drawn, rooms) | {"pulse": pulse}
    return _changed_parts(context) if is_htmx() else render_template(TEMPLATES[_page_name(notice, look)], **context)


def get_sent_notice(number: int) -> Notice:
    """Return a notice that has begun to be sent; before that there is no board."""
    notice = get_notice_or_404(number)
    if notice.started_at is None:
        abort(404)
    if notice.purged_at:  # its letters are deleted; the history shows the sums that stay
        abort(redirect(url_for("history.show", number=number, _anchor="kept")))
    return notice


def _page_name(notice: Notice, look: BoardFilter) -> str:
    """Return which page shows this look; where nothing is asked of the readers there are no stamps, but states."""
    return "table" if look.view == "sheet" and not _collects_confirmations(notice) else look.view


def _collects_confirmations(notice: Notice) -> bool:
    """Say whether readers confirm or answer: an answer is also a read."""
    return notice.read_confirmation or questions.has_questions(notice)


def _board_values(notice: Notice, look: BoardFilter, drawn: boards.Board, rooms: list[boards.BoardClass]) -> dict:
    parts = part_digests(drawn, rooms)
    may_tell = permissions().visible_lists(notice, "send")
    return {
        "notice": notice,
        "subject": merge_fields.display_subject(notice),
        "lists": heading_targets(notice),
        "look": look,
        "stamps": _collects_confirmations(notice),
        "board": drawn,
        "rooms": rooms,
        "side": side_lists(drawn, look),
        "parts": parts,
        "was": "".join(parts.values()),
        "may_tell": may_tell is None or bool(may_tell),
        "who_may_tell": lambda: _who_may_mark_phoned(notice),
        "tellers": user_names({one.phoned_by for one in drawn.readers if one.phoned_by}),
        "glance": MAX_SIDE_ROWS,
        "title_of": lambda room: class_heading(room, drawn),
        "so_many": lambda number: count_with_unit(number, look, drawn.by_child),
        "moment_of": time_formatter(notice),
        "ADVICE": FAILURE_ADVICE,
        "STATES": READER_STATES,
        "LETTERS": LETTER_STATES,
        "page": max(1, request.args.get("page", 1, type=int)),
        "page_size": TABLE_PAGE,
    }


def _who_may_mark_phoned(notice: Notice) -> str:
    """Return who may mark families as told where this user may only look: in the own class, or in all lists."""
    seen = permissions().visible_lists(notice)
    mine = target_lists(notice) if seen is None else MailingList.select().where(MailingList.id.in_(seen))
    return who_can_sentence("send", *mine)


def _changed_parts(context: dict) -> Response:
    """Answer a poll: the count, and only those parts whose digest is no longer what the page has."""
    was, parts = request.args.get("was", ""), context["parts"]
    if len(was) != len(context["was"]):
        return Response(status=204, headers={"HX-Refresh": "true"})
    changed = {name for place, name in enumerate(parts) if was[place * 5 : place * 5 + 5] != parts[name]}
    return make_response(render_template("responses/board_changes.html", changed=changed, by_poll=True, **context))


@bp.post("/notices/<int:number>/board/told")
def mark_phoned(number: int):
    notice, lists = _markable_lists(number)
    deliveries = _posted_delivery_ids(request.form["deliveries"])
    if phone_marks.mark_phoned(notice, deliveries, by=current_user, lists=lists, now=clock.now()):
        flash_message(N_("Marked as told by telephone."))
    return _redirect_to_board(notice)


@bp.post("/notices/<int:number>/board/told/undo")
def unmark_phoned(number: int):
    notice, lists = _markable_lists(number)
    deliveries = _posted_delivery_ids(request.form["deliveries"])
    if phone_marks.unmark_phoned(notice, deliveries, by=current_user, lists=lists):
        flash_message(N_("The mark was taken back."))
    return _redirect_to_board(notice)


def _markable_lists(number: int) -> tuple[Notice, set[int] | None]:
    """Return the notice and the lists in which the user may mark families; None means all."""
    notice = get_sent_notice(number)
    lists = permissions().visible_lists(notice, "send")
    if lists is not None and not lists:
        forbid("send", [one.id for one in target_lists(notice)])
    return notice, lists


def _redirect_to_board(notice: Notice) -> Response:
    return redirect_to("responses.show_board", number=notice.id, **requested_filter(notice).asked, _anchor="side")


def _posted_delivery_ids(text: str) -> list[int]:
    return [parse_row_id(one) for one in text.split(",")[:50] if one.isdecimal() and len(one) < 19]


@bp.get("/notices/<int:number>/board.csv")
def board_csv(number: int) -> Response:
    """Hand out the board as a file; the record says that it was."""
    notice = get_sent_notice(number)
    drawn = boards.build_board(notice, lists=permissions().visible_lists(notice))
    audit.log_action(current_user, "board.exported", notice.id, detail={"lines": len(drawn.readers)})
    return csv_response(csv_rows(drawn.readers), f"kairan-{notice.id}.csv")
