"""The data folder of one installation: its lock, keys and database, and the one-time set-up token."""

import fcntl
import os
import random
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import IO

import clock
from config import Config
from core import audit, schema
from database import open_database
from mail.dkim_signer import generate_key
from models import Organization, User

UPGRADE_WAIT_S = 120.0
"""How long a start waits while another process upgrades the database."""
STOP_WAIT_S = 5.0
"""How long a start waits for other processes to leave the data folder before it may upgrade."""


class DataLocked(Exception):
    """Another process holds the lock; the message is the data folder, or the part that runs already."""


class StillRunning(Exception):
    """The database must be upgraded, but a running process uses it; the message is the data folder."""


class IncompleteRestore(Exception):
    """A restore was interrupted; the message is the data folder."""


def prepare_data_folder(config: Config) -> None:
    """Make the data folder (0700) and keys (0600), open the database and upgrade it. Idempotent.

    Raises IncompleteRestore, DataLocked during a restore, StillRunning, schema.NewerDatabase, schema.UpgradeFailed.
    """
    if (config.data / "restoring").exists() and not config.database.exists():
        raise IncompleteRestore(str(config.data))
    for folder in (config.data, config.data / "keys", config.data / "run", config.data / "outbox"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _wait_for_upgrade(config.data)
    _create_file_once(config.data / "keys" / "secret", lambda: secrets.token_bytes(32))
    _create_file_once(config.data / "keys" / "session", lambda: secrets.token_urlsafe(48).encode())
    _create_file_once(config.data / "keys" / "dkim.pem", generate_key)
    open_and_upgrade(config)


def open_and_upgrade(config: Config) -> None:
    """Open the database and hold the shared lock. If migrations are pending, run them under the exclusive lock.

    Of several processes that start together, one upgrades and the others wait for it.
    """
    give_up_at = time.monotonic() + STOP_WAIT_S
    while True:
        _wait_for_upgrade(config.data)
        database = open_database(config.database)
        if not schema.pending_migrations(database):
            break
        try:
            lock_exclusive(config.data)
            schema.upgrade_schema(
                database, lambda migration: schema.copy_before_migration(config.database, migration, clock.now())
            )
        except DataLocked as taken:
            if time.monotonic() > give_up_at:
                raise StillRunning(str(config.data)) from taken
            _pause()
        finally:
            database.close()
    os.chmod(config.database, 0o600)


def _create_file_once(path: Path, make: Callable[[], bytes]) -> None:
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(make())
        os.replace(fresh, path)


# ── lock: shared by running processes, exclusive for an upgrade or a restore ─────────────────────────────────────

_lock_file: IO[str] | None = None


def lock_shared(folder: Path) -> None:
    """Hold the lock together with other processes until this one ends. Raises DataLocked if it is held exclusively."""
    _acquire_lock(folder, fcntl.LOCK_SH)


def lock_exclusive(folder: Path) -> None:
    """Hold the lock alone until this process ends or shares it. Raises DataLocked if another process holds it."""
    _acquire_lock(folder, fcntl.LOCK_EX)


def lock_services(folder: Path, parts: Iterable[str]) -> list[IO[str]]:
    """Return one held lock for each part (web, worker, …) that this process serves. Raises DataLocked.

    Two workers would not send a letter twice, but an administrator who starts Kairan twice has made a mistake.
    """
    held: list[IO[str]] = []
    for part in sorted(set(parts)):
        lock = (folder / "run" / f"served-{part}").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            raise DataLocked(part) from taken
        held.append(lock)
    return held


def _wait_for_upgrade(folder: Path) -> None:
    """Take the shared lock; wait while another process upgrades. Raises DataLocked during a restore."""
    give_up_at = time.monotonic() + UPGRADE_WAIT_S
    while True:
        try:
            return lock_shared(folder)
        except DataLocked:
            if (folder / "restoring").exists() or time.monotonic() > give_up_at:
                raise
        _pause()


def _pause() -> None:
    time.sleep(0.05 + random.random() / 10)  # noqa: S311


def _acquire_lock(folder: Path, lock: int) -> None:
    global _lock_file
    if _lock_file is not None:
        _lock_file.close()
    _lock_file = (folder / "lock").open("a")
    try:
        fcntl.flock(_lock_file, lock | fcntl.LOCK_NB)
    except OSError as taken:
        raise DataLocked(str(folder)) from taken


# ── first set-up ─────────────────────────────────────────────────────────────────────────────────────────────────


def get_setup_token(config: Config) -> str | None:
    """Return the one-time set-up token (made on first call, file 0600); None once set-up is done."""
    if Organization.load_row().set_up_at:
        return None
    path = config.data / "setup-token"
    _create_file_once(path, lambda: secrets.token_urlsafe(24).encode())
    return path.read_text()


def check_setup_token(config: Config, token: str) -> bool:
    """Say whether this is the token of an installation that is not set up yet."""
    expected = get_setup_token(config)
    return expected is not None and secrets.compare_digest(expected.encode(), token.encode())


def finish_setup(config: Config, by: User, now: datetime) -> None:
    """Mark the installation as set up and delete the token. Idempotent."""
    Organization.update(set_up_at=now).where(Organization.id == 1, Organization.set_up_at.is_null()).execute()
    (config.data / "setup-token").unlink(missing_ok=True)
    audit.log_action(by, "organization.set_up")
