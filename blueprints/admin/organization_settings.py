"""The organization's settings: what families see, the pace. The environment wins, and is named."""

from flask import Response
from flask_login import current_user
from flask_wtf import FlaskForm

from blueprints.admin.forms import OrganizationForm, SendingRatesForm
from blueprints.admin.views import Answer, bp
from core import settings
from core.errors import DomainError
from core.system import setup
from i18n import N_
from models import Organization
from web import add_field_error, flash_message, redirect_to, render_page, requires


@bp.get("/admin/organization")
@requires("admin")
def organization_page() -> Answer:
    """Show the settings in two forms."""
    return _settings_page()


def _settings_page(status: int = 200, **filled: FlaskForm) -> Answer:
    force = settings.load_settings()
    forms = {
        "families": _without_fixed_fields(OrganizationForm(None, obj=Organization.load_row())),
        "pace": _without_fixed_fields(SendingRatesForm(None, obj=force)),
    }
    return render_page("admin/organization.html", status=status, force=force, **{**forms, **filled})


def _without_fixed_fields(form: OrganizationForm | SendingRatesForm) -> OrganizationForm | SendingRatesForm:
    """Take the fields out that only a restart can change."""
    for name in settings.load_settings().fixed & {field.name for field in form}:
        del form[name]
    return form


@bp.post("/admin/organization")
@requires("admin")
def save_organization() -> Answer:
    """Change what families see."""
    form = _without_fixed_fields(OrganizationForm())
    if not form.validate():
        return _settings_page(422, families=form)
    typed = {name: value or "" for name, value in form.data.items() if name != "csrf_token"}
    try:
        settings.update_organization(current_user, **setup.clean_settings(typed))
    except DomainError as refused:
        add_field_error(form, refused.field, refused.message, **refused.values)
        return _settings_page(422, families=form)
    return _saved()


@bp.post("/admin/organization/pace")
@requires("admin")
def save_sending_rates() -> Answer:
    """Change rates and hold window (N-06: it can be made short, not be switched off)."""
    form = _without_fixed_fields(SendingRatesForm())
    if not form.validate():
        return _settings_page(422, pace=form)
    typed = {name: value for name, value in form.data.items() if name != "csrf_token"}
    settings.update_organization(current_user, **typed)
    return _saved()


def _saved() -> Response:
    flash_message(N_("Saved."))
    return redirect_to("admin.organization_page")
