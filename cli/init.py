"""`flask init`: make the data folder."""

import click

import config as ground
from cli.common import print_note, with_installation
from core import install, settings


@click.command("init")
@with_installation
def init() -> None:
    """Make data folder, keys and tables; print the set-up link while one is open. Safe to repeat."""
    config = ground.current_config()
    print_note(f"Data folder: {config.data}")
    if token := install.get_setup_token(config):
        click.echo(f"{settings.load_settings().base_url}/setup/{token}")


COMMANDS = (init,)
