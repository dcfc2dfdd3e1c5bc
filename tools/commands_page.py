"""Write `docs/commands.md`: every command with its options, and every setting, from the program itself.

Run it as `.venv/bin/python -m tools.commands_page`.
"""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import click

import cli
from config import Config

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands.md"

HEAD = """# Commands and settings

Written by `python -m tools.commands_page` from the program itself; a house test fails when something is missing here.

`./kairan ANYTHING` is the same as `.venv/bin/flask ANYTHING`. The result alone goes to stdout (with `--json` one
document, all keys present), everything else to stderr. Exit code 0: done; 2: wrong usage; 1: failed, with one clear
line. A list is named by the local part of its address, its number or its exact name.

`./kairan up` prepares what is missing and starts; `./kairan test` installs what the tests need and runs them all.
"""

SETTINGS = """
## Settings

Each can stand in `kairan.toml` inside the data folder (`name = value`, without `KAIRAN_`, in small letters) or in the
environment, which wins. What administrators set on the page of settings is used where neither says anything; where one
does, the page says so.

| setting | default | meaning |
|---|---|---|
"""


def leaves(commands: Iterator[click.Command], before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Give (name as typed, command) of every command that is not hidden, groups opened."""
    for command in sorted(commands, key=lambda one: one.name or ""):
        name = f"{before}{command.name}"
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from leaves(iter(command.commands.values()), f"{name} ")
        else:
            yield name, command


def section(name: str, command: click.Command) -> str:
    """Describe one command."""
    arguments = [_shown(one) for one in command.params if isinstance(one, click.Argument)]
    usage = " ".join(["./kairan", name, *arguments])
    rows = [_row(one) for one in command.params if isinstance(one, click.Option) and not one.hidden]
    text = f"\n### `{usage}`\n\n{(command.help or '').strip()}\n"
    return text + ("\n| option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else "")


def _shown(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _row(option: click.Option) -> str:
    value = "" if option.is_flag else f" {option.metavar or _choices(option) or (option.name or '').upper()}"
    notes = (
        [option.help or ""] + (["required"] if option.required else []) + (["repeatable"] if option.multiple else [])
    )
    meaning = "; ".join(note for note in notes if note).replace("|", "\\|")
    return f"| `{option.opts[-1]}{value}` | {meaning} |"


def _choices(option: click.Option) -> str:
    return "/".join(map(str, option.type.choices)) if isinstance(option.type, click.Choice) else ""


def settings() -> Iterator[str]:
    """Give one row for each setting."""
    for one in fields(Config):
        default = "" if one.default in (MISSING, None, "") or isinstance(one.default, Path) else f"`{one.default}`"
        default = "`data`" if one.name == "data" else default
        yield f"| `KAIRAN_{one.name.upper()}` | {default} | {one.metadata['help']} |"


def page() -> str:
    commands = "".join(section(name, command) for name, command in leaves(cli.all_commands()))
    return f"{HEAD}\n## Commands\n{commands}{SETTINGS}" + "\n".join(settings()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
