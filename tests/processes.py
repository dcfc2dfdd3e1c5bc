"""The real processes of Kairan in tests: started with an environment of their own, ended with the test."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import config as ground

HERE = ground.PROJECT_DIR


@dataclass
class Parts:
    """Start commands of `python -m cli`; whatever still lives is killed at the end."""

    environ: dict[str, str]
    log: Path
    started: list[subprocess.Popen] = field(default_factory=list)

    def start(self, *command: str, **options: object) -> subprocess.Popen:
        """Start a command in a session of its own; what it says goes to the log."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli", *command],
                cwd=HERE,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=options.pop("stdout", log),
                stderr=log,
                start_new_session=True,
                **options,
            )
        self.started.append(process)
        return process

    def run(self, *command: str, **options: object) -> subprocess.CompletedProcess:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *command],
            cwd=HERE,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            **options,
        )

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait(10)


@contextmanager
def parts(folder: Path, **settings: object) -> Iterator[Parts]:
    """Give the processes of one installation; `settings` become `KAIRAN_…`."""
    given = {f"KAIRAN_{name.upper()}": str(value) for name, value in settings.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAIRAN_", "PYTEST_", "COV"))}
    made = Parts({**kept, **given, "KAIRAN_DATA": str(folder), "PYTHONUNBUFFERED": "1"}, folder.parent / "parts.log")
    try:
        yield made
    finally:
        made.end()


def until(happened: Callable[[], object], seconds: float = 20, every: float = 0.02) -> bool:
    """Wait for something that another process does; say whether it happened in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(every)
    return bool(happened())


def children(process: int) -> dict[int, str]:
    """Return the living children of a process with their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == process and status[0] != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
    return found


def lives(process: int) -> bool:
    """Say whether a process runs (a dead one that nobody has waited for does not)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(process: subprocess.Popen, number: int = signal.SIGKILL) -> None:
    """Send a signal to one process that a test started."""
    os.kill(process.pid, number)
