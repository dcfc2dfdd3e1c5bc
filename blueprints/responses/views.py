"""The board: who has confirmed a notice, who has not, and whom to telephone (T-45, N-17)."""

from flask import Response, abort, make_response, redirect, render_template, request, url_for
from flask_login import current_user

import clock
from blueprints.responses import board_display, bp, csv_export
from core import audit
from core.notices import merge_fields, questions
from core.notices.recipients import heading_targets
from core.permissions import target_lists
from core.reports import board as boards
from core.reports.board_rows import FAILURE_ADVICE, LETTER_STATES, READER_STATES, user_names
from core.responses import phone_marks
from i18n import N_
from models import MailingList, Notice
from web import (
    flash_message,
    forbid,
    get_notice_or_404,
    is_htmx,
    no_content_if_seen,
    parse_row_id,
    permissions,
    redirect_to,
    who_can_sentence,
)

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
    look = board_display.requested_filter(notice)
    drawn = boards.build_board(notice, lists=permissions().seen(notice), by=look.by)
    rooms = board_display.filtered_classes(drawn, look)
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


def _page_name(notice: Notice, look: board_display.BoardFilter) -> str:
    """Return which page shows this look; where nothing is asked of the readers there are no stamps, but states."""
    return "table" if look.view == "sheet" and not _collects_confirmations(notice) else look.view


def _collects_confirmations(notice: Notice) -> bool:
    """Say whether readers confirm or answer: an answer is also a read."""
    return notice.read_confirmation or questions.has_questions(notice)


def _board_values(
    notice: Notice, look: board_display.BoardFilter, drawn: boards.Board, rooms: list[boards.BoardClass]
) -> dict:
    parts = board_display.part_digests(drawn, rooms)
    may_tell = permissions().seen(notice, "send")
    return {
        "notice": notice,
        "subject": merge_fields.display_subject(notice),
        "lists": heading_targets(notice),
        "look": look,
        "stamps": _collects_confirmations(notice),
        "board": drawn,
        "rooms": rooms,
        "side": board_display.side_lists(drawn, look),
        "parts": parts,
        "was": "".join(parts.values()),
        "may_tell": may_tell is None or bool(may_tell),
        "who_may_tell": lambda: _who_may_mark_phoned(notice),
        "tellers": user_names({one.phoned_by for one in drawn.readers if one.phoned_by}),
        "glance": board_display.MAX_SIDE_ROWS,
        "title_of": lambda room: board_display.class_heading(room, drawn),
        "so_many": lambda number: board_display.count_with_unit(number, look, drawn.by_child),
        "moment_of": board_display.time_formatter(notice),
        "ADVICE": FAILURE_ADVICE,
        "STATES": READER_STATES,
        "LETTERS": LETTER_STATES,
        "page": max(1, request.args.get("page", 1, type=int)),
        "page_size": TABLE_PAGE,
    }


def _who_may_mark_phoned(notice: Notice) -> str:
    """Return who may mark families as told where this user may only look: in the own class, or in all lists."""
    seen = permissions().seen(notice)
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
    lists = permissions().seen(notice, "send")
    if lists is not None and not lists:
        forbid("send", [one.id for one in target_lists(notice)])
    return notice, lists


def _redirect_to_board(notice: Notice) -> Response:
    return redirect_to(
        "responses.show_board", number=notice.id, **board_display.requested_filter(notice).asked, _anchor="side"
    )


def _posted_delivery_ids(text: str) -> list[int]:
    return [parse_row_id(one) for one in text.split(",")[:50] if one.isdecimal() and len(one) < 19]


@bp.get("/notices/<int:number>/board.csv")
def board_csv(number: int) -> Response:
    """Hand out the board as a file; the record says that it was."""
    notice = get_sent_notice(number)
    drawn = boards.build_board(notice, lists=permissions().seen(notice))
    audit.log_action(current_user, "board.exported", notice.id, detail={"lines": len(drawn.readers)})
    answer = Response(csv_export.board_as_csv(drawn.readers), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="kairan-{notice.id}.csv"'
    return answer
