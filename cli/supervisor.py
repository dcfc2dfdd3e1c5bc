"""The supervisor of `flask serve`: starts the processes, restarts those that die, and ends them together.

Each process has its own session, so Ctrl-C reaches the supervisor alone. The supervisor sends one SIGTERM, and the
processes finish the current letter or request. Each process holds the reading end of a pipe. When the supervisor ends,
even by kill -9, the pipe closes and the process exits.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import IO

from cli.common import PARENT_PIPE
from config import PROJECT_DIR, Config
from core import process_settings

log = logging.getLogger("kairan.supervisor")

RESTART_DELAYS_S = (0.2, 0.5, 1, 2, 5, 10, 30)
STOP_TIMEOUT_S = 30
STABLE_AFTER_S = 60
PROCESSES: dict[str, tuple[str, ...]] = {
    "web": ("pages",),
    "worker": ("bell", "send-letters", "send-letters"),
    "inlet": ("mail-door",),
}


@dataclass
class ChildProcess:
    """One child process. deaths: in a row, each within STABLE_AFTER_S."""

    command: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    not_before: float = field(default=0.0)


class Supervisor:
    """Keeps the processes running until SIGTERM or Ctrl-C."""

    def __init__(self, config: Config, commands: tuple[str, ...], locks: list[IO[str]] | None = None) -> None:
        self._locks = locks  # open files hold the locks
        self._children = [ChildProcess(command) for command in commands]
        self._environ = {**os.environ, "KAIRAN_DATA": str(config.data), "PYTHONUNBUFFERED": "1"}
        self._reading, self._writing = os.pipe()
        os.set_inheritable(self._reading, True)
        self._stopping = False

    def run(self) -> int:
        """Run until a signal comes; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        process_settings.publish()
        try:
            while not self._stopping:
                self._start_missing()
                time.sleep(0.1)
        finally:
            self._end_all()
        return 0

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _start_missing(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                continue
            if child.process is not None:
                self._record_death(child, now)
            if now >= child.not_before:
                self._start(child, now)

    def _record_death(self, child: ChildProcess, now: float) -> None:
        assert child.process is not None  # noqa: S101
        child.deaths = 0 if now - child.started > STABLE_AFTER_S else child.deaths + 1
        pause = RESTART_DELAYS_S[min(child.deaths, len(RESTART_DELAYS_S) - 1)]
        child.not_before = now + pause
        log.warning("%s ended with %s; starting it again in %s s", child.command, child.process.returncode, pause)
        child.process = None

    def _start(self, child: ChildProcess, now: float) -> None:
        child.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "cli", child.command],
            cwd=PROJECT_DIR,
            env={**self._environ, PARENT_PIPE: str(self._reading)},
            pass_fds=(self._reading,),
            start_new_session=True,
        )
        child.started = now

    def _end_all(self) -> None:
        """Send each child one SIGTERM; kill those that do not end in time."""
        running = [child.process for child in self._children if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
