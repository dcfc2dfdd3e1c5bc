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

DAYS = 30
"""Days that a raw mail is kept for the administrators."""

_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{16}\.mail")
_KEPT = re.compile(r"[0-9a-f]{64}\.eml")
_STAMP = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A mail in the folder: its envelope and its bytes. The empty sender is that of machines (RFC 5321 4.5.5)."""

    name: str
    sender: str
    recipients: tuple[str, ...]
    raw: bytes


def folder() -> Path:
    """Return the folder of waiting mails, made if missing."""
    path = ground.current().data / "inbox"
    (path / "kept").mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def digest(raw: bytes) -> str:
    """Return the mark by which the same mail is known again."""
    return sha256(raw).hexdigest()


def put(sender: str, recipients: Sequence[str], raw: bytes, now: datetime) -> str:
    """Write one mail down, safe against a power cut when this returns; return its name. Raises OSError."""
    name = f"{now.astimezone(UTC).strftime(_STAMP)}-{secrets.token_hex(8)}.mail"
    head = json.dumps({"sender": sender, "recipients": list(recipients)}).encode() + b"\n"
    _write(folder() / name, head + raw)
    return name


def _write(path: Path, content: bytes) -> None:
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


def waiting() -> list[str]:
    """Return the names of the mails that wait, the oldest first."""
    return sorted(name for name in os.listdir(folder()) if _NAME.fullmatch(name))


def take(name: str) -> Waiting:
    """Read a mail that waits; it stays until `done`."""
    head, _, raw = (folder() / name).read_bytes().partition(b"\n")
    envelope = json.loads(head)
    return Waiting(name, envelope["sender"], tuple(envelope["recipients"]), raw)


def done(name: str) -> None:
    """Forget a mail that was handled. Repeating is harmless."""
    (folder() / name).unlink(missing_ok=True)


# ── what somebody may have to look at ────────────────────────────────────────────────────────────────────────────


def keep(raw: bytes) -> str:
    """Keep the raw bytes of a mail; return the name of the file. The same bytes are kept once."""
    name = f"{digest(raw)}.eml"
    path = folder() / "kept" / name
    if not path.exists():
        _write(path, raw)
    return name


def kept(name: str) -> bytes | None:
    """Return a raw mail that is kept; None if it is gone, or the name is none of ours."""
    if not _KEPT.fullmatch(name):
        return None
    try:
        return (folder() / "kept" / name).read_bytes()
    except FileNotFoundError:
        return None


def has(name: str) -> bool:
    """Say whether a raw mail is still kept."""
    return bool(_KEPT.fullmatch(name)) and (folder() / "kept" / name).exists()


def sweep(now: datetime) -> int:
    """Delete raw mails kept longer than 30 days, and what a power cut left half written; return how many."""
    oldest, gone = (now - timedelta(days=DAYS)).timestamp(), 0
    for path in (*(folder() / "kept").iterdir(), *folder().glob("*.part")):
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            gone += 1
    return gone
