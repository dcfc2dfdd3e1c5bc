"""`flask config`: the technical settings in `kairan.toml`, the one home of them (design 4)."""

import os
import re
import sys
from dataclasses import fields
from pathlib import Path

import click

import config as ground
from cli.common import exit_with_error, print_json, print_note, with_installation
from config import Config, ConfigError, current_config
from mail.server_urls import ImapAccount, SmtpServer

NAMES = tuple(name for name in ground.setting_names() if name != "data")
MASK = "********"

config = click.Group("config", help="The settings in kairan.toml; pages write them too.")


def shown(name: str, value: object) -> str:
    """Return a value as text, a password masked."""
    text = "" if value is None else str(value)
    if name in ground.SECRETS and "@" in text:
        head, _, rest = text.rpartition("@")
        scheme, _, login = head.partition("://")
        return f"{scheme}://{login.partition(':')[0]}:{MASK}@{rest}"
    return text


def _source(name: str) -> str:
    if name in ground.given_names():
        return "environment"
    return "kairan.toml" if name in ground.read_file(current_config().data) else "default"


@config.command("list")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
@with_installation
def list_settings(as_json: bool) -> None:
    """Print every setting with its value and where it comes from. Passwords are masked."""
    rows = [
        {"name": name, "value": shown(name, getattr(current_config(), name)), "source": _source(name)} for name in NAMES
    ]
    if as_json:
        print_json(rows)
        return
    width = max(map(len, NAMES))
    for row in rows:
        click.echo(f"{row['name']:{width}}  {row['source']:11}  {row['value']}".rstrip())
    if given := sorted(ground.given_names()):
        print_note(
            f"From the environment of this command: {', '.join(given)}. A service started without them does not see "
            "these values; `config import-env` moves them into kairan.toml."
        )


@config.command("get")
@click.argument("name", type=click.Choice(NAMES))
@with_installation
def get_setting(name: str) -> None:
    """Print one setting; of a password only that it is set."""
    click.echo(shown(name, getattr(current_config(), name)))


@config.command("set")
@click.argument("name", type=click.Choice(NAMES))
@click.argument("value", required=False)
@click.option(
    "--stdin", "from_stdin", is_flag=True, help="read the value from standard input: no password in the history"
)
@with_installation
def set_setting(name: str, value: str | None, from_stdin: bool) -> None:
    """Write one setting into kairan.toml; an empty VALUE removes it. The service sees it at once."""
    if from_stdin == (value is not None):
        raise click.UsageError("Give either VALUE or --stdin.")
    entered = (sys.stdin.readline() if from_stdin else value or "").strip()
    _write({name: entered})
    if name in ground.NEEDS_RESTART:
        print_note("Restart Kairan: this setting is read at its start (sudo systemctl restart kairan).")
    if name in ground.given_names():
        print_note(f"KAIRAN_{name.upper()} is set in the environment of this command and wins here.")


@config.command("import-env")
@click.argument("unit", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_installation
def import_environment(unit: Path | None) -> None:
    """Move settings from a unit file of systemd, or from the environment of this command, into kairan.toml.

    Without UNIT: the variables KAIRAN_… of this command. Remove them there afterwards, and restart Kairan.
    """
    variables = read_unit(unit.read_text("utf-8")) if unit else dict(os.environ)
    found = {name: value for name, value in ground.from_environment(variables).items() if name != "data"}
    if not found:
        print_note("No KAIRAN_… setting was found there.")
        return
    _write(found)
    for name in sorted(found):
        click.echo(f"{name} = {shown(name, found[name])}")
    place = str(unit) if unit else "the environment"
    print_note(f"Now remove these variables from {place}, leave KAIRAN_DATA, and restart Kairan.")


def read_unit(text: str) -> dict[str, str]:
    """Return the variables of the lines Environment= of a unit, with %% as % and quotes removed.

    A % that systemd would not understand is taken as it is written: the line was meant so.
    """
    variables = {}
    for line in text.splitlines():
        if found := re.fullmatch(r"\s*Environment=(.*)", line):
            for part in re.findall(r'"[^"]*"|\'[^\']*\'|\S+', found[1]):
                name, _, value = part.strip("\"'").partition("=")
                variables[name] = value.strip("\"'").replace("%%", "%")
    return variables


def _write(changes: dict[str, str]) -> None:
    for name, parse in (("smtp", SmtpServer.parse), ("imap", ImapAccount.parse)):
        if changes.get(name):
            parse(changes[name])
    try:
        ground.write_file(current_config().data, {name: _typed(name, value) for name, value in changes.items()})
    except ConfigError as wrong:
        exit_with_error(str(wrong))


def _typed(name: str, value: str) -> object:
    numbers = {one.name for one in fields(Config) if one.type in (int, float, "int", "float", int | None, "int | None")}
    if name not in numbers or not value:
        return value
    try:
        return float(value) if name == "clock_offset_s" else int(value)
    except ValueError as wrong:
        raise ConfigError(f"{name} must be a number, not {value!r}") from wrong


COMMANDS = (config,)
