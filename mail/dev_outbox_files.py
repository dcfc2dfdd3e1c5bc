"""The outbox: every letter as a file, until a real mail server is set (`mail.dev_smtp` brings them).

Files hold the mail as it came, behind two lines of its envelope, and are for administrators alone (mode 0600).
"""

import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{16}\.eml")
_TIME_FORMAT = "%Y%m%dT%H%M%S%fZ"

RETENTION_DAYS = 14
"""Days that a letter stays in the outbox."""


class NoSuchLetter(LookupError):
    """There is no letter of this name in the outbox."""


@dataclass(frozen=True, slots=True)
class OutboxFile:
    """One letter in the outbox: the name of its file, when it came (UTC), its size in octets."""

    name: str
    at: datetime
    size: int


def list_letters(folder: Path) -> list[OutboxFile]:
    """Return the letters in the outbox, the newest first; none if there is no such folder."""
    if not folder.is_dir():
        return []
    found = [OutboxFile(entry.name, _at(entry.name), entry.stat().st_size) for entry in _letter_entries(folder)]
    return sorted(found, key=lambda kept: kept.name, reverse=True)


def _letter_entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if _NAME.fullmatch(entry.name) and entry.is_file()]


def _at(name: str) -> datetime:
    return datetime.strptime(name.partition("-")[0], _TIME_FORMAT).replace(tzinfo=UTC)


def read_letter(folder: Path, name: str) -> bytes:
    """Return a letter as kept. Raises NoSuchLetter, also for names that are none of ours."""
    if not _NAME.fullmatch(name):
        raise NoSuchLetter(name)
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise NoSuchLetter(name) from None


def delete_old_letters(folder: Path, now: datetime, days: int = RETENTION_DAYS) -> int:
    """Delete what is older than so many days; return how many. Repeating is harmless."""
    old = [kept for kept in list_letters(folder) if kept.at < now - timedelta(days=days)]
    for kept in old:
        (folder / kept.name).unlink(missing_ok=True)
    return len(old)


def save_letter(folder: Path, mail_from: str, rcpt: list[str], raw: bytes, now: datetime) -> str:
    """Write one letter down whole or not at all and return its name. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{now.astimezone(UTC).strftime(_TIME_FORMAT)}-{secrets.token_hex(8)}.eml"
    envelope = f"X-Kairan-Envelope-From: <{mail_from}>\r\nX-Kairan-Envelope-To: {', '.join(rcpt)}\r\n"
    part = folder / f"{name}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(envelope.encode("utf-8", "replace") + raw)
    part.replace(folder / name)
    return name
