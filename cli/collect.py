"""`flask collect`: read the mailbox once, now, and handle what came."""

import click

import clock
import smtpd
from cli import common
from core import settings
from core.inbound import imap_poller
from mail.imap import MailboxUnavailable


@click.command()
@common.with_installation
def collect() -> None:
    """Take what lies in the mailbox (KAIRAN_IMAP) and handle it; print how many mails there were."""
    box = settings.load_settings().box
    if box is None:
        common.exit_with_error(
            "There is no mailbox to read: set one under More → How mail goes and comes, or KAIRAN_IMAP."
        )
    try:
        number = imap_poller.poll_once(box, clock.now())
    except imap_poller.MailboxLocked:
        common.exit_with_error("Kairan is running and reads the mailbox by itself.")
    except MailboxUnavailable as trouble:
        common.exit_with_error(f"{trouble.message} ({trouble.detail})" if trouble.detail else trouble.message)
    smtpd.SpoolWorker().run_once()
    click.echo(number)


COMMANDS = (collect,)
