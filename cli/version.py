"""`flask version`: which version this is."""

from dataclasses import asdict

import click

from cli.common import print_json
from core.system import version as versions


@click.command()
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
def version(as_json: bool) -> None:
    """Print the version, its commit and its newest migration."""
    found = versions.current_version()
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(" ".join(part for part in ("Kairan", found.number, found.commit, found.schema) if part))


COMMANDS = (version,)
