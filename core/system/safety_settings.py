"""What administrators set against mis-sending: where a second person looks, and whether a public page exists."""

from collections.abc import Iterable

from core import settings
from database import db
from models import MailingList, User


def update_safety(by: User | None, *, everywhere: bool, lists: Iterable[int], public_urgent: bool) -> None:
    """Set where a second person looks (everywhere, or in some lists), and the public page of the urgent text."""
    chosen = list(lists)
    with db.atomic():
        settings.update_organization(by, requires_approval=everywhere, public_urgent=public_urgent)
        MailingList.update(requires_approval=False).where(MailingList.id.not_in(chosen)).execute()
        MailingList.update(requires_approval=True).where(MailingList.id.in_(chosen)).execute()
