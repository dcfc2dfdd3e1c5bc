"""The pages behind links in letters to organizers: log in, a new password, an invitation.

GET shows a page with a button, POST acts: mail scanners open every link (design, law 3).
"""

from flask import Response

import clock
import tasks
from blueprints.account import bp, session_cookies
from blueprints.account.forms import ConfirmEmailForm, LinkLoginForm, NewPasswordForm, RequestLinkForm
from core.accounts import change_email, invitations, login_links, sessions
from core.accounts.logins import TooManyAttempts
from core.errors import DomainError
from models import User
from web import _, add_field_error, public_view, render_page

Answer = Response | tuple[str, int]


@bp.route("/login/letter", methods=["GET", "POST"])
@public_view
def request_login_link() -> Answer:
    """Mail a log-in link, without saying whether there is such an account."""
    return _request_link("login")


@bp.route("/password", methods=["GET", "POST"])
@public_view
def request_password_link() -> Answer:
    """Mail a link for a new password, without saying whether there is such an account."""
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
    return render_page("account/link_sent.html", purpose=purpose)


@bp.route("/login/letter/<mark>", methods=["GET", "POST"])
@public_view
def login_by_link(mark: str) -> Answer:
    """Log in by the link of a letter: one button, no password."""
    form, now = LinkLoginForm(), clock.now()
    try:
        if not form.validate_on_submit():
            return render_page(
                "account/login_by_link.html", form=form, user=login_links.user_by_token(mark, "login", now)
            )
        user = login_links.redeem_token(mark, "login", now)
    except login_links.InvalidLink:
        return _expired_link_page("login")
    sessions.start_session(user, now=now, remember=form.remember.data, device=session_cookies.client_info().agent)
    return session_cookies.start_browser_session(user, session_cookies.redirect_to_next(None))


@bp.route("/password/<mark>", methods=["GET", "POST"])
@public_view
def reset_password(mark: str) -> Answer:
    """Choose a new password by the link of a letter."""
    return _set_password(mark, "password")


@bp.route("/invitation/<mark>", methods=["GET", "POST"])
@public_view
def accept_invitation(mark: str) -> Answer:
    """Take up an invitation: choose a password and be in."""
    return _set_password(mark, "invitation")


def _set_password(mark: str, purpose: str) -> Answer:
    form, now = NewPasswordForm(), clock.now()
    try:
        user = login_links.user_by_token(mark, purpose, now)
        if not form.validate_on_submit():
            return _password_page(form, user, purpose, 422 if form.errors else 200)
        user = invitations.set_password_by_link(mark, purpose, form.password.data, now)
    except login_links.InvalidLink:
        return _expired_link_page(purpose)
    except DomainError as refused:
        add_field_error(form, refused.field, refused.message, **refused.values)
        return _password_page(form, user, purpose, 422)
    sessions.start_session(user, now=now, device=session_cookies.client_info().agent)
    return session_cookies.start_browser_session(user, session_cookies.redirect_to_next(None))


def _password_page(form: NewPasswordForm, user: User, purpose: str, status: int) -> Answer:
    return render_page("account/set_password.html", status=status, form=form, user=user, purpose=purpose)


@bp.route("/account/email/<mark>", methods=["GET", "POST"])
@public_view
def confirm_email(mark: str) -> Answer:
    """Take a new address over by the link of the letter that went there: one button."""
    form, now = ConfirmEmailForm(), clock.now()
    try:
        user = login_links.user_by_token(mark, change_email.LINK_PURPOSE, now)
        if not form.validate_on_submit():
            return render_page("account/confirm_email.html", form=form, user=user)
        user = change_email.confirm_email_change(mark, now)
    except login_links.InvalidLink:
        return _expired_link_page(change_email.LINK_PURPOSE)
    except DomainError as refused:
        return render_page(
            "account/link_expired.html", status=422, purpose=change_email.LINK_PURPOSE, sentence=_(refused.message)
        )
    tasks.wake_worker()
    return render_page("account/email_confirmed.html", user=user)


def _expired_link_page(purpose: str) -> Answer:
    return render_page(
        "account/link_expired.html", status=404, purpose=purpose, sentence=_(login_links.InvalidLink.message)
    )
