"""The supervisor of `flask serve`: starts the parts, starts again what dies, ends them together.

Each part is a process of its own in its own session, so that Ctrl-C reaches the supervisor alone; it passes one
SIGTERM on and the parts finish the letter or request in hand. Each part holds the reading end of a pipe: when the
supervisor dies, even by kill -9, the pipe closes and the part ends.
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
    """One child process and how often it has died lately."""

    command: str
    process: subprocess.Popen | None = None
    started: float = 0.0
    deaths: int = 0
    not_before: float = field(default=0.0)


class Supervisor:
    """Keeps the parts running until SIGTERM or Ctrl-C."""

    def __init__(self, config: Config, commands: tuple[str, ...], locks: list[IO[str]] | None = None) -> None:
        self._locks = locks  # kept open: they say that this supervisor is here
        self._parts = [ChildProcess(command) for command in commands]
        self._environ = {**os.environ, "KAIRAN_DATA": str(config.data), "PYTHONUNBUFFERED": "1"}
        self._reading, self._writing = os.pipe()
        os.set_inheritable(self._reading, True)
        self._stopping = False

    def run(self) -> int:
        """Run until told to stop; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            while not self._stopping:
                self._start_what_is_missing()
                time.sleep(0.1)
        finally:
            self._end_all()
        return 0

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _start_what_is_missing(self) -> None:
        now = time.monotonic()
        for part in self._parts:
            if part.process is not None and part.process.poll() is None:
                continue
            if part.process is not None:
                self._note_death(part, now)
            if now >= part.not_before:
                self._start(part, now)

    def _note_death(self, part: ChildProcess, now: float) -> None:
        assert part.process is not None  # noqa: S101
        part.deaths = 0 if now - part.started > STABLE_AFTER_S else part.deaths + 1
        pause = RESTART_DELAYS_S[min(part.deaths, len(RESTART_DELAYS_S) - 1)]
        part.not_before = now + pause
        log.warning("%s ended with %s; starting it again in %s s", part.command, part.process.returncode, pause)
        part.process = None

    def _start(self, part: ChildProcess, now: float) -> None:
        part.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "cli", part.command],
            cwd=PROJECT_DIR,
            env={**self._environ, PARENT_PIPE: str(self._reading)},
            pass_fds=(self._reading,),
            start_new_session=True,
        )
        part.started = now

    def _end_all(self) -> None:
        """Send each part one SIGTERM; after the grace, kill what is left."""
        living = [part.process for part in self._parts if part.process and part.process.poll() is None]
        for process in living:
            process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in living:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
