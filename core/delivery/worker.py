"""The SMTP worker: claim, render, sign, send and record letters until told to stop.

One ledger line per letter holds the reply to letter n and marks letter n+1 as handed over. A kill at any moment loses no
letter and leaves at most one letter of unknown outcome per connection. While the database is locked or the disk is full,
the worker keeps its replies and waits.
"""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from peewee import OperationalError

import clock
from config import Config
from core import audit, disk_space
from core.delivery import dev_outbox, holding, lifecycle, outage, queue, smtp_results, throttle
from core.delivery import ledger as ledgers
from core.delivery.ledger import Ledger, LedgerError, Line
from core.delivery.queue import QueuedMessage
from core.settings import Settings, go_live, load_settings
from database import db, due_letters, millis, record_result, set_busy_timeout
from mail import address as addresses
from mail.bounce.fault import same_words, whose_fault
from mail.dkim_signer import DkimSigner
from mail.server_urls import SmtpServer
from mail.smtp import OutcomeUnknown, SmtpConnection, SmtpReply, Unreachable, rcpt_address
from models import LetterState, Notice

if TYPE_CHECKING:
    from mail.dev_smtp import DevSmtpServer

log = logging.getLogger("kairan.sending")

RECONNECT_DELAYS_S = (5, 10, 20, 40, 60)
REFUSAL_DELAYS_S = (5, 30, 60, 120, 300, 600)
"""Probes while the server refuses us; a changed setting probes at once."""
SAME_REFUSALS = 3
"""After so many letters to different domains that were refused in the same words, the fault is ours."""
IDLE_POLL_S = 0.2
POLL_S = 0.1
STALE_LOCK_S = 3600.0
IDLE_DISCONNECT_S = 10.0  # carriers ask senders to close idle connections (field 3.4)
BROKEN_CONNECTION_RETRY_S = 60.0  # delay of a letter during which the connection broke
MAX_UNKNOWN_IN_A_ROW = 2  # after so many letters of unknown outcome the server counts as unreachable
RENDER_ERROR_RETRY_S = 900.0  # delay of a letter that a fault of ours kept from being rendered
HOUSEKEEPING_S = 5.0
FINISH_CHECK_S = 1.0
URGENT_CHECK_S = 1.0
STORAGE_RETRY_S = 0.5  # delay while the database is locked or the disk is full
STORAGE_WAIT_S = 2.0  # one try to write; short, so that the worker ends soon when told to
STORAGE_LOG_S = 60.0
STORAGE_ERRORS = (OperationalError, LedgerError)

T = TypeVar("T")


class Renderer(Protocol):
    """Renders letters under one state of the settings, and caches what letters share."""

    def evict_notices_with_files(self) -> None: ...

    def render(self, letter: QueuedMessage, bare: bool, now: datetime) -> bytes: ...


class NoticeHooks(NamedTuple):
    """What the worker needs from packages below delivery; `cli.work` passes it."""

    make_renderer: Callable[[Settings], Renderer]
    unneeded_letters: Callable[[Collection[int], datetime], dict[int, str]]
    subject_of: Callable[[Notice], str]
    run_due_jobs: Callable[[datetime], object]


class WorkerLock:
    """The name of a worker process and its lock file `data/run/<name>`, locked as long as the process lives."""

    def __init__(self, folder: Path) -> None:
        self.name = f"sender-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = folder
        self._file = (folder / self.name).open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_dead(self, other: str) -> bool:
        """Return True if the lock of another worker can be taken: its process has ended."""
        if other == self.name:
            return False
        path = self._folder / other
        if not path.exists():
            return True
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            path.unlink(missing_ok=True)
        return True

    def remove_stale_locks(self, now: float) -> None:
        """Remove the lock files of dead workers. Newer lock files may belong to a worker that is starting."""
        for path in self._folder.glob("sender-*"):
            if path.exists() and now - path.stat().st_mtime > STALE_LOCK_S:
                self.is_dead(path.name)

    def release(self) -> None:
        (self._folder / self.name).unlink(missing_ok=True)
        self._file.close()


