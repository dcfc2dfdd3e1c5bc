"""`flask list`: add a list, count its members."""

import click
from flask.cli import AppGroup

import clock
from cli.common import exit_with_error, get_list_or_exit, print_json, print_note, with_installation
from core import settings
from core.errors import DomainError
from core.members import lists
from i18n import say
from models import MailingList

list_group = AppGroup("list", help="Lists of people who get notices.")
COMMANDS = (list_group,)


@list_group.command("add")
@click.argument("name")
@click.option("--address", required=True, metavar="LOCALPART", help="what stands before the @ of the list's address")
@click.option("--whole", is_flag=True, help="this list is the whole school or club")
@click.option("--purpose", default="", help="what the addresses are used for; shown to who joins")
@with_installation
def add(name: str, address: str, whole: bool, purpose: str) -> None:
    """Add a list; print its number."""
    try:
        made = lists.add_list(None, name, address, whole=whole, purpose=purpose, now=clock.now())
    except DomainError as refused:
        exit_with_error(say("en", refused.message, **refused.values))
    print_note(f"{made.name}: {settings.load_settings().own.address(made.address)}")
    click.echo(made.id)


@list_group.command("show")
@click.argument("wanted", metavar="LIST", required=False)
@click.option("--json", "as_json", is_flag=True, help="one JSON document")
@with_installation
def show(wanted: str | None, as_json: bool) -> None:
    """Count the members of LIST (local part, number or exact name); without LIST, of all lists."""
    chosen = [get_list_or_exit(wanted)] if wanted else list(MailingList.open_lists())
    counted = lists.count_members_by_list(one.id for one in chosen)
    shown = [{"number": one.id, "name": one.name, "address": one.address, **counted[one.id]} for one in chosen]
    if as_json:
        print_json(shown[0] if wanted else shown)
        return
    for one in shown:
        click.echo("  ".join(f"{key} {value}" for key, value in one.items()))
