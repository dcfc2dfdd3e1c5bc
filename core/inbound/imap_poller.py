"""Incoming mail of schools that have only a mailbox: read by IMAP, written down like all other mail, then moved aside.

The mail goes the same way as from the mail door (`core.inbound.spool`, `core.inbound.dispatch`): on the disk before it leaves
the inbox, known again if it is seen twice, quarantined if it cannot be read. For whom it came: only by what the
mailbox's own server wrote (`mail.envelope_headers`); else it is a mail to the mailbox itself. What goes wrong stands on the
settings page.
"""

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import clock
import config as ground
from core import settings
from core.inbound import dispatch, spool
from database import db
from i18n import N_
from mail import envelope_headers
from mail.imap import HANDLED_FOLDER, OTHER_FOLDER, ImapSession, MailboxUnavailable
from mail.server_urls import ImapAccount
from models import ImapStatus

log = logging.getLogger("kairan.collecting")

MAX_MESSAGE_BYTES = 25 * 2**20
"""Octets of a mail that is taken, as at the mail door."""
POLL_INTERVAL_S = 30.0
"""Seconds between two looks into the mailbox, where it does not say by itself that a mail came."""
SETTINGS_CHECK_INTERVAL_S = 2.0
RETRY_DELAYS_S = (30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds until the next try after trouble: a wrong password must not be tried every minute for ever."""
TEST_TIMEOUT_S = 10.0
DISK_FULL = "disk"


class MailboxLocked(Exception):
    """Another process of this installation is reading the mailbox."""


@contextmanager
def hold_mailbox_lock() -> Iterator[None]:
    """Keep other processes out of the mailbox meanwhile. Raises Busy."""
    with (ground.current_config().data / "run" / "collector").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MailboxLocked from None
        yield


def fetch_batch(reading: ImapSession, now: datetime, stopped: Callable[[], bool] = lambda: False) -> int:
    """Write down what lies in the inbox and move it aside; return how many were looked at. Raises Closed, OSError."""
    force = settings.load_settings()
    seen = others = 0
    for found in reading.fetch_messages(MAX_MESSAGE_BYTES):
        recipient = _find_recipient(found.raw, force) if found.raw is not None else None
        if recipient is not None and found.raw is not None:
            spool.write_message(envelope_headers.find_sender(found.raw), [recipient], found.raw, now)
        else:
            others += 1
        reading.move_message(found.uid, OTHER_FOLDER if recipient is None else HANDLED_FOLDER)
        seen += 1
        if stopped():
            break
    _record_success(now, seen - others, others)
    return seen


def _find_recipient(raw: bytes, force: settings.Settings) -> str | None:
    """Return for which of our addresses a mail came: the mailbox itself if nothing says so; None for a foreign one."""
    for one in envelope_headers.find_recipients(raw, force.recipient_header):
        place = dispatch.resolve_recipient(one)
        if force.own.owns(one) and (place is None or place.kind != "mailbox"):
            return one if place else None
    return _mailbox_address(force)


def _mailbox_address(force: settings.Settings) -> str:
    return settings.imap_address(force) or force.own.address("postmaster")


# ── how it went ──────────────────────────────────────────────────────────────────────────────────────────────────


def _record_success(now: datetime, taken: int, others: int) -> None:
    ImapStatus.load_row()
    ImapStatus.update(
        at=now,
        last_success_at=now,
        reason="",
        message="",
        detail="",
        taken=ImapStatus.taken + taken,
        others=ImapStatus.others + others,
    ).where(ImapStatus.id == 1).execute()


def record_error(trouble: MailboxUnavailable, now: datetime) -> None:
    """Keep what is wrong with the mailbox, for the settings page and the doctor."""
    ImapStatus.load_row()
    fields = {"reason": trouble.reason, "message": trouble.message, "detail": trouble.detail}
    ImapStatus.update(at=now, **fields).where(ImapStatus.id == 1).execute()


def poll_once(box: ImapAccount, now: datetime) -> int:
    """Take everything out of the mailbox once; return how many mails. Raises Busy, Closed, OSError."""
    with hold_mailbox_lock():
        try:
            reading = ImapSession(box)
            try:
                total = 0
                while found := fetch_batch(reading, now):
                    total += found
                return total
            finally:
                reading.close()
        except MailboxUnavailable as trouble:
            record_error(trouble, now)
            raise


def test_account(box: ImapAccount, now: datetime) -> MailboxUnavailable | None:
    """Open the mailbox and make the folder for handled mail, taking nothing out; return what is wrong."""
    try:
        reading = ImapSession(box, TEST_TIMEOUT_S)
        try:
            reading.ensure_folder(HANDLED_FOLDER)
        finally:
            reading.close()
    except MailboxUnavailable as trouble:
        record_error(trouble, now)
        return trouble
    _record_success(now, 0, 0)
    return None


# ── all the time ─────────────────────────────────────────────────────────────────────────────────────────────────


class ImapPoller:
    """Reads the mailbox of the settings in force, whenever there is one; settings may change meanwhile."""

    def __init__(self) -> None:
        self._reading: ImapSession | None = None
        self._box: ImapAccount | None = None
        self._failures = 0
        self._not_before = 0.0

    def run(self, stopped: Callable[[], bool]) -> None:
        """Collect until `stopped()`. Only one process does; another one waits for its end."""
        while not stopped():
            try:
                with hold_mailbox_lock():
                    self._poll_until_stopped(stopped)
            except MailboxLocked:
                _sleep_unless_stopped(POLL_INTERVAL_S, stopped)
        db.close()

    def _poll_until_stopped(self, stopped: Callable[[], bool]) -> None:
        while not stopped():
            if not self.run_once(stopped):
                _sleep_unless_stopped(SETTINGS_CHECK_INTERVAL_S, stopped)
        self._disconnect()

    def run_once(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Look once if it is time; say whether to look again at once. Nothing that goes wrong ends the process."""
        box = settings.load_settings().box
        if box != self._box:
            self._disconnect()
            self._box, self._failures, self._not_before = box, 0, 0.0
        if box is None or time.monotonic() < self._not_before:
            return False
        try:
            return self._poll(box, stopped)
        except MailboxUnavailable as trouble:
            self._on_error(trouble)
        except OSError as full:
            self._on_error(
                MailboxUnavailable(N_("Mail cannot be written down: the disk is full."), DISK_FULL, type(full).__name__)
            )
        except Exception as fault:  # whatever a server says, reading goes on later
            log.error("the mailbox could not be read (%s)", type(fault).__name__)
            self._on_error(MailboxUnavailable(N_("The mailbox could not be read."), "broken", type(fault).__name__))
        return False

    def _poll(self, box: ImapAccount, stopped: Callable[[], bool]) -> bool:
        self._reading = self._reading or ImapSession(box)
        if fetch_batch(self._reading, clock.now(), stopped):
            self._failures = 0
            return True
        self._failures = 0
        if self._reading.supports_idle:
            return self._reading.wait_for_mail(POLL_INTERVAL_S, stopped)
        self._not_before = time.monotonic() + POLL_INTERVAL_S
        return False

    def _on_error(self, trouble: MailboxUnavailable) -> None:
        self._disconnect()
        pause = RETRY_DELAYS_S[min(self._failures, len(RETRY_DELAYS_S) - 1)]
        self._failures += 1
        self._not_before = time.monotonic() + pause
        log.warning("mailbox cannot be read (%s); trying again in %s s", trouble.reason, int(pause))
        record_error(trouble, clock.now())

    def _disconnect(self) -> None:
        if self._reading:
            self._reading.close()
        self._reading = None


def _sleep_unless_stopped(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopped():
        time.sleep(min(0.2, seconds))
