"""`flask doctor`: check DNS, mail server and machine."""

import click

import clock
import i18n
from cli import common
from config import current_config
from core.settings import load_settings
from core.system import diagnostics

STATUS_MARKS = {True: "ok", False: "!!", None: "--"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
@common.with_installation
def doctor(as_json: bool) -> None:
    """Check DNS, mail server, clock, disk and queue; print the DNS records to publish."""
    result = diagnostics.run_diagnostics(current_config(), load_settings(), clock.now())
    if as_json:
        common.print_json(result)
        return
    click.echo(f"Mail domain: {result['mail_domain']}\n\nDNS records to publish:")
    for check in result["records"]:
        click.echo(
            f"\n[{STATUS_MARKS[check['ok']]}] {check['kind']}\n  {check['name']}  {check['type']}\n  {check['value']}"
        )
        for text in check["found"] or ():
            click.echo(f"  found: {text}")
        _print_advice(check["advice"])
    click.echo("\nThis machine:")
    for check in result["checks"]:
        click.echo(f"[{STATUS_MARKS[check['ok']]}] {check['kind']}: {check['found']}")
        _print_advice(check["advice"])


def _print_advice(sentence: str) -> None:
    if sentence:
        click.echo(f"  → {i18n.say('en', sentence)}")


COMMANDS = (doctor,)
