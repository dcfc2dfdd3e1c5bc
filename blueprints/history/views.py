"""What was sent: when, who, what, to whom, with what outcome; searchable, and never altered (T-40, T-41, T-03)."""

from datetime import datetime
from itertools import groupby

from flask import abort, render_template, request

import clock
import web
from blueprints.history import bp
from core import display_names
from core.delivery import lifecycle
from core.notices import questions, rendering, workflow
from core.notices.audience import EXCLUSION_REASONS
from core.notices.recipients import heading_targets
from core.reports import dashboard, notice_list, poll_results, progress, summaries
from core.responses import tracking
from core.settings import load_settings
from i18n import N_
from models import Notice

PAGE_SIZE = 30
ORIGIN_LABELS = {
    "web": N_("from the pages"),
    "terminal": N_("from the terminal"),
    "mail": N_("by mail"),
    "monthly": N_("monthly test"),
}
ACTION_LABELS = {
    "notice.confirmed": N_("Sent off"),
    "notice.booked": N_("Booked"),
    "notice.posted": N_("Came by mail"),
    "notice.held_proof": N_("Held: its sender must release it"),
    "notice.retimed": N_("Time changed"),
    "notice.cancelled": N_("Cancelled, back to the drafts"),
    "notice.held_late": N_("Held: it was late"),
    "notice.held_changed": N_("Held: the recipients had changed"),
    "notice.released": N_("Sent after all"),
    "notice.dropped": N_("Given up"),
    "notice.started": N_("Sending began"),
    "notice.stopped": N_("The rest was stopped"),
    "notice.withdrawn": N_("Withdrawn"),
    "notice.asked": N_("A second person was asked"),
    "notice.approved": N_("Approved by a second person"),
    "notice.sent_back": N_("Sent back by the second person"),
    "notice.file_withdrawn": N_("A file was withdrawn"),
    "notice.forgotten": N_("Letters, names and answers deleted; the sums stay"),
    "notice.incident_viewed": N_("Looked at as a possible leak"),
    "notice.incident_judged": N_("The four cases of the law were answered, as a possible leak"),
    "notice.incident_exported": N_("Who got it written to a file, as a possible leak"),
    "notice.answer_entered": N_("Answer entered for somebody"),
    "notice.answers_exported": N_("Answers written to a file"),
    "notice.reminder_asked": N_("To be sent again to those who had not confirmed"),
    "notice.reminder_called_off": N_("Sending again was called off"),
    "notice.reminder_missed": N_("Not sent again: Kairan was not running at that time"),
    "notice.reminded": N_("Sent again to those who had not confirmed"),
    "notice.unknown_sent_again": N_("Letters of unknown outcome sent again"),
}


@bp.get("/history")
def index() -> str:
    """List what was sent, newest first, by month; search subject and text, or one list."""
    text, list_id = request.args.get("q", "").strip()[:200], request.args.get("list", type=web.parse_row_id)
    page = web.paginate(notice_list.search_notices(web.permissions(), text, list_id), PAGE_SIZE)
    rows = notice_list.notice_rows(page.rows)
    months = [(month, list(some)) for month, some in groupby(rows, lambda row: _month_label(row.notice.started_at))]
    return render_template(
        "history/index.html",
        page=page,
        months=months,
        counts=dashboard.count_households(
            [row.notice.id for row in rows], dashboard.countable_lists(web.permissions())
        ),
        text=text,
        list_id=list_id,
        lists=list(web.permissions().lists("view")),
        routes=ORIGIN_LABELS,
        states=workflow.STATE_LABELS,
    )


def _month_label(moment: datetime) -> str:
    local = clock.to_local(moment)
    return web._("%(month)s/%(year)s", month=local.month, year=local.year)


@bp.get("/history/<int:number>")
def show(number: int) -> str:
    """Show one notice as it was sent, its figures, who got it and who not, and what was done to it."""
    notice = web.get_notice_or_404(number)
    if notice.started_at is None:
        abort(404)
    force, now = load_settings(), clock.now()
    lists = web.permissions().seen(notice)
    page = web.paginate(notice_list.deliveries_of_notice(notice, lists), 100)
    row = notice_list.notice_rows([notice])[0]
    return render_template(
        "history/show.html",
        notice=notice,
        row=row,
        count=dashboard.count_households([number], lists).get(number),
        seen=progress.notice_progress(notice, force, now, lists),
        states=workflow.STATE_LABELS,
        letter_states=lifecycle.STATE_LABELS,
        reasons=EXCLUSION_REASONS,
        routes=ORIGIN_LABELS,
        actions=ACTION_LABELS,
        log=[one for one in notice_list.audit_entries(notice) if one.action in ACTION_LABELS],
        corrections=notice_list.notice_rows(notice_list.corrections_of(notice)),
        corrected=notice_list.notice_rows([notice.correction_of])[0] if notice.correction_of_id else None,
        shown_letter=rendering.render_as_sent(notice, force, now),
        lists=heading_targets(notice),
        kept=summaries.summary_of_notice(notice) if lists is None else None,
        blocks=_result_blocks(notice),
        until=questions.deadline_text,
        room_in_words=display_names.class_label,
        tracked=tracking.count_opens_and_clicks(notice) if notice.tracking.is_on else None,
        page=page,
        signed=notice_list.sender_name_counts(notice, lists) if notice.in_charge else [],
        letters=notice_list.current_letters([one.id for one in page.rows]),
        may_send=web.permissions().may_notice("send", notice),
    )


def _result_blocks(notice: Notice) -> list[tuple[questions.QuestionBlock, list[poll_results.QuestionResult]]]:
    """Return the bars of a notice whose answers are deleted, by what was asked together."""
    results = {one.question.id: one for one in poll_results.stored_results(notice)}
    blocks = questions.group_into_blocks([one.question for one in results.values()])
    return [(block, [results[one.id] for one in block.questions]) for block in blocks]
