"""Who works in a data folder: many processes together, or a restore alone. A lock is gone with its process."""

import fcntl
from collections.abc import Iterable
from pathlib import Path
from typing import IO


class Occupied(Exception):
    """Somebody else works in this data folder."""


_held: IO[str] | None = None


def share(folder: Path) -> None:
    """Note that this process works in the folder, until it ends. Raises Occupied while a restore goes on."""
    _take(folder, fcntl.LOCK_SH)


def alone(folder: Path) -> None:
    """Keep everybody else out, until this process ends or shares. Raises Occupied if somebody works there."""
    _take(folder, fcntl.LOCK_EX)


def each_once(folder: Path, parts: Iterable[str]) -> list[IO[str]]:
    """Return locks that say that these parts are served here, as long as they are kept. Raises Occupied.

    A part served twice does no harm to letters, but nobody means it: its letters, its log and its end are elsewhere.
    """
    held = []
    for part in sorted(set(parts)):
        lock = (folder / "run" / f"served-{part}").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            raise Occupied(part) from taken
        held.append(lock)
    return held


def _take(folder: Path, lock: int) -> None:
    global _held
    if _held is not None:
        _held.close()
    _held = (folder / "lock").open("a")
    try:
        fcntl.flock(_held, lock | fcntl.LOCK_NB)
    except OSError as taken:
        raise Occupied(str(folder)) from taken
