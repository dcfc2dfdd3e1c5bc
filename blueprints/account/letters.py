"""The pages behind links in letters to organizers: log in, a new password, an invitation.

GET shows a page with a button, POST acts: mail scanners open every link (design, law 3).
"""

from flask import Response

import clock
import tasks
from blueprints.account import doors
from blueprints.account.forms import Ask, Confirm, Enter, NewPassword
from blueprints.account.routes import bp
from core.accounts import accounts, email_change, invitations, login_links, sessions
from core.accounts.logins import TooManyAttempts
from models import User
from web import _, add_field_error, public_view, render_page

Answer = Response | tuple[str, int]


@bp.route("/login/letter", methods=["GET", "POST"])
@public_view
def ask_to_enter() -> Answer:
    """Mail a log-in link, without saying whether there is such an account."""
    return _ask("login")


@bp.route("/password", methods=["GET", "POST"])
@public_view
def forgotten() -> Answer:
    """Mail a link for a new password, without saying whether there is such an account."""
    return _ask("password")


def _ask(purpose: str) -> Answer:
    form = Ask()
    if not form.validate_on_submit():
        return render_page("account/ask.html", status=422 if form.errors else 200, form=form, purpose=purpose)
    try:
        login_links.request_link(purpose, form.name.data, doors.visitor().address, clock.now())
    except TooManyAttempts as many:
        add_field_error(form, "name", many.message, **many.values)
        return render_page("account/ask.html", status=429, form=form, purpose=purpose)
    return render_page("account/asked.html", purpose=purpose)


@bp.route("/login/letter/<mark>", methods=["GET", "POST"])
@public_view
def enter(mark: str) -> Answer:
    """Log in by the link of a letter: one button, no password."""
    form, now = Enter(), clock.now()
    try:
        if not form.validate_on_submit():
            return render_page("account/enter.html", form=form, user=login_links.user_by_token(mark, "login", now))
        user = login_links.redeem_token(mark, "login", now)
    except login_links.InvalidLink:
        return _dead("login")
    sessions.start_session(user, now=now, remember=form.remember.data, device=doors.visitor().agent)
    return doors.let_in(user, doors.next_page(None))


@bp.route("/password/<mark>", methods=["GET", "POST"])
@public_view
def new_password(mark: str) -> Answer:
    """Choose a new password by the link of a letter."""
    return _choose(mark, "password")


@bp.route("/invitation/<mark>", methods=["GET", "POST"])
@public_view
def accept(mark: str) -> Answer:
    """Take up an invitation: choose a password and be in."""
    return _choose(mark, "invitation")


def _choose(mark: str, purpose: str) -> Answer:
    form, now = NewPassword(), clock.now()
    try:
        user = login_links.user_by_token(mark, purpose, now)
        if not form.validate_on_submit():
            return _choosing(form, user, purpose, 422 if form.errors else 200)
        user = invitations.set_password_by_link(mark, purpose, form.password.data, now)
    except login_links.InvalidLink:
        return _dead(purpose)
    except accounts.DomainError as refused:
        add_field_error(form, refused.field, refused.message, **refused.values)
        return _choosing(form, user, purpose, 422)
    sessions.start_session(user, now=now, device=doors.visitor().agent)
    return doors.let_in(user, doors.next_page(None))


def _choosing(form: NewPassword, user: User, purpose: str, status: int) -> Answer:
    return render_page("account/choose.html", status=status, form=form, user=user, purpose=purpose)


@bp.route("/account/email/<mark>", methods=["GET", "POST"])
@public_view
def confirm_email(mark: str) -> Answer:
    """Take a new address over by the link of the letter that went there: one button."""
    form, now = Confirm(), clock.now()
    try:
        user = login_links.user_by_token(mark, email_change.LINK_PURPOSE, now)
        if not form.validate_on_submit():
            return render_page("account/confirm_email.html", form=form, user=user)
        user = email_change.confirm_email_change(mark, now)
    except login_links.InvalidLink:
        return _dead(email_change.LINK_PURPOSE)
    except accounts.DomainError as refused:
        return render_page(
            "account/dead.html", status=422, purpose=email_change.LINK_PURPOSE, sentence=_(refused.message)
        )
    tasks.wake_worker()
    return render_page("account/confirmed_email.html", user=user)


def _dead(purpose: str) -> Answer:
    return render_page("account/dead.html", status=404, purpose=purpose, sentence=_(login_links.InvalidLink.message))
