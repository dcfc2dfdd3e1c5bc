"""Start-up time of `up` until pages answer, compared with an interpreter that loads Flask: `python -m benchmarks.start`.

Measures the second start of an existing installation. Processor time includes all processes from start to end (web,
scheduler, two workers).
"""

import os
import resource
import subprocess
import sys
import time
import urllib.request
from statistics import median

from benchmarks.harness import ROUNDS, free_port, installation
from config import PROJECT_DIR

FLASK = [
    sys.executable,
    "-P",
    str(PROJECT_DIR / ".venv" / "bin" / "flask"),
    "up",
]  # the command that `./kairan up` executes
BARE_FLASK = [sys.executable, "-c", "import flask"]
MAX_START_S = 60.0


def cpu_seconds() -> float:
    """Return the processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def time_bare_flask() -> tuple[float, float]:
    """Return seconds and processor seconds of an interpreter that imports Flask."""
    before, began = cpu_seconds(), time.monotonic()
    subprocess.run(BARE_FLASK, check=True)  # noqa: S603
    return time.monotonic() - began, cpu_seconds() - before


def time_startup(environ: dict[str, str]) -> tuple[float, float]:
    """Return seconds until /healthz answers, and the processor seconds of all processes until their end."""
    before, began = cpu_seconds(), time.monotonic()
    process = subprocess.Popen(  # noqa: S603
        FLASK, cwd=PROJECT_DIR, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not is_answering(environ["KAIRAN_HTTP"]):
            if time.monotonic() - began > MAX_START_S or process.poll() is not None:
                raise SystemExit("the pages do not answer")
            time.sleep(0.01)
        took = time.monotonic() - began
    finally:
        process.terminate()
        process.wait()
    return took, cpu_seconds() - before


def is_answering(http: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{http}/healthz", timeout=2) as page:  # noqa: S310
            return page.status == 200
    except OSError:
        return False


def main() -> None:
    with installation(500) as config:
        port = free_port()
        environ = {**os.environ, "KAIRAN_DATA": str(config.data), "KAIRAN_HTTP": f"127.0.0.1:{port}"}
        environ |= {"FLASK_APP": str(PROJECT_DIR / "app.py")}
        pairs = [(time_bare_flask(), time_startup(environ)) for _ in range(ROUNDS)]
    bare_s, bare_cpu = (median(one[0][i] for one in pairs) for i in (0, 1))
    up_s, up_cpu = (median(one[1][i] for one in pairs) for i in (0, 1))
    print(f"start: {up_s:.2f} s until the pages answer, {up_s / bare_s:.1f} times an interpreter with Flask")
    print(f"start: {up_cpu:.2f} s of processor for all parts, {up_cpu / bare_cpu:.1f} times the same")


if __name__ == "__main__":
    main()
