"""Open the database, define column types, and hold the SQL statements of the hot path.

Only this file depends on the engine: opening, bulk inserts, claiming and recording. Moments are aware UTC datetimes in
Python and whole milliseconds since 1970 in the database.
"""

import errno
import functools
import json
import logging
import random
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from peewee import (
    SCOPE_VALUES,
    BigIntegerField,
    Context,
    DatabaseProxy,
    Field,
    JSONField,
    Model,
    OperationalError,
    SelectBase,
    SqliteDatabase,
)

log = logging.getLogger("kairan.database")

db = DatabaseProxy()
M = TypeVar("M", bound=Model)
V = TypeVar("V")

# Japanese keys must stay readable inside the JSON, or comparisons on them find nothing.
_as_json = functools.partial(json.dumps, ensure_ascii=False)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def JsonField(**options: Any) -> JSONField:
    """A JSON column that keeps Japanese keys as they are."""
    return JSONField(dumps=_as_json, **options)


class UtcMillisField(BigIntegerField):
    """An aware UTC datetime, kept as whole milliseconds since 1970: sorts and compares as a number."""

    def db_value(self, value: datetime | int | None) -> int | None:
        return millis(value) if isinstance(value, datetime) else value

    def python_value(self, value: int | None) -> datetime | None:
        return None if value is None else from_millis(value)


def millis(moment: datetime) -> int:
    """Return whole milliseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_millis(number: int) -> datetime:
    """Return the aware datetime of whole milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=number)


JOIN_CODE_ALPHABET = "acdefghjkmnpqrtwxy34679"
"""Signs of a join code: none that looks like another on paper (0 o, 1 l i, 2 z, 5 s, 8 b, u v)."""
JOIN_CODE_LENGTH = 10
"""Characters of a join code: 45 bits, too many to guess under the rate limit (decision 0019)."""


def new_join_code() -> str:
    """Return a fresh join code."""
    return "".join(secrets.choice(JOIN_CODE_ALPHABET) for _ in range(JOIN_CODE_LENGTH))


BUSY_TIMEOUT_S = 15.0
"""A writer that waited so long for the others raises OperationalError."""
OPTIONAL_TIMEOUT_S = 0.2
"""An optional write waits no longer: a page that only reads waits for it."""
BUSY_RETRY_S = (0.0005, 0.002)
"""Delay between two tries: the minimum, and the maximum random addition."""
_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)

_busy_timeout: ContextVar[float | None] = ContextVar("busy_timeout", default=None)


def busy_timeout() -> float:
    """Return how many seconds a write of this thread waits for other writers."""
    seconds = _busy_timeout.get()
    return BUSY_TIMEOUT_S if seconds is None else seconds


def set_busy_timeout(seconds: float | None) -> None:
    """Set how long the writes of this thread wait from now on; None: BUSY_TIMEOUT_S."""
    _busy_timeout.set(seconds)


def is_locked_error(error: BaseException) -> bool:
    """Say whether another connection kept writing for the whole busy timeout."""
    return isinstance(error, OperationalError | sqlite3.OperationalError) and "database is locked" in str(error)


def is_full_error(error: BaseException) -> bool:
    """Say whether a write failed because the disk or the quota is full."""
    if isinstance(error, OSError):
        return error.errno in _FULL_ERRORS
    return isinstance(error, OperationalError | sqlite3.OperationalError) and "disk is full" in str(error)


def is_write_refused(error: BaseException) -> bool:
    """Say whether a write failed because of the state of the machine: locked, full or read-only."""
    if is_locked_error(error) or is_full_error(error):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.EROFS
    refused = ("disk I/O error", "readonly database", "unable to open database file")
    return isinstance(error, OperationalError | sqlite3.OperationalError) and str(error).endswith(refused)


@contextmanager
def optional_write() -> Iterator[None]:
    """Drop the writes of this block if the database is locked or the disk is full; they wait 0.2 s.

    For what a page notes besides what it shows: reading never needs a write (law 11). Other errors are raised.
    """
    token = _busy_timeout.set(min(OPTIONAL_TIMEOUT_S, busy_timeout()))
    try:
        yield
    except (OperationalError, sqlite3.OperationalError, OSError) as error:
        if not is_write_refused(error):
            raise
        log.info("a page was shown without its note (%s)", type(error).__name__)
    finally:
        _busy_timeout.reset(token)


