"""Protection of every page: login, CSRF, security headers, error pages."""

import sqlite3
from functools import cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from itsdangerous import BadData, URLSafeTimedSerializer
from peewee import OperationalError

import clock
import web
from core import disk_space, settings
from core.accounts import form_filling, kept_forms
from core.accounts.sessions import user_of_session
from core.errors import TooLong
from core.notifications.letter_limits import TooManyLetters
from database import db, is_write_refused, optional_write, set_busy_timeout
from i18n import N_
from models import KeptForm, User

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)

WRITE_TIMEOUT_S = 5.0
"""A request waits so long for other writers: all threads wait in vain if one writer hangs."""
RETRY_AFTER_S = 60


def init_app(app: Flask) -> None:
    """Install login for all areas except the public ones (T-10), CSRF, security headers and error pages."""
    app.session_interface = _SessionCookie()
    CSRFProtect(app)
    login = LoginManager(app)
    login.user_loader(user_of_session)
    login.session_protection = None
    app.before_request(_open_database)
    app.before_request(_require_login)
    app.after_request(_set_security_headers)
    app.after_request(_fill_kept_form)
    app.register_error_handler(CSRFError, _render_foreign_token)
    for code in (400, 403, 404, 405, 413, 429, 500):
        app.register_error_handler(code, lambda error, code=code: _render_error(code, error=error))
    app.register_error_handler(TooManyLetters, _render_letter_limit)
    app.register_error_handler(TooLong, _render_too_long)
    for error_class in (OperationalError, sqlite3.OperationalError, OSError):
        app.register_error_handler(error_class, _render_not_recorded)
    app.jinja_env.globals["asset"] = _static_url


class _SessionCookie(SecureCookieSessionInterface):
    """Sets Secure as soon as the pages are reached by https, also on the cookie of a session that began before."""

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if session and not session.get("secure") and web.uses_https():
            session["secure"] = True  # a changed session is sent anew
        super().save_session(app, session, response)  # type: ignore[arg-type]

    def get_cookie_secure(self, app: Flask) -> bool:
        return bool(session.get("secure")) if session else request.is_secure


def _open_database() -> None:
    set_busy_timeout(WRITE_TIMEOUT_S)
    db.connect(reuse_if_open=True)


def _require_login() -> Response | None:
    """Redirect to the login page unless the user is logged in or the view is public."""
    if request.endpoint is None or request.endpoint == "static" or _is_public():
        return None
    if current_user.is_authenticated:
        return None
    if not settings.is_set_up():
        return redirect(url_for("setup.setup_welcome"))  # type: ignore[return-value]
    writer = _user_of_form_token()
    kept = web.keep_posted_form(writer) if writer else None
    return _lead_to(url_for("account.login", next=kept or _next_url()))


def _lead_to(target: str) -> Response:
    if web.is_htmx():
        return Response(status=401, headers={"HX-Redirect": target})
    return redirect(target)  # type: ignore[return-value]


def _is_public() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    return request.blueprint == "public" or bool(getattr(view, "is_public", False))


def _next_url() -> str | None:
    return request.full_path.rstrip("?") if request.method == "GET" and request.path != "/" else None


def _set_security_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", web.csp_with_style_nonce(CONTENT_SECURITY_POLICY))
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin" if request.blueprint != "public" else "no-referrer")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
    if request.endpoint != "static":
        headers.setdefault("Cache-Control", "no-store")
        response.vary.add("HX-Request")
    if request.is_secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response


# ── forms that met an ended or another session ───────────────────────────────────────────────────────────────────


def _user_of_form_token() -> User | None:
    """Return the user for whose session the form token was made (`session_cookies.open_session`); None if nobody's."""
    signed = URLSafeTimedSerializer(current_app.secret_key, salt="wtf-csrf-token")  # as Flask-WTF signs it
    try:
        token = str(signed.loads(request.form.get("csrf_token") or request.headers.get("X-CSRFToken") or ""))
    except BadData:
        return None
    number = token.partition(".")[0]
    if "." not in token or not number.isdecimal():
        return None
    user: User | None = User.get_or_none(User.id == int(number), User.disabled_at.is_null())
    return user


