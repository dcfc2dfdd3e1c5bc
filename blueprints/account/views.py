"""Login, logout, the user's own account, and the links in letters to organizers.

GET shows a page with a button and POST acts, because mail scanners open every link (design, law 3).
"""

from flask import Response, g, request, url_for
from flask_login import current_user
from markupsafe import Markup
from wtforms import BooleanField, HiddenField, PasswordField, RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

import clock
import tasks
from blueprints.account import bp, session_cookies
from core.accounts import accounts, change_email, devices, login_links, logins, second_factor, sessions
from core.accounts.logins import TooManyAttempts
from core.errors import DomainError
from core.settings import load_settings
from i18n import LANGUAGES, N_
from models import Session, User
from web import (
    Form,
    _,
    add_field_error,
    errors_in,
    flash_message,
    get_or_404,
    message_page,
    public_view,
    redirect_to,
    render_page,
)

REQUIRED = InputRequired(N_("Please fill in this field."))


class LoginForm(Form):
    name = StringField(N_("User name or e-mail address"), [REQUIRED, Length(max=254)])
    password = PasswordField(N_("Password"), [REQUIRED])
    remember = BooleanField(N_("Stay logged in on this device for 90 days"))
    next = HiddenField()


class RequestLinkForm(Form):
    name = StringField(N_("User name or e-mail address"), [REQUIRED, Length(max=254)])


class LinkLoginForm(Form):
    remember = BooleanField(N_("Stay logged in on this device for 90 days"))


class ConfirmEmailForm(Form):
    """The button that confirms a new address."""


class NewPasswordForm(Form):
    password = PasswordField(N_("New password"), [REQUIRED])


class ProfileForm(Form):
    name = StringField(N_("User name"), [REQUIRED, Length(max=60)])
    language = RadioField(N_("Language of the pages"), choices=[SelectChoice(*pair) for pair in LANGUAGES.items()])
    signature = TextAreaField(N_("Signature"), [Length(max=1000)])


class EmailForm(Form):
    email = StringField(N_("E-mail address"), [Length(max=254)])
    password = PasswordField(N_("Your password"), [REQUIRED], id="email-password")


class ChangePasswordForm(Form):
    old = PasswordField(N_("Your password until now"), [REQUIRED])
    password = PasswordField(N_("New password"), [REQUIRED])


# ── log in and out ──────────────────────────────────────────────────────────────────────────────────────────────────


@bp.route("/login", methods=["GET", "POST"])
@public_view
def login():
    """Log in with user name or e-mail and password (T-11)."""
    form = LoginForm()
    if request.method == "GET":
        form.next.data = request.args.get("next", "")
        return (
            session_cookies.redirect_to_next(form.next.data)
            if current_user.is_authenticated
            else render_page("account/login.html", form=form)
        )
    if not form.validate():
        return render_page("account/login.html", status=422, form=form)
    try:
        user = logins.verify_login(form.name.data, form.password.data, session_cookies.client_info(), now=clock.now())
    except logins.WrongCredentials as wrong:
        return render_page("account/login.html", status=422, form=form, sorry=_(wrong.message))
    except logins.TooManyAttempts as many:
        return render_page("account/login.html", status=429, form=form, sorry=_(many.message, **many.values))
    return session_cookies.finish_first_factor(user, remember=form.remember.data, wanted=form.next.data)


@bp.post("/logout")
def logout():
    """Revoke the session on the server; deleting the cookie is not enough (T-12)."""
    sessions.revoke_session(current_user.session, clock.now())
    return session_cookies.clear_browser_session()


# ── one's own account ───────────────────────────────────────────────────────────────────────────────────────────────


Answer = Response | tuple[str, int]


@bp.get("/account")
def index() -> Answer:
    return _profile_page()


def _profile_page(status: int = 200, **filled: ProfileForm | EmailForm | ChangePasswordForm) -> Answer:
    """Show the three forms; a posted form keeps its values and errors."""
    now = clock.now()
    forms = {
        "profile": ProfileForm(None, obj=current_user),
        "email": EmailForm(None, email=current_user.email or ""),
        "password": ChangePasswordForm(None),
    }
    return render_page(
        "account/index.html",
        status=status,
        known=list(devices.known_devices(current_user, now)),
        sessions=list(sessions.active_sessions(current_user, now)),
        agent_name=devices.describe_agent,
        methods=second_factor.methods_of(current_user),
        **{**forms, **filled},
    )


