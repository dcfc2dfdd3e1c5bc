"""Whether all is well: what the doctor finds, and when domain and server must be renewed."""

from flask import request
from flask_login import current_user
from wtforms import DateField
from wtforms.validators import Optional

import clock
import tasks
from blueprints.admin.views import Answer, bp
from core import backup, settings
from core.system import health_email
from i18n import N_
from models import Organization
from web import Form, flash_message, is_htmx, redirect_to, render_page, requires


class RenewalDatesForm(Form):
    """Until when domain and server are paid."""

    domain_until = DateField(N_("The domain is paid until"), [Optional()])
    server_until = DateField(N_("The server is paid until"), [Optional()])


@bp.get("/admin/health")
@requires("admin")
def health() -> Answer:
    """Show the page at once; what asks the network comes into it when it is known (htmx), or with `?look=1`."""
    look = is_htmx() or request.args.get("look") == "1"
    found = health_email.collect_findings(clock.now()) if look else None
    return _health_page(RenewalDatesForm(None, obj=Organization.load_row()), found)


def _health_page(form: RenewalDatesForm, found: list[health_email.HealthFinding] | None, status: int = 200) -> Answer:
    return render_page(
        "admin/health.html",
        "admin/_diagnostics.html",
        status=status,
        form=form,
        found=found,
        MARKS=health_email.STATUS_MARKS,
        RENEWALS=health_email.RENEWAL_NAMES,
        renewals=health_email.near_renewals(clock.today(), 60),
        safety=backup.current_status(clock.now()),
    )


@bp.post("/admin/health/renewals")
@requires("admin")
def save_renewal_dates() -> Answer:
    """Save until when domain and server are paid."""
    form = RenewalDatesForm()
    if not form.validate():
        return _health_page(form, None, 422)
    settings.update_organization(current_user, domain_until=form.domain_until.data, server_until=form.server_until.data)
    flash_message(N_("Saved. You are reminded by mail 60, 30, 14 and 7 days before, and the day before."))
    return redirect_to("admin.health")


@bp.post("/admin/health/letter")
@requires("admin")
def send_health_email() -> Answer:
    """Send the monthly letter now, to whoever asks."""
    if not current_user.email:
        flash_message(N_("Please enter your own e-mail address first: the test letter goes there."), "wrong")
        return redirect_to("account.index")
    health_email.send_health_email([current_user], health_email.collect_findings(clock.now()), clock.now())
    tasks.wake_worker()
    flash_message(N_("The letter is on its way to you."))
    return redirect_to("admin.health")
