"""Who works in a data folder: many processes together, or a restore alone. A lock is gone with its process."""

import fcntl
from collections.abc import Iterable
from pathlib import Path
from typing import IO


class DataLocked(Exception):
    """Somebody else works in this data folder."""


_lock_file: IO[str] | None = None


def lock_shared(folder: Path) -> None:
    """Note that this process works in the folder, until it ends. Raises Occupied while a restore goes on."""
    _acquire_lock(folder, fcntl.LOCK_SH)


def lock_exclusive(folder: Path) -> None:
    """Keep everybody else out, until this process ends or shares. Raises Occupied if somebody works there."""
    _acquire_lock(folder, fcntl.LOCK_EX)


def lock_services(folder: Path, parts: Iterable[str]) -> list[IO[str]]:
    """Return locks that say that these parts are served here, as long as they are kept. Raises Occupied.

    A part served twice does no harm to letters, but nobody means it: its letters, its log and its end are elsewhere.
    """
    held = []
    for part in sorted(set(parts)):
        lock = (folder / "run" / f"served-{part}").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            raise DataLocked(part) from taken
        held.append(lock)
    return held


def _acquire_lock(folder: Path, lock: int) -> None:
    global _lock_file
    if _lock_file is not None:
        _lock_file.close()
    _lock_file = (folder / "lock").open("a")
    try:
        fcntl.flock(_lock_file, lock | fcntl.LOCK_NB)
    except OSError as taken:
        raise DataLocked(str(folder)) from taken
