"""The commands of the terminal (`flask …`, `./kairan …`): one file per noun, registered here.

stdout is the result alone, everything else goes to stderr; exit 0 done, 2 wrong usage, 1 failed with one clear line.
A command loads its own file alone: it starts in half the time, and a fault elsewhere does not keep letters here.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import click

COMMAND_MODULES = {
    "bell": "scheduler",
    "pages": "web_server",
    "up": "serve",
    "send-letters": "work",
    "mail-door": "deliver",
    "restore": "backup",
}
"""Where a command stands that is not in the file of its own name."""


@cache
def module_names() -> frozenset[str]:
    """Return the names of the files of this package that hold commands."""
    return frozenset(found.name for found in iter_modules(__path__) if not found.name.startswith("_"))


def all_commands() -> Iterator[click.Command]:
    """Find every command of this package."""
    for name in sorted(module_names()):
        yield from getattr(import_module(f"cli.{name}"), "COMMANDS", ())


def load_command(name: str) -> click.Command | None:
    """Return one command, or None; only its own file is loaded."""
    file = COMMAND_MODULES.get(name, name)
    if file not in module_names():
        return None
    there = getattr(import_module(f"cli.{file}"), "COMMANDS", ())
    return next((command for command in there if command.name == name), None)


class LazyCommands(click.Group):
    """All commands as one group that loads what is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(command.name or "" for command in all_commands())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return load_command(name)
