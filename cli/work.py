"""`flask work`: the worker alone, or one pass over the due letters (`--drain`)."""

import signal

import click

from cli import common
from cli.supervisor import PROCESSES, Supervisor
from config import current_config
from core import scheduler
from core.delivery.worker import NoticeHooks, SmtpWorker
from core.notices.merge_fields import display_subject
from core.notices.reminders import unneeded_letters
from core.notices.rendering import RenderCache

NO_ROUTE = (
    "This command knows no mail server, but letters have left this installation, so it touched none of them. "
    "Set the server where the service finds it, too: ./kairan config set smtp URL"
)
HOOKS = NoticeHooks(RenderCache, unneeded_letters, display_subject, scheduler.run_due_jobs)


def open_worker() -> SmtpWorker:
    """Return a worker for the current installation."""
    return SmtpWorker(current_config(), HOOKS)


@click.command()
@click.option("--drain", is_flag=True, help="send until nothing is due now, then end")
@common.with_installation
def work(drain: bool) -> None:
    """Send letters: the scheduler and two worker processes, until stopped."""
    config = current_config()
    if not drain:
        processes = PROCESSES["worker"]
        raise SystemExit(Supervisor(config, processes, common.lock_processes(config, processes)).run())
    stopping = common.catch_signals(signal.SIGTERM, signal.SIGINT)
    worker = open_worker()
    try:
        reached = worker.drain(lambda: bool(stopping))
    finally:
        worker.close()
    if worker.failure == "quarantine":
        common.exit_with_error(common.RESTORED_COPY)
    if worker.failure == "no_route":
        common.exit_with_error(NO_ROUTE)
    if not reached:
        common.exit_with_error(f"The mail server cannot be used ({worker.failure}). The letters wait; nothing is lost.")


@click.command("send-letters", hidden=True)  # `flask sender` is about who may post to a list
@common.with_installation
def send_letters() -> None:
    """One worker process; started and watched by the supervisor."""
    stopping = common.catch_signals(signal.SIGTERM)
    common.exit_with_parent()
    open_worker().run(lambda: bool(stopping))


COMMANDS = (work, send_letters)
