"""Response rate of a reader's press, compared with a minimal page on the same server.

    python -m benchmarks.pages [SECONDS]

Each press writes to the database. Goals (design, the send engine): at 16 connections at least half of the baseline's
rate and p99 at most 50 ms; no error at 64, also during sending. Then runs `benchmarks.figures`.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from statistics import median, quantiles

import config as ground
from benchmarks import figures, harness
from models import Delivery

READERS = 4000


@dataclass
class LoadResult:
    """Seconds for each response, and the failed responses, of one load run."""

    times: list[float] = field(default_factory=list)
    errors: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds

    @property
    def p99_ms(self) -> float:
        return quantiles(self.times, n=100)[98] * 1000


def run_load(port: int, paths: Iterator[str], connections: int, seconds: float) -> LoadResult:
    """Post to the paths in order over this many keep-alive connections."""
    run = LoadResult()
    began = time.monotonic()

    async def everybody() -> None:
        await asyncio.gather(*[_somebody(port, paths, began + seconds, run) for _ in range(connections)])

    asyncio.run(everybody())
    run.seconds = time.monotonic() - began
    return run


async def _somebody(port: int, paths: Iterator[str], end: float, run: LoadResult) -> None:
    stream = None
    while time.monotonic() < end:
        asked = time.perf_counter()
        try:
            stream = stream or await asyncio.open_connection("127.0.0.1", port)
            status, kept = await asyncio.wait_for(request(*stream, "POST", next(paths)), 30)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            status, kept = 0, False
        if status in (200, 303):
            run.times.append(time.perf_counter() - asked)
        else:
            run.errors += 1
        if not kept and stream:
            stream[1].close()
            stream = None
    if stream:
        stream[1].close()


async def request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, form: str = ""
) -> tuple[int, bool]:
    """Send one request; return the status, and whether the connection stays open."""
    kind = "Content-Type: application/x-www-form-urlencoded\r\n" if form else ""
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n{kind}"
        f"Content-Length: {len(form)}\r\n\r\n{form}".encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
    await reader.readexactly(length)
    return int(head.split()[1]), "connection: close" not in head


@contextmanager
def serving(*command: str, port: int, **environ: str) -> Iterator[None]:
    running = subprocess.Popen([sys.executable, "-m", *command], cwd=ground.PROJECT_DIR, env={**os.environ, **environ})
    try:
        harness.wait_until(lambda: harness.is_listening(port), 30)
        time.sleep(1)
        yield
    finally:
        running.terminate()
        running.wait(40)


def main(seconds: float = 3.0) -> None:
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {seconds:.0f} s a run, medians of {harness.ROUNDS}\n"
    )
    port, bare = harness.free_port(), harness.free_port()
    with harness.run_smtp_sink() as sink, harness.installation(READERS, sink, http=f"127.0.0.1:{port}") as config:
        notice = harness.start_notice()
        paths = cycle([f"/r/{one.token}" for one in Delivery.select(Delivery.token).where(Delivery.notice == notice)])
        own = {"KAIRAN_DATA": str(config.data), "KAIRAN_HTTP": config.http, "KAIRAN_SMTP": config.smtp}
        with (
            serving("cli", "pages", port=port, **own),
            serving("benchmarks.baseline_app", f"127.0.0.1:{bare}", port=bare),
        ):
            found: dict[str, list[LoadResult]] = {}
            for _ in range(harness.ROUNDS):
                for connections in (16, 64):
                    hello = run_load(bare, ("/hello" for _ in count()), connections, seconds)
                    found.setdefault(f"hello {connections}", []).append(hello)
                    found.setdefault(f"press {connections}", []).append(run_load(port, paths, connections, seconds))
            _print_table(found)
            with harness.run_workers(config, 2):
                run = run_load(port, paths, 64, max(seconds, 5))
            harness.print_row("press while a notice goes out, 64 connections", f"{run.rate:,.0f}/s")
            harness.print_row("  p99", f"{run.p99_ms:.0f} ms")
            harness.print_row("  errors", str(run.errors), "goal 0", run.errors == 0)
            harness.print_row("  letters sent meanwhile", f"{harness.count_accepted(notice):,}")
    print()
    figures.main()


def _print_table(found: dict[str, list[LoadResult]]) -> None:
    for connections in (16, 64):
        hello, press = found[f"hello {connections}"], found[f"press {connections}"]
        rate, bare = median(one.rate for one in press), median(one.rate for one in hello)
        p99, errors = median(one.p99_ms for one in press), sum(one.errors for one in press)
        harness.print_row(f"bare page, {connections} connections", f"{bare:,.0f}/s")
        harness.print_row(f"press, {connections} connections", f"{rate:,.0f}/s")
        at_16 = connections == 16
        _print_goal("  to the bare page", f"{rate / bare:.2f}", "goal ≥ 0.5", rate / bare >= 0.5, at_16)
        _print_goal("  p99", f"{p99:.0f} ms", "goal ≤ 50 ms", p99 <= 50, at_16)
        harness.print_row("  errors", str(errors), "goal 0", errors == 0)


def _print_goal(what: str, figure: str, goal: str, reached: bool, counts: bool) -> None:
    harness.print_row(what, figure, goal if counts else "", reached if counts else None)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
