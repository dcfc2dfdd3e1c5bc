"""Incoming mail of schools that have only a mailbox: read by IMAP, written down like all other mail, then moved aside.

The mail goes the same way as from the mail door (`core.door.spool`, `core.door.inbox`): on the disk before it leaves
the inbox, known again if it is seen twice, quarantined if it cannot be read. For whom it came: only by what the
mailbox's own server wrote (`mail.envelope`); else it is a mail to the mailbox itself. What goes wrong stands on the
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
from core import organization
from core.door import inbox, spool
from database import db
from mail import envelope
from mail.box import Box
from mail.imap import ASIDE, NOT_OURS, Closed, Reading
from models import Collection
from words import N_

log = logging.getLogger("kairan.collecting")

LARGEST = 25 * 2**20
"""Octets of a mail that is taken, as at the mail door."""
EVERY_S = 30.0
"""Seconds between two looks into the mailbox, where it does not say by itself that a mail came."""
GLANCE_S = 2.0
PAUSES_S = (30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds until the next try after trouble: a wrong password must not be tried every minute for ever."""
TRY_S = 10.0
NO_ROOM = "disk"


class Busy(Exception):
    """Another process of this installation is reading the mailbox."""


@contextmanager
def alone() -> Iterator[None]:
    """Keep other processes out of the mailbox meanwhile. Raises Busy."""
    with (ground.current().data / "run" / "collector").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy from None
        yield


def take(reading: Reading, now: datetime, stopped: Callable[[], bool] = lambda: False) -> int:
    """Write down what lies in the inbox and move it aside; return how many were looked at. Raises Closed, OSError."""
    force = organization.settings()
    seen = others = 0
    for found in reading.mails(LARGEST):
        recipient = _recipient(found.raw, force) if found.raw is not None else None
        if recipient is not None and found.raw is not None:
            spool.put(envelope.sender(found.raw), [recipient], found.raw, now)
        else:
            others += 1
        reading.aside(found.uid, NOT_OURS if recipient is None else ASIDE)
        seen += 1
        if stopped():
            break
    _well(now, seen - others, others)
    return seen


def _recipient(raw: bytes, force: organization.Settings) -> str | None:
    """Return for which of our addresses a mail came: the mailbox itself if nothing says so; None for a foreign one."""
    for one in envelope.recipients(raw, force.recipient_header):
        place = inbox.find(one)
        if force.own.has(one) and (place is None or place.kind != "mailbox"):
            return one if place else None
    return _mailbox(force)


def _mailbox(force: organization.Settings) -> str:
    return organization.collecting_address(force) or force.own.address("postmaster")


# ── how it went ──────────────────────────────────────────────────────────────────────────────────────────────────


def _well(now: datetime, taken: int, others: int) -> None:
    Collection.the()
    Collection.update(
        at=now, well_at=now, reason="", message="", detail="",
        taken=Collection.taken + taken, others=Collection.others + others,
    ).where(Collection.id == 1).execute()  # fmt: skip


def note(trouble: Closed, now: datetime) -> None:
    """Keep what is wrong with the mailbox, for the settings page and the doctor."""
    Collection.the()
    fields = {"reason": trouble.reason, "message": trouble.message, "detail": trouble.detail}
    Collection.update(at=now, **fields).where(Collection.id == 1).execute()


def look_once(box: Box, now: datetime) -> int:
    """Take everything out of the mailbox once; return how many mails. Raises Busy, Closed, OSError."""
    with alone():
        try:
            reading = Reading(box)
            try:
                total = 0
                while found := take(reading, now):
                    total += found
                return total
            finally:
                reading.close()
        except Closed as trouble:
            note(trouble, now)
            raise


def try_out(box: Box, now: datetime) -> Closed | None:
    """Open the mailbox and make the folder for handled mail, taking nothing out; return what is wrong."""
    try:
        reading = Reading(box, TRY_S)
        try:
            reading.ready(ASIDE)
        finally:
            reading.close()
    except Closed as trouble:
        note(trouble, now)
        return trouble
    _well(now, 0, 0)
    return None


# ── all the time ─────────────────────────────────────────────────────────────────────────────────────────────────


class Collector:
    """Reads the mailbox of the settings in force, whenever there is one; settings may change meanwhile."""

    def __init__(self) -> None:
        self._reading: Reading | None = None
        self._box: Box | None = None
        self._failures = 0
        self._not_before = 0.0

    def run(self, stopped: Callable[[], bool]) -> None:
        """Collect until `stopped()`. Only one process does; another one waits for its end."""
        while not stopped():
            try:
                with alone():
                    self._while_alone(stopped)
            except Busy:
                _rest(EVERY_S, stopped)
        db.close()

    def _while_alone(self, stopped: Callable[[], bool]) -> None:
        while not stopped():
            if not self.step(stopped):
                _rest(GLANCE_S, stopped)
        self._hang_up()

    def step(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Look once if it is time; say whether to look again at once. Nothing that goes wrong ends the process."""
        box = organization.settings().box
        if box != self._box:
            self._hang_up()
            self._box, self._failures, self._not_before = box, 0, 0.0
        if box is None or time.monotonic() < self._not_before:
            return False
        try:
            return self._look(box, stopped)
        except Closed as trouble:
            self._trouble(trouble)
        except OSError as full:
            self._trouble(Closed(N_("Mail cannot be written down: the disk is full."), NO_ROOM, type(full).__name__))
        except Exception as fault:  # whatever a server says, reading goes on later
            log.error("the mailbox could not be read (%s)", type(fault).__name__)
            self._trouble(Closed(N_("The mailbox could not be read."), "broken", type(fault).__name__))
        return False

    def _look(self, box: Box, stopped: Callable[[], bool]) -> bool:
        self._reading = self._reading or Reading(box)
        if take(self._reading, clock.now(), stopped):
            self._failures = 0
            return True
        self._failures = 0
        if self._reading.tells:
            return self._reading.wait(EVERY_S, stopped)
        self._not_before = time.monotonic() + EVERY_S
        return False

    def _trouble(self, trouble: Closed) -> None:
        self._hang_up()
        pause = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1
        self._not_before = time.monotonic() + pause
        log.warning("mailbox cannot be read (%s); trying again in %s s", trouble.reason, int(pause))
        note(trouble, clock.now())

    def _hang_up(self) -> None:
        if self._reading:
            self._reading.close()
        self._reading = None


def _rest(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopped():
        time.sleep(min(0.2, seconds))
