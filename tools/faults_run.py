"""Run the whole matrix of faults and write the table of `docs/reliability.md`: `make faults`.

Rows come from `tests/faults/cases.py` (what a mail server may do) and `tests/faults/test_moments.py` (what may happen to
processes, files, network and clock). `PARTS` are tests of their own that a developer runs with them.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
PARTS: dict[str, str] = {
    "kill -9 of senders, 10 times in 2,000 letters and 5 times in 500 urgent ones; TERM while the server talks on": "tests/test_worker_crash.py",
    "full disk: letters, commands, mail door, backup; nobody's page is an error": "tests/test_full_disk.py tests/web/test_not_recorded.py",
    "parts and supervisor killed, two installations on one folder, TERM": "tests/test_supervisor.py",
    "login without a write": "tests/web/test_unsaved_sessions.py",
    "clock set forward and back: rates, waits, pauses, bookings": "tests/core/test_clock_jumps.py",
    "queue file deleted, write-ahead log lost": "tests/core/test_queue_file.py",
    "ledger cut, damaged, carried twice, without room": "tests/core/test_ledger.py",
    "flood, over-long and hostile mail at the mail door": "tests/test_smtpd.py tests/core/test_dispatch.py",
    "IMAP server that withholds, corrupts, repeats or ends": "tests/core/test_imap_poller.py",
    "backup on a full disk, killed, damaged; restored and counted": "tests/core/test_backup.py tests/core/test_nightly_backup.py",
    "stop, withdraw, cancel, change of members while sending": "tests/core/test_notice_control.py tests/core/test_notice_scheduling.py",
}  # fmt: skip
"""What the named tests do to a real installation or to its parts, and where."""


def run_tests(tests: str, folder: Path, *more: str) -> tuple[bool, str]:
    """Run tests; return whether all passed and pytest's last line."""
    environ = {**os.environ, "KAIRAN_FAULTS": "whole", "KAIRAN_FAULTS_COUNTS": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "--tb=short", *more]
    done = subprocess.run(
        [*command, *tests.split()], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    failed = re.findall(r"^FAILED (\S.*)$", done.stdout, re.MULTILINE)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    dots = sum(line.count(".") for line in done.stdout.splitlines() if re.fullmatch(r"[.sxFE]+( +\[ *\d+%\])?", line))
    said = f"{len(failed)} tests failed" if done.returncode else f"{dots} tests passed"
    print(f"{tests}: {said}", flush=True)
    return not done.returncode, said


def load_rows(folder: Path) -> list[dict]:
    """Return the rows of a run: server rows in the order of the table, then those of processes and machine."""
    order = {"server": 0, "processes": 1, "moment": 2}
    paths = sorted(folder.glob("*.json"), key=lambda path: (order[path.name.partition("-")[0]], path.name))
    rows = []
    for path in paths:
        row = json.loads(path.read_text("utf-8"))
        row["name"] += " (two processes)" * path.name.startswith("processes")
        rows.append(row)
    return rows


def outcome_table(rows: list[dict]) -> str:
    """Return the table of counted rows, and their sums."""
    lines = [
        "| what happens | letters | arrived meanwhile | arrived | lost | doubled in silence | doubled, said | unknown, said | the page says | goes on | holds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    keys = (
        "letters",
        "arrived_while_bad",
        "arrived",
        "lost",
        "doubled_in_silence",
        "doubled_and_said",
        "unknown_and_said",
    )
    for row in rows:
        name = row["name"].replace("|", "/") or "nothing"
        counts = " | ".join(str(row[key]) for key in keys)
        holds = "; ".join(row["wrong"][:2]).replace("|", "/") or "yes"
        lines.append(f"| {name} | {counts} | {row['said'] or '-'} | {row['recovery']} | {holds} |")
    sums = " | ".join(f"{sum(row[key] for row in rows):,}" for key in keys)
    bad = sum(bool(row["wrong"]) for row in rows)
    lines.append(f"| **{len(rows)} rows** | {sums} | | | {f'{bad} do not' if bad else 'all'} |")
    return "\n".join(lines)


def parts_table(parts: list[tuple[str, str]]) -> str:
    lines = ["| what | result |", "|---|---|", *(f"| {what} | {said} |" for what, said in parts)]
    return "\n".join(lines)


def filled(page: str, name: str, text: str) -> str:
    """Return the page with the part between `<!-- NAME -->` and `<!-- end of NAME -->` replaced."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = page.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{PAGE.name} has no part {name}")
    return f"{before}{start}\n{text}\n{end}{after}"


def write_page(rows: list[dict], parts: list[tuple[str, str]]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    day = f"Run on {datetime.now(UTC):%Y-%m-%d} at commit `{commit.stdout.strip()}`."
    page = filled(PAGE.read_text("utf-8"), "rows", f"{outcome_table(rows)}\n\n{day}")
    PAGE.write_text(filled(page, "parts", parts_table(parts)) if parts else page, "utf-8")


def main() -> int:
    """Run everything; write `docs/reliability.md`. Exit 1 if a row or a test failed."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        well, _ = run_tests("tests/faults", folder, "--timeout", "240")
        parts = []
        for what, tests in PARTS.items():
            good, said = run_tests(tests, folder)
            well = well and good
            parts.append((what, said))
        rows = load_rows(folder)
        write_page(rows, parts)
    return int(not well or any(row["wrong"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
