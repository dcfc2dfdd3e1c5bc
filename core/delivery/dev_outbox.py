"""Letters in the outbox as administrators see them: what an organizer may read of each, and never a secret."""

from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import config as ground
from core.notifications.kinds import KINDS, has_secrets
from mail import address, dev_outbox_files
from mail.dev_outbox_files import NoSuchLetter, OutboxFile
from models import Letter


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """One caught letter. `secret`: it holds a link that logs somebody in, so its words are not shown."""

    name: str
    at: datetime
    to: str
    sender: str
    subject: str
    text: str
    html: str
    source: str
    secret: bool


def outbox_dir() -> Path:
    """Return where the outbox keeps its letters."""
    return ground.current_config().data / "outbox"


def list_messages() -> list[OutboxFile]:
    """Return the letters that are there, the newest first."""
    return dev_outbox_files.list_letters(outbox_dir())


def read_message(kept: OutboxFile) -> CapturedMessage:
    """Return one letter for a page. Raises NoSuchLetter if it was swept meanwhile."""
    raw = dev_outbox_files.read_letter(outbox_dir(), kept.name)
    message = BytesParser(policy=policy.default).parsebytes(raw)
    secret = _is_secret(message)
    return CapturedMessage(
        name=kept.name,
        at=kept.at,
        to=str(message.get("To", message.get("X-Kairan-Envelope-To", ""))),
        sender=str(message.get("From", "")),
        subject=str(message.get("Subject", "")),
        text="" if secret else _body_text(message, "plain"),
        html="" if secret else _body_text(message, "html"),
        source="" if secret else raw.decode("utf-8", "replace"),
        secret=secret,
    )


def get_message(name: str) -> CapturedMessage:
    """Return the letter of this name. Raises NoSuchLetter, also for names that are none of ours."""
    kept = next((one for one in list_messages() if one.name == name), None)
    if kept is None:
        raise NoSuchLetter(name)
    return read_message(kept)


# Their links open one family's own page or confirm its address. Nobody else gets a letter that stays in the outbox,
# so whoever practises joining would stand before a closed door; administrators may change those entries anyway.
READER_LINK_KINDS = ("join", "welcome", "registered", "page", "new-address")


def _is_secret(message: EmailMessage) -> bool:
    """Say whether the words must not be shown: of a secret or unknown kind, or a letter that no row explains."""
    local = str(message.get("Message-ID", "")).strip().strip("<>").partition("@")[0]
    number = address.decode_verp_tag(local, ground.current_config().key("secret"))
    letter = Letter.get_or_none(Letter.id == number) if number else None
    if letter is None or letter.notice_id:
        return letter is None
    return letter.kind not in KINDS or (has_secrets(letter.kind) and letter.kind not in READER_LINK_KINDS)


def _body_text(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    try:
        return part.get_content()
    except LookupError:  # a charset that Python does not know
        return part.get_payload(decode=True).decode("utf-8", "replace")