class SqlContext(Context):
    """Builds the same statements as peewee in a tenth of the time: most of a page's time was building them."""

    def as_new(self) -> Context:
        """Return the context in which `IN` looks for an empty right side.

        Peewee builds each subquery once for this check and once for the statement: 2, 4, 8 times when they are nested.
        """
        return _EmptyCheck(**self.state.settings)

    def sql(self, obj: Any) -> Any:
        """Add an expression to the statement; a column in one step instead of a dozen calls."""
        if not isinstance(obj, Field) or type(obj).__sql__ is not Field.__sql__:
            return super().sql(obj)
        if self.state.scope == SCOPE_VALUES:
            return self.literal(f'"{obj.column_name}"')
        return self.literal(f'"{self.alias_manager[obj.model._meta.table]}"."{obj.column_name}"')


class _EmptyCheck(Context):
    def parse(self, node: Any) -> tuple[str, list[Any]]:
        return ("SELECT", []) if isinstance(node, SelectBase) else super().parse(node)


class RetryingSqlite(SqliteDatabase):
    """SQLite with its own busy retry (0.5 to 2.5 ms random back-off, 15 s limit; decision 0068).

    SQLite itself sleeps longer after each try, up to 0.1 s, so that later writers overtake it.
    """

    context_class = SqlContext

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction; wait here while another connection writes."""
        self._retry_while_locked(super().begin, lock_type)

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement. Inside a transaction no retry is needed: this connection holds the lock."""
        if self.in_transaction():
            if sql.startswith("ROLLBACK TO") and not self._is_transaction_open():
                return None
            return super().execute_sql(sql, params)
        return self._retry_while_locked(super().execute_sql, sql, params)

    def rollback(self) -> None:
        """Roll back, unless SQLite has done so by itself, as it does when the disk is full.

        Without this check "cannot rollback" would replace the error that says why.
        """
        if self._is_transaction_open():
            super().rollback()

    def _is_transaction_open(self) -> bool:
        return bool(self.connection().in_transaction)

    def _retry_while_locked(self, do: Callable[..., Any], *given: Any) -> Any:
        until = None
        while True:
            try:
                return do(*given)
            except OperationalError as busy:
                if "database is locked" not in str(busy):
                    raise
                until = until or time.monotonic() + busy_timeout()
                if time.monotonic() > until:
                    raise
            least, more = BUSY_RETRY_S
            time.sleep(least + more * random.random())  # noqa: S311


def open_database(path: Path | str) -> SqliteDatabase:
    """Bind the tables to an SQLite file. Write transactions begin IMMEDIATE, so that they queue instead of failing."""
    database = RetryingSqlite(
        str(path),
        lock_type="IMMEDIATE",
        timeout=BUSY_TIMEOUT_S,
        pragmas={
            "journal_mode": "wal",
            "foreign_keys": 1,
            "synchronous": "normal",
            "cache_size": -16000,
            "busy_timeout": 0,  # `RetryingSqlite` waits instead
            "temp_store": "memory",  # sorting must not need room on the disk
        },
    )
    db.initialize(database)
    return database


def checkpoint() -> None:
    """Copy what is committed into the main file, as far as readers allow. Never waits; a failure does no harm."""
    if not db.in_transaction():
        with suppress(OperationalError):
            db.execute_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def load_rows(table: type[M], sql: str, *values: object) -> list[M]:
    """Run a constant `SELECT t.* FROM …` over columns of one table and return its rows.

    For statements of every page view: building the same query with peewee takes ten times as long.
    """
    cursor = db.execute_sql(sql, [millis(value) if isinstance(value, datetime) else value for value in values])
    fields = [table._meta.columns[column[0]] for column in cursor.description]
    return [_model_row(table, fields, row) for row in cursor.fetchall()]


def _model_row(table: type[M], fields: Sequence[Field], row: Sequence[Any]) -> M:
    model = table(__no_default__=True)
    model.__data__.update((field.name, field.python_value(value)) for field, value in zip(fields, row, strict=True))
    return model


def in_chunks(values: Iterable[V], size: int = 10_000) -> Iterator[list[V]]:
    """Cut values into lists for one IN (…); SQLite takes 32,766 parameters."""
    rest = list(values)
    return (rest[start : start + size] for start in range(0, len(rest), size))


def bulk_insert(table: type[Model], rows: Iterable[dict[str, Any]]) -> None:
    """Write many rows in one prepared statement, defaults filled in. Call inside a transaction.

    Thirty times faster than the ORM; rows come from an iterator and are not gathered.
    """
    fields = [field for field in table._meta.sorted_fields if field.name != "id"]
    columns = ", ".join(f'"{field.column_name}"' for field in fields)
    places = ", ".join(["?"] * len(fields))
    defaults = [field.default() if callable(field.default) else field.default for field in fields]
    values = (
        [_column_value(field, row.get(field.name, default)) for field, default in zip(fields, defaults, strict=True)]
        for row in rows
    )
    statement = f'INSERT INTO "{table._meta.table_name}" ({columns}) VALUES ({places})'  # noqa: S608
    db.cursor().executemany(statement, values)


