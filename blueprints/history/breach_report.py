"""「漏えいかもしれない時」: what to do first, and one notice as an incident; printable, and as CSV (X-02)."""

from flask import Response, abort, redirect, render_template, request, url_for
from flask_login import current_user

import clock
import web
from blueprints.history.views import ACTION_LABELS, bp
from core import audit
from core.delivery import lifecycle
from core.notices.audience import EXCLUSION_REASONS
from core.reports import breach_report, notice_list
from core.responses import tracking
from i18n import N_

LATEST, SEARCHED = 15, 100
DELIVERY_LABELS = {**EXCLUSION_REASONS, **lifecycle.STATE_LABELS, "accepted": N_("Sent")}


@bp.get("/history/incident")
@web.requires("send")
def choose_breached_notice() -> str:
    """Say what to do first, and let the notice be chosen."""
    rights = web.permissions()
    mine = [
        one
        for one in notice_list.sent_notices(rights).limit(SEARCHED)
        if one.started_at and rights.may_notice("send", one)
    ]
    alarms, latest = (
        breach_report.misdirected_deliveries(one.id for one in mine),
        notice_list.notice_rows(mine[:LATEST]),
    )
    return render_template("history/breach_start.html", latest=latest, alarms=alarms)


@bp.get("/history/<int:number>/incident")
@web.requires("send")
def show_breach_report(number: int) -> str:
    """Show who got a notice, who has seen what of it, and what was closed when; each look is written down."""
    report = _report_or_404(number)
    audit.log_action(current_user, "notice.incident_viewed", number)
    now, judged = clock.now(), breach_report.latest_assessment(report.notice)
    return render_template(
        "history/breach_report.html",
        report=report,
        states=DELIVERY_LABELS,
        actions=ACTION_LABELS,
        now=now,
        cases=breach_report.REPORTING_CASES,
        said=breach_report.ANSWER_LABELS,
        judged=judged,
        days=judged.days(clock.to_local(report.known_at).date()),
        today=clock.to_local(now).date(),
        kept_days=tracking.VISIT_RETENTION.days,
        kept_since=now - tracking.VISIT_RETENTION,
    )


@bp.post("/history/<int:number>/incident")
@web.requires("send")
def save_breach_assessment(number: int) -> Response:
    """Keep what the organizer says to the four cases of the law."""
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
    """Give the same as a file; that somebody took it is written down (field 3.2)."""
    report = _report_or_404(number)
    audit.log_action(current_user, "notice.incident_exported", number)
    content = breach_report.report_as_csv(
        report, [web._(one) for one in CSV_HEADINGS], {key: web._(said) for key, said in DELIVERY_LABELS.items()}
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
    if notice.started_at is None:
        abort(404)
    if notice.purged_at:
        abort(redirect(url_for("history.show", number=number, _anchor="kept")))
    return breach_report.build_report(notice, clock.now())
