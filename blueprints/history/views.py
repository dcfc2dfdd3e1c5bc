"""History pages (T-40, T-41, T-03) and the breach report."""

from datetime import datetime
from itertools import groupby

from flask import Response, abort, redirect, render_template, request, url_for
from flask_login import current_user

import clock
import web
from blueprints.history import bp
from core import audit, display_names
from core.delivery import lifecycle
from core.notices import merge_fields, questions, rendering, workflow
from core.notices.audience import EXCLUSION_REASONS
from core.reports import breach_report, dashboard, notice_list, poll_results, progress, summaries
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
    "notice.held_clock": N_("Held: the clock had been set forward"),
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
    "notice.failed_sent_again": N_("Letters that had failed sent again"),
    "notice.held_content": N_("Held: the mail server refuses its text"),
}


@bp.get("/history")
def index() -> str:
    """List sent notices by month, newest first; search in subject and text, or filter by list."""
    text, list_id = request.args.get("q", "").strip()[:200], request.args.get("list", type=web.parse_row_id)
    page = web.paginate(notice_list.search_notices(web.permissions(), text, list_id), PAGE_SIZE)
    rows = notice_list.notice_rows(page.rows)
    months = [(month, list(some)) for month, some in groupby(rows, lambda row: _month_label(row.notice.started_at))]
    return render_template(
        "history/index.html",
        page=page,
        months=months,
        counts=summaries.count_households(
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


def _started_notice(number: int) -> Notice:
    notice = web.get_notice_or_404(number)
    return notice if notice.started_at else abort(404)


@bp.get("/history/<int:number>", endpoint="show_by_old_address")
def redirect_to_record(number: int) -> Response:
    """Redirect from the address that old letters and bookmarks hold."""
    _started_notice(number)
    return redirect(url_for("history.show", number=number))  # type: ignore[return-value]


@bp.get("/notices/<int:number>/text")
def show_text(number: int) -> str:
    """Show the letter as it was sent, and its files."""
    notice = _started_notice(number)
    return render_template(
        "history/text.html",
        notice=notice,
        subject=merge_fields.display_subject(notice),
        tab="text",
        shown_letter=rendering.render_as_sent(notice, load_settings(), clock.now()),
        corrections=notice_list.notice_rows(notice_list.corrections_of(notice)),
        corrected=notice_list.notice_rows([notice.correction_of])[0] if notice.correction_of_id else None,
        may_send=web.permissions().may_notice("send", notice),
    )


@bp.get("/notices/<int:number>/record")
def show(number: int) -> str:
    """Show what was done with a sent notice, and what became of each letter."""
    notice = _started_notice(number)
    settings, now = load_settings(), clock.now()
    lists, summed = web.permissions().visible_lists(notice), web.permissions().summed_lists(notice)
    page = web.paginate(notice_list.deliveries_of_notice(notice, lists), 100)
    row = notice_list.notice_rows([notice])[0]
    seen = progress.notice_progress(notice, settings, now, summed)
    trouble = _letters_needing_attention(notice, seen, lists)
    delivery_ids = [letter.delivery_id for letters in trouble.values() for letter in letters]
    return render_template(
        "history/show.html",
        notice=notice,
        subject=row.subject,
        tab="record",
        row=row,
        seen=seen,
        trouble=trouble,
        letter_reasons=lifecycle.REASON_LABELS,
        children=notice_list.children_by_delivery(delivery_ids, lists),
        letter_states=lifecycle.STATE_LABELS,
        reasons=EXCLUSION_REASONS,
        routes=ORIGIN_LABELS,
        actions=ACTION_LABELS,
        log=[entry for entry in notice_list.audit_entries(notice) if entry.action in ACTION_LABELS],
        kept=summaries.summary_of_notice(notice) if summed is None else None,
        blocks=_result_blocks(notice),
        until=questions.deadline_text,
        room_in_words=display_names.class_label,
        tracked=tracking.count_opens_and_clicks(notice) if notice.tracking.is_on else None,
        page=page,
        signed=notice_list.sender_name_counts(notice, lists) if notice.from_class_teacher else [],
        twice={delivery.id for delivery in progress.deliveries_possibly_twice(notice, lists)},
        letters=notice_list.current_letters([delivery.id for delivery in page.rows]),
        may_send=web.permissions().may_notice("send", notice),
    )


def _letters_needing_attention(notice: Notice, seen: progress.Progress, lists: list[int] | None) -> dict[str, list]:
    """Return the failed or unclear letters, sorted by state and name."""
    return {
        state: list(progress.letters_by_name(notice, (state,), lists))
        for state in progress.PROBLEM_STATES
        if seen.counts[state]
    }


def _result_blocks(notice: Notice) -> list[tuple[questions.QuestionBlock, list[poll_results.QuestionResult]]]:
    """Return the stored poll results, grouped into blocks of questions (the answers are deleted)."""
    results = {result.question.id: result for result in poll_results.stored_results(notice)}
    blocks = questions.group_into_blocks([result.question for result in results.values()])
    return [(block, [results[question.id] for question in block.questions]) for block in blocks]


# ── breach report ───────────────────────────────────────────────────────────────────────────────────────────────────


LATEST, SEARCHED = 15, 100
DELIVERY_LABELS = {**EXCLUSION_REASONS, **lifecycle.STATE_LABELS, "accepted": N_("Sent")}


@bp.get("/history/incident")
@web.requires("send")
def choose_breached_notice() -> str:
    """Show the first steps after a breach, and the choice of the notice."""
    rights = web.permissions()
    mine = [
        notice
        for notice in notice_list.sent_notices(rights).limit(SEARCHED)
        if notice.started_at and rights.may_notice("send", notice)
    ]
    alarms, latest = (
        breach_report.misdirected_deliveries(notice.id for notice in mine),
        notice_list.notice_rows(mine[:LATEST]),
    )
    return render_template("history/breach_start.html", latest=latest, alarms=alarms)


@bp.get("/history/<int:number>/incident")
@web.requires("send")
def show_breach_report(number: int) -> str:
    """Show who got a notice, what they saw, and what was closed when. Each view is logged."""
    report = _report_or_404(number)
    audit.log_view(current_user, "notice.incident_viewed", number)
    now, judged = clock.now(), breach_report.latest_assessment(report.notice)
    return render_template(
        "history/breach_report.html",
        report=report,
        states=DELIVERY_LABELS,
        actions=ACTION_LABELS,
        now=now,
        cases=breach_report.REPORTING_CASES,
        answers=breach_report.ANSWER_LABELS,
        judged=judged,
        days=judged.days(clock.to_local(report.known_at).date()),
        today=clock.to_local(now).date(),
        kept_days=tracking.VISIT_RETENTION.days,
        kept_since=now - tracking.VISIT_RETENTION,
    )


@bp.post("/history/<int:number>/incident")
@web.requires("send")
def save_breach_assessment(number: int) -> Response:
    """Save the assessment of the law's four cases."""
    report, now = _report_or_404(number), clock.now()
    typed = request.form.get("known_on", "")
    known = breach_report.parse_known_on(typed, now)
    if typed.strip() and known is None:
        web.flash_message(
            N_("Write the day on which it was known like 2026-11-07; it cannot lie in the future."), "wrong"
        )
    breach_report.save_assessment(
        report.notice, current_user, {name: request.form.get(name, "") for name in breach_report.REPORTING_CASES}, known
    )
    return web.redirect_to("history.show_breach_report", number=number, _anchor="law")


@bp.get("/history/<int:number>/incident.csv")
@web.requires("send")
def breach_report_csv(number: int) -> Response:
    """Send the report as CSV; the download is logged (field 3.2)."""
    report = _report_or_404(number)
    audit.log_view(current_user, "notice.incident_exported", number)
    content = breach_report.report_as_csv(
        report,
        [web._(heading) for heading in CSV_HEADINGS],
        {key: web._(label) for key, label in DELIVERY_LABELS.items()},
    )
    name = f"attachment; filename=kairan-incident-{number}.csv"
    return Response(content, mimetype="text/csv", headers={"Content-Disposition": name})


CSV_HEADINGS = [
    N_("Guardian"),
    N_("Children"),
    N_("Letter"),
    N_("Left at"),
    N_("Page opened"),
    N_("Fetched by a machine"),
    N_("Confirmed at"),
    N_("Answered at"),
    N_("Wrote back at"),
    N_("Said it was for another family"),
    N_("Files opened"),
]


def _report_or_404(number: int) -> breach_report.BreachReport:
    notice = web.get_notice_or_404(number, "send")
    if notice.started_at is None or web.permissions().visible_lists(notice) is not None:
        abort(404)
    if notice.purged_at:
        abort(redirect(url_for("history.show", number=number, _anchor="kept")))
    return breach_report.build_report(notice, clock.now())
