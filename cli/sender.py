"""`flask sender`: who may post to a list by mail."""

import click
from flask.cli import AppGroup

import clock
from cli.common import fail, in_the_house, note, the_list
from core.members import lists
from i18n import say

sender_group = AppGroup("sender", help="Addresses that may post to a list by mail.")
COMMANDS = (sender_group,)


@sender_group.command("add")
@click.argument("wanted", metavar="LIST")
@click.argument("address")
@click.option("--name", default="", help="name that readers see as the sender")
@in_the_house
def add(wanted: str, address: str, name: str) -> None:
    """Register ADDRESS as a sender of LIST; print the sender's number."""
    chosen = the_list(wanted)
    try:
        sender = lists.add_sender(chosen, None, address, name, now=clock.now())
    except lists.DomainError as refused:
        fail(say("en", refused.message, **refused.values))
    note(f"{chosen.name}: {sender.address} may post.")
    click.echo(sender.id)
