"""Hand-out and slips of a list for print or PDF, and QR codes as PNG."""

from flask import Response, abort, g, render_template, request

import clock
import i18n
from blueprints.signup import bp
from core import settings
from core.members import consent, join_codes, member_list
from core.signup import carrier_help, handouts
from models import Child, MailingList
from web import get_list_or_404, language, parse_row_id

MAX_SLIPS_PER_PAGE = 60
"""Above this, the page begins with the first class."""


def _open_list_or_404(number: int) -> MailingList:
    """Return a list open for signup; a closed one has no hand-outs."""
    mailing_list = get_list_or_404(number, "manage")
    return abort(404) if mailing_list.join_mode == "closed" else mailing_list


def _apply_requested_language() -> None:
    if (wanted := request.args.get("lang")) in i18n.LANGUAGES:
        g.language = wanted


@bp.get("/lists/<int:number>/handout")
def show_handout(number: int) -> str:
    """Show the A4 sheet for parents: the ways to sign up, and the phone settings to make first."""
    mailing_list = _open_list_or_404(number)
    _apply_requested_language()
    return render_template(
        "signup/handout.html",
        list=mailing_list,
        ways=handouts.join_links(mailing_list, mailing_list.join_code),
        carriers=carrier_help.list_guidance(language()),
        domain=settings.load_settings().own_addresses.allow_list_entry,
        terms=consent.render_consent_text(mailing_list, language()),
        today=handouts.format_print_date(language(), clock.today()),
    )


@bp.get("/lists/<int:number>/slips")
def registration_slips(number: int) -> str:
    """Show a slip for each child, by class; `?missing=1` only for families without a deliverable address."""
    mailing_list = _open_list_or_404(number)
    _apply_requested_language()
    missing = request.args.get("missing") == "1"
    children = handouts.children_for_slips(mailing_list, missing=missing)
    rooms = handouts.group_by_class(children)
    chosen = request.args.get("room")
    if chosen is None and len(children) > MAX_SLIPS_PER_PAGE:
        chosen = rooms[0].key
    shown = [child for child in children if chosen in (None, "all") or child.room == chosen]
    return render_template(
        "signup/registration_slips.html",
        list=mailing_list,
        slips=handouts.child_slips(mailing_list, shown),
        rooms=rooms,
        chosen=chosen or "all",
        missing=missing,
        total=len(children),
        room=lambda child: member_list.class_label(language(), child),
    )


@bp.get("/lists/<int:number>/joining/<way>.png")
def qr_code_png(number: int, way: str) -> Response:
    """Send the QR code of the list, or of one of its children, as PNG."""
    mailing_list = _open_list_or_404(number)
    if way not in ("mail", "page"):
        abort(404)
    code, name = mailing_list.join_code, mailing_list.address
    if "child" in request.args:
        child = _child_or_404(mailing_list, request.args.get("child", 0, type=parse_row_id))
        code, name = join_codes.child_code(mailing_list, child), f"{name}-{child.id}"
    ways = handouts.join_links(mailing_list, code)
    headers = {"Content-Disposition": f'inline; filename="{name}-{way}.png"'}
    return Response(handouts.qr_png(ways.mailto if way == "mail" else ways.link), mimetype="image/png", headers=headers)


def _child_or_404(mailing_list: MailingList, number: int) -> Child:
    children = [child for child in handouts.children_for_slips(mailing_list) if child.id == number]
    return children[0] if children else abort(404)
