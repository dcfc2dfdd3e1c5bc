"""`flask init` and `flask org set`: the data folder, and the settings of the organization."""

import click

from cli.common import exit_with_domain_error, print_note, with_installation
from config import current_config
from core import install, settings
from core.errors import DomainError
from core.system import setup
from i18n import LANGUAGES


@click.command("init")
@with_installation
def init() -> None:
    """Make data folder, keys and tables; print the set-up link while one is open. Safe to repeat."""
    config = current_config()
    print_note(f"Data folder: {config.data}")
    if token := install.get_setup_token(config):
        click.echo(f"{settings.load_settings().base_url}/setup/{token}")


org = click.Group("org", help="The organization.")


@org.command("set")
@click.option("--name", help="the school or club, as families see it")
@click.option("--postal", help="postal address at the end of each letter")
@click.option("--contact", help="how families reach you")
@click.option("--language", type=click.Choice(list(LANGUAGES)), help="language of pages and letters by default")
@click.option("--mail-domain", help="domain of all list addresses")
@click.option("--base-url", help="address of the pages as readers see it, https://…")
@with_installation
def change(**given: str | None) -> None:
    """Change the given settings."""
    fields = {name: value.strip() for name, value in given.items() if value is not None}
    if not fields:
        raise click.UsageError("Give at least one of the options.")
    try:
        settings.update_organization(None, **setup.clean_settings(fields))
    except DomainError as error:
        exit_with_domain_error(error)
    for name in sorted(settings.load_settings().fixed & fields.keys()):
        print_note(
            f"KAIRAN_{name.upper()} is set in the environment of this command, so the change has no effect here."
        )


COMMANDS = (init, org)
