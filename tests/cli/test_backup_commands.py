"""`flask backup` and `flask restore` as they are typed, against a Kairan that runs and one that does not (design 4)."""

import os
import subprocess
import sys

import pytest

from config import PROJECT_DIR
from core import install
from database import db
from tests.processes import parts, until


@pytest.fixture
def run(school, config):
    """Run a command in a process of its own; returns the finished process."""

    def command(*words):
        environ = {**os.environ, "KAIRAN_DATA": str(config.data)}
        return subprocess.run(
            [sys.executable, "-m", "cli", *words], cwd=PROJECT_DIR, env=environ, capture_output=True, text=True
        )

    db.close()
    yield command


def test_there_and_back(run, config, tmp_path):
    """stdout is the name of the file alone; a running Kairan is not restored over."""
    made = run("backup", str(tmp_path / "all.tar.gz"))
    assert made.returncode == 0 and made.stdout == f"{tmp_path / 'all.tar.gz'}\n"
    refused = run("restore", str(tmp_path / "all.tar.gz"))  # this test itself works in the folder
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1 and "running" in refused.stderr
    install._lock_file.close()
    done = run("restore", str(tmp_path / "all.tar.gz"))
    assert done.returncode == 0 and "old-" in done.stderr and "log in again" in done.stderr and done.stdout == ""
    with parts(config.data) as house:
        house.start("work")
        assert until(lambda: run("restore", str(tmp_path / "all.tar.gz")).returncode == 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [(("restore", "/etc/hostname"), "no whole backup"), (("backup", "/nowhere/file"), "cannot be written")],
)
def test_what_cannot_be_is_one_line(run, words, told):
    install._lock_file.close()
    done = run(*words)
    assert done.returncode == 1 and told in done.stderr and done.stderr.count("\n") == 1
