"""The list of families to telephone: first those whom no letter reached, then those who have not read it (N-17)."""

from dataclasses import dataclass, replace
from typing import Any

from flask import Response, render_template, request, url_for
from flask_login import current_user

import clock
from blueprints.responses import bp
from blueprints.responses.board import class_heading, class_title, get_sent_notice
from blueprints.responses.notice_head import collects_confirmations, count_label
from core.notices import merge_fields
from core.permissions import target_lists
from core.reports import board as boards
from core.reports.board import Board, BoardClass, BoardUnit
from core.reports.board_rows import FAILURE_CAUSES, user_names
from core.responses import phone_marks
from i18n import N_
from models import Notice
from web import forbid, parse_row_id, permissions, redirect_to

MOST_MARKED = 50
MOST_ROWS = 200
"""Unread households on one page; it stays under 50 kB. A class shows all of its own."""
CALL_HINTS: dict[str, str] = dict.fromkeys(("unknown_user", "bounced"), N_("Ask for the new address.")) | {
    "full": N_("Ask to make room in the mailbox."),
    "unknown": N_("Ask whether it has arrived."),
    "deferred": N_("Kairan keeps trying."),
}
"""What to ask on the telephone, by reason."""


@dataclass(frozen=True, slots=True)
class PhoneFilter:
    """`room`: one class. `marked`: the delivery whose mark was just set or removed; its row shows the result."""

    number: int
    room: str = ""
    marked: int = 0

    def to(self, **changes: Any) -> str:
        other = replace(self, **{"marked": 0, **changes})
        return url_for("responses.show_phone_list", number=self.number, **other.values)

    @property
    def values(self) -> dict[str, Any]:
        return {name: value for name, value in (("room", self.room), ("marked", self.marked)) if value}


def requested_filter(notice: Notice) -> PhoneFilter:
    return PhoneFilter(
        notice.id, request.args.get("room", "")[:80], request.args.get("marked", 0, type=parse_row_id) or 0
    )


@bp.get("/notices/<int:number>/phone")
def show_phone_list(number: int) -> str:
    notice = get_sent_notice(number)
    board, filters = boards.build_board(notice, lists=permissions().visible_lists(notice)), requested_filter(notice)
    may_mark = permissions().visible_lists(notice, "send")
    room = board.room(filters.room)
    failed, unread, told = _groups(board, room, filters.marked, collects_confirmations(notice))
    return render_template(
        "responses/phone_list.html",
        notice=notice,
        subject=merge_fields.display_subject(notice),
        tab="phone",
        look=filters,
        board=board,
        room=room,
        failed=failed,
        unread=unread,
        told=told,
        most_rows=len(unread) if room else MOST_ROWS,
        callers=user_names({unit.told.phoned_by for unit in told if unit.told and unit.told.phoned_by}),
        may_mark=may_mark is None or bool(may_mark),
        rooms=[one for one in board.rooms if one.left],
        title_of=lambda one: class_heading(one, board),
        class_title=class_title,
        so_many=lambda count: count_label(count, by_child=board.by_child),
        CAUSES=FAILURE_CAUSES,
        HINTS=CALL_HINTS,
    )


def _groups(
    board: Board, room: BoardClass | None, marked: int, confirms: bool
) -> tuple[list[BoardUnit], list[BoardUnit], list[BoardUnit]]:
    """Return who got nothing, who has not read, who was told, in the order of the sheet.

    A unit whose mark was just set stays in its place.
    """
    places = (place for one in board.rooms if room in (None, one) for place in one.places)
    units = {place.unit.key: place.unit for place in places}.values()

    def just_marked(unit: BoardUnit) -> bool:
        return unit.state == "told" and any(reader.number == marked for reader in unit.readers)

    shown = [unit for unit in units if unit.state not in ("read", "told") or just_marked(unit)]
    failed = [unit for unit in shown if unit.letter_state == "trouble"]
    unread = [unit for unit in shown if unit.letter_state != "trouble" and confirms]
    unread.sort(key=lambda unit: not unit.trouble)
    return failed, unread, [unit for unit in units if unit.state == "told" and not just_marked(unit)]


@bp.post("/notices/<int:number>/phone/mark")
def mark_phoned(number: int) -> Response:
    """Mark a family as told by telephone."""
    notice, lists = _markable_lists(number)
    deliveries = _posted_delivery_ids()
    phone_marks.mark_phoned(notice, deliveries, by=current_user, lists=lists, now=clock.now())
    return _redirect_to_row(notice, deliveries)


@bp.post("/notices/<int:number>/phone/unmark")
def unmark_phoned(number: int) -> Response:
    """Remove the mark of a family."""
    notice, lists = _markable_lists(number)
    deliveries = _posted_delivery_ids()
    phone_marks.unmark_phoned(notice, deliveries, by=current_user, lists=lists)
    return _redirect_to_row(notice, deliveries)


def _markable_lists(number: int) -> tuple[Notice, set[int] | None]:
    """Return the notice and the lists in which the user may mark families; None means all."""
    notice = get_sent_notice(number)
    lists = permissions().visible_lists(notice, "send")
    if lists is not None and not lists:
        forbid("send", [mailing_list.id for mailing_list in target_lists(notice)])
    return notice, lists


def _redirect_to_row(notice: Notice, deliveries: list[int]) -> Response:
    first = deliveries[0] if deliveries else 0
    filters = replace(requested_filter(notice), marked=first)
    return redirect_to("responses.show_phone_list", number=notice.id, **filters.values, _anchor=f"row-{first}")


def _posted_delivery_ids() -> list[int]:
    parts = request.form["deliveries"].split(",")[:MOST_MARKED]
    return [parse_row_id(part) for part in parts if part.isdecimal() and len(part) < 19]
