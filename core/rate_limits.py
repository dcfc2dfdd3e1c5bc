"""Rate limits, in an SQLite file of their own, so that a flood of counts never waits for a letter's transaction.

Keys are stored as keyed hashes, so the file holds no address and no user. Losing the file loses only the counts.
"""

import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from config import current_config
from database import busy_timeout

FREE_FAILURES = 5
"""Failures before the first lockout."""
FIRST_LOCKOUT = timedelta(minutes=1)
MAX_LOCKOUT = timedelta(hours=1)
FAILURE_WINDOW_S = 24 * 3600

_TABLE = """
CREATE TABLE IF NOT EXISTS hit (
 name TEXT PRIMARY KEY, count INTEGER NOT NULL, over REAL NOT NULL, until REAL NOT NULL DEFAULT 0) WITHOUT ROWID"""
_COUNT = """
INSERT INTO hit (name, count, over) VALUES (?, 1, ?) ON CONFLICT (name) DO UPDATE SET
 count = CASE WHEN over <= ? THEN 1 ELSE count + 1 END,
 over = CASE WHEN over <= ? THEN excluded.over ELSE over END
RETURNING count"""


@contextmanager
def _connect() -> Iterator[sqlite3.Connection]:
    path = current_config().data / "limits.db"
    fresh = not path.exists()
    if fresh:
        path.touch(mode=0o600)
    with closing(sqlite3.connect(path, timeout=min(5, busy_timeout()), isolation_level=None)) as file:
        if fresh:
            file.execute("PRAGMA journal_mode = wal")
        file.execute("PRAGMA synchronous = off")
        file.execute(_TABLE)
        yield file


def _hash_name(name: str) -> str:
    return hmac.digest(current_config().key("secret"), b"kairan limit " + name.encode(), "sha256")[:16].hex()


_counted: ContextVar[list[str] | None] = ContextVar("counted", default=None)


@contextmanager
def rollback_on_error() -> Iterator[None]:
    """Undo the counts made inside if the block raises, like a transaction."""
    names: list[str] = []
    token = _counted.set(names)
    try:
        yield
    except BaseException:
        with _connect() as file:
            for name in names:
                file.execute("UPDATE hit SET count = count - 1 WHERE name = ? AND count > 0", (_hash_name(name),))
        raise
    finally:
        _counted.reset(token)


def record_hit(name: str, now: datetime, window_s: float = 600) -> int:
    """Count one event; return the count in the window, which begins with its first event (seconds)."""
    moment = now.timestamp()
    if (names := _counted.get()) is not None:
        names.append(name)
    with _connect() as file:
        file.execute("DELETE FROM hit WHERE over <= ? AND until <= ?", (moment, moment))
        return int(file.execute(_COUNT, (_hash_name(name), moment + window_s, moment, moment)).fetchone()[0])


def hit_count(name: str, now: datetime) -> int:
    """Return the count in the current window, without counting."""
    with _connect() as file:
        row = file.execute(
            "SELECT count FROM hit WHERE name = ? AND over > ?", (_hash_name(name), now.timestamp())
        ).fetchone()
    return row[0] if row else 0


def window_rest(name: str, now: datetime) -> timedelta:
    """Return the rest of the current window; zero without one."""
    with _connect() as file:
        row = file.execute("SELECT over FROM hit WHERE name = ?", (_hash_name(name),)).fetchone()
    return timedelta(seconds=max(0.0, row[0] - now.timestamp())) if row else timedelta(0)


def record_failure(name: str, now: datetime) -> int:
    """Count a failure within a day. The fifth locks for a minute; each further one twice as long, up to an hour."""
    failures = record_hit(name, now, FAILURE_WINDOW_S)
    if failures >= FREE_FAILURES:
        lockout = min(FIRST_LOCKOUT * 2 ** min(failures - FREE_FAILURES, 10), MAX_LOCKOUT)
        with _connect() as file:
            file.execute("UPDATE hit SET until = ? WHERE name = ?", ((now + lockout).timestamp(), _hash_name(name)))
    return failures


def retry_after(name: str, now: datetime) -> timedelta:
    """Return the rest of the lockout; zero without one."""
    with _connect() as file:
        row = file.execute("SELECT until FROM hit WHERE name = ?", (_hash_name(name),)).fetchone()
    return timedelta(seconds=max(0.0, row[0] - now.timestamp())) if row else timedelta(0)


def reset_count(name: str) -> None:
    with _connect() as file:
        file.execute("DELETE FROM hit WHERE name = ?", (_hash_name(name),))


def client_network(address: str | None) -> str:
    """Return the network of an address for counting: /24 of IPv4, /48 of IPv6; "?" if it is invalid."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return "?"
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(ip_network((plain, 24 if plain.version == 4 else 48), strict=False))
