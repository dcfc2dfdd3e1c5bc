"""Poll an IMAP mailbox: write each message to the spool, then move it into a folder.

Messages take the same way as from the SMTP server (`core.inbound.spool`, `core.inbound.dispatch`). The recipient is
taken only from fields that the mailbox's own server wrote (`mail.imap`); otherwise the message is for the
mailbox itself. Errors are shown on the settings page (`models.ImapStatus`).
"""

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from peewee import PeeweeException

import clock
from config import current_config
from core import disk_space, quarantine
from core.inbound import dispatch, spool
from core.settings import Settings, imap_address, load_settings
from database import db, optional_write
from i18n import N_
from mail import imap
from mail.imap import HANDLED_FOLDER, OTHER_FOLDER, ImapSession, MailboxUnavailable
from mail.server_urls import ImapAccount
from models import ImapStatus

log = logging.getLogger("kairan.collecting")

MAX_MESSAGE_BYTES = 25 * 2**20
"""Larger messages are moved aside; the SMTP server has the same limit."""
POLL_INTERVAL_S = 30.0
"""Used if the server does not support IDLE."""
SETTINGS_CHECK_INTERVAL_S = 2.0
RETRY_DELAYS_S = (30.0, 60.0, 120.0, 300.0, 600.0)
"""Delays after an error grow: a wrong password must not be tried every minute for ever."""
TEST_TIMEOUT_S = 10.0
RESTORED_COPY = N_("This is a restored copy: no mail leaves it, and none is fetched.")
DISK_FULL = "disk"
DISK_FULL_SENTENCE = N_("Mail cannot be written down: the disk is full.")


class MailboxLocked(Exception):
    """Another process of this installation polls the mailbox."""


@contextmanager
def hold_mailbox_lock() -> Iterator[None]:
    """Hold the lock that lets address process poll the mailbox. Raises MailboxLocked."""
    with (current_config().data / "run" / "collector").open("w") as lock_file:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MailboxLocked from None
        yield


def fetch_batch(session: ImapSession, now: datetime, stopped: Callable[[], bool] = lambda: False) -> int:
    """Spool address batch of messages and move each; return how many were seen. Raises MailboxUnavailable, OSError."""
    settings = load_settings()
    seen = others = 0
    for message in session.fetch_messages(MAX_MESSAGE_BYTES):
        try:
            is_ours = _spool_message(message, settings, now)
        except (OSError, PeeweeException):
            raise
        except Exception as fault:  # one message must not stop the others
            log.error("a mail in the mailbox could not be read (%s)", type(fault).__name__)
            sentence = N_("Some mails in the mailbox could not be read. They stay there and are tried again.")
            session.put_aside(message.uid, MailboxUnavailable(sentence, "message", type(fault).__name__))
            continue
        others += not is_ours
        session.move_message(message.uid, HANDLED_FOLDER if is_ours else OTHER_FOLDER)
        seen += 1
        if stopped():
            break
    _record_success(now, seen - others, others)
    if session.problem:
        record_error(session.problem, now)
    return seen


def _spool_message(message: imap.FetchedMessage, settings: Settings, now: datetime) -> bool:
    """Write a message to the spool; return False if it is too large or not for us. The same bytes act once."""
    recipient = _find_recipient(message.raw, settings) if message.raw is not None else None
    if recipient is None or message.raw is None:
        return False
    spool.write_message(imap.find_sender(message.raw), [recipient], message.raw, now)
    return True


def _find_recipient(raw: bytes, settings: Settings) -> str | None:
    """Return the recipient among our addresses: the mailbox itself if unknown, None for an address that does not exist."""
    for address in imap.find_recipients(raw, settings.recipient_header):
        target = dispatch.resolve_recipient(address)
        if settings.own_addresses.owns(address) and (target is None or target.kind != "mailbox"):
            return address if target else None
    return _mailbox_address(settings)


def _mailbox_address(settings: Settings) -> str:
    return imap_address(settings) or settings.own_addresses.address("postmaster")


# ── status and single runs ──────────────────────────────────────────────────────────────────────────────────────────────────


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