def _column_value(field: Any, value: Any) -> Any:
    """Return a value as its column keeps it."""
    return _as_json(value) if isinstance(field, JSONField) else field.db_value(value)


# ── Claiming and recording: the only statements that know the engine ─────────────────────────────────────────────

_DUE = """
SELECT l.id, l.domain FROM letter AS l LEFT JOIN notice AS n ON n.id = l.notice_id
WHERE l.state IN ('waiting','deferred') AND l.next_attempt_at <= ?
 AND (l.notice_id IS NULL OR n.state IN ('sending','standing'))
{without} ORDER BY l.urgent DESC, l.next_attempt_at, l.id LIMIT ?"""


def due_letters(
    now: datetime, limit: int, without: Sequence[str] = (), practice: bool = False
) -> list[tuple[int, str]]:
    """Return (id, domain) of due letters, urgent first, then oldest; letters to the domains `without` are left out.

    practice: leave out the letters of real notices.
    """
    condition = f"AND l.domain NOT IN ({','.join('?' * len(without))})" if without else ""
    if practice:
        condition += " AND (l.notice_id IS NULL OR n.practice)"
    cursor = db.execute_sql(_DUE.format(without=condition), (millis(now), *without, limit))
    return list(cursor.fetchall())


def claim_letters(numbers: Iterable[int], owner: str, boot: str, now: datetime) -> int:
    """Claim letters for a worker; return how many were still queued. Call inside a transaction."""
    marks = [int(one) for one in numbers]
    if not marks:
        return 0
    return db.execute_sql(
        "UPDATE letter SET state = 'sending', owner = ?, boot = ?, handed_over_at = NULL"  # noqa: S608
        f" WHERE id IN ({','.join('?' * len(marks))}) AND state IN ('waiting','deferred')",
        (owner, boot, *marks),
    ).rowcount


_RECORD = """
UPDATE letter SET state = CASE WHEN auto_resent AND ? IN ('skipped','expired') THEN 'unknown' ELSE ? END, code = ?, enhanced = ?, text = ?, reason = ?, next_attempt_at = ?, attempts = attempts + ?,
 done_at = ?, owner = CASE WHEN ? IN ('waiting','deferred') THEN '' ELSE owner END
WHERE id = ? AND owner = ? AND state = 'sending'"""


def record_result(
    number: int,
    owner: str,
    state: str,
    *,
    now: datetime,
    next_attempt_at: datetime,
    code: int | None = None,
    enhanced: str = "",
    text: str = "",
    reason: str = "",
    counted: bool = True,
) -> bool:
    """Record the result of a claimed letter; False if this owner has it no longer. Hot path: plain SQL."""
    return bool(
        db.execute_sql(
            _RECORD,
            (
                state,
                state,
                code,
                enhanced,
                text[:500],
                reason,
                millis(next_attempt_at),
                int(counted),
                millis(now),
                state,
                number,
                owner,
            ),
        ).rowcount
    )


def mark_handed_over(number: int, owner: str, now: datetime) -> bool:
    """Record that the content is about to be sent (crash rules). False: the letter was stopped since the claim."""
    return bool(
        db.execute_sql(
            "UPDATE letter SET handed_over_at = ? WHERE id = ? AND owner = ? AND state = 'sending'",
            (millis(now), number, owner),
        ).rowcount
    )


def is_claimed(number: int, owner: str) -> bool:
    """Return whether this owner still has the letter: it was not stopped since the claim."""
    sql = "SELECT 1 FROM letter WHERE id = ? AND owner = ? AND state = 'sending'"
    return db.execute_sql(sql, (number, owner)).fetchone() is not None


def record_accepted(rows: Iterable[tuple[Any, ...]]) -> None:
    """Record letters that a server accepted: (code, enhanced, text, now, now, handed_over_at or None, id, owner).

    Call inside a transaction.
    """
    db.cursor().executemany(
        "UPDATE letter SET state = 'accepted', code = ?, enhanced = ?, text = ?, reason = '', next_attempt_at = ?,"
        " attempts = attempts + 1, done_at = ?, handed_over_at = COALESCE(?, handed_over_at)"
        " WHERE id = ? AND owner = ? AND state = 'sending'",
        rows,
    )
