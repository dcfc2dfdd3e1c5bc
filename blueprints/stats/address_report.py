"""Addresses that need a look: dead, refusing, stopped, never confirmed; to print and as CSV (E-12)."""

from collections.abc import Iterable, Iterator

from flask import Response, render_template, request, url_for
from flask_login import current_user

import clock
import web
from blueprints.stats import bp
from blueprints.stats.views import requested_list
from core import audit
from core.reports import dead_addresses
from core.reports.dead_addresses import DeadAddress
from web import _


@bp.get("/addresses")
def address_report_page() -> str:
    """Show them by reason; of one list, or of all that the user may look at."""
    list_id, found = _filtered_rows()
    counts = dead_addresses.count_by_reason(found)
    why = request.args.get("why", "")
    shown = [one for one in found if one.why == why] if why in counts else found
    return render_template(
        "stats/address_report.html",
        lists=[one for one in web.permissions().lists("view") if not one.practice_of_id],
        list_id=list_id,
        counts=counts,
        why=why if why in counts else "",
        found=found,
        shown=shown,
        WHY=dead_addresses.REASONS,
        to=lambda **changes: url_for("stats.address_report_page", **{"list": list_id, "why": why, **changes}),
    )


def _filtered_rows() -> tuple[int | None, list[DeadAddress]]:
    list_id = requested_list()
    return list_id, dead_addresses.list_dead_addresses(web.permissions(), clock.now(), list_id)


@bp.get("/addresses.csv")
def address_report_csv() -> Response:
    """Hand out the same as a file; the record says that it was."""
    list_id, found = _filtered_rows()
    audit.log_action(current_user, "addresses.exported", list_id, detail={"lines": len(found)})
    return web.csv_response(_csv_rows(found), "kairan-addresses.csv")


def _csv_rows(found: Iterable[DeadAddress]) -> Iterator[list[object]]:
    yield [
        _("Reason"),
        _("Since"),
        _("Name"),
        _("Kana"),
        _("Children"),
        _("Lists"),
        _("E-mail address"),
        _("Telephone"),
    ]
    for one in found:
        since = clock.to_local(one.since).strftime("%Y-%m-%d") if one.since else ""
        yield [
            _(dead_addresses.REASONS[one.why]),
            since,
            one.person.name,
            one.person.kana,
            "、".join(one.children),
            "、".join(one.lists),
            one.address,
            one.person.phone,
        ]
