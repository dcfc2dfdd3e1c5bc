"""SMTP server of the outbox, on loopback: it hands every message to a function, until a real server is configured.

RFC 5321 by aiosmtpd, so that letters go through the same SMTP code as to a real server.
"""

import asyncio
import threading
import weakref
from collections.abc import Callable

from aiosmtpd.smtp import SMTP, Envelope, Session

from mail.server_urls import SmtpServer

StoreMessage = Callable[[str, list[str], bytes], object]
"""Takes envelope sender, recipients and content. An OSError makes the server answer 452."""


class DevSmtpServer:
    """An SMTP server on a free port of loopback, in its own thread."""

    def __init__(self, store: StoreMessage) -> None:
        self._store = store
        self._sessions: weakref.WeakSet[SMTP] = weakref.WeakSet()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> SmtpServer:
        """Listen; return the server's address."""
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(self._loop.create_server(self._session, "127.0.0.1", 0))
        self._thread = threading.Thread(target=self._loop.run_forever, name="outbox", daemon=True)
        self._thread.start()
        return SmtpServer("127.0.0.1", self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Stop and close open connections. Idempotent."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close_connections(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    async def _close_connections(self) -> None:
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

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        sender = "" if envelope.mail_from in (None, "<>") else envelope.mail_from
        try:
            self._store(sender, envelope.rcpt_tos, envelope.original_content or b"")
        except OSError:
            return "452 4.3.1 the outbox cannot be written"
        return "250 2.0.0 kept in the outbox"
