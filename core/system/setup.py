"""The first set-up of an installation: the organization and its first administrator, once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import config as ground
from core import install, settings
from core.accounts import accounts
from core.errors import DomainError
from database import db
from i18n import N_
from mail import address
from models import Role, User


class SetupAlreadyDone(Exception):
    """Somebody has set this installation up before; the token is dead."""


@dataclass(frozen=True, slots=True)
class SetupDetails:
    """What the set-up page asks; `base_url` is how the page was reached, empty if only from this machine."""

    language: str
    organization: str
    postal: str
    contact: str
    mail_domain: str
    base_url: str
    name: str
    email: str
    password: str


def is_setup_open(token: str) -> bool:
    """Say whether this is the token of an installation that waits for its set-up."""
    return install.check_setup_token(ground.current_config(), token)


def public_base_url(url_root: str) -> str:
    """Return the address of the pages as a browser reached them; empty if it is only this machine's own."""
    host = urlsplit(url_root).hostname or ""
    return "" if host == "localhost" or ground.is_loopback(f"smtp://{host}") else url_root.rstrip("/")


def run_setup(token: str, details: SetupDetails, now: datetime) -> User:
    """Write the organization and its first administrator. Raises AlreadyDone, DomainError."""
    fields = ("organization", "postal", "contact", "mail_domain", "base_url", "language")
    kept = clean_settings({name: getattr(details, name) for name in fields})
    with db.atomic():
        if not is_setup_open(token):
            raise SetupAlreadyDone
        settings.update_organization(None, name=kept.pop("organization"), **kept)
        user = accounts.add_user(
            details.name, email=details.email, password=details.password, language=details.language, now=now
        )
        Role.create(user=user, list_id=0, kind="admin")
        accounts.ensure_practice_list(user, now)
        install.finish_setup(ground.current_config(), user, now)
    return user


def find_errors(details: SetupDetails) -> list[DomainError]:
    """Return everything that is wrong about what was typed, so that one page can name it all."""
    own = (details.name, details.email, details.organization)
    checks: tuple[Callable[[], object], ...] = (
        lambda: clean_domain(details.mail_domain),
        lambda: accounts.clean_name(details.name),
        lambda: accounts.clean_email(details.email),
        lambda: accounts.check_password(details.password, *own),
    )
    found = []
    for check in checks:
        try:
            check()
        except DomainError as refused:
            found.append(refused)
    return found


def clean_settings(fields: dict[str, str]) -> dict[str, str]:
    """Return settings of the organization as they are kept; raise DomainError naming the field."""
    kept = {name: " ".join(value.split()) for name, value in fields.items()}
    if "mail_domain" in kept:
        kept["mail_domain"] = clean_domain(kept["mail_domain"])
    if "base_url" in kept:
        kept["base_url"] = _clean_url(kept["base_url"])
    return kept


def _clean_url(raw: str) -> str:
    if raw and not ground.is_base_url(raw):
        raise DomainError(N_("This is not a web address. It looks like https://kairan.example.jp"), "base_url")
    return raw.rstrip("/")


def clean_domain(raw: str) -> str:
    """Return a mail domain in lower-case ASCII, or empty; raise DomainError if it is none."""
    if not raw.strip():
        return ""
    try:
        found = address.domain_of(address.parse_address(f"postmaster@{raw.strip()}"))
    except address.BadAddress:
        found = ""
    if "." not in found:
        raise DomainError(N_("This is not a domain. It looks like mail.example.jp, without @."), "mail_domain")
    return found
