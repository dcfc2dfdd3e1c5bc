"""The scheduler process: huey wakes the worker early, and once a minute (law 1)."""

import logging
import threading

import click

import tasks
from cli import common
from config import current_config
from core import disk_space
from database import is_write_refused

HUEY_LOGGERS = ("huey", "huey.consumer", "huey.consumer.Scheduler", "huey.consumer.Worker")


@click.command(hidden=True)
@common.with_installation
def bell() -> None:
    """The scheduler (huey's consumer); started and watched by the supervisor.

    Two threads, so that a large import does not delay a notice.
    """
    common.exit_with_parent()
    for name in HUEY_LOGGERS:
        logging.getLogger(name).addFilter(_shorten_refused_write)
    if current_config().inbound_listener is None:  # else the SMTP/LMTP process polls
        threading.Thread(target=_run_imap_poller, name="collector", daemon=True).start()
    tasks.get_huey(current_config().data).create_consumer(
        workers=2, max_delay=1.0, graceful_signal="TERM", shutdown_timeout=30, check_worker_health=True
    ).run()


def _shorten_refused_write(record: logging.LogRecord) -> bool:
    """Log a full disk or a locked queue in one line, without huey's traceback. The tables say what is due (law 1)."""
    fault = record.exc_info[1] if record.exc_info else None
    if fault is not None and is_write_refused(fault):
        disk_space.note_if_full(fault)
        record.msg, record.args, record.exc_info = f"the queue cannot be written ({fault}); trying again", (), None
    return True


def _run_imap_poller() -> None:
    import smtpd  # slow to import

    smtpd.run_workers(lambda: False)


COMMANDS = (bell,)
