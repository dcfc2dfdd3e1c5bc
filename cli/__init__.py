"""The commands of the terminal (`flask …`, `./kairan …`): one file per noun, registered here.

stdout is the result alone, everything else goes to stderr; exit 0 done, 2 wrong usage, 1 failed with one clear line.
"""

from importlib import import_module
from pkgutil import iter_modules

from flask import Flask


def register(app: Flask) -> None:
    """Hang every command of this package on the `flask` command."""
    for found in iter_modules(__path__):
        for command in getattr(import_module(f"cli.{found.name}"), "COMMANDS", ()):
            app.cli.add_command(command)
