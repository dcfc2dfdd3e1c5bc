"""`flask up` (what `./kairan up` ends in) and `flask serve`."""

import errno
import logging
import os
import socket
import sys

import click

from cli import common
from cli.supervisor import PROCESSES, Supervisor
from config import Config, current_config
from core import install, settings
from models import Organization


@click.command()
@click.option("--demo", is_flag=True, help="with the sample school (nothing leaves this machine)")
@common.with_installation
def up(demo: bool) -> None:
    """Create missing files and tables, print the address, and serve."""
    config = current_config()
    _check_port_is_free(config)
    processes = _all_processes(config)
    held = common.lock_processes(config, processes)
    if demo:
        from cli.demo import fill_demo

        fill_demo()
    _print_welcome(config)
    raise SystemExit(Supervisor(config, processes, held).run())


@click.command()
@click.option("--only", type=click.Choice(list(PROCESSES)), help="only this process")
@common.with_installation
def serve(only: str | None) -> None:
    """Serve the pages and send the letters."""
    config = current_config()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    if only == "inlet" and not config.inbound_listener:
        common.exit_with_error("Incoming mail needs an address: set KAIRAN_INLET=lmtp://127.0.0.1:8024, for example.")
    if only in (None, "web"):
        _check_port_is_free(config)
    processes = PROCESSES[only] if only else _all_processes(config)
    raise SystemExit(Supervisor(config, processes, common.lock_processes(config, processes)).run())


def _all_processes(config: Config) -> tuple[str, ...]:
    """Return all processes; the one for incoming mail only if its address is configured."""
    return PROCESSES["web"] + PROCESSES["worker"] + (PROCESSES["inlet"] if config.inbound_listener else ())


def _check_port_is_free(config: Config) -> None:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as wrong:
            common.exit_with_error(
                f"{config.http} cannot be used ({wrong.strerror}). {_port_error_hint(wrong, config)}"
            )


def _port_error_hint(wrong: OSError, config: Config) -> str:
    if wrong.errno == errno.EADDRINUSE:
        other = f"KAIRAN_HTTP={config.host}:{config.port + 1} ./kairan up"
        return f"Is Kairan running already? Else choose another port: {other}"
    if isinstance(wrong, PermissionError):
        return "Ports below 1024 belong to root. Leave KAIRAN_HTTP at 127.0.0.1:8000 and put Caddy or nginx in front."
    return f"This machine has no address {config.host}. Usual is KAIRAN_HTTP=127.0.0.1:{config.port} ./kairan up"


def _print_welcome(config: Config) -> None:
    """Print the address or the one-time set-up link; over SSH also the tunnel command."""
    base = settings.load_settings().base_url
    token = install.get_setup_token(config)
    if token:
        common.print_note("\nKairan is ready to be set up. Open this link (it works once):\n")
        click.echo(f"  {base}/setup/{token}")
    else:
        name = Organization.load_row().name
        common.print_note(f"\nKairan{f' of {name}' if name else ''} is running:\n")
        click.echo(f"  {base}/")
    if os.environ.get("SSH_CONNECTION") and config.host in ("127.0.0.1", "localhost"):
        server = os.environ["SSH_CONNECTION"].split()[2]
        user = os.environ.get("USER", "you")
        common.print_note(
            f"\nOn your own computer, first run:\n\n  ssh -L {config.port}:{config.http} {user}@{server}\n"
        )
    common.print_note("\nCtrl-C stops it; ./kairan up starts it again.")
    sys.stdout.flush()


COMMANDS = (up, serve)
