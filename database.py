"""The ground under the tables: how the database is opened, what its columns hold, and the statements of the hot path.

Only this file knows which engine it is: opening, bulk inserts, claiming and recording. Moments are aware UTC in Python
and whole milliseconds since 1970 in the database, on every engine alike.
"""

import functools
import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from peewee import BigIntegerField, DatabaseProxy, JSONField, Model, SqliteDatabase

db = DatabaseProxy()

# Japanese keys must stay readable inside the JSON, or comparisons on them find nothing.
_as_json = functools.partial(json.dumps, ensure_ascii=False)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def Json(**options: Any) -> JSONField:
    """A JSON column that keeps Japanese keys as they are."""
    return JSONField(dumps=_as_json, **options)


class Moment(BigIntegerField):
    """An aware UTC datetime, kept as whole milliseconds since 1970: sorts and compares as a number."""

    def db_value(self, value: datetime | int | None) -> int | None:
        return millis(value) if isinstance(value, datetime) else value

    def python_value(self, value: int | None) -> datetime | None:
        return None if value is None else EPOCH + timedelta(milliseconds=value)


def millis(moment: datetime) -> int:
    """Return whole milliseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


CODE_SIGNS = "acdefghjkmnpqrtwxy34679"
"""Signs of a join code: none that looks like another on paper (0 o, 1 l i, 2 z, 5 s, 8 b, u v)."""
CODE_LENGTH = 10
"""Signs of a join code: 45 bits, which nobody guesses through a door that counts (decision 0019)."""


def new_code() -> str:
    """Return a fresh join code."""
    return "".join(secrets.choice(CODE_SIGNS) for _ in range(CODE_LENGTH))


def open_database(path: Path | str) -> SqliteDatabase:
    """Bind the tables to an SQLite file. Write transactions begin IMMEDIATE, so that they queue instead of failing."""
    database = SqliteDatabase(
        str(path),
        lock_type="IMMEDIATE",
        timeout=15,
        pragmas={"journal_mode": "wal", "foreign_keys": 1, "synchronous": "normal", "cache_size": -16000},
    )
    db.initialize(database)
    return database


def insert_rows(table: type[Model], rows: Iterable[dict[str, Any]]) -> None:
    """Write many rows in one prepared statement, defaults filled in. Call inside a transaction.

    Thirty times faster than the ORM; rows come from an iterator and are not gathered.
    """
    fields = [one for one in table._meta.sorted_fields if one.name != "id"]
    columns = ", ".join(f'"{one.column_name}"' for one in fields)
    places = ", ".join(["?"] * len(fields))
    usual = [one.default() if callable(one.default) else one.default for one in fields]
    values = (
        [_written(one, row.get(one.name, default)) for one, default in zip(fields, usual, strict=True)] for row in rows
    )
    statement = f'INSERT INTO "{table._meta.table_name}" ({columns}) VALUES ({places})'  # noqa: S608
    db.cursor().executemany(statement, values)


def _written(field: Any, value: Any) -> Any:
    """Return a value as its column keeps it."""
    return _as_json(value) if isinstance(field, JSONField) else field.db_value(value)


# ── Claiming and recording: the only statements that know the engine ─────────────────────────────────────────────

_DUE = """
SELECT l.id, l.domain FROM letter AS l LEFT JOIN notice AS n ON n.id = l.notice_id
WHERE l.state IN ('waiting','deferred') AND l.next_at <= ?
 AND (l.notice_id IS NULL OR n.state IN ('sending','standing'))
{without} ORDER BY l.urgent DESC, l.next_at, l.id LIMIT ?"""


def due(now: datetime, limit: int, without: Sequence[str] = ()) -> list[tuple[int, str]]:
    """Return (number, domain) of letters that may go now, urgent first, then oldest; not those to some domains."""
    blocked = f"AND l.domain NOT IN ({','.join('?' * len(without))})" if without else ""
    found = db.execute_sql(_DUE.format(without=blocked), (millis(now), *without, limit))
    return list(found.fetchall())


def claim(numbers: Iterable[int], owner: str, boot: str, now: datetime) -> int:
    """Take letters for a sender process; return how many were really still free. Call inside a transaction."""
    marks = [int(one) for one in numbers]
    if not marks:
        return 0
    return db.execute_sql(
        "UPDATE letter SET state = 'sending', owner = ?, boot = ?, handed_at = NULL"  # noqa: S608
        f" WHERE id IN ({','.join('?' * len(marks))}) AND state IN ('waiting','deferred')",
        (owner, boot, *marks),
    ).rowcount


_RECORD = """
UPDATE letter SET state = ?, code = ?, enhanced = ?, text = ?, reason = ?, next_at = ?, attempts = attempts + ?,
 done_at = ?, owner = CASE WHEN ? IN ('waiting','deferred') THEN '' ELSE owner END
WHERE id = ? AND owner = ? AND state = 'sending'"""


def record(
    number: int,
    owner: str,
    state: str,
    *,
    now: datetime,
    next_at: datetime,
    code: int | None = None,
    enhanced: str = "",
    text: str = "",
    reason: str = "",
    counted: bool = True,
) -> bool:
    """Write the outcome of a claimed letter; False if it was no longer this owner's. The hot path: plain SQL."""
    return bool(
        db.execute_sql(
            _RECORD,
            (
                state,
                code,
                enhanced,
                text[:500],
                reason,
                millis(next_at),
                int(counted),
                millis(now),
                state,
                number,
                owner,
            ),  # fmt: skip
        ).rowcount
    )


def hand(number: int, owner: str, now: datetime) -> bool:
    """Note that a letter is about to be handed to the server (crash rules). False: it was stopped since the claim."""
    return bool(
        db.execute_sql(
            "UPDATE letter SET handed_at = ? WHERE id = ? AND owner = ? AND state = 'sending'",
            (millis(now), number, owner),
        ).rowcount
    )
