"""`flask doctor`: what the installation needs from DNS, mail server and machine, and what is found."""

import click

import clock
import i18n
from cli import common
from config import current_config
from core.settings import load_settings
from core.system import diagnostics as examination

STATUS_MARKS = {True: "ok", False: "!!", None: "--"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
@common.with_installation
def doctor(as_json: bool) -> None:
    """Examine DNS, mail server, clock, disk and queue; print the DNS records to publish."""
    found = examination.run_diagnostics(current_config(), load_settings(), clock.now())
    if as_json:
        common.print_json(found)
        return
    click.echo(f"Mail domain: {found['mail_domain']}\n\nDNS records to publish:")
    for one in found["records"]:
        click.echo(f"\n[{STATUS_MARKS[one['ok']]}] {one['kind']}\n  {one['name']}  {one['type']}\n  {one['value']}")
        for text in one["found"] or ():
            click.echo(f"  found: {text}")
        _print_advice(one["advice"])
    click.echo("\nThis machine:")
    for one in found["checks"]:
        click.echo(f"[{STATUS_MARKS[one['ok']]}] {one['kind']}: {one['found']}")
        _print_advice(one["advice"])


def _print_advice(sentence: str) -> None:
    if sentence:
        click.echo(f"  → {i18n.say('en', sentence)}")


COMMANDS = (doctor,)
