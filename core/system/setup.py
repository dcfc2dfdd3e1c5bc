"""Set-up of an installation: the organization and its first administrator, once; later its safety settings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from config import current_config, is_base_url, is_loopback
from core import install
from core.accounts import accounts
from core.errors import DomainError
from core.settings import update_organization
from database import db
from i18n import N_
from mail import address as addresses
from models import MailingList, Role, User


class SetupAlreadyDone(Exception):
    """The installation is set up already; the token is no longer valid."""


@dataclass(frozen=True, slots=True)
class SetupDetails:
    """The set-up form. `base_url`: the URL by which the page was reached; empty if that is a loopback address."""

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
    """Tell whether the token is valid and the installation is not set up yet."""
    return install.check_setup_token(current_config(), token)


def public_base_url(url_root: str) -> str:
    """Return the base URL by which a browser reached the pages; empty for a loopback address."""
    host = urlsplit(url_root).hostname or ""
    return "" if host == "localhost" or is_loopback(f"smtp://{host}") else url_root.rstrip("/")


def run_setup(token: str, details: SetupDetails, now: datetime) -> User:
    """Create the organization and its first administrator. Raises SetupAlreadyDone, DomainError."""
    fields = ("organization", "postal", "contact", "mail_domain", "base_url", "language")
    settings = clean_settings({name: getattr(details, name) for name in fields})
    with db.atomic():
        if not is_setup_open(token):
            raise SetupAlreadyDone
        update_organization(None, name=settings.pop("organization"), **settings)
        user = accounts.add_user(
            details.name, email=details.email, password=details.password, language=details.language, now=now
        )
        Role.create(user=user, list_id=0, kind="admin")
        accounts.ensure_practice_list(user, now)
        install.finish_setup(current_config(), user, now)
    return user


def find_errors(details: SetupDetails) -> list[DomainError]:
    """Return every error of the form, so that the page shows all of them at once."""
    own = (details.name, details.email, details.organization)
    checks: tuple[Callable[[], object], ...] = (
        lambda: clean_domain(details.mail_domain),
        lambda: accounts.clean_name(details.name),
        lambda: accounts.clean_email(details.email),
        lambda: accounts.check_password(details.password, *own),
    )
    errors = []
    for check in checks:
        try:
            check()
        except DomainError as error:
            errors.append(error)
    return errors


def clean_settings(fields: dict[str, str]) -> dict[str, str]:
    """Return organization settings in the form in which they are stored. Raises DomainError with the field."""
    settings = {name: " ".join(value.split()) for name, value in fields.items()}
    if "mail_domain" in settings:
        settings["mail_domain"] = clean_domain(settings["mail_domain"])
    if "base_url" in settings:
        settings["base_url"] = _clean_url(settings["base_url"])
    return settings


def _clean_url(raw: str) -> str:
    if raw and not is_base_url(raw):
        raise DomainError(N_("This is not a web address. It looks like https://kairan.example.jp"), "base_url")
    return raw.rstrip("/")


def clean_domain(raw: str) -> str:
    """Return a mail domain in lower-case ASCII, or "" for blank input. Raises DomainError."""
    if not raw.strip():
        return ""
    try:
        domain = addresses.domain_of(addresses.parse_address(f"postmaster@{raw.strip()}"))
    except addresses.BadAddress:
        domain = ""
    if "." not in domain:
        raise DomainError(N_("This is not a domain. It looks like mail.example.jp, without @."), "mail_domain")
    return domain


# ── safety settings ──────────────────────────────────────────────────────────────────────────────────────────────────


def update_safety(by: User | None, *, everywhere: bool, lists: Iterable[int], public_urgent: bool) -> None:
    """Set where a second person approves notices (everywhere or in these lists), and the public urgent page."""
    numbers = list(lists)
    with db.atomic():
        update_organization(by, requires_approval=everywhere, public_urgent=public_urgent)
        MailingList.update(requires_approval=False).where(MailingList.id.not_in(numbers)).execute()
        MailingList.update(requires_approval=True).where(MailingList.id.in_(numbers)).execute()
