"""`flask org set`: name, address and language of the organization."""

import click

from cli.common import exit_with_error, print_note, with_installation
from core import settings
from core.errors import DomainError
from core.system import setup
from i18n import LANGUAGES, say


@click.group("org", help="The organization.")
def org() -> None:
    """Hold the commands of the organization."""


@org.command("set")
@click.option("--name", help="the school or club, as families see it")
@click.option("--postal", help="postal address at the end of each letter")
@click.option("--contact", help="how families reach you")
@click.option("--language", type=click.Choice(list(LANGUAGES)), help="language of pages and letters by default")
@click.option("--mail-domain", help="domain of all list addresses")
@click.option("--base-url", help="address of the pages as readers see it, https://…")
@with_installation
def change(**given: str | None) -> None:
    """Change what is given and leave the rest."""
    fields = {name: value.strip() for name, value in given.items() if value is not None}
    if not fields:
        raise click.UsageError("Give at least one of the options.")
    try:
        settings.update_organization(None, **setup.clean_settings(fields))
    except DomainError as refused:
        exit_with_error(say("en", refused.message, **refused.values))
    for name in sorted(settings.load_settings().fixed & fields.keys()):
        print_note(f"KAIRAN_{name.upper()} is set in the environment or kairan.toml and wins.")


COMMANDS = (org,)
