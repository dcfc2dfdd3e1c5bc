"""SMTP and LMTP server for incoming mail from the mail server of this machine (design 2c).

RFC 5321, RFC 2033 (one reply per recipient). Unknown recipients are refused at RCPT, so an accepted message never
bounces. A message is in the spool before the 250. Another thread handles it, so no message can stop the server.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session
from peewee import PeeweeException

import clock
import tasks
from config import current_config, is_loopback
from core import disk_space, quarantine, rate_limits
from core.inbound import dispatch, imap_poller, spool
from core.inbound.message import RetryLater
from core.notices.link_check import is_public_address
from core.settings import load_settings
from database import db

log = logging.getLogger("kairan.inlet")

MAX_MESSAGE_SIZE = imap_poller.MAX_MESSAGE_BYTES
"""Octets; the mail server in front should have the same limit (message_size_limit)."""
MAX_LINE_LENGTH = 2**20
MAX_CONNECTIONS = 40
"""Concurrent sessions; Postfix opens up to 20."""
MAX_CONNECTIONS_PER_NETWORK = 8
"""Concurrent sessions from one network of the internet; a mail server on this machine or its network has no such limit."""
MAX_SESSION_S = 600.0
"""From the start of a session, or from its last stored message, to its end. Commands such as NOOP do not extend it."""
MAX_UNANSWERED_OCTETS = MAX_MESSAGE_SIZE + 4 * 2**20
"""Octets that a client may send between two replies; a line without end would fill the memory."""
MAX_DISCARDED_OCTETS = 96 * 2**20
"""Octets of one content after which the session is closed."""
MAX_RECIPIENTS = 50
MAX_RECIPIENTS_PER_MINUTE = 200
"""Recipients without a VERP tag per minute; address verification by the mail server in front counts too."""
MAX_WRONG_CODES_PER_MINUTE = 60
"""Wrong join codes per minute; all further codes are then deferred, right or wrong."""
IDLE_POLL_S = 0.5
RETRY_DELAYS_S = (5.0, 60.0, 300.0)
CLEANUP_INTERVAL_S = 3600.0


class LimitedSMTP(SMTP):
    """Limits the number of sessions and the octets between two replies.

    Long lines are accepted: real messages hold them, and cutting them breaks a signature.
    """

    line_length_limit = MAX_LINE_LENGTH
    network = ""
    _octets = 0
    _tail = b""
    _in_content = False
    _discards = False
    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the session, or reply 421 (RFC 5321 3.8) if there are too many."""
        open_now = self.event_handler.sessions
        self.network = limited_network(transport.get_extra_info("peername"))
        of_network = sum(session.network == self.network for session in open_now) if self.network else 0
        too_many = len(open_now) >= MAX_CONNECTIONS or of_network >= MAX_CONNECTIONS_PER_NETWORK
        if too_many and isinstance(transport, asyncio.Transport):
            transport.write(b"421 4.3.2 too many connections, please try again later\r\n")
            transport.close()
            self._is_taken = False
            return
        self._is_taken = True
        open_now.add(self)
        self.extend_session()
        super().connection_made(transport)

    def extend_session(self) -> None:
        """Begin the time of the session anew. Called at its start and for each stored message."""
        if self._end:
            self._end.cancel()
        self._end = self.loop.call_later(MAX_SESSION_S, self._close_session)

    def _close_session(self) -> None:
        if self.transport is not None:
            self.transport.write(b"421 4.4.2 this session takes too long\r\n")
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.sessions.discard(self)
        if self._end:
            self._end.cancel()
        if self._is_taken:
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        return super().eof_received() if self._is_taken else False

    def data_received(self, data: bytes) -> None:
        """Discard what exceeds the limit: the rest of a content up to its end, which gets 552 (RFC 5321 4.5.3.1.9).

        A command that exceeds the limit, and a content without end, close the session.
        """
        self._octets += len(data)
        if not self._is_taken or self.transport is None:
            return
        seen = self._tail + data
        self._tail = seen[-4:]
        if self._octets <= MAX_UNANSWERED_OCTETS:
            super().data_received(data)
        elif not self._in_content or self._octets > MAX_DISCARDED_OCTETS:
            self.transport.write(b"552 5.3.4 too much\r\n")
            self.transport.abort()
        else:
            self._discard_content(data, seen)

    def _discard_content(self, data: bytes, seen: bytes) -> None:
        _, end, following = seen.partition(b"\r\n.\r\n")
        if end:
            self._octets = 0
            super().data_received(b".\r\n" + following if self._discards else data)
        elif not self._discards:
            super().data_received(data + b"x\r\n")  # the reader now waits at the beginning of a line
        self._discards = not end

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 (the name is aiosmtpd's)
        """Receive the content."""
        self._in_content = True
        try:
            await super().smtp_DATA(arg)
        finally:
            self._in_content = False

    async def push(self, status: str | bytes) -> None:
        """Send a reply line and reset the octet counter."""
        self._octets = 0
        await super().push(status)


def limited_network(peer: object) -> str:
    """Return the network whose sessions are counted together; "" for an address that is not of the internet."""
    address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    return rate_limits.client_network(address) if address and is_public_address(address) else ""


class SmtpSession(LimitedSMTP):
    """A session by SMTP."""


class LmtpSession(LimitedSMTP, LMTP):
    """A session by LMTP: every reply to the content is sent once per recipient (RFC 2033 4.2)."""

    _answers = 1

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 (the name is aiosmtpd's)
        """Receive the content; every reply to it, also a refused size, is repeated for each recipient."""
        self._answers = max(1, len(self.envelope.rcpt_tos)) if self.envelope else 1
        try:
            await super().smtp_DATA(arg)
        finally:
            self._answers = 1

    async def push(self, status: str | bytes) -> None:
        """Send a reply line; 354 is not a reply to the content."""
        if isinstance(status, str) and self._answers > 1 and not status.startswith("354"):
            status = "\r\n".join([status] * self._answers)
        await super().push(status)


class InboundHandler:
    """The handler of aiosmtpd: accepts or refuses recipients, and stores messages in the spool."""

    def __init__(self, now: Callable = clock.now) -> None:
        self._now = now
        self._recipient_times: deque[float] = deque()
        self._wrong_code_times: deque[float] = deque()
        self.sessions: set[LimitedSMTP] = set()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept our recipients and refuse all others now, so that nothing bounces later."""
        if quarantine.is_active():
            return "451 4.3.2 this is a restored copy, please try again later"
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 too many recipients at once"
        has_code = "-join-" in address.lower()
        if has_code and self._is_guessing():
            return "452 4.7.1 too many wrong codes, please try again later"
        try:
            target = dispatch.resolve_recipient(address)
        except PeeweeException:
            log.error("the tables could not be asked; mail is put off")
            return "451 4.3.0 please try again later"
        if target is None:
            self._wrong_code_times += [time.monotonic()] if has_code else []
            return "550 5.1.1 no such address here"
        if not target.has_verp_tag and self._exceeds_rate():
            return "452 4.3.2 too much mail at once, please try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    def _is_guessing(self) -> bool:
        """Tell whether too many join codes were wrong. Right codes are deferred too, or the reply would reveal them."""
        now = time.monotonic()
        while self._wrong_code_times and self._wrong_code_times[0] < now - 60:
            self._wrong_code_times.popleft()
        return len(self._wrong_code_times) >= MAX_WRONG_CODES_PER_MINUTE

    def _exceeds_rate(self) -> bool:
        now = time.monotonic()
        while self._recipient_times and self._recipient_times[0] < now - 60:
            self._recipient_times.popleft()
        if len(self._recipient_times) >= MAX_RECIPIENTS_PER_MINUTE:
            return True
        self._recipient_times.append(now)
        return False

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Store the message in the spool, then reply."""
        raw = envelope.original_content or b""
        sender = "" if envelope.mail_from in (None, "<>") else envelope.mail_from  # of machines: aiosmtpd says "<>"
        try:
            await asyncio.to_thread(spool.write_message, sender, envelope.rcpt_tos, raw, self._now())
        except OSError as full:
            disk_space.note_if_full(full)
            log.error("incoming mail could not be written down (%s)", type(full).__name__)
            return "452 4.3.1 no room, please try again later"
        if isinstance(server, LimitedSMTP):
            server.extend_session()
        return "250 2.0.0 taken"


class InboundServer:
    """The SMTP or LMTP server, in its own thread."""

    def __init__(self, protocol: str, host: str, port: int) -> None:
        """protocol: "smtp" or "lmtp". port 0: any free port."""
        self._session_class = LmtpSession if protocol == "lmtp" else SmtpSession
        self._where = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._server: asyncio.Server | None = None
        self._hostname = load_settings().mail_domain
        self._handler = InboundHandler()

    def open(self) -> int:
        """Listen; return the port. Raises OSError if the port is in use."""
        self._server = self._loop.run_until_complete(self._loop.create_server(self._session, *self._where))
        self._thread.start()
        return self._server.sockets[0].getsockname()[1]

    def _session(self) -> SMTP:
        return self._session_class(
            self._handler,
            hostname=self._hostname,
            ident="Kairan",
            loop=self._loop,
            data_size_limit=MAX_MESSAGE_SIZE,
            enable_SMTPUTF8=True,
            timeout=120,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
        )

    def close(self) -> None:
        """Stop. A message in transfer is lost here; its server sends it again."""
        asyncio.run_coroutine_threadsafe(self._cancel_sessions(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _cancel_sessions(self) -> None:
        if self._server:
            self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


# ── the spool worker ────────────────────────────────────────────────────────────────────────────────


class SpoolWorker:
    """Handles spooled messages, oldest first. A failed message is retried later and does not block others."""

    def __init__(self) -> None:
        self._not_before: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._cleaned_at = 0.0

    def run(self, stopped: Callable[[], bool]) -> None:
        """Handle messages until `stopped()`."""
        while not stopped():
            if not self.run_once(stopped):
                time.sleep(IDLE_POLL_S)
        db.close()

    def run_once(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Handle every message whose retry time has come; return how many."""
        if quarantine.is_active():
            return 0
        now, tried = time.monotonic(), 0
        for name in spool.list_messages():
            if stopped() or self._not_before.get(name, 0.0) > now:
                continue
            tried += 1
            self._process_file(name)
        if now - self._cleaned_at > CLEANUP_INTERVAL_S or not self._cleaned_at:
            self._cleaned_at = now
            self._clean_up()
        return tried

    def _clean_up(self) -> None:
        try:
            dispatch.erase_old_messages(clock.now())
        except (PeeweeException, OSError) as fault:
            log.warning("old messages could not be deleted (%s)", type(fault).__name__)

    def _process_file(self, name: str) -> None:
        try:
            self._handle(name)
        except RetryLater:
            self._defer(name, RETRY_DELAYS_S[1])
        except Exception as fault:  # no message may stop the worker; it is retried, then quarantined
            tries = self._tries.get(name, 0)
            self._tries[name] = tries + 1
            log.error("incoming mail could not be handled (%s); trying again", type(fault).__name__)
            self._defer(name, RETRY_DELAYS_S[min(tries, len(RETRY_DELAYS_S) - 1)])
        else:
            spool.delete_message(name)
            self._not_before.pop(name, None)
            self._tries.pop(name, None)

    def _defer(self, name: str, seconds: float) -> None:
        self._not_before[name] = time.monotonic() + seconds

    def _handle(self, name: str) -> None:
        """Handle a message for each recipient; a recipient that was handled before changes nothing."""
        db.connect(reuse_if_open=True)
        message = spool.read_message(name)
        later: RetryLater | None = None
        for recipient in message.recipients:
            try:
                row = dispatch.handle_message(message.raw, message.sender, recipient, clock.now())
            except RetryLater as error:
                later = error
                continue
            if row and row.notice and row.notice.send_at:
                tasks.wake_worker(row.notice.send_at)
        if later:
            raise later


def run_workers(stopped: Callable[[], bool]) -> None:
    """Run the spool worker and the IMAP poller until `stopped()`."""
    worker = threading.Thread(target=SpoolWorker().run, args=(stopped,), name="reader", daemon=True)
    worker.start()
    imap_poller.ImapPoller().run(stopped)
    worker.join(30)


def serve_until(stopped: Callable[[], bool]) -> None:
    """Run the configured server and the workers until `stopped()`."""
    config = current_config()
    assert config.inbound_listener is not None  # noqa: S101
    protocol, host, port = config.inbound_listener
    if not is_loopback(f"smtp://{host}"):
        log.warning("the mail door listens on %s: let a mail server stand in front of it", host)
    server = InboundServer(protocol, host, port)
    log.info("taking mail by %s on %s:%s", protocol, host, server.open())
    try:
        run_workers(stopped)
    finally:
        server.close()
