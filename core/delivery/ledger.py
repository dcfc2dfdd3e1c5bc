"""The ledger of a worker: each SMTP reply and the next letter, in a file, before the next content leaves (decision 0074).

One line costs one write and survives kill -9 like a commit. Lines are written into the tables many at a time. Their
worker does it, or the process that settles a dead worker or stops letters. Carrying twice changes nothing. A worker
marks a letter as handed over under a lock of the file. A process that stops letters holds that lock until its
transaction has ended. So a letter that it reports as stopped was not sent.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from config import current_config
from core.delivery import smtp_results
from core.delivery.smtp_results import AnsweredLetter
from core.notifications.notify import clear_secrets
from database import db, from_millis, is_claimed, mark_handed_over, record_accepted
from mail.smtp import SmtpPhase, SmtpReply
from models import Letter, LetterState, Notice, Person

SIZE_OCTETS = 1 << 18
"""Allocated when the ledger is opened: a line needs no free space on the disk."""
MAX_LINE_OCTETS = 4096
CARRY_EVERY_LINES, CARRY_EVERY_S = 100, 0.1


class LedgerError(Exception):
    """The ledger could not be allocated or written."""


SubjectOf = Callable[[Notice], str]


class Line(NamedTuple):
    """A reply to a letter (0: none), and the letter that is handed over next (0: none). at: milliseconds since 1970.

    attempts: of the answered letter before this one; a line that has been carried no longer fits its row.
    """

    at: int
    answered: int
    attempts: int
    bare: bool
    code: int
    enhanced: str
    text: str
    phase: SmtpPhase
    following: int

    def encode(self) -> bytes:
        content = json.dumps(self, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return b"%08x %b\n" % (crc32(content), content)

    @property
    def reply(self) -> SmtpReply:
        return SmtpReply(self.code, self.enhanced, self.text, self.phase)


def _decode(raw: bytes) -> tuple[list[Line], bool]:
    """Return the lines of a file and whether all are intact. A last line without its end was never relied on."""
    written, _, rest = raw.partition(b"\0")
    *complete, _ = written.split(b"\n")
    lines = []
    for line in complete:
        checksum, _, content = line.partition(b" ")
        if checksum == b"%08x" % crc32(content):
            lines.append(Line(*json.loads(content)))
    return lines, len(lines) == len(complete) and not rest.strip(b"\0")


def _path(owner: str) -> Path:
    return current_config().data / "run" / f"ledger-{owner}"


def owners() -> list[str]:
    """Return the workers that have a ledger, living and dead."""
    return sorted(path.name.removeprefix("ledger-") for path in _path("").parent.glob("ledger-*"))


class Ledger:
    """The ledger of this worker. Its lines are also kept in memory, so that a failing disk loses none."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._file: int | None = None
        self._end = 0
        self._carried_s = 0.0
        self.lines: list[Line] = []

    def open(self) -> None:
        """Create and allocate the file unless it is open. Raises LedgerError."""
        if self._file is not None:
            return
        try:
            file = os.open(_path(self._owner), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise LedgerError(str(error)) from error
        try:
            os.posix_fallocate(file, 0, SIZE_OCTETS)
        except OSError as error:
            os.close(file)
            raise LedgerError(str(error)) from error
        self._file = file

    def append(self, line: Line) -> bool:
        """Write one line; return whether `line.following` may leave now. False: it was stopped since the claim.

        Raises LedgerError and OperationalError: then the line does not count.
        """
        self.open()
        assert self._file is not None  # noqa: S101
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            leaves = bool(line.following) and is_claimed(line.following, self._owner)
            line = line if leaves else line._replace(following=0)
            if line.answered or leaves:
                self._write(line.encode())
                self.lines.append(line)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return leaves

    def _write(self, raw: bytes) -> None:
        assert self._file is not None  # noqa: S101
        try:
            written = os.pwrite(self._file, raw, self._end)
        except OSError as error:
            raise LedgerError(str(error)) from error
        if written != len(raw):
            raise LedgerError("the disk took a part of a line")
        self._end += written

    @property
    def is_due(self) -> bool:
        """Return whether the lines are to be carried: so many, so old, or the file is nearly full."""
        full = len(self.lines) >= CARRY_EVERY_LINES or self._end > SIZE_OCTETS - MAX_LINE_OCTETS
        return full or time.monotonic() - self._carried_s > CARRY_EVERY_S

    def carry(self, subject_of: SubjectOf) -> set[str]:
        """Carry the lines into the tables; return the domains whose carrier blocks us. Raises OperationalError."""
        if not self.lines:
            return set()
        with db.atomic():
            blocked = _carry(self.lines, self._owner, subject_of)
        self._clear()
        self._carried_s = time.monotonic()
        return blocked

    def _clear(self) -> None:
        """Empty the file. Zeros hide the old lines also if a kill cuts the write short."""
        assert self._file is not None  # noqa: S101
        os.pwrite(self._file, bytes(self._end), 0)
        self._end = 0
        self.lines.clear()

    def close(self) -> None:
        """Close the file; delete it if all lines have been carried."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            if not self.lines:
                remove(self._owner)


def replay(owner: str, subject_of: SubjectOf) -> bool:
    """Carry the ledger of a dead worker. Return False if a line is damaged: then any claimed letter may have left.

    Call inside the transaction that settles the letters of this worker.
    """
    try:
        lines, intact = _decode(_path(owner).read_bytes())
    except FileNotFoundError:
        return True
    _carry(lines, owner, subject_of)
    return intact


def remove(owner: str) -> None:
    _path(owner).unlink(missing_ok=True)


@contextmanager
def all_carried(subject_of: SubjectOf) -> Iterator[None]:
    """Open a transaction in which every reply is in the tables; no letter leaves until it has ended."""
    with ExitStack() as locks, db.atomic():
        workers = owners()
        outermost = db.transaction_depth() == 1
        assert outermost or not workers, "the locks must outlast the transaction"  # noqa: S101
        for owner in workers:
            try:
                file = locks.enter_context(_path(owner).open("rb"))
            except FileNotFoundError:
                continue
            fcntl.flock(file, fcntl.LOCK_EX)
            _carry(_decode(file.read())[0], owner, subject_of)
        yield


def carry_waiting(subject_of: SubjectOf) -> None:
    """Carry the lines of other workers, each of which may wait long for a server."""
    if any(_has_lines(owner) for owner in owners()):
        with all_carried(subject_of):
            pass


def _has_lines(owner: str) -> bool:
    try:
        with _path(owner).open("rb") as file:
            return file.read(1) not in (b"", b"\0")
    except FileNotFoundError:
        return False


# ── from lines to rows ───────────────────────────────────────────────────────────────────────────────────────────


def _carry(lines: Sequence[Line], owner: str, subject_of: SubjectOf) -> set[str]:
    """Record replies with their consequences, and which letters were handed over. Call inside a transaction."""
    handed_over = {line.following: line.at for line in lines if line.following}
    letters = _answered_letters(lines, owner)
    fitting = [
        (line, letters[line.answered])
        for line in lines
        if line.answered in letters and letters[line.answered].attempts == line.attempts
    ]
    accepted = [(line, letter) for line, letter in fitting if line.reply.accepted]
    record_accepted(
        (line.code, line.enhanced, line.text, line.at, line.at, handed_over.pop(letter.id, None), letter.id, owner)
        for line, letter in accepted
    )
    for number, at in handed_over.items():
        mark_handed_over(number, owner, from_millis(at))
    for line, letter in accepted:
        smtp_results.record_acceptance(letter, line.bare, from_millis(line.at))
        if letter.delivery_id is None:
            clear_secrets(letter.id)
    blocked = set()
    for line, letter in fitting:
        if not line.reply.accepted and smtp_results.record_rejection(
            letter, owner, line.reply, from_millis(line.at), subject_of
        ):
            blocked.add(letter.domain)
    return blocked


def _answered_letters(lines: Sequence[Line], owner: str) -> dict[int, AnsweredLetter]:
    rows = (
        Letter.select(
            Letter.id,
            Letter.attempts,
            Letter.delivery_id,
            Letter.person_id,
            Letter.address,
            Letter.domain,
            Person.address_state,
            Person.bare,
        )
        .left_outer_join(Person)
        .where(
            Letter.id.in_([line.answered for line in lines if line.answered]),
            Letter.owner == owner,
            Letter.state == LetterState.SENDING,
        )
        .tuples()
    )
    return {row[0]: AnsweredLetter(*row) for row in rows}
