"""Unsubscribe links in letters of earlier school years, whose deliveries are purged (decision 15).

A digest of the token is kept beside each covered membership, and deleted with it.
"""

import re
from collections.abc import Collection
from datetime import datetime
from hashlib import sha256

from peewee import JOIN

from core.members import unsubscribe
from core.members.signed_links import sign_membership
from database import bulk_insert, db
from models import Delivery, DeliveryMembership, ExpiredLink, MailingList, Membership, Person

_TOKEN = re.compile(r"\s*([a-z2-7]{26})(?![a-z0-9])", re.IGNORECASE)


def token_digest(token: str) -> bytes:
    """Return the digest of a 128-bit token; it cannot be reversed."""
    return sha256(token.encode()).digest()[:16]


def save_expired_links(deliveries: Collection[int]) -> None:
    """Save the digests of deliveries before they are deleted. Call inside the transaction."""
    rows = (
        Delivery.select(Delivery.token, Membership.id)
        .join(DeliveryMembership, JOIN.INNER)
        .join(Membership, JOIN.INNER)
        .where(Delivery.id.in_(list(deliveries)), Membership.is_member)
        .tuples()
    )
    found = {(token_digest(token), membership) for token, membership in rows}
    bulk_insert(ExpiredLink, ({"digest": mark, "membership": membership} for mark, membership in found))


def memberships_by_token(raw: str) -> list[tuple[Person, MailingList]]:
    """Return the person and lists of an expired letter; [] for an unknown token."""
    cut = _TOKEN.match(raw)
    if cut is None:
        return []
    rows = (
        ExpiredLink.select(ExpiredLink, Membership, Person, MailingList)
        .join(Membership)
        .join(Person)
        .switch(Membership)
        .join(MailingList)
        .where(ExpiredLink.digest == token_digest(cut[1].lower()))
        .order_by(MailingList.whole.desc(), MailingList.name)
    )
    return list({row.membership.list_id: (row.membership.person, row.membership.list) for row in rows}.values())


def unsubscribe_urls(found: Collection[tuple[Person, MailingList]]) -> list[tuple[str, str]]:
    """Return name and URL of each list that an expired letter can stop or resume."""
    return [(one.name, f"/mail/leave/{sign_membership(person, one)}") for person, one in found]


def handle_expired_one_click(found: Collection[tuple[Person, MailingList]], base_url: str, now: datetime) -> bool:
    """Unsubscribe all lists of an expired letter (RFC 8058); return True if a letter about it was sent."""
    told = False
    with db.atomic():
        for person, one in found:
            url = f"{base_url}/mail/leave/{sign_membership(person, one)}"
            told |= unsubscribe.unsubscribe_and_notify(person, one, url, now)
    return told
