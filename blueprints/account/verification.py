"""Ask for the second factor: at login on a new device, and before a sensitive action (there the password may do)."""

from collections.abc import Callable

from flask import Response, jsonify, request, url_for
from flask_login import current_user
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired

import clock
from blueprints.account import bp, session_cookies
from core.accounts import logins, passkeys, second_factor
from core.accounts.who_can import holders_for_lists
from core.errors import DomainError
from i18n import N_
from models import Session, User
from web import Form, _, add_field_error, public_view, redirect_to, render_page

Answer = Response | tuple[str, int]
REQUIRED = InputRequired(N_("Please fill in this field."))


class CodeForm(Form):
    """One field for a code of the app and for a recovery code."""

    code = StringField(N_("Code"), [REQUIRED])
    next = HiddenField()


class PasskeyForm(Form):
    """The answer of the browser, as JSON. A script fills it in."""

    credential = HiddenField()
    next = HiddenField()


class PasswordForm(Form):
    password = PasswordField(N_("Your password"), [REQUIRED])
    next = HiddenField()


def party() -> passkeys.RelyingParty | None:
    """Return the site of passkeys for this page; None where browsers offer none."""
    return passkeys.relying_party(request.host_url)


def _factor_page(page: str, user: User, form: CodeForm, status: int = 200, sorry: str = "") -> Answer:
    here = party()
    return render_page(
        page,
        status=status,
        form=form,
        user=user,
        sorry=sorry,
        methods=second_factor.methods_of(user),
        passkeys_here=bool(here and passkeys.passkeys_of(user, here)),
        administrators=holders_for_lists("admin", ()).names,
    )


def _error_status(refused: DomainError) -> int:
    return 429 if isinstance(refused, logins.TooManyAttempts) else 422


def _check_passkey(user: User, session: Session, credential: str) -> None:
    """Check the browser's answer. Raises PasskeyRefused, TooManyAttempts."""
    here = party()
    if here is None:
        raise passkeys.PasskeyRefused
    second_factor.check_passkey(user, session, here, credential, clock.now())


def _options(user: User, session: Session) -> Answer:
    here = party()
    return jsonify(passkeys.use_options(user, session, here) if here else {})


# ── at login ─────────────────────────────────────────────────────────────────────────────────────────────────────


def with_pending_session(view: Callable[[Session], Answer]) -> Callable[[], Answer]:
    """Hand the view the session that awaits the second factor; without one, redirect to the login page."""

    def guarded() -> Answer:
        pending = session_cookies.pending_session()
        return view(pending) if pending else redirect_to("account.login")

    guarded.__name__ = view.__name__
    return public_view(guarded)


LOGIN_PAGE = "account/second_factor_login.html"


@bp.get("/login/second")
@with_pending_session
def ask_second_factor(pending: Session) -> Answer:
    return _factor_page(LOGIN_PAGE, pending.user, CodeForm(None))


@bp.post("/login/second")
@with_pending_session
def check_second_factor(pending: Session) -> Answer:
    form = CodeForm()
    try:
        if not form.validate():
            return _factor_page(LOGIN_PAGE, pending.user, form, 422)
        second_factor.check_code(pending.user, pending, form.code.data, clock.now())
    except DomainError as refused:
        add_field_error(form, "code", refused.message, **refused.values)
        return _factor_page(LOGIN_PAGE, pending.user, form, _error_status(refused))
    return session_cookies.finish_second_factor(pending)


@bp.post("/login/second/options")
@with_pending_session
def login_passkey_options(pending: Session) -> Answer:
    return _options(pending.user, pending)


@bp.post("/login/second/passkey")
@with_pending_session
def log_in_with_passkey(pending: Session) -> Answer:
    try:
        _check_passkey(pending.user, pending, PasskeyForm().credential.data or "")
    except DomainError as refused:
        sorry = _(refused.message, **refused.values)
        return _factor_page(LOGIN_PAGE, pending.user, CodeForm(None), _error_status(refused), sorry)
    return session_cookies.finish_second_factor(pending)


# ── before a sensitive action ────────────────────────────────────────────────────────────────────────────────────


CONFIRM_PAGE = "account/confirm_identity.html"


def _confirmed(wanted: str | None) -> Response:
    second_factor.record_confirmation(current_user.session, clock.now())
    return session_cookies.redirect_to_next(wanted or url_for("account.index"))


@bp.get("/account/confirm")
def confirm_identity() -> Answer:
    """Ask for the second factor; without one, for the password."""
    wanted = request.args.get("next", "")
    if second_factor.is_on(current_user):
        return _factor_page(CONFIRM_PAGE, current_user, CodeForm(None, next=wanted))
    return render_page(CONFIRM_PAGE, password_form=PasswordForm(None, next=wanted))


@bp.post("/account/confirm")
def confirm_with_code() -> Answer:
    form = CodeForm()
    try:
        if not form.validate():
            return _factor_page(CONFIRM_PAGE, current_user, form, 422)
        second_factor.check_code(current_user, current_user.session, form.code.data, clock.now())
    except DomainError as refused:
        add_field_error(form, "code", refused.message, **refused.values)
        return _factor_page(CONFIRM_PAGE, current_user, form, _error_status(refused))
    return _confirmed(form.next.data)


@bp.post("/account/confirm/password")
def confirm_with_password() -> Answer:
    """Confirm by the password. Refused to users with a second factor."""
    form = PasswordForm()
    if second_factor.is_on(current_user):
        return redirect_to("account.confirm_identity", next=form.next.data)
    try:
        if not form.validate():
            return render_page(CONFIRM_PAGE, status=422, password_form=form)
        logins.confirm_password(current_user, form.password.data, session_cookies.client_info(), now=clock.now())
    except logins.WrongCredentials:
        add_field_error(form, "password", N_("This is not your password."))
        return render_page(CONFIRM_PAGE, status=422, password_form=form)
    except logins.TooManyAttempts as many:
        add_field_error(form, "password", many.message, **many.values)
        return render_page(CONFIRM_PAGE, status=429, password_form=form)
    return _confirmed(form.next.data)


@bp.post("/account/confirm/options")
def confirm_passkey_options() -> Answer:
    return _options(current_user, current_user.session)


@bp.post("/account/confirm/passkey")
def confirm_with_passkey() -> Answer:
    form = PasskeyForm()
    try:
        _check_passkey(current_user, current_user.session, form.credential.data or "")
    except DomainError as refused:
        sorry, again = _(refused.message, **refused.values), CodeForm(None, next=form.next.data)
        return _factor_page(CONFIRM_PAGE, current_user, again, _error_status(refused), sorry)
    return _confirmed(form.next.data)
