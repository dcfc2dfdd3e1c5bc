"""A sender process: claim, compose, sign, send, record, until told to stop.

One commit a letter: it records the answer to letter n and notes that letter n+1 is about to be handed over. So a
kill at any moment loses no letter and leaves at most one of unknown outcome per connection.
"""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import clock
from config import Config, current_config
from core import scheduler
from core.delivery import lifecycle, queue, smtp_results, throttle
from core.delivery import outage as road
from core.delivery.queue import QueuedMessage
from core.notices.rendering import RenderCache
from core.notifications.notify import clear_secrets
from core.settings import Settings, load_settings
from database import db, mark_handed_over, record_result
from mail import address as addresses
from mail.dkim_signer import DkimSigner
from mail.smtp import OutcomeUnknown, SmtpConnection, SmtpReply, SmtpServer, Unreachable, rcpt_address
from models import Letter

if TYPE_CHECKING:
    from mail.dev_smtp import DevSmtpServer

log = logging.getLogger("kairan.sending")

RECONNECT_DELAYS_S = (5, 10, 20, 40, 60)
IDLE_POLL_S = 0.2
POLL_S = 0.1
STALE_LOCK_S = 3600.0
IDLE_DISCONNECT_S = 10.0  # carriers ask that connections are not held without need (field 3.4)
BROKEN_CONNECTION_RETRY_S = 60.0  # until a letter at which the connection broke is tried again
MAX_UNKNOWN_IN_A_ROW = 2  # letters in a row of which nobody knows; then it is the server that hangs, and all wait
RENDER_ERROR_RETRY_S = 900.0  # until a letter is tried again that could not be written by a fault of ours
HOUSEKEEPING_S = 5.0


class WorkerLock:
    """The name of a sender process and the lock that shows it lives: `data/run/<name>`."""

    def __init__(self, folder: Path) -> None:
        self.name = f"sender-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = folder
        self._held = (folder / self.name).open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_dead(self, other: str) -> bool:
        """Say whether another sender's lock can be taken: then its process is gone."""
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
        """Remove the locks of senders that died without letters in hand. Young ones may only be about to be taken."""
        for path in self._folder.glob("sender-*"):
            if path.exists() and now - path.stat().st_mtime > STALE_LOCK_S:
                self.is_dead(path.name)

    def release(self) -> None:
        """Give the lock back at the end of an orderly life."""
        (self._folder / self.name).unlink(missing_ok=True)
        self._held.close()


