"""`flask backup` and `flask restore`: the whole installation in one file."""

import os
from pathlib import Path

import click

import clock
from cli import common
from config import current_config, load_config, set_current_config
from core import backup as backups
from core import install, quarantine, schema
from core.delivery import ledger
from core.notices.merge_fields import display_subject
from core.system import restore as restores
from database import optional_write
from models import Notice, Person


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@common.with_installation
def backup(file: Path) -> None:
    """Write everything into FILE (0600; in a folder: named after the day), also while Kairan runs.

    Prints the file name. The file holds addresses and keys: encrypt it before it leaves this machine.
    """
    with optional_write():
        ledger.carry_waiting(display_subject)
    try:
        written = backups.create_backup(current_config(), file.absolute(), clock.now())
    except schema.DatabaseDamaged as wrong:
        common.exit_with_error(f"The database is damaged, nothing was written: {wrong}")
    except backups.InvalidBackup as wrong:
        common.exit_with_error(f"The backup could not be read again, so it was deleted: {wrong}")
    except OSError as wrong:
        common.exit_with_error(f"{file} cannot be written ({wrong.strerror or wrong}).")
    common.print_note(f"{written.files} files, {max(1, written.octets // 1024):,} kB, checked.")
    click.echo(str(written.path))


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--take-over", is_flag=True, help="this is the real installation now: letters leave again")
def restore(file: Path, take_over: bool) -> None:
    """Replace the data with a backup and keep the old data aside. Refuses while Kairan runs.

    Nothing leaves the restored copy until `take-over`, or the button that every organizer's page shows.
    FILE: a file that `backup` wrote, or a copy of the database from the folder `backups` of the data folder.
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
        if take_over:
            _take_over()
        else:
            common.print_note(common.RESTORED_COPY)


def _print_restored(result: restores.RestoreResult) -> None:
    people, notices = Person.select().count(), Notice.select().count()
    common.print_note(f"This is the state of {result.made_at}: {people} people, {notices} notices.")
    if result.kept:
        common.print_note(f"The old data is in {result.kept}. Delete it when everything works.")
    if result.asking:
        common.print_note(f"{result.asking} notices were being sent then. They are on hold; check them before sending.")
    common.print_note(
        "All users must log in again. Check the users: roles and accounts that ended since then are back."
    )


@click.command("take-over")
@common.with_installation
def take_over_command() -> None:
    """Make a restored copy the real installation: letters leave again, mail is fetched."""
    if not quarantine.is_active():
        common.print_note("This is no restored copy; nothing was changed.")
        return
    _take_over()


def _take_over() -> None:
    replaced = restores.take_over(None, clock.now())
    common.print_note("This is the real installation now. Stop the earlier one if it still runs.")
    if replaced:
        common.print_note(f"The installation in {replaced} sends nothing any more and says so on its pages.")


COMMANDS = (backup, restore, take_over_command)
