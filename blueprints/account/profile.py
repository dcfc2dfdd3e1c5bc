"""One's own account: name, address, language, signature, password, devices."""

from flask import Response, abort, g
from flask_login import current_user

import clock
import tasks
from blueprints.account import bp, devices, session_cookies
from blueprints.account.forms import ChangePasswordForm, EmailForm, ProfileForm
from core import rate_limits
from core.accounts import accounts, change_email, logins, sessions
from core.errors import DomainError
from i18n import N_
from models import Session
from web import add_field_error, flash_message, redirect_to, render_page

Answer = Response | tuple[str, int]
RESENDS_PER_HOUR = 5


@bp.get("/account")
def index() -> Answer:
    """Show one's own account."""
    return _profile_page()


def _profile_page(status: int = 200, **filled: ProfileForm | EmailForm | ChangePasswordForm) -> Answer:
    """Show the page with its three forms; one of them perhaps as it was filled in."""
    forms = {
        "profile": ProfileForm(None, obj=current_user),
        "email": EmailForm(None, email=current_user.email or ""),
        "password": ChangePasswordForm(None),
    }
    return render_page(
        "account/index.html",
        status=status,
        sessions=list(sessions.active_sessions(current_user, clock.now())),
        device=devices.describe_device,
        **{**forms, **filled},
    )


@bp.post("/account")
def save_profile() -> Answer:
    """Change name, language and signature."""
    form = ProfileForm()
    if not form.validate():
        return _profile_page(422, profile=form)
    try:
        accounts.change_account(
            current_user,
            now=clock.now(),
            name=form.name.data,
            language=form.language.data,
            signature=(form.signature.data or "").strip(),
        )
    except DomainError as refused:
        add_field_error(form, refused.field, refused.message, **refused.values)
        return _profile_page(422, profile=form)
    g.language = form.language.data
    flash_message(N_("Saved."))
    return redirect_to("account.index")


@bp.post("/account/email")
def request_email_change() -> Answer:
    """Change the address, with the password: whoever finds an open session must not take the account over."""
    form = EmailForm()
    try:
        if not form.validate():
            return _profile_page(422, email=form)
        accounts.clean_email(form.email.data)
        logins.confirm_password(current_user, form.password.data, session_cookies.client_info(), now=clock.now())
        asked = change_email.request_email_change(current_user, form.email.data, clock.now())
    except (DomainError, logins.WrongCredentials, logins.TooManyAttempts) as refused:
        return _profile_page(_error_status(form, "password", refused), email=form)
    tasks.wake_worker()
    flash_message(
        N_("A letter is on its way to the new address. It counts once you press the button behind the link in it.")
        if asked
        else N_("Saved.")
    )
    return redirect_to("account.index")


@bp.post("/account/email/wanted/forget")
def forget_pending_email() -> Answer:
    change_email.cancel_email_change(current_user)
    flash_message(N_("Your address stays as it was."))
    return redirect_to("account.index")


@bp.post("/account/email/wanted/resend")
def resend_confirmation() -> Answer:
    """Send the letter to the new address once more, at most five times an hour."""
    if (
        current_user.pending_email
        and rate_limits.record_hit(f"email:{current_user.id}", clock.now(), 3600) <= RESENDS_PER_HOUR
    ):
        change_email.resend_email_change(current_user, clock.now())
        tasks.wake_worker()
        flash_message(N_("The letter is on its way once more."))
    return redirect_to("account.index")


@bp.post("/account/password")
def change_password() -> Answer:
    """Change the password, with the old one; every other device is logged out."""
    form = ChangePasswordForm()
    try:
        if not form.validate():
            return _profile_page(422, password=form)
        accounts.check_password(form.password.data, current_user.name, current_user.email)
        logins.confirm_password(current_user, form.old.data, session_cookies.client_info(), now=clock.now())
        accounts.set_password(current_user, form.password.data, clock.now(), keep=current_user.session)
    except (DomainError, logins.WrongCredentials, logins.TooManyAttempts) as refused:
        return _profile_page(_error_status(form, "old", refused), password=form)
    flash_message(N_("The password is changed. All other devices are logged out."))
    return redirect_to("account.index")


def _error_status(form: EmailForm | ChangePasswordForm, secret: str, refused: Exception) -> int:
    """Put a refusal on its field; return the status of the answer."""
    if isinstance(refused, DomainError):
        add_field_error(form, refused.field, refused.message, **refused.values)
    elif isinstance(refused, logins.TooManyAttempts):
        add_field_error(form, secret, refused.message, **refused.values)
        return 429
    else:
        add_field_error(form, secret, N_("This is not your password."))
    return 422


@bp.post("/account/sessions/<int:number>/end")
def end_session(number: int) -> Answer:
    """Log one of one's own devices out."""
    session = Session.get_or_none(Session.id == number, Session.user == current_user)
    if session is None:
        abort(404)
    if session.id == current_user.session.id:
        sessions.revoke_session(session, clock.now())
        return session_cookies.clear_browser_session()
    sessions.revoke_session(session, clock.now())
    flash_message(N_("That device is logged out."))
    return redirect_to("account.index")
