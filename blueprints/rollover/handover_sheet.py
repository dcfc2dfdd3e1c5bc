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
def show_handover_sheet() -> tuple[str, int]:
    """Show the sheet, ready to be printed on A4."""
    return render_page("rollover/handover_sheet.html", sheet=handover_sheet.build_sheet(clock.now()), kinds=ROLE_LABELS)


@bp.post("/hand-over", endpoint="save_handover_note")
@requires("admin")
def save_handover_note() -> Response:
    """Keep the words that stand on the sheet."""
    handover_sheet.save_note(request.form.get("note", ""), current_user)
    flash_message(N_("Saved."))
    return redirect_to("rollover.show_handover_sheet")
