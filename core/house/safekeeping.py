"""A backup by itself before something that touches everybody: `flask restore` takes it like any other."""

from datetime import datetime
from pathlib import Path

import clock
import config as ground

KEPT = 5  # backups of one kind; the oldest go


def copy_before(what: str, now: datetime) -> Path:
    """Write `data/backups/before-<what>-<time>.tar.gz` and return it. Raises OSError, snapshot.Damaged."""
    from core.house import backup  # once a year: pages do not load it for every process

    folder = ground.current().data / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"before-{what}-{clock.local(now):%Y%m%d-%H%M%S}.tar.gz"
    backup.make(ground.current(), path, now)
    for old in sorted(folder.glob(f"before-{what}-*.tar.gz"))[:-KEPT]:
        old.unlink()
    return path


def newest() -> Path | None:
    """Return the backup that was made last by itself, for whoever looks where it is."""
    made = (ground.current().data / "backups").glob("*.tar.gz")
    return max(made, key=lambda one: one.stat().st_mtime, default=None)