def boot_id() -> str:
    """Return the mark of this boot of the machine; another one means that there was a power cut or restart."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown boot"


def _data_version() -> int:
    """Return a number that changes when another connection has changed the tables."""
    return db.execute_sql("PRAGMA data_version").fetchone()[0]


class _RenderError(Exception):
    """A letter could not be composed or signed."""


class SmtpWorker:
    """One sender process: its connection, its keys, and the letters it has claimed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.owner = WorkerLock(config.data / "run")
        self.owner.remove_stale_locks(time.time())
        self.boot = boot_id()
        self._catcher: DevSmtpServer | None = None
        self._connection: SmtpConnection | None = None
        self._route: SmtpServer | None = None
        self._signer: DkimSigner | None = None
        self._signs_for = ""
        self._failures = self._vanished = 0
        self._swept = self._finished = self._worked = self._looked = 0.0
        self._blocking: set[str] = set()
        self._desk: RenderCache | None = None
        self.trouble = ""

    # ── the two ways to run ──

    def run(self, stopped: Callable[[], bool]) -> None:
        """Send whatever is due until `stopped()`; the letter in hand is finished first."""
        while not stopped():
            self._housekeeping()
            seen = _data_version()
            if self.run_once(stopped):
                self._worked = time.monotonic()
            else:
                self._wait_for_change(seen, stopped)
        self.close()

    def _wait_for_change(self, seen: int, stopped: Callable[[], bool]) -> None:
        """Wait until somebody else changes the tables, at most IDLE_S; hang up after some idle seconds."""
        self._desk = None
        until = time.monotonic() + IDLE_POLL_S
        if self._connection and until - self._worked > IDLE_DISCONNECT_S:
            self._connection.close()
        while time.monotonic() < until and _data_version() == seen and not stopped():
            time.sleep(POLL_S)

    def drain(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Settle what dead senders left, then send until nothing is due now. False if the server cannot be used."""
        throttle.resume_bucket(throttle.GLOBAL_BUCKET)  # somebody asks for it now
        self._recover_and_finish(clock.now())
        while not self.trouble and not stopped():
            scheduler.run_due_jobs(clock.now())
            self._housekeeping()
            if self.run_once(stopped):
                continue
            now = clock.now()
            if not self.trouble and not queue.due_letters(now, 1, throttle.paused_buckets(now)):
                self._recover_and_finish(now)
                return not self.trouble
            time.sleep(POLL_S)  # only pacing keeps the rest back
        return not self.trouble

    def close(self) -> None:
        """Hang up, stop the outbox, give the lock back."""
        if self._connection:
            self._connection.close()
        if self._catcher:
            self._catcher.stop()
        self.owner.release()

    # ── one step ──

    def run_once(self, stopped: Callable[[], bool]) -> int:
        """Claim and send one batch; return how many letters were claimed."""
        now, force = clock.now(), load_settings()
        if throttle.pause_reason(throttle.GLOBAL_BUCKET, now):
            return 0
        numbers = queue.claim_batch(self.owner.name, self.boot, force, now)
        if numbers:
            self._send_batch(numbers, force, stopped)
        return len(numbers)

    def _send_batch(self, numbers: list[int], force: Settings, stopped: Callable[[], bool]) -> None:
        desk = self._desk = self._desk if self._desk and self._desk.force == force else RenderCache(force)
        desk.evict_notices_with_files()
        waiting = self._recheck_batch(numbers)
        handed = False
        self._blocking = set()
        self._looked = time.monotonic()
        for place, letter in enumerate(waiting):
            if stopped() or self._should_yield_to_urgent(letter, force):
                self._requeue(waiting[place:])
                return
            if letter.domain in self._blocking:
                self._requeue([letter])
                handed = False
                continue
            # A letter that cannot be handed over was stopped or withdrawn after the claim.
            if not handed and not mark_handed_over(letter.id, self.owner.name, clock.now()):
                continue
            try:
                follower = waiting[place + 1] if place + 1 < len(waiting) else None
                handed = self._send_one(letter, desk, follower)
            except Unreachable as trouble:
                # Maybe this very letter made the server hang up: the others go first when the road is open again.
                self._requeue([letter], BROKEN_CONNECTION_RETRY_S if trouble.reason == "broken" else 0)
                self._requeue(waiting[place + 1 :])
                self._on_connection_failure(trouble, force)
                return

    def _should_yield_to_urgent(self, letter: QueuedMessage, force: Settings) -> bool:
        """Look once a second whether something urgent waits behind this ordinary letter (field 5.3.9)."""
        if letter.urgent or time.monotonic() - self._looked < 1:
            return False
        self._looked = time.monotonic()
        return queue.has_urgent(force, clock.now())

    def _recheck_batch(self, numbers: list[int]) -> list[QueuedMessage]:
        """Record what must not go after all; return the rest of the claimed letters, in their order."""
        kept_back = queue.recheck_claimed(numbers, clock.now())
        with db.atomic():
            for number, reason in kept_back.items():
                state = "expired" if reason == "expired" else "skipped"
                self._record_state(number, state, reason=reason, counted=False)
        return [one for one in queue.load_claimed(numbers, self.owner.name) if one.id not in kept_back]

    def _send_one(self, letter: QueuedMessage, desk: RenderCache, follower: QueuedMessage | None) -> bool:
        """Send one letter; commit its outcome and the handing over of the next. Say whether that may go."""
        bare = bool(letter.bare)
        connection = self._open_connection(desk.force)
        try:
            reply = self._transmit(connection, letter, desk, bare)
            if reply.code in (501, 553) and addresses.violates_rfc(letter.address):
                bare = not bare
                reply = self._transmit(connection, letter, desk, bare)
        except OutcomeUnknown as gone:
            lifecycle.mark_unknown(letter.id, self.owner.name, clock.now())
            self._vanished += 1
            if self._vanished >= MAX_UNKNOWN_IN_A_ROW:
                raise Unreachable("", "broken") from gone
            return False
        except addresses.BadAddress:
            self._record_state(letter.id, "refused", reason="address")
            return False
        except _RenderError:
            self._record_state(letter.id, "deferred", reason="other", wait_s=RENDER_ERROR_RETRY_S)
            return False
        self._vanished = 0
        self._on_connection_ok()
        return self._commit_result(letter, reply, follower, bare)

    def _transmit(self, connection: SmtpConnection, letter: QueuedMessage, desk: RenderCache, bare: bool) -> SmtpReply:
        raw = self._render_signed(letter, desk, bare)
        sender = desk.force.own.return_path(letter.id, desk.force.secret)
        return connection.send(sender, rcpt_address(letter.address, bare), raw)

    def _render_signed(self, letter: QueuedMessage, desk: RenderCache, bare: bool) -> bytes:
        """Return the signed letter. Raises BadAddress, and _Unwritten for a fault of ours: others must go on."""
        try:
            return self._sign(desk.render(letter, bare, clock.now()), desk.force)
        except addresses.BadAddress:
            raise
        except Exception as fault:
            log.error("letter %s cannot be written (%s); trying again later", letter.id, type(fault).__name__)
            raise _RenderError from fault

    def _commit_result(
        self, letter: QueuedMessage, reply: SmtpReply, follower: QueuedMessage | None, bare: bool
    ) -> bool:
        """Commit what the server said, all that follows from it, and the handing over of the next letter."""
        now = clock.now()
        outcome = smtp_results.classify_reply(reply, letter.domain)
        later = queue.next_retry_at(letter.attempts, now) if outcome.state == "deferred" else now
        with db.atomic():
            record_result(
                letter.id,
                self.owner.name,
                outcome.state,
                now=now,
                next_attempt_at=later,
                code=reply.code,
                enhanced=reply.enhanced,
                text=reply.text,
                reason=outcome.reason,
            )
            if outcome.state == "accepted":
                smtp_results.record_acceptance(letter, bare, now)
            elif outcome.state == "refused" and smtp_results.record_refusal(Letter.get_by_id(letter.id), outcome, now):
                self._blocking.add(letter.domain)
            if letter.delivery_id is None and outcome.state != "deferred":
                clear_secrets(letter.id)
            return follower is not None and mark_handed_over(follower.id, self.owner.name, now)

    def _record_state(
        self, number: int, state: str, *, reason: str = "", counted: bool = True, wait_s: float = 0
    ) -> None:
        now = clock.now()
        later = now + timedelta(seconds=wait_s)
        record_result(number, self.owner.name, state, now=now, next_attempt_at=later, reason=reason, counted=counted)

    def _requeue(self, letters: list[QueuedMessage], wait_s: float = 0) -> None:
        """Put letters back that no server has; no attempt is counted."""
        with db.atomic():
            for letter in letters:
                self._record_state(letter.id, "waiting", counted=False, wait_s=wait_s)

    # ── the road and the seal ──

    def _open_connection(self, force: Settings) -> SmtpConnection:
        route = force.route or self._dev_route()
        if self._connection is None or route != self._route:
            if self._connection:
                self._connection.close()
            self._connection, self._route = SmtpConnection(route, force.mail_domain), route
        self._connection.open()
        return self._connection

    def _dev_route(self) -> SmtpServer:
        if self._catcher is None:
            from mail.dev_smtp import DevSmtpServer  # a server that only practice needs

            self._catcher = DevSmtpServer(self._config.data / "outbox", now=clock.now)
            self._catcher_route = self._catcher.start()
        return self._catcher_route

    def _sign(self, raw: bytes, force: Settings) -> bytes:
        if force.own.mailbox:
            return raw  # the domain is the provider's, and so is its signature
        if self._signer is None or self._signs_for != force.mail_domain:
            self._signer = DkimSigner(self._config.dkim_selector, force.mail_domain, self._config.key("dkim.pem"))
            self._signs_for = force.mail_domain
        return self._signer.sign(raw)

    def _on_connection_failure(self, trouble: Unreachable, force: Settings) -> None:
        """Pause everything for a while, growing; the pages turn red and offer the text and the telephone list."""
        now = clock.now()
        self.trouble = trouble.reason
        pause = RECONNECT_DELAYS_S[min(self._failures, len(RECONNECT_DELAYS_S) - 1)]
        self._failures += 1
        log.warning("mail server cannot be used (%s); trying again in %s s", trouble.reason, pause)
        throttle.pause_bucket(throttle.GLOBAL_BUCKET, now + timedelta(seconds=pause), trouble.reason, now)
        road.pause_notices(trouble.reason, now)

    def _on_connection_ok(self) -> None:
        """Forget the trouble once a letter has got its answer."""
        if self._failures:
            self._failures = 0
            road.clear_outage()

    def _retry_connection(self) -> None:
        """Try the road again where notices are paused; go on if it is open."""
        now, force = clock.now(), load_settings()
        if not road.has_paused_notices() or throttle.pause_reason(throttle.GLOBAL_BUCKET, now):
            return
        try:
            self._open_connection(force)
        except Unreachable as trouble:
            self._on_connection_failure(trouble, force)
            return
        self.trouble, self._failures = "", max(1, self._failures)
        throttle.resume_bucket(throttle.GLOBAL_BUCKET)
        road.resume_notices(now, force.late_s)

    # ── keeping house ──

    def _housekeeping(self) -> None:
        """Once a second look what is finished; every few seconds settle what dead senders left."""
        passed = time.monotonic()
        if passed - self._swept >= HOUSEKEEPING_S:
            self._recover_and_finish(clock.now())
        elif passed - self._finished >= 1:
            lifecycle.finish_notices(clock.now())
            self._retry_connection()
        else:
            return
        self._finished = passed

    def _recover_and_finish(self, now: datetime) -> None:
        self._swept = time.monotonic()
        lifecycle.recover_orphans(self.owner.is_dead, self.boot, now)
        lifecycle.expire_letters(now)
        lifecycle.cancel_requeued_letters(now)
        lifecycle.restore_previous_round()
        lifecycle.finish_notices(now)
        road.hold_overdue_paused(now, load_settings().late_s)
        self._retry_connection()


def open_worker() -> SmtpWorker:
    """Return a sender for the installation in force."""
    return SmtpWorker(current_config())
