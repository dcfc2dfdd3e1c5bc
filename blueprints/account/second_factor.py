"""Set up and remove one's own second factor: passkeys, authenticator app, recovery codes."""

from flask import Response, abort, jsonify
from flask_login import current_user
from wtforms import StringField
from wtforms.validators import InputRequired

import clock
from blueprints.account import bp, session_cookies
from blueprints.account.verification import PasskeyForm, party
from core.accounts import devices, passkeys, recovery_codes, second_factor, totp
from core.accounts.logins import TooManyAttempts
from core.errors import DomainError
from core.settings import load_settings
from i18n import N_
from models import Passkey
from web import Form, add_field_error, ensure_confirmed, flash_message, redirect_to, render_page

Answer = Response | tuple[str, int]


class AppCodeForm(Form):
    code = StringField(N_("Six digits of the app"), [InputRequired(N_("Please fill in this field."))])


@bp.get("/account/second-factor")
def show_second_factor() -> Answer:
    return render_page(
        "account/second_factor.html",
        methods=second_factor.methods_of(current_user),
        app=totp.active_key(current_user),
        passkeys=passkeys.passkeys_of(current_user),
        party=party(),
        localhost=passkeys.localhost_url("/account/second-factor"),
        total_codes=recovery_codes.COUNT,
    )


def _ensure_confirmed() -> None:
    ensure_confirmed("account.show_second_factor")


def _finish(codes: list[str]) -> Answer:
    """Show new recovery codes, once; without new ones, return to the page."""
    if codes:
        return render_page("account/recovery_codes.html", codes=codes, user=current_user)
    flash_message(N_("Saved."))
    return redirect_to("account.show_second_factor")


# ── authenticator app ────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/account/second-factor/app")
def start_app() -> Answer:
    _ensure_confirmed()
    totp.start_setup(current_user, clock.now())
    return redirect_to("account.show_app")


@bp.get("/account/second-factor/app")
def show_app() -> Answer:
    """Show the secret as QR code and text until its first code is typed."""
    _ensure_confirmed()
    return _app_page(AppCodeForm(None))


def _app_page(form: AppCodeForm, status: int = 200) -> Answer:
    key = totp.pending_key(current_user)
    if key is None:
        return redirect_to("account.show_second_factor")
    return render_page(
        "account/authenticator_app.html",
        status=status,
        form=form,
        secret=totp.secret_of(key),
        url=totp.setup_url(key, current_user, load_settings().name),
    )


@bp.post("/account/second-factor/app/confirm")
def confirm_app() -> Answer:
    _ensure_confirmed()
    form = AppCodeForm()
    if not form.validate():
        return _app_page(form, 422)
    session_cookies.remember_device(current_user)
    try:
        codes = second_factor.confirm_app(current_user, current_user.session, form.code.data, clock.now())
    except DomainError as refused:
        add_field_error(form, "code", refused.message, **refused.values)
        return _app_page(form, 429 if isinstance(refused, TooManyAttempts) else 422)
    return _finish(codes)


@bp.post("/account/second-factor/app/remove")
def remove_app() -> Answer:
    _ensure_confirmed()
    second_factor.remove_app(current_user, clock.now())
    flash_message(N_("The authenticator app is removed."))
    return redirect_to("account.show_second_factor")


# ── passkeys ─────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/account/passkeys/options")
def passkey_options() -> Answer:
    _ensure_confirmed()
    here = party() or abort(404)
    return jsonify(passkeys.registration_options(current_user, current_user.session, here))


@bp.post("/account/passkeys")
def add_passkey() -> Answer:
    _ensure_confirmed()
    here, agent = party() or abort(404), session_cookies.client_info().agent
    session_cookies.remember_device(current_user)
    try:
        codes = second_factor.add_passkey(
            current_user,
            current_user.session,
            here,
            PasskeyForm().credential.data or "",
            devices.describe_agent(agent),
            clock.now(),
        )
    except DomainError as refused:
        flash_message(refused.message, "wrong", **refused.values)
        return redirect_to("account.show_second_factor")
    return _finish(codes)


@bp.post("/account/passkeys/<int:number>/remove")
def remove_passkey(number: int) -> Answer:
    found = Passkey.get_or_none(Passkey.id == number, Passkey.user == current_user) or abort(404)
    _ensure_confirmed()
    second_factor.remove_passkey(found, clock.now())
    flash_message(N_("The passkey is removed."))
    return redirect_to("account.show_second_factor")


# ── recovery codes ───────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/account/second-factor/codes")
def replace_recovery_codes() -> Answer:
    _ensure_confirmed()
    if not second_factor.is_on(current_user):
        abort(404)
    return _finish(second_factor.replace_recovery_codes(current_user, clock.now()))