def _render_foreign_token(error: CSRFError) -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Keep the form for the user whose page it came from. Show it to this user, or lead to the login; act never."""
    if _is_public():
        return _render_error(403, "form")
    try:
        _open_database()
        writer = _user_of_form_token()
        kept = web.keep_posted_form(writer) if writer else None
    except (OperationalError, sqlite3.OperationalError, OSError) as refused:
        return _render_not_recorded(refused)
    if writer and not current_user.is_authenticated:
        return _lead_to(url_for("account.login", next=kept))
    if kept and current_user == writer:
        return _lead_to(kept)
    return _render_error(403, "other user" if kept else "form")


def _fill_kept_form(response: Response) -> Response:
    """Fill in a kept form on the page that `account.show_kept_form` led to; forget it once it was posted and taken."""
    if response.status_code >= 400 or request.method not in ("GET", "POST"):
        return response
    if request.method == "POST" and _was_refused(response):
        return _keep_refused_form(response)
    number = request.values.get("kept", type=int)
    if not number or not current_user.is_authenticated:
        return response
    if request.method == "POST":
        if not response.headers.get("Location", "").startswith(("/account/confirm", "/login", "/account/kept/")):
            kept_forms.forget_form(current_user, number)
        return response
    row = kept_forms.form_of_user(current_user, number, clock.now())
    if row and response.status_code == 200 and response.mimetype == "text/html" and not response.is_streamed:
        with optional_write():
            kept_forms.mark_shown(row)
        response.set_data(_filled_page(response.get_data(as_text=True), row))
    return response


def _was_refused(response: Response) -> bool:
    """Say whether the answer leads to another page that reports a mistake, away from words that were typed."""
    leads_away = response.status_code == 303 or "HX-Redirect" in response.headers
    refused = "words_refused" in g or any(kind == "wrong" for kind, _text in session.get("_flashes", ()))
    return leads_away and refused and current_user.is_authenticated and bool(web.typed_words())


def _keep_refused_form(response: Response) -> Response:
    header = "HX-Redirect" if web.is_htmx() else "Location"
    page = urlsplit(response.headers[header])
    with optional_write():
        row = kept_forms.keep_form(
            current_user,
            page=page._replace(scheme="", netloc="", fragment="").geturl(),
            action=request.path,
            fields=list(request.form.items(multi=True)),
            has_files=any(file.filename for file in request.files.values()),
            now=clock.now(),
            shown=True,
        )
        if row:
            query = f"{page.query}&kept={row.id}".lstrip("&")
            response.headers[header] = page._replace(query=query).geturl()
    return response


def _filled_page(html: str, row: KeptForm) -> str:
    filled = form_filling.fill_form(html, urlsplit(row.page).path, row.action, row.fields, row.id)
    left = web.words_among(filled.left if filled else [value for _name, value in row.fields])
    other = any(name == kept_forms.OTHER_VERSION for name, _value in row.fields)
    note = render_template("account/_kept_form.html", left=left, row=row, other_version=other)
    return (filled.html if filled else html).replace(
        '<div id="told" role="status">', f'<div id="told" role="status">{note}', 1
    )


_ERRORS = {
    "form": N_(
        "The form was open for too long, or you have logged out. Go back, load the page again and send it once more."
    ),
    "other user": N_(
        "This page was opened by another user. What was typed there is kept for three days, for that user alone."
    ),
    "reader": N_("Please check whether the address from the letter was cut off. Pages of old notices are closed."),
    400: N_("This address does not work in this way. Go back and try the button on the page."),
    403: N_("Your role does not include this."),
    404: N_("There is nothing under this address, or it is not yours to see."),
    405: N_("This address does not work in this way. Go back and try the button on the page."),
    413: N_("What you sent is too large. Please make it smaller and try again."),
    429: N_("Too many tries. Please wait a while and try again."),
    500: N_("Something went wrong on our side. What you had saved is kept. Please try again in a minute."),
}


def _render_error(code: int, why: str = "", error: Exception | None = None) -> tuple[str, int]:
    reader = request.blueprint == "public"
    sentence = web._(_ERRORS[why or ("reader" if reader and code == 404 else code)])
    if isinstance(error, web.PermissionDenied):
        sentence = f"{sentence} {error.holders.sentence(web.language())}"
    link = None if reader else ("/", web._("To the first page"))
    repeat = _repeatable_fields() if code in (429, 500) else None
    return web.message_page(web._("This page cannot be shown"), sentence, link=link, status=code, repeat=repeat)


def _render_too_long(error: TooLong) -> tuple[str, int]:
    """Say the limit and show the words, for the forms that do not show the error beside the field."""
    layout = "public/base.html" if request.blueprint == "public" else "plain.html"
    return web.message_page(web._("Not saved"), web._(error.message, **error.values), layout=layout, status=422)


def _render_letter_limit(error: TooManyLetters) -> tuple[str, int]:
    """Say when the next letter can go, for the buttons whose view catches nothing."""
    sentence = web._(error.message, **error.values)
    return web.message_page(web._("Not sent"), sentence, link=("/", web._("To the first page")), status=429)


# ── what cannot be recorded now ──────────────────────────────────────────────────────────────────────────────────


def _render_not_recorded(error: Exception) -> tuple[str, int, dict[str, str]]:
    """Explain that the database is locked or the disk full, with a button that sends the same form again.

    Passwords and files are not repeated: then the browser's own way back keeps what was typed. Other errors are raised.
    """
    full = disk_space.note_if_full(error)
    if not full and not is_write_refused(error):
        raise error
    page = render_template(
        "not_recorded.html",
        layout="public/base.html" if request.blueprint == "public" else "plain.html",
        full=full,
        posted=request.method == "POST",
        fields=_repeatable_fields(),
        sentences=disk_space,
    )
    return page, 507 if full else 503, {"Retry-After": str(RETRY_AFTER_S)}


def _repeatable_fields() -> list[tuple[str, str]] | None:
    """Return the posted fields for hidden inputs; None if they hold a password, a code or a file."""
    secret = any("password" in name or "code" in name or name == "old" for name in request.form)
    if request.method != "POST" or request.files or secret:
        return None
    return list(request.form.items(multi=True))


def _static_url(filename: str) -> str:
    """Return the URL of a static file with its content hash, so that browsers can cache it for a year."""
    return url_for("static", filename=filename, v=_content_hash(f"{current_app.static_folder}/{filename}"))


@cache
def _content_hash(path: str) -> str:
    return sha256(Path(path).read_bytes()).hexdigest()[:10]
