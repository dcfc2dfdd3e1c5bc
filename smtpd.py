"""The mail door: takes incoming mail by LMTP or SMTP from the mail server of this machine (design 2c).

RFC 5321, RFC 2033 (one answer for each recipient). Unknown recipients are refused at RCPT, so nothing is bounced
after it was accepted. What is accepted lies on the disk, safe against a power cut, before the 250; it is read by
another thread, so that no mail, however broken, can close the door.
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
import config as ground
import tasks
from core import settings
from core.inbound import dispatch, imap_poller, spool
from core.inbound.message import RetryLater
from database import db

log = logging.getLogger("kairan.inlet")

MAX_MESSAGE_SIZE = imap_poller.MAX_MESSAGE_BYTES
"""Octets of a mail that is taken; the mail server in front should refuse more by itself (message_size_limit)."""
MAX_LINE_LENGTH = 2**20
MAX_CONNECTIONS = 40
"""Conversations at a time; a mail server keeps a few open (Postfix: 20)."""
MAX_UNANSWERED_OCTETS = MAX_MESSAGE_SIZE + 4 * 2**20
"""Octets that a client may send without waiting for an answer: a line without an end would be collected for ever."""
MAX_RECIPIENTS = 50
MAX_RECIPIENTS_PER_MINUTE = 200
"""Recipients a minute that anybody may ask for; the mail server's own question (address verification) counts too.
Return paths and replies carry a mark and are not counted."""
MAX_WRONG_CODES_PER_MINUTE = 60
"""Join codes that were wrong, in a minute; the next ones are put off, right or wrong."""
IDLE_POLL_S = 0.5
RETRY_DELAYS_S = (5.0, 60.0, 300.0)
CLEANUP_INTERVAL_S = 3600.0


class LimitedSMTP(SMTP):
    """What both doors share: so many conversations at a time, and so many octets until the next answer.

    Long lines pass: real mails hold them, and cutting them breaks a signature.
    """

    line_length_limit = MAX_LINE_LENGTH
    _octets = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the conversation up, or put it off (RFC 5321 3.8: 421) if too many are going on."""
        open_now = self.event_handler.conversations
        if len(open_now) >= MAX_CONNECTIONS and isinstance(transport, asyncio.Transport):
            transport.write(b"421 4.3.2 too many connections, please try again later\r\n")
            transport.close()
            self._is_taken = False
            return
        self._is_taken = True
        open_now.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.conversations.discard(self)
        if self._is_taken:
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        return super().eof_received() if self._is_taken else False

    def data_received(self, data: bytes) -> None:
        """Hang up on who never ends: what was collected until then is thrown away with the conversation."""
        self._octets += len(data)
        if not self._is_taken or self.transport is None:
            return
        if self._octets > MAX_UNANSWERED_OCTETS:
            self.transport.write(b"552 5.3.4 too much\r\n")
            self.transport.abort()
            return
        super().data_received(data)

    async def push(self, status: str | bytes) -> None:
        """Send an answer line; the count of octets begins anew."""
        self._octets = 0
        await super().push(status)


class SmtpSession(LimitedSMTP):
    """The door by SMTP."""


