"""`flask user`: organizers."""

import sys
from datetime import datetime

import click

import clock
import config as ground
from cli.common import exit_with_error, get_list_or_exit, print_note, with_installation
from core import audit, install, settings
from core.accounts import accounts, login_links, roles
from core.errors import DomainError
from database import db
from i18n import LANGUAGES, say
from models import Organization, Role, User


@click.group("user", help="Organizers who log in.")
def user() -> None:
    """Hold the commands of the users."""


@user.command("add")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(Role.KINDS))
@click.option("--list", "wanted", metavar="LIST", help="the role counts in this list only (local part, number or name)")
@click.option("--email", metavar="ADDRESS", help="for links, own copies and the practice list")
@click.option("--language", type=click.Choice(list(LANGUAGES)), help="default: the organization's")
@click.option("--password-stdin", is_flag=True, help="read the password from stdin, one line")
@with_installation
def add(
    name: str, role: str, wanted: str | None, email: str | None, language: str | None, password_stdin: bool
) -> None:
    """Add an organizer and print the number; without a password, show a one-time link that works for three days."""
    now = clock.now()
    list_id = get_list_or_exit(wanted).id if wanted else 0
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    try:
        with db.atomic():
            made = accounts.add_user(
                name, email=email, password=password, language=language or Organization.load_row().language, now=now
            )
            roles.grant_role(made, role, list_id, by=None)
            accounts.ensure_practice_list(made, now)
    except DomainError as refused:
        exit_with_error(say("en", refused.message, **refused.values))
    _close_setup(made, role, now)
    if password is None:
        print_note(f"Choose the password here within three days: {login_links.link_url(made, 'invitation', now)}")
    click.echo(made.id)


def _close_setup(made: User, role: str, now: datetime) -> None:
    """An administrator made here is the first one: the set-up link must open nothing any more."""
    if role == "admin" and not settings.is_set_up():
        install.finish_setup(ground.current_config(), made, now)


@user.command("reset")
@click.argument("name")
@with_installation
def reset(name: str) -> None:
    """Print a link that works once within an hour and sets a new password."""
    found = accounts.find_user(name)
    if found is None:
        exit_with_error(f"There is no user {name!r}.")
    if not found.is_active:
        exit_with_error(f"{found.name} is disabled. An administrator can enable the account on the users page.")
    audit.log_action(None, "password.link_made", found.id, kind="user")
    click.echo(login_links.link_url(found, "password", clock.now()))


COMMANDS = (user,)
