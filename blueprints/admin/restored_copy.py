"""A restored copy: what it does not do, and the button that makes it the real installation."""

from flask_login import current_user

import clock
import tasks
from blueprints.admin.views import Answer, bp
from core import quarantine
from core.system import restore
from i18n import N_
from web import ensure_confirmed, flash_message, redirect_to, render_page, requires


@bp.get("/admin/copy")
@requires("admin")
def show_copy() -> Answer:
    return render_page("admin/restored_copy.html", copy=quarantine.load())


@bp.post("/admin/copy/take-over")
@requires("admin")
def take_over() -> Answer:
    """Make this copy the real installation, after the second factor or the password."""
    ensure_confirmed("admin.show_copy")
    restore.take_over(current_user, clock.now())
    tasks.wake_worker()
    flash_message(N_("This is the real installation now. Stop the earlier one if it still runs."))
    return redirect_to("admin.show_copy")
