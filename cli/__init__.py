"""The terminal commands (`flask …`, `./kairan …`), registered here.

stdout is the result alone, everything else goes to stderr. Exit code 0: done; 2: wrong usage; 1: failed, with one line.
A command loads its own file alone: it starts in half the time, and a fault elsewhere does not stop the sending.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import click

COMMAND_MODULES = {
    "init": "org",
    "list": "lists",
    "member": "lists",
    "group": "lists",
    "sender": "lists",
    "collect": "deliver",
    "bell": "scheduler",
    "pages": "web_server",
    "up": "serve",
    "send-letters": "work",
    "mail-door": "deliver",
    "restore": "backup",
    "take-over": "backup",
}
"""Files of the commands whose file does not bear their name."""


@cache
def module_names() -> frozenset[str]:
    return frozenset(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def all_commands() -> Iterator[click.Command]:
    for name in sorted(module_names()):
        yield from getattr(import_module(f"cli.{name}"), "COMMANDS", ())


def load_command(name: str) -> click.Command | None:
    """Return one command, or None; loads its own file alone."""
    file = COMMAND_MODULES.get(name, name)
    if file not in module_names():
        return None
    commands = getattr(import_module(f"cli.{file}"), "COMMANDS", ())
    return next((command for command in commands if command.name == name), None)


class LazyCommands(click.Group):
    """All commands as one group that loads a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(command.name or "" for command in all_commands())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return load_command(name)