@bp.post("/account")
def save_profile() -> Answer:
    form = ProfileForm()
    if form.validate():
        with errors_in(form):
            accounts.change_account(
                current_user,
                now=clock.now(),
                name=form.name.data,
                language=form.language.data,
                signature=(form.signature.data or "").strip(),
            )
            g.language = form.language.data
            flash_message(N_("Saved."))
            return redirect_to("account.index")
    return _profile_page(422, profile=form)


@bp.post("/account/email")
def request_email_change() -> Answer:
    """Change the address. The password is required, so that an unattended session cannot take over the account."""
    form = EmailForm()
    try:
        if not form.validate():
            return _profile_page(422, email=form)
        accounts.clean_email(form.email.data)
        logins.confirm_password(current_user, form.password.data, session_cookies.client_info(), now=clock.now())
        requested = change_email.request_email_change(current_user, form.email.data, clock.now())
    except DomainError as refused:
        return _profile_page(_error_status(form, "password", refused), email=form)
    tasks.wake_worker()
    flash_message(
        N_("A letter is on its way to the new address. It counts once you press the button behind the link in it.")
        if requested
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
    """Send the confirmation letter again."""
    if current_user.pending_email:
        change_email.resend_email_change(current_user, clock.now())
        tasks.wake_worker()
        flash_message(N_("The letter is on its way once more."))
    return redirect_to("account.index")


@bp.post("/account/password")
def change_password() -> Answer:
    """Change the password and end all other sessions of the user."""
    form = ChangePasswordForm()
    try:
        if not form.validate():
            return _profile_page(422, password=form)
        accounts.check_password(form.password.data, current_user.name, current_user.email)
        logins.confirm_password(current_user, form.old.data, session_cookies.client_info(), now=clock.now())
        accounts.set_password(current_user, form.password.data, clock.now(), keep=current_user.session)
    except DomainError as refused:
        return _profile_page(_error_status(form, "old", refused), password=form)
    flash_message(N_("The password is changed. All other devices are logged out."))
    return redirect_to("account.index")


def _error_status(form: EmailForm | ChangePasswordForm, secret: str, refused: DomainError) -> int:
    """Add the error to its field; return the HTTP status."""
    if isinstance(refused, logins.TooManyAttempts):
        add_field_error(form, secret, refused.message, **refused.values)
        return 429
    if isinstance(refused, logins.WrongCredentials):
        add_field_error(form, secret, N_("This is not your password."))
    else:
        add_field_error(form, refused.field, refused.message, **refused.values)
    return 422


@bp.post("/account/sessions/<int:number>/end")
def end_session(number: int) -> Answer:
    session = get_or_404(Session, id=number, user=current_user.id)
    if session.id == current_user.session.id:
        sessions.revoke_session(session, clock.now())
        return session_cookies.clear_browser_session()
    sessions.revoke_session(session, clock.now())
    flash_message(N_("That device is logged out."))
    return redirect_to("account.index")


# ── links in letters ────────────────────────────────────────────────────────────────────────────────────────────────


@bp.route("/login/letter", methods=["GET", "POST"])
@public_view
def request_login_link() -> Answer:
    """Mail a login link. The answer does not reveal whether the account exists."""
    return _request_link("login")


@bp.route("/password", methods=["GET", "POST"])
@public_view
def request_password_link() -> Answer:
    """Mail a password link. The answer does not reveal whether the account exists."""
    return _request_link("password")


def _request_link(purpose: str) -> Answer:
    form = RequestLinkForm()
    if not form.validate_on_submit():
        return render_page("account/request_link.html", status=422 if form.errors else 200, form=form, purpose=purpose)
    try:
        login_links.request_link(purpose, form.name.data, session_cookies.client_info().address, clock.now())
    except TooManyAttempts as many:
        add_field_error(form, "name", many.message, **many.values)
        return render_page("account/request_link.html", status=429, form=form, purpose=purpose)
    tasks.wake_worker()
    return _link_sent_page(purpose)


@bp.route("/login/letter/<mark>", methods=["GET", "POST"])
@public_view
def login_by_link(mark: str) -> Answer:
    form, now = LinkLoginForm(), clock.now()
    try:
        if not form.validate_on_submit():
            return render_page(
                "account/login_by_link.html", form=form, user=login_links.user_by_token(mark, "login", now)
            )
        user = login_links.redeem_token(mark, "login", now)
    except login_links.InvalidLink:
        return _expired_link_page("login")
    return session_cookies.finish_first_factor(user, remember=form.remember.data)


@bp.route("/password/<mark>", methods=["GET", "POST"])
@public_view
def reset_password(mark: str) -> Answer:
    return _set_password(mark, "password")


@bp.route("/invitation/<mark>", methods=["GET", "POST"])
@public_view
def accept_invitation(mark: str) -> Answer:
    """Accept an invitation: choose a password and log in."""
    return _set_password(mark, "invitation")


def _set_password(mark: str, purpose: str) -> Answer:
    form, now = NewPasswordForm(), clock.now()
    try:
        user = login_links.user_by_token(mark, purpose, now)
        if not form.validate_on_submit():
            return _password_page(form, user, purpose, 422 if form.errors else 200)
        user = login_links.set_password_by_link(mark, purpose, form.password.data, now)
    except login_links.InvalidLink:
        return _expired_link_page(purpose)
    except DomainError as refused:
        add_field_error(form, refused.field, refused.message, **refused.values)
        return _password_page(form, user, purpose, 422)
    return session_cookies.finish_first_factor(user)


def _password_page(form: NewPasswordForm, user: User, purpose: str, status: int) -> Answer:
    return render_page("account/set_password.html", status=status, form=form, user=user, purpose=purpose)


@bp.route("/account/email/<mark>", methods=["GET", "POST"])
@public_view
def confirm_email(mark: str) -> Answer:
    """Confirm a new address by the link that was mailed to it."""
    form, now = ConfirmEmailForm(), clock.now()
    try:
        user = login_links.user_by_token(mark, change_email.LINK_PURPOSE, now)
        if not form.validate_on_submit():
            return render_page("account/confirm_email.html", form=form, user=user)
        user = change_email.confirm_email_change(mark, now)
    except login_links.InvalidLink:
        return _expired_link_page(change_email.LINK_PURPOSE)
    except DomainError as refused:
        return _expired_link_page(change_email.LINK_PURPOSE, refused.message, 422)
    tasks.wake_worker()
    return message_page(
        _("The new address counts"),
        _(
            "Own copies of notices and links for a new password now go to %(address)s. "
            "The address from before has been told.",
            address=user.email,
        ),
        link=(url_for("account.index"), _("My account")),
    )


def _link_sent_page(purpose: str) -> Answer:
    note = ""
    if load_settings().practice:
        note = Markup("{} <code>./kairan user reset NAME</code>").format(
            _("Kairan is being tried out: no mail leaves this machine. On its terminal, this sets a new password:")
        )
    return message_page(
        _("Please look at your mail"),
        _(
            "If there is an account with this name and it has an e-mail address, a link is on its way. "
            "It arrives within a few minutes."
        ),
        _("The link works for 15 minutes and once.")
        if purpose == "login"
        else _("The link works for one hour and once."),
        note=note,
        hint=_("Nothing arrives? Ask an administrator of your organization."),
        link=(url_for("account.login"), _("Back to the login page")),
    )


def _expired_link_page(purpose: str, sentence: str = login_links.InvalidLink.message, status: int = 404) -> Answer:
    sentences, link = [_(sentence)], (url_for("account.request_login_link"), _("Get a new link"))
    if purpose == "invitation":
        link = (url_for("account.login"), _("To the login page"))
        sentences.append(
            _(
                "Have you chosen a password already? Then log in with it. "
                "Otherwise ask the person who invited you to send the invitation again."
            )
        )
    elif purpose == change_email.LINK_PURPOSE:
        link = (url_for("account.index"), _("My account"))
    elif purpose == "password":
        link = (url_for("account.request_password_link"), _("Get a new link"))
    return message_page(_("This link is over"), *sentences, link=link, status=status)
