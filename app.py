"""Assemble the web application: settings, guards, areas. Only cli and tests import this."""

import os
import sys
from datetime import timedelta
from importlib import import_module
from typing import Any

from flask import Flask, request

import cli
import config as ground

AREAS = (
    *("home", "account", "setup", "users", "lists", "members", "signup", "allowed_senders", "notices", "history"),
    *("responses", "admin", "stats", "inbound", "drip", "notice_templates", "rollover", "public"),
)


class KairanFlask(Flask):
    """Flask, but that its log names the page and not the address: that may hold a reader's token or a log-in link."""

    def log_exception(self, exc_info: Any) -> None:
        """Log a fault with its traceback, without the path of the request."""
        self.logger.error("fault in %s [%s]", request.endpoint, request.method, exc_info=exc_info)


def create_app(config: ground.Config | None = None) -> Flask:
    """Make the application for one installation (default: `kairan.toml` and `KAIRAN_*`).

    For a terminal command only the commands are hung on it: they open the installation themselves.
    """
    app = KairanFlask(__name__)
    app.cli = cli.LazyCommands(app.name)  # type: ignore[assignment]
    if config is None and _is_cli_command():
        return app
    return _configure_web(app, config or ground.load_config())


def _configure_web(app: Flask, config: ground.Config) -> Flask:
    from werkzeug.middleware.proxy_fix import ProxyFix

    import clock
    import compression
    import web
    import web_security
    from core import install, settings

    ground.set_current_config(config)
    clock.set_offset(config.clock_offset_s)
    install.prepare_data_folder(config)
    app.config.update(
        SECRET_KEY=config.key("session").decode(),
        SESSION_COOKIE_NAME="kairan",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.load_settings().base_url.startswith("https://"),
        PERMANENT_SESSION_LIFETIME=timedelta(days=90),
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=24 * 2**20,
        MAX_FORM_MEMORY_SIZE=8 * 2**20,
        MAX_FORM_PARTS=12_000,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
    )
    if ground.is_loopback(f"//{config.http}"):  # only a proxy on this machine may say who asks
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    web.init_app(app)
    web_security.init_app(app)
    compression.init_app(app)
    for area in AREAS:
        package = import_module(f"blueprints.{area}")
        for views in package.VIEWS:
            import_module(f"blueprints.{area}.{views}")
        app.register_blueprint(package.bp)
    app.extensions["csrf"].exempt(app.blueprints["public"])  # there the token in the address is the authority
    return app


def _is_cli_command() -> bool:
    """Say whether `flask` was called for one of our commands, not for a development server or the routes."""
    return os.environ.get("FLASK_RUN_FROM_CLI") == "true" and not {"run", "routes", "shell"} & set(sys.argv)
