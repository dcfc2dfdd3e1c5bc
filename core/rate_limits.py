"""Counting tries against guessing: an SQLite file of its own, so that a flood never waits for a letter's transaction.

Names are kept as keyed hashes, so the file holds no address and no user. Losing it loses nothing but the counts.
"""

import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import config as ground

FREE_FAILURES = 5
"""Wrong tries before the first wait."""
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
    path = ground.current_config().data / "limits.db"
    fresh = not path.exists()
    if fresh:
        path.touch(mode=0o600)
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as file:
        if fresh:
            file.execute("PRAGMA journal_mode = wal")
        file.execute("PRAGMA synchronous = off")
        file.execute(_TABLE)
        yield file


def _hash_name(name: str) -> str:
    return hmac.digest(ground.current_config().key("secret"), b"kairan limit " + name.encode(), "sha256")[:16].hex()


_counted: ContextVar[list[str] | None] = ContextVar("counted", default=None)


@contextmanager
def rollback_on_error() -> Iterator[None]:
    """Take back what was counted inside if it fails, as a transaction does: the next try is the first one again."""
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
    """Count one event and return how many there were in the window that began with the first of them (seconds)."""
    moment = now.timestamp()
    if (names := _counted.get()) is not None:
        names.append(name)
    with _connect() as file:
        file.execute("DELETE FROM hit WHERE over <= ? AND until <= ?", (moment, moment))
        return int(file.execute(_COUNT, (_hash_name(name), moment + window_s, moment, moment)).fetchone()[0])


def hit_count(name: str, now: datetime) -> int:
    """Return how many events the window in force has seen, without adding one."""
    with _connect() as file:
        row = file.execute(
            "SELECT count FROM hit WHERE name = ? AND over > ?", (_hash_name(name), now.timestamp())
        ).fetchone()
    return row[0] if row else 0


def record_failure(name: str, now: datetime) -> int:
    """Count a wrong try within a day; from the fifth on it costs a minute, then twice as much each, up to an hour."""
    tries = record_hit(name, now, FAILURE_WINDOW_S)
    if tries >= FREE_FAILURES:
        cost = min(FIRST_LOCKOUT * 2 ** min(tries - FREE_FAILURES, 10), MAX_LOCKOUT)
        with _connect() as file:
            file.execute("UPDATE hit SET until = ? WHERE name = ?", ((now + cost).timestamp(), _hash_name(name)))
    return tries


def retry_after(name: str, now: datetime) -> timedelta:
    """Return how long this name must still wait; zero if not at all."""
    with _connect() as file:
        row = file.execute("SELECT until FROM hit WHERE name = ?", (_hash_name(name),)).fetchone()
    return timedelta(seconds=max(0.0, row[0] - now.timestamp())) if row else timedelta(0)


def reset_count(name: str) -> None:
    """Drop the count of a name, after a success."""
    with _connect() as file:
        file.execute("DELETE FROM hit WHERE name = ?", (_hash_name(name),))


def client_network(address: str | None) -> str:
    """Return the network that an address is counted by: /24 of IPv4, /48 of IPv6; 「?」 if there is none to read."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "?"
    mapped = getattr(found, "ipv4_mapped", None) or found
    return str(ip_network((mapped, 24 if mapped.version == 4 else 48), strict=False))
