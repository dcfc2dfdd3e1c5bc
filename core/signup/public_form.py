"""What stands between the public page for joining and those who would fill letter boxes with it (defences 2).

A form that is sent back within two seconds, or after a day, is asked for once more; each network has its share,
larger with a valid code, since a whole school may register behind one address. Guessed codes are counted.
"""

from datetime import datetime

from core import rate_limits
from core.members import signed_links
from core.settings import load_settings
from database import millis
from i18n import N_
from models import MailingList

MIN_FORM_AGE_MS, MAX_FORM_AGE_MS = 2_000, 24 * 3_600_000
WINDOW_S = 600
PER_NETWORK, PER_NETWORK_WITH_CODE = 30, 300
MAX_WRONG_CODES = 300
"""Wrong codes of a network in the window; then codes are not looked at, so that a right one shows nothing either."""

SUBMIT_AGAIN = N_("Please press the button once more.")


def find_open_list(address: str) -> MailingList | None:
    """Return the list with this local part, if people may join it by themselves."""
    found = MailingList.get_or_none(MailingList.address == address.lower(), MailingList.closed_at.is_null())
    return found if found and not found.practice_of_id and found.join_mode != "closed" else None


def form_token(mailing_list: MailingList | None, now: datetime) -> str:
    """Return the signed moment at which a form was made, for a list or for none."""
    return signed_links.link_signer(load_settings(), "form").dumps(
        [mailing_list.id if mailing_list else 0, millis(now)]
    )


def is_form_token_valid(text: str, mailing_list: MailingList | None, now: datetime) -> bool:
    """Say whether a form was made by us for this list, and a person's time ago."""
    held = signed_links.read_token(text, "form")
    wanted = mailing_list.id if mailing_list else 0
    return bool(held) and held[0] == wanted and MIN_FORM_AGE_MS <= millis(now) - held[1] <= MAX_FORM_AGE_MS


def exceeds_network_quota(address: str | None, coded: bool, now: datetime) -> bool:
    """Count a registration of a network; say whether it has had its share."""
    most = PER_NETWORK_WITH_CODE if coded else PER_NETWORK
    return rate_limits.record_hit(f"join page {coded} {rate_limits.client_network(address)}", now, WINDOW_S) > most


def count_wrong_code(address: str | None, now: datetime) -> None:
    """Count a wrong code of a network."""
    rate_limits.record_hit(f"join code {rate_limits.client_network(address)}", now, WINDOW_S)


def has_too_many_wrong_codes(address: str | None, now: datetime) -> bool:
    """Say whether a network has guessed codes too often."""
    return rate_limits.hit_count(f"join code {rate_limits.client_network(address)}", now) >= MAX_WRONG_CODES
