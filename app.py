"""Assemble the web application: settings, guards, areas. Only cli and tests import this."""

import os
import sys
from datetime import timedelta
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, redirect, render_template, request, url_for
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

import cli
import clock
import config as ground
import models
import web
from core import accounts, organization

AREAS = (
    *("home", "account", "setup", "users", "lists", "members", "senders", "notices", "history", "results"),
    *("admin", "incoming", "public"),
)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class Kairan(Flask):
    """Flask, but that its log names the page and not the address: that may hold a reader's token or a log-in link."""

    def log_exception(self, exc_info: Any) -> None:
        """Log a fault with its traceback, without the path of the request."""
        self.logger.error("fault in %s [%s]", request.endpoint, request.method, exc_info=exc_info)


def create_app(config: ground.Config | None = None) -> Flask:
    """Make the application for one installation (default: `kairan.toml` and `KAIRAN_*`).

    For a terminal command only the commands are hung on it: they open the installation themselves.
    """
    app = Kairan(__name__)
    cli.register(app)
    if config is None and _is_for_a_command():
        return app
    config = ground.use(config or ground.load())
    clock.set_offset(config.clock_offset_s)
    organization.prepare(config)
    app.config.update(
        SECRET_KEY=config.key("session").decode(),
        SESSION_COOKIE_NAME="kairan",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=organization.settings().base_url.startswith("https://"),
        PERMANENT_SESSION_LIFETIME=timedelta(days=90),
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=16 * 2**20,
        MAX_FORM_MEMORY_SIZE=8 * 2**20,
        MAX_FORM_PARTS=12_000,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
    )
    if ground.is_loopback(f"//{config.http}"):  # only a proxy on this machine may say who asks
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    web.install(app)
    _guard(app)
    for name in AREAS:
        app.register_blueprint(import_module(f"blueprints.{name}.routes").bp)
    app.extensions["csrf"].exempt(app.blueprints["public"])  # there the token in the address is the authority
    return app


def _is_for_a_command() -> bool:
    """Say whether `flask` was called for one of our commands, not for a development server or the routes."""
    return os.environ.get("FLASK_RUN_FROM_CLI") == "true" and not {"run", "routes", "shell"} & set(sys.argv)


def _guard(app: Flask) -> None:
    """Put the doors in: login for all but the public areas (T-10), CSRF, headers, kind error pages."""
    CSRFProtect(app)
    login = LoginManager(app)
    login.user_loader(accounts.user_of_session)
    login.session_protection = None
    app.before_request(_connect)
    app.before_request(_only_members_of_the_house)
    app.after_request(_headers)
    app.register_error_handler(CSRFError, lambda error: _sorry(403, "form"))
    for code in (400, 403, 404, 405, 413, 429, 500):
        app.register_error_handler(code, lambda error, code=code: _sorry(code))
    app.jinja_env.globals["asset"] = _asset


def _connect() -> None:
    models.db.connect(reuse_if_open=True)


def _only_members_of_the_house() -> Response | None:
    """Send everybody without a login to the login page; only areas and pages marked public are open."""
    if request.endpoint is None or request.endpoint == "static" or _is_public():
        return None
    if current_user.is_authenticated:
        return None
    if not organization.is_ready():
        return redirect(url_for("setup.welcome"))  # type: ignore[return-value]
    target = url_for("account.login", next=_way_back())
    if web.is_htmx():
        return Response(status=401, headers={"HX-Redirect": target})
    return redirect(target)  # type: ignore[return-value]


def _is_public() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    return request.blueprint == "public" or bool(getattr(view, "is_public", False))


def _way_back() -> str | None:
    return request.full_path.rstrip("?") if request.method == "GET" and request.path != "/" else None


def _headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", POLICY)
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


def _sorry(code: int, why: str = "") -> tuple[str, int]:
    reader = request.blueprint == "public"
    return render_template("error.html", code=code, why=why, reader=reader), code


def _asset(filename: str) -> str:
    """Return the address of a static file with its version, so that it may be cached for a year."""
    return url_for("static", filename=filename, v=_version(f"{current_app.static_folder}/{filename}"))


@cache
def _version(path: str) -> str:
    return sha256(Path(path).read_bytes()).hexdigest()[:10]
