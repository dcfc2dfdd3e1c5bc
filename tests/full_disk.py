"""A locked database and a full disk for tests: a second process that writes, and a tmpfs that can be filled."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import config as ground
from core import install
from database import db, open_database
from tests.conftest import needs_part

_LOCK = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Let another process hold the write lock of a database."""
    with subprocess.Popen(
        [sys.executable, "-c", _LOCK, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            other.communicate("", timeout=10)


class SmallDisk:
    """A file system of a few megabytes that can be filled to the last octet and emptied again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            for size in (2**20, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    return bool(capabilities >> 21 & 1)  # CAP_SYS_ADMIN


@contextmanager
def small_disk(path: Path, megabytes: int = 24) -> Iterator[SmallDisk]:
    """Mount a small tmpfs. Skips the test in a container whose root may not mount."""
    needs_part(os.geteuid() == 0, "root, to mount a small disk")
    if not _may_mount():
        pytest.skip("this container may not mount a small disk (CAP_SYS_ADMIN)")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextmanager
def installed_on(disk: SmallDisk, mould: Path) -> Iterator[ground.Config]:
    """Install Kairan on a small disk, as the fixture `config` does in a folder of pytest."""
    data = disk.path / "data"
    for folder in (data, data / "run", data / "outbox"):
        folder.mkdir(mode=0o700)
    (data / "keys").symlink_to(mould / "keys")
    shutil.copy(mould / "kairan.db", data / "kairan.db")
    config = ground.set_current_config(ground.Config(data=data, mail_domain="mail.school.example"))
    install.lock_shared(data)
    open_database(config.database)
    try:
        yield config
    finally:
        disk.free()
        db.close()


def fill_database(database: Path) -> None:
    """Write until SQLite finds no room: its write-ahead log may have some after the disk is full."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as other:
        while True:
            try:
                other.execute("INSERT INTO audit_log (at, action, kind, detail) VALUES (0, ?, '', '{}')", ["x" * 900])
            except sqlite3.OperationalError as error:
                assert "disk is full" in str(error)
                return
