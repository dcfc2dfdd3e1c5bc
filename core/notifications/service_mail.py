"""Letters of Kairan itself: invitations, log-in links, tests, resume links. One Letter row, the same engine.

Each kind has its words here; `values` fill the `%(name)s` places when the letter is composed. Values named in
`secret` are cleared from the row once the letter is accepted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import i18n
from i18n import N_
from mail import address as addresses
from models import Letter, Person


@dataclass(frozen=True, slots=True)
class MessageKind:
    """The words of one kind of service letter. secret: values to be cleared. files: those of its notice go along."""

    subject: str
    text: str
    secret: tuple[str, ...] = ()
    footer: bool = True
    files: bool = False


KINDS: dict[str, MessageKind] = {
    "test": MessageKind(
        N_("Test letter from %(organization)s"),
        N_(
            "This is a test letter. If you can read it, mail from %(organization)s reaches you.\n"
            "There is nothing to do.\n"
        ),
    ),
    "login": MessageKind(
        N_("Log in to %(organization)s"),
        N_(
            "Open this page within 15 minutes and press the button to log in. No password is needed.\n"
            "%(url)s\n\n"
            "Not you? Throw this mail away.\n"
        ),
        secret=("url",),
    ),
    "password": MessageKind(
        N_("A new password for %(organization)s"),
        N_(
            "%(name)s\n\n"
            "Open this page within one hour to choose a new password.\n"
            "%(url)s\n\n"
            "Not you? Throw this mail away: your password stays as it is.\n"
        ),
        secret=("url",),
    ),
    "invitation": MessageKind(
        N_("Invitation to the notices of %(organization)s"),
        N_(
            "%(name)s\n\n"
            "%(by)s invites you to help with the notices of %(organization)s.\n"
            "Open this page within three days and choose a password.\n"
            "%(url)s\n\n"
            "Your user name: %(name)s\n\n"
            "Not you? Throw this mail away.\n"
        ),
        secret=("url",),
    ),
    "email": MessageKind(
        N_("Confirm your new address for %(organization)s"),
        N_(
            "%(name)s\n\n"
            "Open this page within three days and press the button: from then on your letters come here.\n"
            "%(url)s\n\n"
            "Not you? Throw this mail away: everything stays as it is.\n"
        ),
        secret=("url",),
    ),
    "email-changed": MessageKind(
        N_("Your address for %(organization)s has been changed"),
        N_(
            "%(name)s\n\n"
            "Letters of %(organization)s to you no longer come to this address.\n"
            "Was it not you? Please tell an administrator at once: %(administrators)s\n"
        ),
    ),
    "resume": MessageKind(
        N_("Mail from “%(list)s” is stopped"),
        N_("Mail from “%(list)s” is stopped.\nPressed by mistake? Turn it on again here:\n%(url)s\n"),
    ),
}


def notify(
    kind: str,
    *,
    address: str,
    language: str,
    values: Mapping[str, object],
    now: datetime,
    person: Person | None = None,
    urgent: bool = True,
    useful_s: int = 3600,
) -> Letter:
    """Put a service letter in the queue; it leaves with the next claim. Raises KeyError for an unknown kind.

    Service letters go ahead of ordinary notices: somebody is waiting in front of a screen for them.
    """
    KINDS[kind]
    return Letter.create(
        kind=kind,
        person=person,
        address=address,
        domain=addresses.domain_of(address),
        urgent=urgent,
        language=language,
        payload={key: str(value) for key, value in values.items()},
        made_at=now,
        next_attempt_at=now,
        expires_at=now + timedelta(seconds=useful_s),
    )


def render_message(letter: Letter, organization: str) -> tuple[str, str]:
    """Return subject and text of a service letter in its language."""
    kind = KINDS[letter.kind]
    values = {"organization": organization, **letter.payload}
    return (i18n.say(letter.language, kind.subject, **values), i18n.say(letter.language, kind.text, **values))


def clear_secrets(letter_id: int) -> None:
    """Clear the secret values of an accepted service letter, so that no row keeps a working link."""
    letter = Letter.get_by_id(letter_id)
    secret = KINDS[letter.kind].secret if letter.kind in KINDS else ()
    if secret:
        kept = {key: ("" if key in secret else value) for key, value in letter.payload.items()}
        Letter.update(payload=kept).where(Letter.id == letter_id).execute()


def kinds_with_secrets() -> list[str]:
    """Return the kinds of letters that hold secrets."""
    return [kind for kind in KINDS if has_secrets(kind)]


def has_secrets(kind: str) -> bool:
    """Say whether the text of this kind of letter must not be shown to others (the outbox)."""
    return kind in KINDS and bool(KINDS[kind].secret)
