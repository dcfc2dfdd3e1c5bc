"""Addresses that need a look: dead, refusing, stopped, never confirmed; to print and as CSV (E-12)."""

from collections.abc import Iterable, Iterator

from flask import Response, render_template, request, url_for
from flask_login import current_user

import clock
import web
from blueprints.figures import bp
from blueprints.figures.routes import chosen_list
from core import audit
from core.reports import dead_addresses
from core.reports.dead_addresses import DeadAddress
from web import _


@bp.get("/addresses")
def addresses() -> str:
    """Show them by reason; of one list, or of all that the user may look at."""
    list_id, found = _asked()
    counts = dead_addresses.count_by_reason(found)
    why = request.args.get("why", "")
    shown = [one for one in found if one.why == why] if why in counts else found
    return render_template(
        "figures/addresses.html",
        lists=[one for one in web.permissions().lists("view") if not one.practice_of_id],
        list_id=list_id,
        counts=counts,
        why=why if why in counts else "",
        found=found,
        shown=shown,
        WHY=dead_addresses.REASONS,
        to=lambda **changes: url_for("figures.addresses", **{"list": list_id, "why": why, **changes}),
    )


def _asked() -> tuple[int | None, list[DeadAddress]]:
    list_id = chosen_list()
    return list_id, dead_addresses.list_dead_addresses(web.permissions(), clock.now(), list_id)


@bp.get("/addresses.csv")
def addresses_csv() -> Response:
    """Hand out the same as a file; the record says that it was."""
    list_id, found = _asked()
    audit.log_action(current_user, "addresses.exported", list_id, detail={"lines": len(found)})
    return web.csv_response(_lines(found), "kairan-addresses.csv")


def _lines(found: Iterable[DeadAddress]) -> Iterator[list[object]]:
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
            _(dead_addresses.REASONS[one.why]), since, one.person.name, one.person.kana, "、".join(one.children),
            "、".join(one.lists), one.address, one.person.phone,
        ]  # fmt: skip
