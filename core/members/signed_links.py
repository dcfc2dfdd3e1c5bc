"""Signed marks in the web addresses of letters to members: which member, which list. No address stands in them.

A mark of a place (leave, resume) works as long as the membership; what can change data has an end of its own.
"""

from itsdangerous import BadSignature, URLSafeSerializer

from core.settings import Settings, load_settings
from models import MailingList, Person


def link_signer(force: Settings, purpose: str) -> URLSafeSerializer:
    """Return what signs and reads marks of one purpose; a mark of one purpose is none of another."""
    return URLSafeSerializer(force.secret, salt=f"kairan by mail: {purpose}")


def read_token(text: str, purpose: str) -> list | None:
    """Return what a mark holds; None if it is not one of ours."""
    try:
        return link_signer(load_settings(), purpose).loads(text)
    except (BadSignature, ValueError, TypeError):
        return None


def sign_membership(person: Person, mailing_list: MailingList, force: Settings | None = None) -> str:
    """Return the mark by which a member leaves or resumes this one list."""
    return link_signer(force or load_settings(), "place").dumps([person.id, mailing_list.id])


def membership_by_token(text: str) -> tuple[Person, MailingList] | None:
    """Return member and list of a mark; None if it is wrong, or the member is gone."""
    held = read_token(text, "place")
    if held is None:
        return None
    found, mailing_list = Person.get_or_none(Person.id == held[0]), MailingList.get_or_none(MailingList.id == held[1])
    return (found, mailing_list) if found and mailing_list else None
