"""One page for everybody: the current urgent text, without names and without any link to a family's page."""

from flask import abort, render_template

import clock
from blueprints.public import bp
from core.notices import public_page


@bp.get("/now")
def show_urgent():
    """Show the urgent text that holds now, or that there is none; 404 while the page is switched off."""
    if not public_page.is_enabled():
        abort(404)
    notice = public_page.current_notice(clock.now())
    wording = notice.wording if notice else None
    subject, pieces = public_page.public_wording(notice) if notice else ("", ())
    return render_template("public/urgent.html", notice=notice, wording=wording, subject=subject, pieces=pieces)
