"""`flask work`: the worker alone, or one pass over whatever is due (`--drain`)."""

import signal

import click

from cli import common
from cli.supervisor import PROCESSES, Supervisor
from config import current_config
from core.delivery.worker import open_worker


@click.command()
@click.option("--drain", is_flag=True, help="send until nothing is due now, then end")
@common.with_installation
def work(drain: bool) -> None:
    """Send letters: the clock and two sender processes, until stopped."""
    if not drain:
        raise SystemExit(Supervisor(current_config(), PROCESSES["worker"]).run())
    stopping = _catch_signals(signal.SIGTERM, signal.SIGINT)
    sender = open_worker()
    try:
        reached = sender.drain(lambda: bool(stopping))
    finally:
        sender.close()
    if not reached:
        common.exit_with_error(f"The mail server cannot be used ({sender.trouble}). The letters wait; nothing is lost.")


@click.command("send-letters", hidden=True)  # `flask sender` is about who may post to a list
@common.with_installation
def send_letters() -> None:
    """One sender process; started and watched by the supervisor."""
    stopping = _catch_signals(signal.SIGTERM)
    common.exit_with_parent()
    open_worker().run(lambda: bool(stopping))


def _catch_signals(*signals: int) -> list[int]:
    """Let signals end this process between two letters; the list returned holds those that came."""
    came: list[int] = []
    for number in signals:
        signal.signal(number, lambda number, frame: came.append(number))
    return came


COMMANDS = (work, send_letters)