def record_error(error: MailboxUnavailable, now: datetime) -> None:
    """Store the error for the settings page and the diagnostics."""
    ImapStatus.load_row()
    fields = {"reason": error.reason, "message": error.message, "detail": error.detail}
    ImapStatus.update(at=now, **fields).where(ImapStatus.id == 1).execute()


def poll_once(account: ImapAccount, now: datetime) -> int:
    """Spool all messages of the mailbox; return how many. Raises MailboxLocked, MailboxUnavailable, OSError."""
    if quarantine.is_active():
        raise MailboxUnavailable(RESTORED_COPY, "quarantine", "")
    with hold_mailbox_lock():
        try:
            session = ImapSession(account)
            try:
                total = 0
                while seen := fetch_batch(session, now):
                    total += seen
                return total
            finally:
                session.close()
        except MailboxUnavailable as error:
            record_error(error, now)
            raise


def test_account(account: ImapAccount, now: datetime) -> MailboxUnavailable | None:
    """Open the mailbox and create the folder for handled messages; fetch nothing. Return the error, if any."""
    if quarantine.is_active():
        return MailboxUnavailable(RESTORED_COPY, "quarantine", "")
    try:
        session = ImapSession(account, TEST_TIMEOUT_S)
        try:
            session.ensure_folder(HANDLED_FOLDER)
        finally:
            session.close()
    except MailboxUnavailable as error:
        record_error(error, now)
        return error
    _record_success(now, 0, 0)
    return None


# ── the poller ─────────────────────────────────────────────────────────────────────────────────────────────────


class ImapPoller:
    """Polls the configured mailbox; reloads the settings at every run."""

    def __init__(self) -> None:
        self._session: ImapSession | None = None
        self._account: ImapAccount | None = None
        self._failures = 0
        self._not_before = 0.0

    def run(self, stopped: Callable[[], bool]) -> None:
        """Poll until `stopped()`. If another process polls, wait until it ends."""
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
        """Poll once if it is due; return whether to poll again at once. Errors are stored and never end the process."""
        account = None if quarantine.is_active() else load_settings().imap_account
        if account != self._account:
            self._disconnect()
            self._account, self._failures, self._not_before = account, 0, 0.0
        if account is None or time.monotonic() < self._not_before:
            return False
        try:
            return self._poll(account, stopped)
        except MailboxUnavailable as error:
            self._on_error(error)
        except OSError as full:
            disk_space.note_if_full(full)
            self._on_error(MailboxUnavailable(DISK_FULL_SENTENCE, DISK_FULL, type(full).__name__))
        except Exception as fault:  # a server may answer anything; the next run tries again
            if disk_space.note_if_full(fault):
                self._on_error(MailboxUnavailable(DISK_FULL_SENTENCE, DISK_FULL, type(fault).__name__))
                return False
            log.error("the mailbox could not be read (%s)", type(fault).__name__)
            self._on_error(MailboxUnavailable(N_("The mailbox could not be read."), "broken", type(fault).__name__))
        return False

    def _poll(self, account: ImapAccount, stopped: Callable[[], bool]) -> bool:
        self._session = self._session or ImapSession(account)
        if fetch_batch(self._session, clock.now(), stopped):
            self._failures = 0
            return True
        self._failures = 0
        if self._session.supports_idle:
            return self._session.wait_for_mail(POLL_INTERVAL_S, stopped)
        self._not_before = time.monotonic() + POLL_INTERVAL_S
        return False

    def _on_error(self, error: MailboxUnavailable) -> None:
        self._disconnect()
        pause = RETRY_DELAYS_S[min(self._failures, len(RETRY_DELAYS_S) - 1)]
        self._failures += 1
        self._not_before = time.monotonic() + pause
        log.warning("mailbox cannot be read (%s); trying again in %s s", error.reason, int(pause))
        with optional_write():
            record_error(error, clock.now())

    def _disconnect(self) -> None:
        if self._session:
            self._session.close()
        self._session = None


def _sleep_unless_stopped(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopped():
        time.sleep(min(0.2, seconds))
