"""The doors of the house: log in, log out, and one's own account."""

from flask import request
from flask_login import current_user

import clock
from blueprints.account import bp, session_cookies
from blueprints.account.forms import LoginForm
from core.accounts import logins, sessions
from web import _, public_view, render_page


@bp.route("/login", methods=["GET", "POST"])
@public_view
def login():
    """Show the login page; take name (or e-mail) and password (T-11)."""
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
        user = logins.log_in(
            form.name.data,
            form.password.data,
            session_cookies.client_info(),
            now=clock.now(),
            remember=form.remember.data,
        )
    except logins.WrongCredentials as wrong:
        return render_page("account/login.html", status=422, form=form, sorry=_(wrong.message))
    except logins.TooManyAttempts as many:
        return render_page("account/login.html", status=429, form=form, sorry=_(many.message, **many.values))
    return session_cookies.start_browser_session(user, session_cookies.redirect_to_next(form.next.data))


@bp.post("/logout")
def logout():
    """End this session on the server; the cookie alone would not do (T-12)."""
    sessions.revoke_session(current_user.session, clock.now())
    return session_cookies.clear_browser_session()
