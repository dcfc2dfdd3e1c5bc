"""The hand-out and the slips of a list, to be printed or shared as PDF, and their QR codes as pictures."""

from flask import Response, abort, g, render_template, request

import clock
import i18n
from blueprints.signup import bp
from core import settings
from core.members import consent, member_list
from core.signup import carrier_help, handouts, qr
from models import Child, MailingList
from web import get_list_or_404, language, parse_row_id

MAX_SLIPS_PER_PAGE = 60
"""Slips of a page that shows all classes; larger lists begin with their first class."""


def _open_list_or_404(number: int) -> MailingList:
    """Return a list that takes registrations; closed ones have no paper."""
    mailing_list = get_list_or_404(number, "manage")
    return abort(404) if mailing_list.join_mode == "closed" else mailing_list


def _apply_requested_language() -> None:
    if (wanted := request.args.get("lang")) in i18n.LANGUAGES:
        g.language = wanted


@bp.get("/lists/<int:number>/handout")
def show_handout(number: int) -> str:
    """Show the A4 sheet for the parents of a list: both ways to join, and what to allow on the phone first."""
    mailing_list = _open_list_or_404(number)
    _apply_requested_language()
    return render_template(
        "signup/handout.html",
        list=mailing_list,
        ways=handouts.join_links(mailing_list, mailing_list.join_code),
        carriers=carrier_help.list_guidance(language()),
        domain=settings.load_settings().own.allow_list_entry,
        terms=consent.render_consent_text(mailing_list, language()),
        today=handouts.format_print_date(language(), clock.today()),
    )


@bp.get("/lists/<int:number>/slips")
def registration_slips(number: int) -> str:
    """Show one slip for each child, by class; with ?missing=1 for the families that no letter reaches yet."""
    mailing_list = _open_list_or_404(number)
    _apply_requested_language()
    missing = request.args.get("missing") == "1"
    found = handouts.children_for_slips(mailing_list, missing=missing)
    rooms = handouts.group_by_class(found)
    chosen = request.args.get("room")
    if chosen is None and len(found) > MAX_SLIPS_PER_PAGE:
        chosen = rooms[0].key
    shown = [one for one in found if chosen in (None, "all") or one.room == chosen]
    return render_template(
        "signup/registration_slips.html",
        list=mailing_list,
        slips=handouts.child_slips(mailing_list, shown),
        rooms=rooms,
        chosen=chosen or "all",
        missing=missing,
        total=len(found),
        room=lambda child: member_list.class_label(language(), child),
    )


@bp.get("/lists/<int:number>/joining/<way>.png")
def qr_code_png(number: int, way: str) -> Response:
    """Hand out the QR code of the list, or of one of its children, as PNG."""
    mailing_list = _open_list_or_404(number)
    if way not in ("mail", "page"):
        abort(404)
    code, name = mailing_list.join_code, mailing_list.address
    if "child" in request.args:
        child = _child_or_404(mailing_list, request.args.get("child", 0, type=parse_row_id))
        code, name = child.join_code, f"{name}-{child.id}"
    ways = handouts.join_links(mailing_list, code)
    headers = {"Content-Disposition": f'inline; filename="{name}-{way}.png"'}
    return Response(qr.qr_png(ways.mailto if way == "mail" else ways.link), mimetype="image/png", headers=headers)


def _child_or_404(mailing_list: MailingList, number: int) -> Child:
    found = [one for one in handouts.children_for_slips(mailing_list) if one.id == number]
    return found[0] if found else abort(404)
