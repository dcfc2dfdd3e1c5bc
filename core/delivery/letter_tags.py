"""The letter of a VERP tag, also of tags that version 0.1 wrote without a purpose."""

from core.settings import Settings
from mail import address as addresses
from mail.address import TagPurpose
from models import Letter, Organization


def decode_letter_tag(tag: str, purpose: TagPurpose, settings: Settings) -> int | None:
    """Return the letter number of a tag; None if the tag is invalid for this purpose.

    A tag without a purpose is valid for letters made before the upgrade from version 0.1; later ones never carry it.
    """
    number = addresses.decode_verp_tag(tag, purpose, settings.secret)
    if number is not None:
        return number
    number = addresses.decode_old_verp_tag(tag, settings.secret)
    upgraded_at = Organization.load_row().tags_have_purpose_since if number is not None else None
    if upgraded_at is None or not Letter.select().where(Letter.id == number, Letter.made_at < upgraded_at).exists():
        return None
    return number
