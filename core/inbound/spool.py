"""The folder of incoming mail: written down whole before anybody is told that it was taken (design 2c).

`data/inbox/` holds mails that wait, one file each: a line of JSON with the envelope, then the bytes as they came.
`data/inbox/kept/` holds the raw mails that somebody may have to look at, named by their SHA-256, for 30 days.
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

import config as ground

RAW_RETENTION_DAYS = 30
"""Days that a raw mail is kept for the administrators."""

_SPOOL_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{16}\.mail")
_RAW_NAME = re.compile(r"[0-9a-f]{64}\.eml")
_TIME_FORMAT = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class SpooledMessage:
    """A mail in the folder: its envelope and its bytes. The empty sender is that of machines (RFC 5321 4.5.5)."""

    name: str
    sender: str
    recipients: tuple[str, ...]
    raw: bytes


def spool_folder() -> Path:
    """Return the folder of waiting mails, made if missing."""
    path = ground.current_config().data / "inbox"
    (path / "kept").mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def message_digest(raw: bytes) -> str:
    """Return the mark by which the same mail is known again."""
    return sha256(raw).hexdigest()


def write_message(sender: str, recipients: Sequence[str], raw: bytes, now: datetime) -> str:
    """Write one mail down, safe against a power cut when this returns; return its name. Raises OSError."""
    name = f"{now.astimezone(UTC).strftime(_TIME_FORMAT)}-{secrets.token_hex(8)}.mail"
    head = json.dumps({"sender": sender, "recipients": list(recipients)}).encode() + b"\n"
    _write_synced(spool_folder() / name, head + raw)
    return name


def _write_synced(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    place = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def list_messages() -> list[str]:
    """Return the names of the mails that wait, the oldest first."""
    return sorted(name for name in os.listdir(spool_folder()) if _SPOOL_NAME.fullmatch(name))


def read_message(name: str) -> SpooledMessage:
    """Read a mail that waits; it stays until `done`."""
    head, _, raw = (spool_folder() / name).read_bytes().partition(b"\n")
    envelope = json.loads(head)
    return SpooledMessage(name, envelope["sender"], tuple(envelope["recipients"]), raw)


def delete_message(name: str) -> None:
    """Forget a mail that was handled. Repeating is harmless."""
    (spool_folder() / name).unlink(missing_ok=True)


# ── what somebody may have to look at ────────────────────────────────────────────────────────────────────────────


def save_raw(raw: bytes) -> str:
    """Keep the raw bytes of a mail; return the name of the file. The same bytes are kept once."""
    name = f"{message_digest(raw)}.eml"
    path = spool_folder() / "kept" / name
    if not path.exists():
        _write_synced(path, raw)
    return name


def read_raw(name: str) -> bytes | None:
    """Return a raw mail that is kept; None if it is gone, or the name is none of ours."""
    if not _RAW_NAME.fullmatch(name):
        return None
    try:
        return (spool_folder() / "kept" / name).read_bytes()
    except FileNotFoundError:
        return None


def has_raw(name: str) -> bool:
    """Say whether a raw mail is still kept."""
    return bool(_RAW_NAME.fullmatch(name)) and (spool_folder() / "kept" / name).exists()


def delete_old_raw(now: datetime) -> int:
    """Delete raw mails kept longer than 30 days, and what a power cut left half written; return how many."""
    oldest, gone = (now - timedelta(days=RAW_RETENTION_DAYS)).timestamp(), 0
    for path in (*(spool_folder() / "kept").iterdir(), *spool_folder().glob("*.part")):
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            gone += 1
    return gone
