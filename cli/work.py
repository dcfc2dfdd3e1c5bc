"""`flask work`: the worker alone, or one pass over whatever is due (`--drain`)."""

import signal

import click

from cli import common
from cli.supervisor import PARTS, Supervisor
from config import current_config
from core.delivery.worker import open_worker


@click.command()
@click.option("--drain", is_flag=True, help="send until nothing is due now, then end")
@common.in_the_house
def work(drain: bool) -> None:
    """Send letters: the clock and two sender processes, until stopped."""
    if not drain:
        raise SystemExit(Supervisor(current_config(), PARTS["worker"]).run())
    stopping = _stopped_by(signal.SIGTERM, signal.SIGINT)
    sender = open_worker()
    try:
        reached = sender.drain(lambda: bool(stopping))
    finally:
        sender.close()
    if not reached:
        common.fail(f"The mail server cannot be used ({sender.trouble}). The letters wait; nothing is lost.")


@click.command("send-letters", hidden=True)  # `flask sender` is about who may post to a list
@common.in_the_house
def sender() -> None:
    """One sender process; started and watched by the supervisor."""
    stopping = _stopped_by(signal.SIGTERM)
    common.end_with_the_parent()
    open_worker().run(lambda: bool(stopping))


def _stopped_by(*signals: int) -> list[int]:
    """Let signals end this process between two letters; the list returned holds those that came."""
    came: list[int] = []
    for number in signals:
        signal.signal(number, lambda number, frame: came.append(number))
    return came


COMMANDS = (work, sender)
