"""A reader's new address: it counts once a letter to it was answered by a press; the old one is told (T-17, 5.1).

The letter to the new address is the same whether Kairan knows it or not.
"""

from datetime import datetime, timedelta

from core import audit, rate_limits
from core.errors import DomainError
from core.members import members, preference_page, signed_links
from core.members.normalise import parse_member_address
from core.notifications.notify import notify
from core.settings import load_settings
from database import db
from i18n import N_
from mail import address as addresses
from models import Letter, Person

LINK_LIFETIME = timedelta(hours=24)
PER_PERSON_A_DAY = 3
PER_ADDRESS_A_DAY = 3
LINK_PURPOSE = "new address"
TOO_OFTEN = N_("A letter went there already. Please look for it, or try again tomorrow.")
SAME_ADDRESS = N_("This is the address that we write to already.")


def request_new_address(person: Person, typed: str, now: datetime) -> None:
    """Send the letter with the link to the new address. Raises DomainError for one that cannot be."""
    clean = _clean_new_address(person, typed)
    too_often = rate_limits.record_hit(f"new address:{person.id}", now, 86400) > PER_PERSON_A_DAY
    if (
        too_often
        or rate_limits.record_hit(f"new address at:{addresses.comparison_key(clean)}", now, 86400) > PER_ADDRESS_A_DAY
    ):
        raise DomainError(TOO_OFTEN, "address")
    with db.atomic():  # a sender process must not take the letter before its link stands in it
        letter = notify("new-address", clean, now, language=person.language)
        text = signed_links.link_signer(load_settings(), LINK_PURPOSE).dumps(
            [person.id, preference_page.address_fingerprint(person), letter.id]
        )
        link = {"url": f"{load_settings().base_url}/p/new/{text}"}
        Letter.update(payload={**letter.payload, **link}).where(Letter.id == letter.id).execute()


def _clean_new_address(person: Person, typed: str) -> str:
    clean = parse_member_address(typed)
    if addresses.comparison_key(clean) == person.address_key:
        raise DomainError(SAME_ADDRESS, "address")
    return clean


def new_address_from_link(text: str, now: datetime) -> tuple[Person, str] | None:
    """Return who wants which address; None if the link is wrong, too old, or was used."""
    held = signed_links.read_token(text, LINK_PURPOSE)
    if not held:
        return None
    person = Person.get_or_none(Person.id == held[0])
    letter = Letter.get_or_none(
        Letter.id == held[2], Letter.kind == "new-address", Letter.made_at > now - LINK_LIFETIME
    )
    if person is None or letter is None or not person.address or held[1] != preference_page.address_fingerprint(person):
        return None
    return person, letter.address


def confirm_new_address(person: Person, clean: str, now: datetime) -> None:
    """Take the new address over and tell the old one. Raises members.AddressTaken."""
    with db.atomic():
        members.change_address(person, clean, None, now)
        audit.log_action(None, "member.address_changed_self", person.id)
