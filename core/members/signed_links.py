"""Signed tokens in the links of e-mails to members. No token holds an address.

The token of a membership (leave, resume) is valid as long as the membership; tokens that can change data expire.
"""

import hmac
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from core.settings import Settings, load_settings
from database import millis
from i18n import N_
from models import MailingList, Person

PAGE_LINK_LIFETIME, WELCOME_LINK_LIFETIME = timedelta(hours=24), timedelta(days=7)
MIN_FORM_AGE_MS, MAX_FORM_AGE_MS = 2_000, 24 * 3_600_000
SUBMIT_AGAIN = N_("Please press the button once more.")


_PAGE_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")


def link_signer(settings: Settings, purpose: str) -> URLSafeSerializer:
    """Return what signs and reads the tokens of one purpose; it rejects those of another."""
    return URLSafeSerializer(settings.secret, salt=f"kairan by mail: {purpose}")


def read_token(text: str, purpose: str) -> list[Any] | None:
    """Return what a token holds; None if it is not one of ours."""
    try:
        return link_signer(load_settings(), purpose).loads(text)
    except (BadSignature, ValueError, TypeError):
        return None


def sign_membership(person: Person, mailing_list: MailingList, settings: Settings | None = None) -> str:
    """Return the token by which a member leaves or resumes this one list."""
    return link_signer(settings or load_settings(), "place").dumps([person.id, mailing_list.id])


def leave_url(person: Person, mailing_list: MailingList, settings: Settings | None = None) -> str:
    """Return the whole web address of the page that stops or resumes one list."""
    settings = settings or load_settings()
    return f"{settings.base_url}/mail/leave/{sign_membership(person, mailing_list, settings)}"


def membership_by_token(text: str) -> tuple[Person, MailingList] | None:
    """Return member and list of a token; None if it is wrong, or the member is gone."""
    token = read_token(text, "place")
    if token is None:
        return None
    person, mailing_list = (
        Person.get_or_none(Person.id == token[0]),
        MailingList.get_or_none(MailingList.id == token[1]),
    )
    return (person, mailing_list) if person and mailing_list else None


# ── the preference page ──────────────────────────────────────────────────────────────────────────────────────────


def sign_page_token(person: Person, ends: datetime) -> str:
    """Return the token that opens the preference page until a moment, while the person keeps this address.

    It has 32 characters: number, minute, and 128 bits of HMAC over both and the address. So the link fits on one line
    of a letter.
    """
    body = struct.pack(">II", person.id, millis(ends) // 60_000)
    return urlsafe_b64encode(body + _token_hmac(body, person)).decode()


def _token_hmac(body: bytes, person: Person) -> bytes:
    key = person.address_key or person.address or ""
    return hmac.digest(load_settings().secret, b"own page" + body + key.encode(), "sha256")[:16]


def address_fingerprint(person: Person) -> str:
    """Return what ties a link to the address that the person has now."""
    return hmac.digest(load_settings().secret, f"at {person.address_key or person.address}".encode(), "sha256")[
        :6
    ].hex()


def page_url(person: Person, now: datetime, lifetime: timedelta = PAGE_LINK_LIFETIME) -> str:
    """Return the whole web address of the preference page."""
    return f"{load_settings().base_url}/p/{sign_page_token(person, now + lifetime)}"


def person_by_token(text: str, now: datetime) -> Person | None:
    """Return whose page this token opens; None if it is wrong, expired, or the address has changed since."""
    if not _PAGE_TOKEN.fullmatch(text):
        return None
    raw = urlsafe_b64decode(text)
    number, minute = struct.unpack(">II", raw[:8])
    person = Person.get_or_none(Person.id == number)
    if person is None or not person.address or not hmac.compare_digest(raw[8:], _token_hmac(raw[:8], person)):
        return None
    return person if minute * 60_000 > millis(now) else None


# ── public forms ─────────────────────────────────────────────────────────────────────────────────────────────────


def form_token(mailing_list: MailingList | None, now: datetime) -> str:
    """Return the token of a form: list (or none) and the moment at which it was rendered."""
    return link_signer(load_settings(), "form").dumps([mailing_list.id if mailing_list else 0, millis(now)])


def is_form_token_valid(text: str, mailing_list: MailingList | None, now: datetime) -> bool:
    """Return whether we rendered the form for this list, 2 seconds to 24 hours ago (bots are faster)."""
    token = read_token(text, "form")
    wanted = mailing_list.id if mailing_list else 0
    return bool(token) and token[0] == wanted and MIN_FORM_AGE_MS <= millis(now) - token[1] <= MAX_FORM_AGE_MS
