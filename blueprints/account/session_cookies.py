"""Session cookie, known-device cookie and the redirect after login."""

from datetime import timedelta

from flask import Response, redirect, request, session, url_for
from flask_login import login_user

from core.accounts import logins
from models import User
from web import redirect_to, uses_https

DEVICE_COOKIE = "kairan_device"
DEVICE_AGE = timedelta(days=365)


def client_info() -> logins.LoginClient:
    return logins.LoginClient(request.remote_addr, request.cookies.get(DEVICE_COOKIE), request.user_agent.string[:200])


def start_browser_session(user: User, response: Response) -> Response:
    """Put the session token into a new cookie and remember the device. Earlier cookie content is dropped."""
    token = request.cookies.get(DEVICE_COOKIE)
    known = logins.device_by_token(token, user)
    session.clear()
    session.permanent = bool(user.session and user.session.remembered)
    login_user(user)
    response.set_cookie(
        DEVICE_COOKIE,
        token if token and known else logins.sign_device_token(user),
        max_age=DEVICE_AGE,
        httponly=True,
        samesite="Lax",
        secure=uses_https(),
    )
    return response


def clear_browser_session() -> Response:
    """Clear the cookie and redirect to the login page."""
    session.clear()
    return redirect_to("account.login")


def redirect_to_next(wanted: str | None) -> Response:
    """Redirect to `next` if it is a path on this site, else to the first page (no open redirect)."""
    return redirect(wanted if wanted and is_own_path(wanted) else url_for("home.index"), code=303)  # type: ignore[return-value]


def is_own_path(wanted: str) -> bool:
    """Say whether this is a path on this site. Browsers read `//x` and `/\\x` as another host."""
    plain = wanted.isprintable() and "\\" not in wanted
    return plain and wanted.startswith("/") and not wanted.startswith("//")


# ── names of devices ────────────────────────────────────────────────────────────────────────────────────────────────


OS_TOKENS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "Chromebook"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
)
BROWSER_TOKENS = (
    ("Edg", "Edge"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)


def describe_device(agent: str) -> str:
    """Return system and browser of a User-Agent, 「iPhone · Safari」; empty if both are unknown."""
    names = [next((name for part, name in table if part in agent), "") for table in (OS_TOKENS, BROWSER_TOKENS)]
    return " · ".join(label for label in names if label)
