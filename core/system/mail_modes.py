"""How mail goes and comes at this school: four situations, and what works in each of them (N-07, X-08).

Whatever cannot work is not offered: pages ask `organization.mail_comes_in`, letters `mail.address`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from core import settings
from core.errors import DomainError
from core.settings import Settings
from i18n import N_
from models import MailingList, Organization, User


@dataclass(frozen=True, slots=True)
class MailMode:
    """A situation in a secretary's words: its name, and how one knows that it is one's own."""

    name: str
    about: str


MAIL_MODES: dict[str, MailMode] = {
    "own": MailMode(
        N_("Our own mail server stands on this machine"),
        N_("Somebody has set up Postfix here. It sends the letters and takes mail for our domain."),
    ),
    "relay": MailMode(
        N_("A provider sends for us; mail for our domain comes to this machine"),
        N_("We have a user name and a password for sending. The MX record of our domain names this machine."),
    ),
    "collected": MailMode(
        N_("A provider does our mail; all mail for our domain lies in one mailbox"),
        N_("The provider calls it catch-all. Kairan sends by the provider and reads that mailbox."),
    ),
    "mailbox": MailMode(
        N_("We have one mail address at a provider, and nothing else"),
        N_("Such as school@… of Gmail or of an internet provider. Every letter comes from this one address."),
    ),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that works or not, and why not."""

    name: str
    works: bool
    why: str = ""


_NO_INBOUND = N_("Mail does not come in yet: see “Receiving” on this page.")
_NO_ADDRESS = N_("For this the lists need addresses of their own: a mail domain, or a provider with plus addresses.")
_PARTIAL_BOUNCE_REPORTS = N_("Four reports in five are recognised; the others are shown under “Incoming mail”.")


def available_features(force: Settings) -> Iterator[Feature]:
    """Say what works as this school is set, in the order in which people ask."""
    comes, many = force.accepts_inbound, force.own.many
    known = (_PARTIAL_BOUNCE_REPORTS if force.own.mailbox else "") if comes else _NO_INBOUND
    why = "" if comes and many else _NO_ADDRESS if comes else _NO_INBOUND
    yield Feature(N_("Notices to every family, with read confirmation and answers"), True)
    yield Feature(N_("Joining and leaving by a link"), True)
    yield Feature(N_("Addresses that do not exist are noticed"), comes, known)
    yield Feature(N_("Replies of families stand at the notice"), comes, "" if comes else _NO_INBOUND)
    yield Feature(N_("Sending notices from a mail program"), comes and many, why)
    yield Feature(N_("Joining and leaving by a blank mail"), comes and many, why)


# ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────


def choose_mode(by: User, road: str) -> None:
    """Keep which situation this school is in. Raises DomainError for a word that is none of them."""
    if road not in MAIL_MODES:
        raise DomainError(N_("Please choose one."), "road")
    if "road" not in settings.load_settings().fixed and road != settings.load_settings().road:
        settings.update_organization(by, road=road)


def is_list_address(address: str) -> bool:
    """Say whether an address is that of a list, so that it cannot be the mailbox that all mail lies in."""
    domain = settings.load_settings().own.domain
    local, _, behind = address.rpartition("@")
    return behind == domain and MailingList.select().where(MailingList.address == local).exists()


def mailbox_address() -> str:
    """Return the address of the mailbox as it is set, also before it is read."""
    return settings.imap_address(settings.load_settings()) or Organization.load_row().mailbox
