"""The outbox of practice: every letter as a file, until a real mail server is set; and its pages for administrators.

A file holds the message as it came, below two lines with its envelope (mode 0600). Pages never show a login link.
"""

import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING

import clock
from config import current_config
from core.delivery.letter_tags import decode_letter_tag
from core.notifications.kinds import KINDS, has_secrets
from core.settings import load_settings
from models import Letter

if TYPE_CHECKING:
    from mail.dev_smtp import DevSmtpServer

RETENTION_DAYS = 14

_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{16}\.eml")
_TIME_FORMAT = "%Y%m%dT%H%M%S%fZ"


# ── files ──


class NoSuchLetter(LookupError):
    """The outbox holds no letter of this name."""


@dataclass(frozen=True, slots=True)
class OutboxFile:
    """A letter in the outbox. size: octets."""

    name: str
    at: datetime
    size: int


def outbox_dir() -> Path:
    return current_config().data / "outbox"


def make_server(folder: Path) -> "DevSmtpServer":
    """Return an SMTP server that writes into the folder; old letters are deleted first. The caller starts it."""
    from mail.dev_smtp import DevSmtpServer  # loads aiosmtpd, which only practice needs

    delete_old_letters(folder, clock.now())
    return DevSmtpServer(lambda mail_from, rcpt, raw: save_letter(folder, mail_from, rcpt, raw, clock.now()))


def list_letters(folder: Path) -> list[OutboxFile]:
    """Return the letters in the folder, newest first; none if there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        files = [
            OutboxFile(entry.name, _time_of(entry.name), entry.stat().st_size)
            for entry in entries
            if _NAME.fullmatch(entry.name) and entry.is_file()
        ]
    return sorted(files, key=lambda file: file.name, reverse=True)


def _time_of(name: str) -> datetime:
    return datetime.strptime(name.partition("-")[0], _TIME_FORMAT).replace(tzinfo=UTC)


def read_letter(folder: Path, name: str) -> bytes:
    """Return a letter as stored. Raises NoSuchLetter, also for a name that is not an outbox file."""
    if not _NAME.fullmatch(name):
        raise NoSuchLetter(name)
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise NoSuchLetter(name) from None


def delete_old_letters(folder: Path, now: datetime, days: int = RETENTION_DAYS) -> int:
    """Delete letters older than so many days; return how many. Idempotent."""
    old = [file for file in list_letters(folder) if file.at < now - timedelta(days=days)]
    for file in old:
        (folder / file.name).unlink(missing_ok=True)
    return len(old)


def save_letter(folder: Path, mail_from: str, rcpt: list[str], raw: bytes, now: datetime) -> str:
    """Write one letter, complete or not at all; return its name. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{now.astimezone(UTC).strftime(_TIME_FORMAT)}-{secrets.token_hex(8)}.eml"
    envelope = f"X-Kairan-Envelope-From: <{mail_from}>\r\nX-Kairan-Envelope-To: {', '.join(rcpt)}\r\n"
    part = folder / f"{name}.part"
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(envelope.encode("utf-8", "replace") + raw)
        part.replace(folder / name)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return name


# ── pages ──


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """A letter of the outbox. `secret`: it holds a login link, so its text is not shown."""

    name: str
    at: datetime
    to: str
    sender: str
    subject: str
    text: str
    html: str
    source: str
    secret: bool


def list_messages() -> list[OutboxFile]:
    """Return the letters of the outbox, newest first."""
    return list_letters(outbox_dir())


def read_message(file: OutboxFile) -> CapturedMessage:
    """Return one letter for a page. Raises NoSuchLetter if it was deleted meanwhile."""
    raw = read_letter(outbox_dir(), file.name)
    message = BytesParser(policy=policy.default).parsebytes(raw)
    secret = _is_secret(message)
    return CapturedMessage(
        name=file.name,
        at=file.at,
        to=str(message.get("To", message.get("X-Kairan-Envelope-To", ""))),
        sender=str(message.get("From", "")),
        subject=str(message.get("Subject", "")),
        text="" if secret else _body_text(message, "plain"),
        html="" if secret else _body_text(message, "html"),
        source="" if secret else raw.decode("utf-8", "replace"),
        secret=secret,
    )


def get_message(name: str) -> CapturedMessage:
    """Return the letter of this name. Raises NoSuchLetter."""
    file = next((file for file in list_messages() if file.name == name), None)
    if file is None:
        raise NoSuchLetter(name)
    return read_message(file)


# Their links open a family's own page or confirm its address. Administrators may change those entries anyway, and
# without these links nobody could practise joining.
READER_LINK_KINDS = ("join", "welcome", "registered", "page", "new-address")


def _is_secret(message: EmailMessage) -> bool:
    """Tell whether the text must not be shown: a secret or unknown kind, or a letter without a row."""
    local = str(message.get("Message-ID", "")).strip().strip("<>").partition("@")[0]
    number = decode_letter_tag(local, "id", load_settings())
    letter = Letter.get_or_none(Letter.id == number) if number else None
    if letter is None or letter.notice_id:
        return letter is None
    return letter.kind not in KINDS or (has_secrets(letter.kind) and letter.kind not in READER_LINK_KINDS)


def _body_text(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except LookupError:  # a charset that Python does not know
        return bytes(part.get_payload(decode=True)).decode("utf-8", "replace")
