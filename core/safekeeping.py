"""A copy of the database before something that touches everybody: online, whole, readable by nobody else."""

import os
import sqlite3
from datetime import datetime
from pathlib import Path

import clock
import config as ground
import models

KEPT = 5  # copies of one kind; the oldest go


def copy_before(what: str, now: datetime) -> Path:
    """Write `data/backups/before-<what>-<time>.db` by SQLite's own online backup (0600) and return its path."""
    folder = ground.current().data / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"before-{what}-{clock.local(now):%Y%m%d-%H%M%S}.db"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    target = sqlite3.connect(path)
    try:
        models.db.connection().backup(target)
    finally:
        target.close()
    for old in sorted(folder.glob(f"before-{what}-*.db"))[:-KEPT]:
        old.unlink()
    return path
