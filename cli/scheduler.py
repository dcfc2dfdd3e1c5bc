"""The part that rings: huey wakes the worker early and once a minute (law 1)."""

import threading

import click

import tasks
from cli import common
from config import current_config


@click.command(hidden=True)
@common.with_installation
def bell() -> None:
    """The clock: huey's consumer; started and watched by the supervisor.

    Two threads, so that a large import does not keep a notice waiting.
    """
    common.exit_with_parent()
    if current_config().inbound_listener is None:  # else the mail door does it
        threading.Thread(target=_run_imap_poller, name="collector", daemon=True).start()
    tasks.get_huey(current_config().data).create_consumer(
        workers=2, max_delay=1.0, graceful_signal="TERM", shutdown_timeout=30, check_worker_health=True
    ).run()


def _run_imap_poller() -> None:
    import smtpd  # the mail door is not needed to start with

    smtpd.run_workers(lambda: False)


COMMANDS = (bell,)
