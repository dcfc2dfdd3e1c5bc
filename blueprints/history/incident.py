"""「漏えいかもしれない時」: what to do first, and one notice as an incident; printable, and as CSV (X-02)."""

from flask import Response, abort, render_template
from flask_login import current_user

import clock
import web
from blueprints.history.routes import ACTIONS, bp
from core import history
from core.results import archive, incident
from core.road import delivery
from core.writing.audience import REASONS
from words import N_

LATEST, SEARCHED = 15, 100
STATES = {**REASONS, **delivery.STATES, "accepted": N_("Sent")}


@bp.get("/history/incident")
@web.needs("send")
def incidents() -> str:
    """Say what to do first, and let the notice be chosen."""
    rights = web.rights()
    mine = [
        one for one in archive.gone_out(rights).limit(SEARCHED) if one.started_at and rights.may_notice("send", one)
    ]
    alarms, latest = incident.alarms(one.id for one in mine), archive.rows(mine[:LATEST])
    return render_template("history/incidents.html", latest=latest, alarms=alarms)


@bp.get("/history/<int:number>/incident")
@web.needs("send")
def incident_of(number: int) -> str:
    """Show who got a notice, who has seen what of it, and what was closed when; each look is written down."""
    report = _report(number)
    history.log(current_user, "notice.incident_viewed", number)
    return render_template(
        "history/incident.html", report=report, states=STATES, actions=ACTIONS, now=clock.now(), many=incident.MANY
    )


@bp.get("/history/<int:number>/incident.csv")
@web.needs("send")
def incident_csv(number: int) -> Response:
    """Give the same as a file; that somebody took it is written down (field 3.2)."""
    report = _report(number)
    history.log(current_user, "notice.incident_exported", number)
    content = incident.as_csv(
        report, [web._(one) for one in HEADINGS], {key: web._(said) for key, said in STATES.items()}
    )
    name = f"attachment; filename=kairan-incident-{number}.csv"
    return Response(content, mimetype="text/csv", headers={"Content-Disposition": name})


HEADINGS = [
    N_("Guardian"), N_("Children"), N_("Letter"), N_("Left at"), N_("Page opened"), N_("Fetched by a machine"),
    N_("Confirmed at"), N_("Answered at"), N_("Wrote back at"), N_("Said it was for another family"),
    N_("Files opened"),
]  # fmt: skip


def _report(number: int) -> incident.Report:
    notice = web.own_notice(number, "send")
    if notice.started_at is None:
        abort(404)
    return incident.of(notice, clock.now())
