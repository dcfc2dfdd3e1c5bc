"""What families set on their phones: the shipped words by carrier, corrected or added to (T-17, N-09)."""

from flask import Response, abort
from flask_login import current_user

from blueprints.admin.forms import CarrierForm
from blueprints.admin.views import Answer, bp
from core import settings
from core.errors import DomainError
from core.signup import carrier_help
from i18n import LANGUAGES, N_
from web import add_field_error, flash_message, redirect_to, render_page, requires


@bp.get("/admin/carriers")
@requires("admin")
def list_carriers() -> Answer:
    """Show the words on every carrier."""
    return render_page(
        "admin/carriers.html", entries=carrier_help.settings_entries(), domain=settings.load_settings().own.shown
    )


@bp.route("/admin/carriers/new", methods=["GET", "POST"])
@requires("admin")
def add_carrier() -> Answer:
    """Add a carrier of the region."""
    form = CarrierForm()
    if form.validate_on_submit():
        try:
            carrier_help.add_carrier(current_user, form.name.data or "", form.domains.data or "", _texts(form))
        except DomainError as refused:
            add_field_error(form, refused.field, refused.message, **refused.values)
        else:
            return _saved()
    return _carrier_page(form, None)


@bp.route("/admin/carriers/<key>", methods=["GET", "POST"])
@requires("admin")
def edit_carrier(key: str) -> Answer:
    """Correct the words on one carrier."""
    entry = next((one for one in carrier_help.settings_entries() if one.key == key), None) or abort(404)
    form = CarrierForm(name=entry.name, domains=entry.domains, **entry.texts)
    if form.validate_on_submit():
        try:
            carrier_help.change_carrier(current_user, key, _texts(form), form.name.data or "", form.domains.data or "")
        except DomainError as refused:
            add_field_error(form, refused.field, refused.message, **refused.values)
        else:
            return _saved()
    return _carrier_page(form, entry)


@bp.post("/admin/carriers/<key>/back")
@requires("admin")
def reset_carrier(key: str) -> Response:
    """Take the shipped words again, or remove a carrier that was added."""
    carrier_help.reset_carrier(current_user, key)
    return _saved()


def _carrier_page(form: CarrierForm, entry: carrier_help.CarrierEntry | None) -> Answer:
    return render_page(
        "admin/edit_carrier.html",
        status=422 if form.errors else 200,
        form=form,
        entry=entry,
        placeholder=carrier_help.PLACEHOLDER,
    )


def _texts(form: CarrierForm) -> dict[str, str]:
    return {name: form[name].data or "" for name in LANGUAGES}


def _saved() -> Response:
    flash_message(N_("Saved."))
    return redirect_to("admin.list_carriers")
