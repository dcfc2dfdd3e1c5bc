"""The spool of incoming mail: a message is on disk before the SMTP server accepts it (design 2c).

`data/inbox/` holds waiting messages, one file each: a line of JSON with the envelope, then the bytes as received.
`data/inbox/kept/` holds raw messages for the administrators, named by their SHA-256, for 30 days.
"""

import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from config import current_config

RAW_RETENTION_DAYS = 30

_SPOOL_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{16}\.mail")
_RAW_NAME = re.compile(r"[0-9a-f]{64}\.eml")
_TIME_FORMAT = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class SpooledMessage:
    """A waiting message with its envelope. sender: "" for the null sender (RFC 5321 4.5.5)."""

    name: str
    sender: str
    recipients: tuple[str, ...]
    raw: bytes


def spool_folder() -> Path:
    """Return the folder of waiting messages; create it if missing."""
    path = current_config().data / "inbox"
    (path / "kept").mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def message_digest(raw: bytes) -> str:
    return sha256(raw).hexdigest()


def write_message(sender: str, recipients: Sequence[str], raw: bytes, now: datetime) -> str:
    """Write one message and fsync it; return its name. Raises OSError."""
    name = f"{now.astimezone(UTC).strftime(_TIME_FORMAT)}-{secrets.token_hex(8)}.mail"
    head = json.dumps({"sender": sender, "recipients": list(recipients)}).encode() + b"\n"
    _write_synced(spool_folder() / name, head + raw)
    return name


def _write_synced(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)  # senders try again and again while the disk is full
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def list_messages() -> list[str]:
    """Return the names of the waiting messages, oldest first."""
    return sorted(name for name in os.listdir(spool_folder()) if _SPOOL_NAME.fullmatch(name))


def read_message(name: str) -> SpooledMessage:
    """Read a waiting message; it stays until `delete_message`."""
    head, _, raw = (spool_folder() / name).read_bytes().partition(b"\n")
    envelope = json.loads(head)
    return SpooledMessage(name, envelope["sender"], tuple(envelope["recipients"]), raw)


def delete_message(name: str) -> None:
    """Delete a handled message. Idempotent."""
    (spool_folder() / name).unlink(missing_ok=True)


# ── raw messages for administrators ────────────────────────────────────────────────────────────────────────────


def save_raw(raw: bytes) -> str:
    """Store the raw bytes of a message; return the file name. The same bytes are stored once."""
    name = f"{message_digest(raw)}.eml"
    path = spool_folder() / "kept" / name
    if not path.exists():
        _write_synced(path, raw)
    return name


def read_raw(name: str) -> bytes | None:
    """Return a stored raw message; None if it is deleted or the name is invalid."""
    if not _RAW_NAME.fullmatch(name):
        return None
    try:
        return (spool_folder() / "kept" / name).read_bytes()
    except FileNotFoundError:
        return None


def has_raw(name: str) -> bool:
    return bool(_RAW_NAME.fullmatch(name)) and (spool_folder() / "kept" / name).exists()


def delete_old_raw(now: datetime) -> int:
    """Delete raw messages older than 30 days and incomplete files left by a power cut; return how many."""
    oldest, deleted = (now - timedelta(days=RAW_RETENTION_DAYS)).timestamp(), 0
    for path in (*(spool_folder() / "kept").iterdir(), *spool_folder().glob("*.part")):
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            deleted += 1
    return deleted
