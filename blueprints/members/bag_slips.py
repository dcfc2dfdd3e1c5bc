"""Slips for the children's bags: the family's address does not work, and how to register a new one."""

from flask import abort, request

from blueprints.members import bp
from blueprints.members.views import Answer, get_person_or_404
from core import settings
from core.members import member_list
from core.reports import undeliverable
from web import get_list_or_404, language, parse_row_id, render_page


@bp.get("/lists/<int:number>/bag-slips")
def print_bag_slips(number: int) -> Answer:
    """Show one slip for each family of a list that is not reached; with ?person= for one of them."""
    mailing_list = get_list_or_404(number, "manage")
    person = (
        get_person_or_404(request.args.get("person", type=parse_row_id), "manage") if "person" in request.args else None
    )
    found = undeliverable.address_slips(mailing_list, language(), person)
    if person and not found:
        abort(404)
    return render_page(
        "members/bag_slips.html",
        list=mailing_list,
        person=person,
        slips=found,
        domain=settings.load_settings().own.shown,
        school=settings.load_settings(),
        room=lambda child: member_list.class_label(language(), child),
    )
