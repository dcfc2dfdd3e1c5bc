"""`flask demo`, also run by `flask up --demo`: create the sample school once, print its passwords once."""

import click

import clock
from cli import common
from core import demo as school
from core.errors import DomainError


def fill_demo(families: int = school.ROSTER_HOUSEHOLDS) -> None:
    """Create the sample school in an empty installation and print the passwords on stderr. Idempotent."""
    if school.is_filled():
        common.print_note("The sample school is here already; nothing was changed.")
        common.print_note("A forgotten password is set anew by: ./kairan user reset '小川 守'")
        return
    try:
        passwords = school.fill_demo(clock.now(), families)
    except DomainError as error:
        common.exit_with_error(str(error))
    _print_passwords(passwords)


def _print_passwords(passwords: list[tuple[str, str]]) -> None:
    roles = ("administrator", "manager of 6年1組", "manager of かえで原FC", "may look at 全校")
    common.print_note(f"\nThe sample school {school.SCHOOL_NAME} is ready. These passwords are shown only now:\n")
    for (name, password), role in zip(passwords, roles, strict=True):
        common.print_note(f"  {name}  {password}   ({role})")
    common.print_note("\nNo letter leaves this machine: all of them go into the outbox.")


@click.command()
@click.option(
    "--families",
    type=click.IntRange(school.ROSTER_HOUSEHOLDS, 1000),
    default=school.ROSTER_HOUSEHOLDS,
    show_default=True,
    help="number of families; those missing in the roster file are invented",
)
@common.with_installation
def demo(families: int) -> None:
    """Fill an empty installation with a sample school, with dates relative to today."""
    fill_demo(families)


COMMANDS = (demo,)
