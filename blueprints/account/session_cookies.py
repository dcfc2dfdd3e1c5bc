"""Session cookie, cookie of known devices, and the redirect after login."""

import secrets
import sqlite3

from flask import Response, after_this_request, redirect, request, session, url_for
from flask_login import login_user
from peewee import OperationalError

import clock
from core import disk_space
from core.accounts import devices, kept_forms, logins, second_factor, sessions
from database import is_write_refused
from models import Device, Session, User
from web import redirect_to, uses_https

DEVICE_COOKIE = "kairan_device"


def client_info() -> logins.LoginClient:
    return logins.LoginClient(request.remote_addr, request.cookies.get(DEVICE_COOKIE), request.user_agent.string[:200])


def finish_first_factor(user: User, *, remember: bool = False, wanted: str | None = None) -> Response:
    """Open the session of a user who has shown one factor. A new device first needs the second factor, if set."""
    now, client = clock.now(), client_info()
    if not second_factor.is_required(user, devices.find_device(user, client.device_cookie, now)):
        return open_session(user, remember=remember, wanted=wanted)
    pending = sessions.start_pending_session(user, now=now, remember=remember, agent=client.agent)
    session.clear()
    session["pending"], session["wanted"] = pending.token, wanted or ""
    return redirect_to("account.ask_second_factor")


def pending_session() -> Session | None:
    """Return the session of this browser that awaits the second factor."""
    token = session.get("pending")
    return sessions.pending_session(token, clock.now()) if token else None


def finish_second_factor(pending: Session) -> Response:
    """Open the session in place of the one that awaited the second factor. From now on the device is known."""
    if not sessions.end_pending_session(pending, clock.now()):
        return redirect_to("account.login")
    return open_session(pending.user, remember=pending.remembered, wanted=session.get("wanted"), confirmed=True)


def open_session(user: User, *, remember: bool = False, wanted: str | None = None, confirmed: bool = False) -> Response:
    """Put a new session token into the cookie and remember the device. Earlier cookie content is dropped."""
    now, client = clock.now(), client_info()
    try:
        device = _known_device(user)
        devices.touch_device(device, now, second_factor=confirmed)
        sessions.start_session(user, now=now, remember=remember, agent=client.agent, device=device, confirmed=confirmed)
    except (OperationalError, sqlite3.OperationalError, OSError) as error:
        if not is_write_refused(error):
            raise
        disk_space.note_if_full(error)
        sessions.start_unsaved_session(user, now, client.agent)  # reading needs no write (decision 0088)
    session.clear()
    session.permanent = remember
    session["csrf_token"] = f"{user.id}.{secrets.token_hex(20)}"  # a form says whose page it came from
    login_user(user)
    if not wanted and (kept := kept_forms.newest_unseen(user, now)):
        wanted = url_for("account.show_kept_form", number=kept.id)
    return redirect_to_next(wanted)


def _known_device(user: User) -> Device:
    """Return the device of this browser, added if it is new. Each login renews its cookie for a year."""
    client, now = client_info(), clock.now()
    device, cookie = devices.find_device(user, client.device_cookie, now), client.device_cookie or ""
    if device is None:
        device, cookie = devices.add_device(user, client.device_cookie, client.agent, now)

    @after_this_request
    def set_device_cookie(response: Response) -> Response:
        response.set_cookie(
            DEVICE_COOKIE, cookie, max_age=devices.LIFETIME, httponly=True, samesite="Lax", secure=uses_https()
        )
        return response

    return device


def remember_device(user: User) -> None:
    """Make the device of a session known that began without one (first set-up, earlier versions)."""
    assert user.session  # noqa: S101
    if user.session.device_id is None:
        device = _known_device(user)
        Session.update(device=device).where(Session.id == user.session.id).execute()
        user.session.device = device


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
