"""The web server process: gunicorn around the application."""

import click
from gunicorn.app.base import BaseApplication

from app import create_app
from cli import common
from config import current_config
from database import db


@click.command(hidden=True)
@common.with_installation
def pages() -> None:
    """The web server; started and watched by the supervisor."""
    common.exit_with_parent()
    app = create_app(current_config())
    db.close()  # a SQLite connection must not survive the forks of gunicorn
    _WebServer(app, {"bind": current_config().http, "workers": 2, "threads": 4, "worker_class": "gthread"}).run()


class _WebServer(BaseApplication):
    """gunicorn with two processes of four threads."""

    def __init__(self, app: object, options: dict[str, object]) -> None:
        self._app, self._options = app, options
        super().__init__()

    def load_config(self) -> None:
        quiet = {
            "loglevel": "error",  # its warnings quote the first line of broken requests, which may hold a token
            "accesslog": None,
            "graceful_timeout": 20,
            "timeout": 60,
            "control_socket_disable": True,
        }
        for name, value in {**quiet, **self._options}.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> object:
        return self._app


COMMANDS = (pages,)
