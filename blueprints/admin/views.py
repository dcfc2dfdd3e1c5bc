"""「その他」: the way to everything that is not for every day."""

from flask import Response

import clock
from blueprints.admin import bp
from core import backup
from web import permissions, render_page

Answer = Response | tuple[str, int]


@bp.get("/admin")
def index() -> Answer:
    """Show the links that the user may follow."""
    return render_page(
        "admin/index.html", safety=backup.current_status(clock.now()) if permissions().is_admin else None
    )
