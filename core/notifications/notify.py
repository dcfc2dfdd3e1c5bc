"""Service letters of Kairan itself: invitations, login links, copies, alerts. One Letter row each, the same queue."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol

import i18n
from core.notifications.kinds import KINDS
from mail import address as addresses
from models import Letter, Person, User


def notify(
    kind: str,
    to: User | Person | str,
    now: datetime,
    /,
    *,
    language: str = "",
    urgent: bool | None = None,
    expires_after: timedelta | None = None,
    **values: Any,
) -> Letter:
    """Put a service letter in the queue. Raises KeyError for an unknown kind.

    to: a user or person with an address, or an address; an address needs a `language`.
    values: fill the placeholders of the kind; a function is called with the recipient's language. `to_name` is the
    display name in To.
    """
    message_kind = KINDS[kind]
    if isinstance(to, str):
        address, name, spoken = to, "", language
    else:
        address = (to.address if isinstance(to, Person) else to.email) or ""
        name, spoken = to.name, language or to.language
    assert address and spoken  # noqa: S101
    payload = {"to_name": name, **values}
    return Letter.create(
        kind=kind,
        person=to if isinstance(to, Person) else None,
        address=address,
        domain=addresses.domain_of(address),
        urgent=message_kind.urgent if urgent is None else urgent,
        language=spoken,
        payload={key: str(value(spoken) if callable(value) else value) for key, value in payload.items()},
        made_at=now,
        next_attempt_at=now,
        expires_at=now + (expires_after or message_kind.expires_after),
    )


def notify_users(kind: str, users: Iterable[User], now: datetime, /, **values: Any) -> int:
    """Notify those users who have an e-mail address; return how many letters."""
    return len([notify(kind, user, now, **values) for user in users if user.email])


class ServiceLetter(Protocol):
    """A `Letter`, or the copy of one that the worker has claimed."""

    @property
    def kind(self) -> Any: ...
    @property
    def language(self) -> Any: ...
    @property
    def payload(self) -> Any: ...


def render_message(letter: ServiceLetter, organization: str) -> tuple[str, str]:
    """Return subject and text of a service letter in its language."""
    kind = KINDS[letter.kind]
    values = {"organization": organization, **letter.payload}
    return (i18n.say(letter.language, kind.subject, **values), i18n.say(letter.language, kind.text, **values))


def clear_secrets(letter_id: int) -> None:
    """Clear the secret values of an accepted service letter, so that no row keeps a working link."""
    letter = Letter.get_by_id(letter_id)
    secret = KINDS[letter.kind].secret if letter.kind in KINDS else ()
    if secret:
        payload = {key: ("" if key in secret else value) for key, value in letter.payload.items()}
        Letter.update(payload=payload).where(Letter.id == letter_id).execute()