def _data_version() -> int:
    """Return a number that changes when another connection has changed the tables."""
    version: int = db.execute_sql("PRAGMA data_version").fetchone()[0]
    return version


class _RefusesUs(Unreachable):
    """The server's answer to a letter is about us (law 9). wait: how long to wait, if it is a limit."""

    def __init__(self, reason: str, reply: SmtpReply, wait: timedelta | None = None) -> None:
        super().__init__("", reason, f"{reply.code} {reply.text}")
        self.wait = wait


def _mark_of(failure: Unreachable) -> str:
    """Return how a letter that met this failure is marked: the server hung up at it, or refused us with it."""
    if isinstance(failure, _RefusesUs):
        return "us"
    return "broken" if failure.reason == "broken" else ""


class _RenderError(Exception):
    """A letter could not be rendered or signed."""


class SmtpWorker:
    """One worker process: its connection, its DKIM key and the letters it has claimed.

    `failure`: why the mail server cannot be used (empty: it can).
    """

    def __init__(self, config: Config, hooks: NoticeHooks) -> None:
        self._config = config
        self._hooks = hooks
        self.lock = WorkerLock(config.data / "run")
        self.lock.remove_stale_locks(time.time())
        self.boot = clock.boot_id()
        self.failure = ""
        self._ledger = Ledger(self.lock.name)
        self._stopped: Callable[[], bool] = lambda: False
        self._storage_failed = False
        self._last_storage_log = -STORAGE_LOG_S
        self._dev_server: DevSmtpServer | None = None
        self._dev_route: SmtpServer | None = None
        self._connection: SmtpConnection | None = None
        self._route: SmtpServer | None = None
        self._signer: DkimSigner | None = None
        self._signer_domain = ""
        self._failures = self._unknown_in_a_row = 0
        self._last_housekeeping = self._last_finish_check = self._last_urgent_check = self._last_sent = 0.0
        self._blocked_domains: set[str] = set()
        self._held_notices: set[int | None] = set()
        self._renderer: Renderer | None = None
        self._renderer_settings: Settings | None = None
        self._settings_at_failure: Settings | None = None
        self._accepted_at: datetime | None = None
        self._got_reply = False
        self._refusing_domains: set[str] = set()  # of refusals in a row in the same words
        self._refusal_words = ""

    # ── run and drain ──

    def run(self, stopped: Callable[[], bool]) -> None:
        """Send due letters until `stopped()`. The letter in progress is finished first, if the server answers soon."""
        self._stopped = stopped
        set_busy_timeout(STORAGE_WAIT_S)
        try:
            while not stopped():
                try:
                    self._run_step(stopped)
                except STORAGE_ERRORS as fault:
                    self._storage_failed = True
                    self._wait_for_storage(fault)
            self.close()
        finally:
            set_busy_timeout(None)

    def _run_step(self, stopped: Callable[[], bool]) -> None:
        if self._storage_failed:
            self._recover_own_letters()
        self._housekeeping()
        version = _data_version()
        if self.run_once(stopped):
            self._last_sent = time.monotonic()
        else:
            self._wait_for_change(version, stopped)

    def _recover_own_letters(self) -> None:
        """Settle the letters of a batch that ended because the database could not be written."""
        self._carry()
        lifecycle.recover_letters_of(self.lock.name, self.boot, clock.now(), self._hooks.subject_of)
        self._storage_failed = False

    def _wait_for_change(self, version: int, stopped: Callable[[], bool]) -> None:
        """Wait until another process changes the tables, at most IDLE_POLL_S. Close an idle connection."""
        self._renderer = None
        until = time.monotonic() + IDLE_POLL_S
        if self._connection and until - self._last_sent > IDLE_DISCONNECT_S:
            self._connection.close()
        while time.monotonic() < until and _data_version() == version and not stopped():
            time.sleep(POLL_S)

    def drain(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Recover orphans, then send until no letter is due. Return False if the server cannot be used.

        A process that lacks the mail server of a live installation changes nothing: the service may have it.
        """
        settings = load_settings()
        if settings.quarantined or settings.lacks_route:
            self.failure = "quarantine" if settings.quarantined else "no_route"
            return False
        self._stopped = stopped
        throttle.resume_bucket(throttle.GLOBAL_BUCKET)  # an organizer asks for it now
        self._recover_and_finish(clock.now())
        while not self.failure and not stopped():
            self._hooks.run_due_jobs(clock.now())
            self._housekeeping()
            if self.run_once(stopped):
                continue
            now, practice = clock.now(), load_settings().practice
            if not self.failure and not due_letters(now, 1, throttle.paused_buckets(now), practice):
                self._recover_and_finish(now)
                return not self.failure
            time.sleep(POLL_S)  # only the throttle delays the rest
        return not self.failure

    def close(self) -> None:
        """Close the connection, stop the development server, release the lock. Idempotent.

        A ledger that cannot be carried now stays for the worker that recovers this one's letters.
        """
        try:
            self._carry()
        except STORAGE_ERRORS as fault:
            log.warning("the ledger waits for the next worker (%s)", fault)
        self._ledger.close()
        if self._connection:
            self._connection.close()
        if self._dev_server:
            self._dev_server.stop()
        self.lock.release()

    # ── one batch ──

    def run_once(self, stopped: Callable[[], bool]) -> int:
        """Claim and send one batch; return how many letters were claimed."""
        self._stopped = stopped
        self._ledger.open()
        now, settings = clock.now(), load_settings()
        if throttle.pause_reason(throttle.GLOBAL_BUCKET, now):
            return 0
        if settings.quarantined:
            return 0
        if settings.lacks_route:
            self._on_connection_failure(Unreachable("", "no_route"))
            return 0
        if settings.route and not settings.live:
            go_live(now)
        numbers = queue.claim_batch(self.lock.name, self.boot, settings, now)
        if numbers:
            self._send_batch(numbers, settings, stopped)
            self._until_stored(self._carry)
        return len(numbers)

    def _send_batch(self, numbers: list[int], settings: Settings, stopped: Callable[[], bool]) -> None:
        renderer = self._renderer_for(settings)
        letters = self._recheck_batch(numbers)
        handed_over = False
        self._blocked_domains, self._held_notices = set(), set()
        self._last_urgent_check = time.monotonic()
        for place, letter in enumerate(letters):
            if stopped() or self._should_yield_to_urgent(letter, settings):
                self._requeue(letters[place:])
                return
            if letter.domain in self._blocked_domains or letter.notice_id in self._held_notices:
                self._requeue([letter])
                handed_over = False
                continue
            # A letter that cannot be marked was stopped or withdrawn after the claim.
            if not handed_over and not self._hand_over(letter):
                continue
            try:
                following = letters[place + 1] if place + 1 < len(letters) else None
                handed_over = self._send_one(letter, renderer, settings, following)
            except Unreachable as failure:
                self._requeue(letters[place + 1 :])
                if self._put_aside(letter, failure):
                    return
                # This letter may be why the server closed the connection or refused: the others go first.
                mark = _mark_of(failure)
                self._requeue([letter], BROKEN_CONNECTION_RETRY_S if mark else 0, mark)
                if failure.reason != "stopped":
                    self._on_connection_failure(failure)
                return

    def _put_aside(self, letter: QueuedMessage, failure: Unreachable) -> bool:
        """Refuse a letter at which the server hung up twice while others got through: no outage, the others go on."""
        if failure.reason != "broken" or not smtp_results.fails_alone(letter, "broken", self._accepted_at, clock.now()):
            return False
        self._record_state([letter.id], LetterState.REFUSED, reason="broken")
        return True

    def _renderer_for(self, settings: Settings) -> Renderer:
        if self._renderer is None or self._renderer_settings != settings:
            self._renderer, self._renderer_settings = self._hooks.make_renderer(settings), settings
        self._renderer.evict_notices_with_files()
        return self._renderer

    def _should_yield_to_urgent(self, letter: QueuedMessage, settings: Settings) -> bool:
        """Return True if an urgent letter waits behind this ordinary one; checked once a second (field 5.3.9)."""
        if letter.urgent or time.monotonic() - self._last_urgent_check < URGENT_CHECK_S:
            return False
        self._last_urgent_check = time.monotonic()
        return queue.has_urgent(settings, clock.now())

    def _recheck_batch(self, numbers: list[int]) -> list[QueuedMessage]:
        """Record the claimed letters that must not be sent any more; return the others, in their order."""
        now = clock.now()
        skipped = {**self._hooks.unneeded_letters(numbers, now), **queue.recheck_claimed(numbers, now)}
        for reason in set(skipped.values()):
            state = LetterState.EXPIRED if reason == "expired" else LetterState.SKIPPED
            these = [number for number, why in skipped.items() if why == reason]
            self._record_state(these, state, reason=reason, counted=False)
        return [letter for letter in queue.load_claimed(numbers, self.lock.name) if letter.id not in skipped]

    def _send_one(
        self, letter: QueuedMessage, renderer: Renderer, settings: Settings, following: QueuedMessage | None
    ) -> bool:
        """Send one letter and record its result. Return whether the following letter is marked as handed over."""
        bare = bool(letter.bare)
        connection = self._open_connection(settings, settings.practice if letter.practice is None else letter.practice)
        try:
            reply = self._transmit(connection, letter, renderer, settings, bare)
            if reply.code in (501, 553) and addresses.violates_rfc(letter.address):
                bare = not bare
                reply = self._transmit(connection, letter, renderer, settings, bare)
        except OutcomeUnknown as unknown:
            self._record(lambda: lifecycle.mark_unknown(letter.id, self.lock.name, clock.now()))
            self._unknown_in_a_row += 1
            if self._unknown_in_a_row >= MAX_UNKNOWN_IN_A_ROW:
                raise Unreachable("", "broken") from unknown
            return False
        except addresses.BadAddress:
            self._record_state([letter.id], LetterState.REFUSED, reason="address")
            return False
        except _RenderError:
            self._record_state([letter.id], LetterState.DEFERRED, reason="other", wait_s=RENDER_ERROR_RETRY_S)
            return False
        self._unknown_in_a_row = 0
        fault = self._raise_if_about_us(letter, reply)
        handed_over = self._record_reply(letter, reply, following, bare)
        if fault == "message" and holding.is_held(letter.notice_id):
            self._held_notices.add(letter.notice_id)
        self._on_connection_ok()
        return handed_over

    def _raise_if_about_us(self, letter: QueuedMessage, reply: SmtpReply) -> str:
        """Raise Unreachable for an answer that is about us (law 9): then nothing is counted or registered.

        Return whose fault another answer is, "" for an acceptance.
        """
        now = clock.now()
        if reply.accepted:
            self._accepted_at, self._refusal_words = now, ""
            return ""
        fault = whose_fault(reply, letter.address)
        all_refuse = (
            fault.of == "reader"
            and self._all_domains_refuse(letter, reply)
            and not smtp_results.is_refused_among_few(letter)
        )
        if (fault.of in ("us", "limit") or all_refuse) and not smtp_results.fails_alone(
            letter, "us", self._accepted_at, now
        ):
            if all_refuse:
                self._record(lambda: smtp_results.take_back_refusals(letter, reply, now))
            raise _RefusesUs(fault.why or "refused", reply, fault.wait)
        return fault.of

    def _all_domains_refuse(self, letter: QueuedMessage, reply: SmtpReply) -> bool:
        """Return whether letters to different domains were refused in a row in the same words: one relay says it."""
        words = same_words(reply.code, reply.text)
        if self._refusal_words != words:
            self._refusal_words, self._refusing_domains = words, set()
        self._refusing_domains.add(letter.domain)
        return len(self._refusing_domains) >= SAME_REFUSALS

    def _transmit(
        self, connection: SmtpConnection, letter: QueuedMessage, renderer: Renderer, settings: Settings, bare: bool
    ) -> SmtpReply:
        raw = self._render_signed(letter, renderer, settings, bare)
        return_path = settings.own_addresses.return_path(letter.id, settings.secret)
        return connection.send(return_path, rcpt_address(letter.address, bare), raw)

    def _render_signed(self, letter: QueuedMessage, renderer: Renderer, settings: Settings, bare: bool) -> bytes:
        """Return the signed letter. Raises BadAddress; other errors become _RenderError, so that other letters go."""
        try:
            return self._sign(renderer.render(letter, bare, clock.now()), settings)
        except addresses.BadAddress:
            raise
        except Exception as fault:
            log.error("letter %s cannot be written (%s); trying again later", letter.id, type(fault).__name__)
            raise _RenderError from fault

    # ── recording ──

    def _record_reply(
        self, letter: QueuedMessage, reply: SmtpReply, following: QueuedMessage | None, bare: bool
    ) -> bool:
        """Record the reply and hand over the following letter.

        Not if the ledger is carried first: the worker may then wait for the database, and the letter would not leave.
        """
        due = not reply.accepted or self._ledger.is_due
        next_id = following.id if following and not due else 0
        now = millis(clock.now())
        line = Line(now, letter.id, letter.attempts, bare, reply.code, reply.enhanced, reply.text, reply.phase, next_id)
        handed_over = self._until_stored(lambda: self._ledger.append(line))
        if due:
            self._until_stored(self._carry)
        return handed_over

    def _hand_over(self, letter: QueuedMessage) -> bool:
        """Mark a letter as handed over. False: it was stopped or withdrawn after the claim."""
        line = Line(millis(clock.now()), 0, 0, False, 0, "", "", "end", letter.id)
        return self._until_stored(lambda: self._ledger.append(line))

    def _carry(self) -> None:
        """Carry the ledger into the tables."""
        self._blocked_domains |= self._ledger.carry(self._hooks.subject_of)

    def _record(self, write: Callable[[], object]) -> None:
        """Write an ordinary record, after the ledger."""
        self._until_stored(self._carry)
        self._until_stored(write)

    def _until_stored(self, write: Callable[[], T]) -> T:
        """Write; while the database is locked or the disk is full, wait and try again. Raises if told to stop."""
        while True:
            try:
                return write()
            except STORAGE_ERRORS as fault:
                if self._stopped():
                    raise
                self._wait_for_storage(fault)

    def _wait_for_storage(self, fault: Exception) -> None:
        disk_space.note_if_full(fault.__cause__ or fault)
        now_s = time.monotonic()
        if now_s - self._last_storage_log > STORAGE_LOG_S:
            log.warning("the database cannot be written (%s); trying again", fault)
            self._last_storage_log = now_s
        time.sleep(STORAGE_RETRY_S)

    def _record_state(
        self, numbers: Collection[int], state: LetterState, *, reason: str = "", counted: bool = True, wait_s: float = 0
    ) -> None:
        def write() -> None:
            now = clock.now()
            retry_at = now + timedelta(seconds=wait_s)
            with db.atomic():
                for number in numbers:
                    record_result(
                        number, self.lock.name, state, now=now, next_attempt_at=retry_at, reason=reason, counted=counted
                    )

        self._record(write)

    def _requeue(self, letters: list[QueuedMessage], wait_s: float = 0, mark: str = "") -> None:
        """Return claimed letters to the queue without counting an attempt. No server has them.

        mark: how the letter failed ("broken", "us"), for `smtp_results.fails_alone`.
        """
        numbers = [letter.id for letter in letters]
        if numbers:
            self._record_state(numbers, LetterState.WAITING, reason=mark, counted=False, wait_s=wait_s)

    # ── connection and signature ──

    def _open_connection(self, settings: Settings, practice: bool) -> SmtpConnection:
        """Connect to the mail server, or for practice to the outbox. Raises Unreachable."""
        if settings.quarantined:
            raise Unreachable("", "stopped")
        route = self._route_to_dev_server() if practice else settings.route
        if route is None:
            raise Unreachable("", "no_route")
        if self._connection is None or route != self._route:
            if self._connection:
                self._connection.close()
            self._connection = SmtpConnection(
                route, settings.mail_domain, stopped=lambda: self._stopped(), on_slow=self._on_slow_server
            )
            self._route = route
        self._connection.open()
        return self._connection

    def _route_to_dev_server(self) -> SmtpServer:
        """Start the development server on first use."""
        if self._dev_route is None:
            self._dev_server = dev_outbox.make_server(self._config.data / "outbox")
            self._dev_route = self._dev_server.start()
        return self._dev_route

    def _sign(self, raw: bytes, settings: Settings) -> bytes:
        if settings.own_addresses.mailbox:
            return raw  # the provider of the mailbox owns the domain and signs
        if self._signer is None or self._signer_domain != settings.mail_domain:
            self._signer = DkimSigner(self._config.dkim_selector, settings.mail_domain, self._config.key("dkim.pem"))
            self._signer_domain = settings.mail_domain
        return self._signer.sign(raw)

    def _on_slow_server(self) -> None:
        """Tell the pages that the server takes long to answer."""
        with suppress(OperationalError):
            outage.note_slow_server(clock.now())

    def _on_connection_failure(self, failure: Unreachable) -> None:
        """Pause all sending for a growing delay. Pages then show the outage and offer the text and the phone list."""
        now = clock.now()
        self.failure, self._settings_at_failure = failure.reason, load_settings()
        # a probe of a server that breaks off after the content may make one more letter unknown
        seldom = _mark_of(failure) == "us" or isinstance(failure.__cause__, OutcomeUnknown)
        delays = REFUSAL_DELAYS_S if seldom else RECONNECT_DELAYS_S
        until = now + timedelta(seconds=delays[min(self._failures, len(delays) - 1)])
        if isinstance(failure, _RefusesUs):
            until = now + failure.wait if failure.wait else until
            if not self._failures:
                audit.log_action(None, "mail.refused", detail={"reason": failure.reason, "said": failure.detail})
        self._failures += 1
        log.warning("mail server cannot be used (%s); trying again in %s", failure.reason, until - now)
        throttle.pause_bucket(throttle.GLOBAL_BUCKET, until, failure.reason, now, failure.detail)
        outage.pause_notices(failure.reason, now)

    def _on_connection_ok(self) -> None:
        """End the outage: a letter got its reply. If another worker saw the outage, `_housekeeping` ends it."""
        self._got_reply = True
        if self._failures:
            self._failures = 0
            self._end_outage()

    def _end_outage(self) -> None:
        if self._got_reply:
            self._got_reply = False
            outage.clear_outage()

    def _retry_connection(self) -> None:
        """Connect again while notices are paused; resume them if that succeeds. Changed settings are tried at once."""
        now, settings = clock.now(), load_settings()
        if self._settings_at_failure not in (None, settings):
            self._settings_at_failure, self._failures = None, 0
            throttle.resume_bucket(throttle.GLOBAL_BUCKET)
        if not outage.has_paused_notices() or throttle.pause_reason(throttle.GLOBAL_BUCKET, now):
            return
        try:
            self._open_connection(settings, settings.practice)
        except Unreachable as failure:
            if failure.reason != "stopped":
                self._on_connection_failure(failure)
            return
        self.failure, self._failures = "", max(1, self._failures)
        throttle.resume_bucket(throttle.GLOBAL_BUCKET)
        outage.resume_notices(now, settings.late_s)

    # ── housekeeping ──

    def _housekeeping(self) -> None:
        """Finish notices once a second; recover orphans every few seconds."""
        now_s = time.monotonic()
        if now_s - self._last_housekeeping >= HOUSEKEEPING_S:
            self._recover_and_finish(clock.now())
        elif now_s - self._last_finish_check >= FINISH_CHECK_S:
            self._end_outage()
            lifecycle.finish_notices(clock.now())
            self._retry_connection()
        else:
            return
        self._last_finish_check = now_s

    def _recover_and_finish(self, now: datetime) -> None:
        self._last_housekeeping = time.monotonic()
        self._end_outage()
        lifecycle.recover_orphans(self.lock.is_dead, self.boot, now, self._hooks.subject_of)
        ledgers.carry_waiting(self._hooks.subject_of)
        queue.bound_waits(now)
        lifecycle.expire_letters(now)
        lifecycle.cancel_requeued_letters(now)
        lifecycle.restore_previous_round()
        lifecycle.finish_notices(now)
        outage.hold_overdue_paused(now, load_settings().late_s)
        self._retry_connection()
