"""`flask sender`: who may post to a list by mail."""

import click
from flask.cli import AppGroup

import clock
import tasks
from cli.common import exit_with_error, get_list_or_exit, print_note, with_installation
from core.errors import DomainError
from core.inbound import allowed_senders
from i18n import say

sender_group = AppGroup("sender", help="Addresses that may post to a list by mail.")
COMMANDS = (sender_group,)


@sender_group.command("add")
@click.argument("wanted", metavar="LIST")
@click.argument("address")
@click.option("--name", default="", help="name that readers see as the sender")
@with_installation
def add(wanted: str, address: str, name: str) -> None:
    """Register ADDRESS as a sender of LIST, or change its name; print the sender's number.

    A new sender gets the letter that asks to be answered.
    """
    chosen = get_list_or_exit(wanted)
    try:
        if known := allowed_senders.get_sender(chosen, address):
            name = name or known.name
            sender = allowed_senders.update_sender(known, None, known.address, name, clock.now())
        else:
            sender = allowed_senders.add_sender(chosen, None, address, name, clock.now())
            tasks.wake_worker()
    except DomainError as refused:
        exit_with_error(say("en", refused.message, **refused.values))
    print_note(f"{chosen.name}: {sender.address} may post.")
    click.echo(sender.id)
