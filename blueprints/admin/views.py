"""「その他」: the way to everything that is not for every day."""

from flask import Blueprint, Response

import clock
from core import backup_status
from web import permissions, render_page

bp = Blueprint("admin", __name__)

Answer = Response | tuple[str, int]


@bp.get("/admin")
def index() -> Answer:
    """Show the links that the user may follow."""
    return render_page(
        "admin/index.html", safety=backup_status.current_status(clock.now()) if permissions().is_admin else None
    )


from blueprints.admin import (  # noqa: E402, F401  their routes hang on `bp`
    audit_log,
    carrier_pages,
    dev_outbox,
    health,
    mail_setup,
    organization_settings,
    retention,
    safety_settings,
)
