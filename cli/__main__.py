"""`python -m cli …`: the same commands without the web application; the supervisor starts its parts this way."""

import sys
from importlib import import_module

import click

import cli

# A part loads its own module alone: it starts in half the time, and a fault elsewhere does not keep letters here.
PARTS = {"send-letters": "cli.work", "bell": "cli.work", "pages": "cli.serve", "mail-door": "cli.deliver"}


@click.group()
def main() -> None:
    """Kairan on the terminal."""


wanted = PARTS.get(sys.argv[1]) if len(sys.argv) > 1 else None
for command in import_module(wanted).COMMANDS if wanted else cli.commands():
    main.add_command(command)

if __name__ == "__main__":
    main()
