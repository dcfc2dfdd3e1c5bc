"""What the commands share: opening the installation, finding rows, and output."""

import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import IO, Any, NoReturn

import click
from peewee import DatabaseError

import clock
from config import Config, ConfigError, current_config, load_config, run_as_owner_hint, set_current_config
from core import disk_space, install, schema, settings
from core.accounts import accounts
from core.errors import DomainError
from database import is_locked_error
from i18n import say
from mail.dkim_signer import InvalidDkimKey
from mail.server_urls import BadServerUrl
from models import Group, MailingList, User

RESTORED_COPY = (
    "This is a restored copy: nothing leaves it, and no mail is fetched. "
    "To make it the real installation: ./kairan take-over"
)
DISK_FULL = "The disk is full, so this was not done. Free some space, then run the command again; nothing is lost."


def exit_with_error(sentence: str) -> NoReturn:
    """Print one line on stderr and exit with code 1."""
    click.echo(sentence, err=True)
    sys.exit(1)


def exit_with_domain_error(error: DomainError) -> NoReturn:
    exit_with_error(say("en", error.message, **error.values))


def print_note(sentence: str) -> None:
    """Print a note on stderr; stdout is for the result."""
    click.echo(sentence, err=True)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def with_installation(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command that needs the data folder: read the config, set the clock, open or make the tables."""

    @wraps(command)
    def prepared(*args: Any, **kwargs: Any) -> Any:
        os.umask(0o077)  # also for the journals and locks of the database
        with errors_in_one_line():
            _open_installation()
            return command(*args, **kwargs)

    return prepared


def _open_installation() -> None:
    config = set_current_config(load_config())
    clock.set_offset(config.clock_offset_s)
    try:
        install.prepare_data_folder(config)
        _move_settings()
    except PermissionError as wrong:
        exit_with_error(f"No right to write in {wrong.filename}. {run_as_owner_hint(config.data)}")
    except OSError as wrong:
        if disk_space.note_if_full(wrong):
            exit_with_error(DISK_FULL)
        exit_with_error(
            f"The data folder {wrong.filename} cannot be made ({wrong.strerror}); KAIRAN_DATA names another."
        )


def _move_settings() -> None:
    """Move what an earlier version kept in its tables into kairan.toml, and say so."""
    if moved := settings.move_settings_to_file():
        print_note(f"These settings are in kairan.toml now: {', '.join(moved)}")


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Report faults of the machine or its settings, not of the program, in one line with exit code 1."""
    try:
        yield
    except ConfigError as wrong:
        exit_with_error(str(wrong))
    except install.DataLocked:
        exit_with_error("Another process is restoring a backup into this data folder, or upgrading its database.")
    except install.IncompleteRestore as wrong:
        exit_with_error(f"A restore into {wrong} was cut off. Run it again: flask restore FILE")
    except install.StillRunning as wrong:
        exit_with_error(
            f"This version must upgrade the database, but Kairan is still running with {wrong}. "
            "Stop Kairan first (sudo systemctl stop kairan), then start this version."
        )
    except schema.NewerDatabase as wrong:
        exit_with_error(
            f"The database was upgraded by a newer Kairan ({wrong} is unknown here). "
            "Install that version, or restore a backup made with this one."
        )
    except schema.UpgradeFailed as wrong:
        exit_with_error(
            f"The database could not be upgraded, so nothing in it was changed: {wrong}. "
            "Go on with the version you had, and report this line."
        )
    except BadServerUrl as wrong:
        exit_with_error(f"The mail server (KAIRAN_SMTP, or set on the page) cannot be used: {wrong.message}")
    except InvalidDkimKey as wrong:
        exit_with_error(f"data/keys/dkim.pem cannot be used: {wrong}")
    except (DatabaseError, sqlite3.DatabaseError) as wrong:
        config = current_config()
        if disk_space.note_if_full(wrong):
            exit_with_error(DISK_FULL)
        if is_locked_error(wrong):
            exit_with_error("Another process keeps writing to the database. Run the command again in a minute.")
        no_right = "readonly" in str(wrong) or "unable to open" in str(wrong)
        hint = f" {run_as_owner_hint(config.data)}" if no_right else ""
        exit_with_error(f"The database {config.database} cannot be used: {wrong}.{hint}")
    except OSError as wrong:
        if not disk_space.note_if_full(wrong):
            raise
        exit_with_error(DISK_FULL)


def get_list_or_exit(wanted: str) -> MailingList:
    """Return a list by local part, number or exact name; exit if there is none or more than one."""
    condition = (MailingList.address == wanted.lower()) | (MailingList.name == wanted)
    if _is_id(wanted):
        condition |= MailingList.id == int(wanted)
    lists = list(MailingList.select().where(condition).limit(2))
    if not lists:
        exit_with_error(f"There is no list {wanted!r}. `flask list show` names them all.")
    if len(lists) > 1:
        exit_with_error(f"{wanted!r} fits more than one list; give its address or number.")
    return lists[0]


def get_user_or_exit(name: str) -> User:
    user = accounts.find_user(name)
    if user is None or not user.is_active:
        exit_with_error(f"There is no user {name!r} who may log in. `flask user add` makes one.")
    return user


def get_group_or_exit(wanted: str) -> Group:
    """Return a group by number, name, or list and name (`zenko/3年`); exit if there is none or more than one."""
    list_name, _, name = wanted.rpartition("/")
    rows = Group.select(Group, MailingList).join(MailingList)
    rows = rows.where(Group.closed_at.is_null(), MailingList.closed_at.is_null())
    if _is_id(wanted):
        rows = rows.where((Group.id == int(wanted)) | (Group.name == wanted))
    else:
        rows = rows.where(Group.name == name)
    if list_name:
        rows = rows.where(Group.list == get_list_or_exit(list_name))
    groups = list(rows.limit(2))
    if not groups:
        exit_with_error(f"There is no group {wanted!r}. `flask group show` names them all.")
    if len(groups) > 1:
        exit_with_error(f"{wanted!r} fits more than one group; write LIST/NAME or the number.")
    return groups[0]


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) < 19


def catch_signals(*signals: int) -> list[int]:
    """Replace the handlers of some signals; return the list to which received signals are added."""
    received: list[int] = []
    for number in signals:
        signal.signal(number, lambda number, frame: received.append(number))
    return received


def lock_processes(config: Config, processes: tuple[str, ...]) -> list[IO[str]]:
    """Hold the locks of these processes; exit if Kairan runs them already."""
    try:
        return install.lock_services(config.data, processes)
    except install.DataLocked:
        exit_with_error(
            f"Kairan is running already with {config.data}. Stop it first, or name another folder: KAIRAN_DATA"
        )


PARENT_PIPE = "KAIRAN_PARENT_PIPE"


def exit_with_parent() -> None:
    """Send SIGTERM to this process when the supervisor ends, even by kill -9: its end of a pipe then closes."""
    pipe = os.environ.get(PARENT_PIPE)
    if pipe is None:
        return

    def watch() -> None:
        os.read(int(pipe), 1)  # returns at end of file only
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent").start()
