"""The mail server of the outbox, on loopback: keeps every letter as a file, until a real server is set.

RFC 5321 by aiosmtpd, so that letters take the whole way that they take to a real server.
"""

import asyncio
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from mail.dev_outbox_files import RETENTION_DAYS, delete_old_letters, save_letter
from mail.server_urls import SmtpServer


def _utc_now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


class DevSmtpServer:
    """The outbox's mail server on a free port of loopback, in a thread of its own."""

    def __init__(self, folder: Path, days: int = RETENTION_DAYS, now: Callable[[], datetime] = _utc_now) -> None:
        """Take the folder, how long letters stay there, and the clock that stamps them (`clock.now`)."""
        self._folder = folder
        self._days = days
        self._now = now
        self._sessions: weakref.WeakSet[SMTP] = weakref.WeakSet()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> SmtpServer:
        """Begin to catch; return the route to it. Drops what is too old first."""
        delete_old_letters(self._folder, self._now(), self._days)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self._loop.create_server(self._session, "127.0.0.1", 0))
        self._thread = threading.Thread(target=self._loop.run_forever, name="outbox", daemon=True)
        self._thread.start()
        return SmtpServer("127.0.0.1", self._server.sockets[0].getsockname()[1])

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
            save_letter(self._folder, sender, envelope.rcpt_tos, envelope.original_content or b"", self._now())
        except OSError:
            return "452 4.3.1 the outbox cannot be written"
        return "250 2.0.0 kept in the outbox"
