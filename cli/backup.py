"""`flask backup` and `flask restore`: everything as one file, and back."""

import os
from pathlib import Path

import click

import clock
from cli import common
from config import current_config, load_config, set_current_config
from core import backup as backups
from core import install, schema
from core.system import restore as restores
from models import Notice, Person


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@common.with_installation
def backup(file: Path) -> None:
    """Write everything into FILE (0600; a folder: under the name of the day), also while Kairan runs.

    stdout: the name of the file. It holds addresses and keys: encrypt it before it leaves this machine.
    """
    try:
        made = backups.create_backup(current_config(), file.absolute(), clock.now())
    except schema.DatabaseDamaged as wrong:
        common.exit_with_error(f"The database is damaged, nothing was written: {wrong}")
    except OSError as wrong:
        common.exit_with_error(f"{file} cannot be written ({wrong.strerror}).")
    common.print_note(f"{made.files} files, {max(1, made.octets // 1024):,} kB, checked.")
    click.echo(str(made.path))


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Put a backup in place of what is here; that is kept aside. Refuses while Kairan runs.

    Takes what `backup` wrote, or a copy of the database from the folder `backups` of the data folder.
    """
    os.umask(0o077)
    with common.errors_in_one_line():
        config = set_current_config(load_config())
        clock.set_offset(config.clock_offset_s)
        try:
            result = restores.restore_backup(config, file.absolute(), clock.now())
        except restores.InvalidBackup as wrong:
            common.exit_with_error(f"{wrong} Nothing was changed.")
        except install.DataLocked:
            common.exit_with_error(
                "Kairan is running with this data folder. Stop it first (sudo systemctl stop kairan)."
            )
        except PermissionError as wrong:
            common.exit_with_error(f"No right to write in {wrong.filename}. Run this as the user who owns the folder.")
    _print_restored(result)


def _print_restored(result: restores.RestoreResult) -> None:
    people, notices = Person.select().count(), Notice.select().count()
    common.print_note(f"This is the state of {result.made_at}: {people} people, {notices} notices.")
    if result.kept:
        common.print_note(f"What was here before lies in {result.kept}. Delete it when all is well.")
    if result.asking:
        common.print_note(
            f"{result.asking} notices were on their way then. They wait and ask; look at them before sending."
        )
    common.print_note("Everybody logs in anew. Look at the users: a role or account ended since then is back.")


COMMANDS = (backup, restore)
