"""Who works in a data folder: many processes together, or a restore alone. The lock is gone with its process."""

import fcntl
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


def _take(folder: Path, lock: int) -> None:
    global _held
    if _held is not None:
        _held.close()
    _held = (folder / "lock").open("a")
    try:
        fcntl.flock(_held, lock | fcntl.LOCK_NB)
    except OSError as taken:
        raise Occupied(str(folder)) from taken
