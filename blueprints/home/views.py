"""Home: two large buttons, open tasks, scheduled notices, and the state of recent notices."""

import uuid

from flask import Response
from flask_login import current_user

import clock
from blueprints.home import bp
from core.delivery import outage
from core.reports import dashboard
from web import permissions, render_page

Answer = Response | tuple[str, int]


@bp.get("/")
def index() -> Answer:
    """Show the page, or only the part that changes during sending."""
    return render_page(
        "home/index.html",
        "home/_open_tasks.html",
        today=dashboard.load_dashboard(permissions(), clock.now()),
        steps=dashboard.setup_steps(current_user, permissions()),
        outage_headline=outage.outage_headline,
        form_key=uuid.uuid4().hex,
    )
