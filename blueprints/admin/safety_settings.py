"""Protection from mis-sending: where a second person looks, and the page of the current urgent text (field 5.4)."""

from flask import Response, request
from flask_login import current_user

from blueprints.admin.views import Answer, bp
from core import settings
from core.system import setup
from i18n import N_
from models import MailingList, Organization
from web import flash_message, parse_row_id, redirect_to, render_page, requires


@bp.get("/admin/safety")
@requires("admin")
def safety_page() -> Answer:
    """Show what protects families from letters that are not for them."""
    return render_page(
        "admin/safety.html",
        organization=Organization.load_row(),
        lists=list(MailingList.open_lists()),
        force=settings.load_settings(),
    )


@bp.post("/admin/safety")
@requires("admin")
def save_safety() -> Response:
    """Save the choices."""
    setup.update_safety(
        current_user,
        everywhere=bool(request.form.get("requires_approval")),
        lists=request.form.getlist("lists", type=parse_row_id),
        public_urgent=bool(request.form.get("public_urgent")),
    )
    flash_message(N_("Saved."))
    return redirect_to("admin.safety_page")
