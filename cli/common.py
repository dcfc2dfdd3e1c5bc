"""What the commands share: opening the house, finding a list, saying things on the right stream."""

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

import click
from peewee import DatabaseError

import clock
import config as ground
from core import install, schema
from mail.dkim_signer import InvalidDkimKey
from mail.server_urls import BadServerUrl
from models import MailingList


def exit_with_error(sentence: str) -> NoReturn:
    """End with one clear line on stderr and exit code 1."""
    click.echo(sentence, err=True)
    sys.exit(1)


def print_note(sentence: str) -> None:
    """Say something that is not the result."""
    click.echo(sentence, err=True)


def print_json(value: object) -> None:
    """Print the one JSON document of `--json`."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def with_installation(command: Callable) -> Callable:
    """Decorate a command that needs the data folder: settings read, clock set, tables open (made if missing)."""

    @wraps(command)
    def prepared(*args: Any, **kwargs: Any) -> Any:
        os.umask(0o077)  # journals and locks beside the database are for nobody else either
        with errors_in_one_line():
            _open_installation()
            return command(*args, **kwargs)

    return prepared


def _open_installation() -> None:
    config = ground.set_current_config(ground.load_config())
    clock.set_offset(config.clock_offset_s)
    try:
        install.prepare_data_folder(config)
    except PermissionError as wrong:
        exit_with_error(f"No right to write in {wrong.filename}. {ground.run_as_owner_hint(config.data)}")
    except OSError as wrong:
        exit_with_error(
            f"The data folder {wrong.filename} cannot be made ({wrong.strerror}); KAIRAN_DATA names another."
        )


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn what is wrong with this machine, not with the program, into one line and exit code 1."""
    try:
        yield
    except ground.ConfigError as wrong:
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
    except DatabaseError as wrong:
        data = ground.current_config().data
        help_ = (
            f" {ground.run_as_owner_hint(data)}" if "readonly" in str(wrong) or "unable to open" in str(wrong) else ""
        )
        exit_with_error(f"The database {ground.current_config().database} cannot be used: {wrong}.{help_}")
    except OSError as wrong:
        if wrong.errno != errno.ENOSPC:
            raise
        exit_with_error("There is no space left on the disk.")


def get_list_or_exit(wanted: str) -> MailingList:
    """Return a list by local part, number or exact name; exit 1 with a sentence if there is none."""
    by_name = (MailingList.address == wanted.lower()) | (MailingList.name == wanted)
    if wanted.isdecimal() and len(wanted) < 19:
        by_name |= MailingList.id == int(wanted)
    found = list(MailingList.select().where(by_name).limit(2))
    if not found:
        exit_with_error(f"There is no list {wanted!r}. `flask list show` names them all.")
    if len(found) > 1:
        exit_with_error(f"{wanted!r} fits more than one list; give its address or number.")
    return found[0]


PARENT_PIPE = "KAIRAN_PARENT_PIPE"


def exit_with_parent() -> None:
    """End this part (as by SIGTERM) when the supervisor is gone, however it died: its end of a pipe then closes."""
    pipe = os.environ.get(PARENT_PIPE)
    if pipe is None:
        return

    def watch() -> None:
        os.read(int(pipe), 1)  # returns only at the end of the file
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent").start()
