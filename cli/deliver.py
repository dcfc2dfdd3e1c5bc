"""Incoming mail: `flask deliver` (a mail server's pipe), `flask collect` (the mailbox), and the SMTP/LMTP process."""

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

import clock
import smtpd
import tasks
from cli import common
from core import quarantine
from core.inbound import dispatch, imap_poller
from core.settings import load_settings
from mail.imap import MailboxUnavailable
from models import ImapStatus

HANDLED, NO_SUCH_ADDRESS, TRY_LATER = os.EX_OK, os.EX_NOUSER, os.EX_TEMPFAIL
NULL_SENDERS = ("<>", "MAILER-DAEMON")
"""How mail servers write the empty envelope sender (Postfix's pipe: the second)."""


def _try_later_on_failure(command: Callable[..., None]) -> Callable[..., None]:
    """Exit with 75 in place of 1: a mail server bounces a mail on 1, and keeps it on 75."""

    @wraps(command)
    def patient(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except SystemExit as ended:
            sys.exit(TRY_LATER if ended.code == 1 else ended.code)

    return patient


@click.command()
@click.option("--recipient", required=True, help="the envelope recipient")
@click.option("--sender", default="", help="the envelope sender; empty or <> for bounces")
@_try_later_on_failure
@common.with_installation
def deliver(recipient: str, sender: str) -> None:
    """Handle one mail from standard input. Exit 0: handled, 67: no such address, 75: try again later."""
    if quarantine.is_active():
        common.print_note("This is a restored copy; the mail server must keep the mail.")
        sys.exit(TRY_LATER)
    if dispatch.resolve_recipient(recipient) is None:
        common.print_note("There is no such address here.")
        sys.exit(NO_SUCH_ADDRESS)
    raw = sys.stdin.buffer.read(smtpd.MAX_MESSAGE_SIZE + 1)
    if len(raw) > smtpd.MAX_MESSAGE_SIZE:
        common.print_note("This mail is too large.")
        sys.exit(os.EX_DATAERR)
    try:
        row = dispatch.handle_message(raw, "" if sender.upper() in NULL_SENDERS else sender, recipient, clock.now())
    except Exception as fault:  # the mail server must keep the mail and try again
        common.print_note(f"The mail could not be handled now ({type(fault).__name__}).")
        sys.exit(TRY_LATER)
    if row and row.notice and row.notice.send_at:
        tasks.wake_worker(row.notice.send_at)
    sys.exit(HANDLED)


@click.command()
@common.with_installation
def collect() -> None:
    """Fetch and handle the mails of the mailbox (KAIRAN_IMAP); print how many."""
    box = load_settings().imap_account
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
    status = ImapStatus.load_row()
    if status.message:
        common.print_note(f"{status.message} ({status.detail})" if status.detail else status.message)


@click.command("mail-door", hidden=True)
@common.with_installation
def mail_door() -> None:
    """The SMTP/LMTP process; started and watched by the supervisor."""
    signals = common.catch_signals(signal.SIGTERM, signal.SIGINT)
    common.exit_with_parent()
    smtpd.serve_until(lambda: bool(signals))


COMMANDS = (deliver, collect, mail_door)
