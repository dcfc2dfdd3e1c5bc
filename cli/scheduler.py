"""The scheduler process: huey wakes the worker early, and once a minute (law 1)."""

import threading

import click

import tasks
from cli import common
from config import current_config


@click.command(hidden=True)
@common.with_installation
def bell() -> None:
    """The scheduler (huey's consumer); started and watched by the supervisor.

    Two threads, so that a large import does not delay a notice.
    """
    common.exit_with_parent()
    if current_config().inbound_listener is None:  # else the SMTP/LMTP process polls
        threading.Thread(target=_run_imap_poller, name="collector", daemon=True).start()
    tasks.get_huey(current_config().data).create_consumer(
        workers=2, max_delay=1.0, graceful_signal="TERM", shutdown_timeout=30, check_worker_health=True
    ).run()


def _run_imap_poller() -> None:
    import smtpd  # slow to import

    smtpd.run_workers(lambda: False)


COMMANDS = (bell,)
