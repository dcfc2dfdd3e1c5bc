"""The outbox: a mail server on loopback that keeps every letter as a file, until a real one is set.

RFC 5321 by aiosmtpd, so that letters take the whole way that they take to a real server. Files hold the
mail as it came, behind two lines of its envelope, and are for administrators alone (mode 0600).
"""

import asyncio
import os
import re
import secrets
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from mail.deliver import Route

_NAME = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{16}\.eml")
_STAMP = "%Y%m%dT%H%M%S%fZ"

DAYS = 14
"""Days that a letter stays in the outbox."""


class NoSuchLetter(LookupError):
    """There is no letter of this name in the outbox."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One letter in the outbox: the name of its file, when it came (UTC), its size in octets."""

    name: str
    at: datetime
    size: int


def listing(folder: Path) -> list[Kept]:
    """Return the letters in the outbox, the newest first; none if there is no such folder."""
    if not folder.is_dir():
        return []
    found = [Kept(entry.name, _at(entry.name), entry.stat().st_size) for entry in _letters(folder)]
    return sorted(found, key=lambda kept: kept.name, reverse=True)


def _letters(folder: Path) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if _NAME.fullmatch(entry.name) and entry.is_file()]


def _at(name: str) -> datetime:
    return datetime.strptime(name.partition("-")[0], _STAMP).replace(tzinfo=UTC)


def read(folder: Path, name: str) -> bytes:
    """Return a letter as kept. Raises NoSuchLetter, also for names that are none of ours."""
    if not _NAME.fullmatch(name):
        raise NoSuchLetter(name)
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise NoSuchLetter(name) from None


def sweep(folder: Path, now: datetime, days: int = DAYS) -> int:
    """Delete what is older than so many days; return how many. Repeating is harmless."""
    old = [kept for kept in listing(folder) if kept.at < now - timedelta(days=days)]
    for kept in old:
        (folder / kept.name).unlink(missing_ok=True)
    return len(old)


def keep(folder: Path, mail_from: str, rcpt: list[str], raw: bytes, now: datetime) -> str:
    """Write one letter down whole or not at all and return its name. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{now.astimezone(UTC).strftime(_STAMP)}-{secrets.token_hex(8)}.eml"
    envelope = f"X-Kairan-Envelope-From: <{mail_from}>\r\nX-Kairan-Envelope-To: {', '.join(rcpt)}\r\n"
    part = folder / f"{name}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(envelope.encode("utf-8", "replace") + raw)
    part.replace(folder / name)
    return name


def _machine_time() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


class Catcher:
    """The outbox's mail server on a free port of loopback, in a thread of its own."""

    def __init__(self, folder: Path, days: int = DAYS, now: Callable[[], datetime] = _machine_time) -> None:
        """Take the folder, how long letters stay there, and the clock that stamps them (`clock.now`)."""
        self._folder = folder
        self._days = days
        self._now = now
        self._sessions: weakref.WeakSet[SMTP] = weakref.WeakSet()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Route:
        """Begin to catch; return the route to it. Drops what is too old first."""
        sweep(self._folder, self._now(), self._days)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self._loop.create_server(self._session, "127.0.0.1", 0))
        self._thread = threading.Thread(target=self._loop.run_forever, name="outbox", daemon=True)
        self._thread.start()
        return Route("127.0.0.1", self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Stop catching; open connections are cut. Repeating is harmless."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    async def _cut(self) -> None:
        """Close the door and every open connection."""
        if self._server is not None:
            self._server.close()
        for session in self._sessions:
            if session.transport is not None:
                session.transport.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)

    def _session(self) -> SMTP:
        session = SMTP(self, hostname="localhost", ident="Kairan outbox", loop=self._loop)
        self._sessions.add(session)
        return session

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep one letter (the name is aiosmtpd's)."""
        sender = "" if envelope.mail_from in (None, "<>") else envelope.mail_from
        try:
            keep(self._folder, sender, envelope.rcpt_tos, envelope.original_content or b"", self._now())
        except OSError:
            return "452 4.3.1 the outbox cannot be written"
        return "250 2.0.0 kept in the outbox"
