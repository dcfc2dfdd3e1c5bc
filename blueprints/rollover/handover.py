"""The hand-over sheet: printed, signed, handed over."""

from flask import Response, request
from flask_login import current_user

import clock
from blueprints.rollover import bp
from core.accounts.roles import ROLE_LABELS
from core.system import handover_sheet
from i18n import N_
from web import flash_message, redirect_to, render_page, requires


@bp.get("/hand-over")
@requires("admin")
def hand_over() -> tuple[str, int]:
    """Show the sheet, ready to be printed on A4."""
    return render_page("rollover/hand_over.html", sheet=handover_sheet.build_sheet(clock.now()), kinds=ROLE_LABELS)


@bp.post("/hand-over", endpoint="note")
@requires("admin")
def note() -> Response:
    """Keep the words that stand on the sheet."""
    handover_sheet.save_note(request.form.get("note", ""), current_user)
    flash_message(N_("Saved."))
    return redirect_to("rollover.hand_over")
