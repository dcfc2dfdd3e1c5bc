"""The audit log: ids only, never an address, a name or a text."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from peewee import JOIN

import clock
from database import optional_write
from models import AuditLog, MailingList, User

if TYPE_CHECKING:
    from models import Rows

_unwritten: deque[dict[str, Any]] = deque(maxlen=1000)
"""Rows of `log_view` that could not be written yet."""


def log_action(
    by: User | None, action: str, number: int | None = None, *, kind: str = "", detail: dict[str, Any] | None = None
) -> None:
    """Write one row. `action` is noun.verb in the past: `notice.confirmed`, `member.added`."""
    AuditLog.create(user=by, action=action, kind=kind or action.partition(".")[0], number=number, detail=detail or {})


def log_view(by: User | None, action: str, number: int | None = None, *, detail: dict[str, Any] | None = None) -> None:
    """Write one row about something that was read or exported.

    While the database cannot be written, this process keeps the row and writes it with the next one (law 11).
    """
    kind = action.partition(".")[0]
    row = {"at": clock.now(), "user": by, "action": action, "kind": kind, "number": number, "detail": detail or {}}
    rows = [*_take_unwritten(), row]
    with optional_write():
        AuditLog.insert_many(rows).execute()
        return
    _unwritten.extendleft(reversed(rows))


def _take_unwritten() -> Iterator[dict[str, Any]]:
    """Take the rows one by one, so that two threads write none twice."""
    while _unwritten:
        try:
            yield _unwritten.popleft()
        except IndexError:
            return


def list_entries(kind: str = "") -> "Rows[AuditLog]":
    """Select the entries with their users, newest first; `kind` filters by kind of object."""
    entries = AuditLog.select(AuditLog, User).join(User, JOIN.LEFT_OUTER)
    return (entries.where(AuditLog.kind == kind) if kind else entries).order_by(AuditLog.at.desc(), AuditLog.id.desc())


def names_in_entries(entries: Iterable[AuditLog]) -> dict[tuple[str, int], str]:
    """Return {(kind, id): current name} of the users and lists in these entries."""
    tables: dict[str, type[User] | type[MailingList]] = {"user": User, "list": MailingList}
    numbers = {kind: {entry.number for entry in entries if entry.kind == kind} for kind in tables}
    return {
        (kind, number): name
        for kind, table in tables.items()
        for number, name in table.select(table.id, table.name).where(table.id.in_(numbers[kind])).tuples()
    }
