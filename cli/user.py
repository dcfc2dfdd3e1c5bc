"""`flask user`: organizers."""

import sys
from datetime import datetime

import click

import clock
from cli.common import exit_with_domain_error, exit_with_error, get_list_or_exit, print_note, with_installation
from config import current_config
from core import audit, install, settings
from core.accounts import accounts, login_links, roles
from core.accounts import second_factor as factors
from core.errors import DomainError
from database import db
from i18n import LANGUAGES
from models import Organization, Role, User

user_group = click.Group("user", help="Organizers who log in.")
COMMANDS = (user_group,)


@user_group.command("add")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(Role.KINDS))
@click.option("--list", "wanted", metavar="LIST", help="limit the role to this list (local part, number or name)")
@click.option("--email", metavar="ADDRESS", help="for links, own copies and the practice list")
@click.option("--language", type=click.Choice(list(LANGUAGES)), help="default: the organization's")
@click.option("--password-stdin", is_flag=True, help="read the password from stdin, one line")
@with_installation
def add(
    name: str, role: str, wanted: str | None, email: str | None, language: str | None, password_stdin: bool
) -> None:
    """Add an organizer and print the number; without a password, also print a one-time link, valid for three days."""
    now = clock.now()
    list_id = get_list_or_exit(wanted).id if wanted else 0
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    try:
        with db.atomic():
            user = accounts.add_user(
                name, email=email, password=password, language=language or Organization.load_row().language, now=now
            )
            roles.grant_role(user, role, list_id, by=None)
            accounts.ensure_practice_list(user, now)
    except DomainError as error:
        exit_with_domain_error(error)
    _close_setup(user, role, now)
    if password is None:
        print_note(f"Choose the password here within three days: {login_links.link_url(user, 'invitation', now)}")
    click.echo(user.id)


def _close_setup(user: User, role: str, now: datetime) -> None:
    """Expire the set-up link if this user is the first administrator."""
    if role == "admin" and not settings.is_set_up():
        install.finish_setup(current_config(), user, now)


@user_group.command("reset")
@click.argument("name")
@click.option(
    "--second-factor", is_flag=True, help="also turn off the two-step verification, if phone and codes are lost"
)
@with_installation
def reset(name: str, second_factor: bool) -> None:
    """Print a link that works once within an hour and sets a new password."""
    user, now = accounts.find_user(name), clock.now()
    if user is None:
        exit_with_error(f"There is no user {name!r}.")
    if not user.is_active:
        exit_with_error(f"{user.name} is disabled. An administrator can enable the account on the users page.")
    if second_factor:
        removed = factors.reset(user, now, by=None)
        print_note(f"Two-step verification of {user.name}: {'turned off' if removed else 'was off already'}.")
    elif factors.is_on(user):
        print_note(f"{user.name} has two-step verification, and it stays on. To turn it off too: --second-factor")
    audit.log_action(None, "password.link_made", user.id, kind="user")
    click.echo(login_links.link_url(user, "password", now))
