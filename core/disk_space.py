"""One state "disk full" for pages, commands and workers.

The disk counts as full while less than 1 MiB is free, and for a minute after a write failed for lack of room. The free
space does not show a quota.
"""

import os
import shutil
import time
from pathlib import Path

from config import current_config
from database import is_full_error, is_locked_error, is_write_refused
from i18n import N_

MIN_FREE_BYTES = 2**20
SEEN_FOR_S = 60.0
"""How long the state stays after the last failed write. A writer that still fails renews it."""
FULL_SENTENCE = N_("The disk of the server is full, so nothing new can be recorded.")
WAITS_SENTENCE = N_("Nothing is lost: letters and mail wait, and go on by themselves when there is room.")
FREE_SPACE_SENTENCE = N_("Please free some space on the server: delete old files, or have the disk enlarged.")


def _marker() -> Path:
    """Return the file whose time says when a write failed; empty, so that it needs no room."""
    return current_config().data / "run" / "disk-full"


def is_full() -> bool:
    """Say whether the disk of the data folder is full."""
    try:
        if shutil.disk_usage(current_config().data).free < MIN_FREE_BYTES:
            return True
        return 0 <= time.time() - _marker().stat().st_mtime < SEEN_FOR_S
    except OSError:
        return False


def note_if_full(error: BaseException) -> bool:
    """Remember a write that failed for lack of room; return whether it did."""
    if not is_full_error(error) and not _is_disguised(error):
        return False
    try:
        _marker().touch(mode=0o600)
        os.utime(_marker())
    except OSError:  # then the free space says it
        pass
    return True


def note_room() -> None:
    """Forget the state after a write that succeeded. Idempotent."""
    _marker().unlink(missing_ok=True)


def _is_disguised(error: BaseException) -> bool:
    """Say whether SQLite reports the full disk as an I/O error, as it does if its shared-memory file cannot grow."""
    return is_write_refused(error) and "readonly" not in str(error) and not is_locked_error(error) and is_full()
