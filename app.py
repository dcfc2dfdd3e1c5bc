"""Application factory: configuration, security, blueprints. Only cli and tests import this module."""

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
    """Flask that logs the endpoint in place of the URL, which may hold a reader's token or a login link."""

    def log_exception(self, exc_info: Any) -> None:
        """Log the traceback without the URL."""
        self.logger.error("fault in %s [%s]", request.endpoint, request.method, exc_info=exc_info)


def create_app(config: ground.Config | None = None) -> Flask:
    """Create the application for one installation (default: `kairan.toml` and `KAIRAN_*`).

    A terminal command gets only the commands; they open the installation themselves.
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
    settings.move_settings_to_file()
    app.config.update(
        SECRET_KEY=config.key("session").decode(),
        SESSION_COOKIE_NAME="kairan",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=90),
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=24 * 2**20,
        MAX_FORM_MEMORY_SIZE=8 * 2**20,
        MAX_FORM_PARTS=12_000,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
    )
    if ground.is_loopback(f"//{config.http}"):  # trust X-Forwarded-* only from a proxy on this machine
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    web.init_app(app)
    compression.init_app(app)  # before the security, whose changes of a page are compressed, too
    web_security.init_app(app)
    for area in AREAS:
        package = import_module(f"blueprints.{area}")
        for views in package.VIEWS:
            import_module(f"blueprints.{area}.{views}")
        app.register_blueprint(package.bp)
    app.extensions["csrf"].exempt(app.blueprints["public"])  # the token in the URL authorizes these requests
    return app


def _is_cli_command() -> bool:
    """Say whether `flask` runs a Kairan command, not `run`, `routes` or `shell`."""
    return os.environ.get("FLASK_RUN_FROM_CLI") == "true" and not {"run", "routes", "shell"} & set(sys.argv)
