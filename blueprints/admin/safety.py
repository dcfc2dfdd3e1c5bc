"""Protection from mis-sending: where a second person looks, and the page of the current urgent text (field 5.4)."""

from flask import Response, request
from flask_login import current_user

from blueprints.admin.routes import Answer, bp
from core import settings
from core.system import safety_settings
from models import MailingList, Organization
from web import answer, go, needs, row_number, told
from words import N_


@bp.get("/admin/safety")
@needs("admin")
def safety() -> Answer:
    """Show what protects families from letters that are not for them."""
    return answer(
        "admin/safety.html",
        organization=Organization.the(),
        lists=list(MailingList.open_ones()),
        force=settings.load_settings(),
    )


@bp.post("/admin/safety")
@needs("admin")
def change_safety() -> Response:
    """Save the choices."""
    safety_settings.update_safety(
        current_user,
        everywhere=bool(request.form.get("second_person")),
        lists=request.form.getlist("lists", type=row_number),
        public_urgent=bool(request.form.get("public_urgent")),
    )
    told(N_("Saved."))
    return go("admin.safety")
