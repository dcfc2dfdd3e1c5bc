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

FREE = 5
"""Wrong tries before the first wait."""
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
FORGOTTEN_AFTER_S = 24 * 3600

_TABLE = """
CREATE TABLE IF NOT EXISTS hit (
 name TEXT PRIMARY KEY, count INTEGER NOT NULL, over REAL NOT NULL, until REAL NOT NULL DEFAULT 0) WITHOUT ROWID"""
_COUNT = """
INSERT INTO hit (name, count, over) VALUES (?, 1, ?) ON CONFLICT (name) DO UPDATE SET
 count = CASE WHEN over <= ? THEN 1 ELSE count + 1 END,
 over = CASE WHEN over <= ? THEN excluded.over ELSE over END
RETURNING count"""


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    path = ground.current().data / "limits.db"
    fresh = not path.exists()
    if fresh:
        path.touch(mode=0o600)
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as file:
        if fresh:
            file.execute("PRAGMA journal_mode = wal")
        file.execute("PRAGMA synchronous = off")
        file.execute(_TABLE)
        yield file


def _hidden(name: str) -> str:
    return hmac.digest(ground.current().key("secret"), b"kairan limit " + name.encode(), "sha256")[:16].hex()


_counted: ContextVar[list[str] | None] = ContextVar("counted", default=None)


@contextmanager
def taken_back_on_failure() -> Iterator[None]:
    """Take back what was counted inside if it fails, as a transaction does: the next try is the first one again."""
    names: list[str] = []
    token = _counted.set(names)
    try:
        yield
    except BaseException:
        with _opened() as file:
            for name in names:
                file.execute("UPDATE hit SET count = count - 1 WHERE name = ? AND count > 0", (_hidden(name),))
        raise
    finally:
        _counted.reset(token)


def hit(name: str, now: datetime, window_s: float = 600) -> int:
    """Count one event and return how many there were in the window that began with the first of them (seconds)."""
    moment = now.timestamp()
    if (names := _counted.get()) is not None:
        names.append(name)
    with _opened() as file:
        file.execute("DELETE FROM hit WHERE over <= ? AND until <= ?", (moment, moment))
        return file.execute(_COUNT, (_hidden(name), moment + window_s, moment, moment)).fetchone()[0]


def count(name: str, now: datetime) -> int:
    """Return how many events the window in force has seen, without adding one."""
    with _opened() as file:
        row = file.execute(
            "SELECT count FROM hit WHERE name = ? AND over > ?", (_hidden(name), now.timestamp())
        ).fetchone()
    return row[0] if row else 0


def wrong(name: str, now: datetime) -> int:
    """Count a wrong try within a day; from the fifth on it costs a minute, then twice as much each, up to an hour."""
    tries = hit(name, now, FORGOTTEN_AFTER_S)
    if tries >= FREE:
        cost = min(FIRST_WAIT * 2 ** min(tries - FREE, 10), LONGEST_WAIT)
        with _opened() as file:
            file.execute("UPDATE hit SET until = ? WHERE name = ?", ((now + cost).timestamp(), _hidden(name)))
    return tries


def wait(name: str, now: datetime) -> timedelta:
    """Return how long this name must still wait; zero if not at all."""
    with _opened() as file:
        row = file.execute("SELECT until FROM hit WHERE name = ?", (_hidden(name),)).fetchone()
    return timedelta(seconds=max(0.0, row[0] - now.timestamp())) if row else timedelta(0)


def forget(name: str) -> None:
    """Drop the count of a name, after a success."""
    with _opened() as file:
        file.execute("DELETE FROM hit WHERE name = ?", (_hidden(name),))


def network(address: str | None) -> str:
    """Return the network that an address is counted by: /24 of IPv4, /48 of IPv6; 「?」 if there is none to read."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "?"
    mapped = getattr(found, "ipv4_mapped", None) or found
    return str(ip_network((mapped, 24 if mapped.version == 4 else 48), strict=False))
