"""The first set-up of an installation: the organization and its first administrator, once."""

from dataclasses import dataclass
from datetime import datetime

import config as ground
import models
from core import accounts, organization
from mail import address
from models import Role, User
from words import N_


class AlreadyDone(Exception):
    """Somebody has set this installation up before; the token is dead."""


@dataclass(frozen=True, slots=True)
class Details:
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


def set_up(config: ground.Config, token: str, details: Details, now: datetime) -> User:
    """Write the organization and its first administrator. Raises AlreadyDone, accounts.Refused."""
    domain = clean_domain(details.mail_domain)
    with models.db.atomic():
        if not organization.is_setup_token(config, token):
            raise AlreadyDone
        organization.change(
            None,
            name=" ".join(details.organization.split()),
            postal=" ".join(details.postal.split()),
            contact=" ".join(details.contact.split()),
            language=details.language,
            mail_domain=domain,
            base_url=details.base_url,
        )
        user = accounts.add_user(
            details.name, email=details.email, password=details.password, language=details.language, now=now
        )
        Role.create(user=user, list_id=0, kind="admin")
        accounts.practice_list(user, now)
        organization.finish_setup(config, user, now)
    return user


def clean_domain(raw: str) -> str:
    """Return a mail domain in lower-case ASCII, or empty; raise accounts.Refused if it is none."""
    if not raw.strip():
        return ""
    try:
        found = address.domain(address.clean(f"postmaster@{raw.strip()}"))
    except address.BadAddress:
        found = ""
    if "." not in found:
        raise accounts.Refused("mail_domain", N_("This is not a domain. It looks like mail.example.jp, without @."))
    return found
