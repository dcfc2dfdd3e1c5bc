"""Single persons among the recipients: found by a piece of a name, each with 送信する and 送信しない (D-11)."""

from flask import Response, redirect, render_template, request, url_for

import web
from blueprints.notices import bp
from blueprints.notices.draft_access import get_draft_or_redirect
from core.notices import recipients
from models import Notice


def posted_choices(prefix: str) -> dict[int, str]:
    """Return what the form says of each person or group: `in`, `out`, or nothing."""
    found = {name.removeprefix(prefix): value for name, value in request.values.items() if name.startswith(prefix)}
    return {int(number): value for number, value in found.items() if number.isdecimal() and len(number) < 13}


@bp.get("/<int:number>/recipients/find")
@web.requires("send")
def search_people(number: int) -> str | Response:
    """Return the people that a piece of a name finds, and above them those who are chosen already.

    What was just chosen comes along (`person-…`) and moves to the chosen ones: the next search must not drop it.
    """
    notice = get_draft_or_redirect(number)
    searched = request.args.get("find", "").strip()
    if not web.is_htmx():
        return redirect(url_for("notices.edit_recipients", number=number, find=searched, _anchor="find"))
    chosen = _chosen_persons(notice)
    found = [one for one in recipients.search_people(web.permissions(), searched) if one.id not in chosen]
    persons = recipients.search_people(web.permissions(), numbers=chosen) if chosen else []
    return render_template(
        "notices/_people_found.html", searched=searched, found=found, persons=persons, said=chosen, oob=True
    )


def _chosen_persons(notice: Notice) -> dict[int, str]:
    """Return what is said of single persons: as saved, and as it stands on the page."""
    saved = recipients.target_ids(notice)
    known = dict.fromkeys(saved.get(("person", True), ()), "in") | dict.fromkeys(
        saved.get(("person", False), ()), "out"
    )
    return {number: value for number, value in (known | posted_choices("person-")).items() if value in ("in", "out")}
