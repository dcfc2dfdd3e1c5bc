"""The commands of the terminal (`flask …`, `./kairan …`): one file per noun, registered here.

stdout is the result alone, everything else goes to stderr; exit 0 done, 2 wrong usage, 1 failed with one clear line.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flask import Flask


def commands() -> Iterator[click.Command]:
    """Find every command of this package."""
    for found in iter_modules(__path__):
        if found.name != "__main__":
            yield from getattr(import_module(f"cli.{found.name}"), "COMMANDS", ())


def register(app: "Flask") -> None:
    """Hang every command on the `flask` command."""
    for command in commands():
        app.cli.add_command(command)