class LmtpSession(LimitedSMTP, LMTP):
    """The door by LMTP: every answer to the content is given once for each recipient (RFC 2033 4.2)."""

    _answers = 1

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 (the name is aiosmtpd's)
        """Take the content; whatever is said about it, also a refusal of its size, is said for each recipient."""
        self._answers = max(1, len(self.envelope.rcpt_tos)) if self.envelope else 1
        try:
            await super().smtp_DATA(arg)
        finally:
            self._answers = 1

    async def push(self, status: str | bytes) -> None:
        """Send an answer line; the invitation to send the content is no answer to it."""
        if isinstance(status, str) and self._answers > 1 and not status.startswith("354"):
            status = "\r\n".join([status] * self._answers)
        await super().push(status)


class InboundHandler:
    """What the server asks us: may this recipient be written to, and will you keep this mail?"""

    def __init__(self, now: Callable = clock.now) -> None:
        self._now = now
        self._lately: deque[float] = deque()
        self._guesses: deque[float] = deque()
        self.conversations: set[SMTP] = set()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient that is ours; refuse every other one now, so that nothing is bounced later."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 too many recipients at once"
        coded = "-join-" in address.lower()
        if coded and self._is_guessing():
            return "452 4.7.1 too many wrong codes, please try again later"
        try:
            place = dispatch.resolve_recipient(address)
        except PeeweeException:
            log.error("the tables could not be asked; mail is put off")
            return "451 4.3.0 please try again later"
        if place is None:
            self._guesses += [time.monotonic()] if coded else []
            return "550 5.1.1 no such address here"
        if not place.has_verp_tag and self._exceeds_rate():
            return "452 4.3.2 too much mail at once, please try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    def _is_guessing(self) -> bool:
        """Say whether wrong join codes came in a row: then right ones must wait too, or the answer would tell them."""
        passed = time.monotonic()
        while self._guesses and self._guesses[0] < passed - 60:
            self._guesses.popleft()
        return len(self._guesses) >= MAX_WRONG_CODES_PER_MINUTE

    def _exceeds_rate(self) -> bool:
        passed = time.monotonic()
        while self._lately and self._lately[0] < passed - 60:
            self._lately.popleft()
        if len(self._lately) >= MAX_RECIPIENTS_PER_MINUTE:
            return True
        self._lately.append(passed)
        return False

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Write the mail down; only then say that it was taken."""
        raw = envelope.original_content or b""
        sender = "" if envelope.mail_from in (None, "<>") else envelope.mail_from  # of machines: aiosmtpd says "<>"
        try:
            await asyncio.to_thread(spool.write_message, sender, envelope.rcpt_tos, raw, self._now())
        except OSError as full:
            log.error("incoming mail could not be written down (%s)", type(full).__name__)
            return "452 4.3.1 no room, please try again later"
        return "250 2.0.0 taken"


class InboundServer:
    """The open door in a thread of its own, and the worker that reads what lies in the folder."""

    def __init__(self, protocol: str, host: str, port: int) -> None:
        """Take `smtp` or `lmtp` and where to listen; port 0: any free one."""
        self._kind = LmtpSession if protocol == "lmtp" else SmtpSession
        self._where = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._server: asyncio.Server | None = None
        self._hostname = settings.load_settings().mail_domain
        self._door = InboundHandler()

    def open(self) -> int:
        """Begin to listen; return the port. Raises OSError if the place is taken."""
        self._server = self._loop.run_until_complete(self._loop.create_server(self._session, *self._where))
        self._thread.start()
        return self._server.sockets[0].getsockname()[1]

    def _session(self) -> SMTP:
        return self._kind(
            self._door,
            hostname=self._hostname,
            ident="Kairan",
            loop=self._loop,
            data_size_limit=MAX_MESSAGE_SIZE,
            enable_SMTPUTF8=True,
            timeout=120,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
        )

    def close(self) -> None:
        """Stop listening; a mail in transfer is cut and will be sent again by its server."""
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


# ── reading what was written down ────────────────────────────────────────────────────────────────────────────────


class SpoolWorker:
    """Picks the mails up, the oldest first. One that failed is tried again later, others go ahead meanwhile."""

    def __init__(self) -> None:
        self._not_before: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._swept = 0.0

    def run(self, stopped: Callable[[], bool]) -> None:
        """Read until `stopped()`."""
        while not stopped():
            if not self.run_once(stopped):
                time.sleep(IDLE_POLL_S)
        db.close()

    def run_once(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Handle every mail that waits and may be tried now; return how many were tried."""
        passed, tried = time.monotonic(), 0
        for name in spool.list_messages():
            if stopped() or self._not_before.get(name, 0.0) > passed:
                continue
            tried += 1
            self._process_file(name)
        if passed - self._swept > CLEANUP_INTERVAL_S or not self._swept:
            self._swept = passed
            dispatch.erase_old_messages(clock.now())
        return tried

    def _process_file(self, name: str) -> None:
        try:
            self._handle(name)
        except RetryLater:
            self._defer(name, RETRY_DELAYS_S[1])
        except Exception as fault:  # the door stays open, whatever a mail holds: it is tried again, then quarantined
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
        """Handle a mail for each of its recipients; those that are through already change nothing the second time."""
        db.connect(reuse_if_open=True)
        held = spool.read_message(name)
        later: RetryLater | None = None
        for recipient in held.recipients:
            try:
                row = dispatch.handle_message(held.raw, held.sender, recipient, clock.now())
            except RetryLater as wait:
                later = wait
                continue
            if row and row.notice and row.notice.send_at:
                tasks.wake_worker(row.notice.send_at)
        if later:
            raise later


def run_workers(stopped: Callable[[], bool]) -> None:
    """Read the mailbox, if the settings name one, and what was written down, until `stopped()`."""
    reading = threading.Thread(target=SpoolWorker().run, args=(stopped,), name="reader", daemon=True)
    reading.start()
    imap_poller.ImapPoller().run(stopped)
    reading.join(30)


def serve_until(stopped: Callable[[], bool]) -> None:
    """Open the door of the settings in force and read until `stopped()`."""
    config = ground.current_config()
    assert config.inbound_listener is not None  # noqa: S101
    protocol, host, port = config.inbound_listener
    if not ground.is_loopback(f"smtp://{host}"):
        log.warning("the mail door listens on %s: let a mail server stand in front of it", host)
    door = InboundServer(protocol, host, port)
    log.info("taking mail by %s on %s:%s", protocol, host, door.open())
    try:
        run_workers(stopped)
    finally:
        door.close()
