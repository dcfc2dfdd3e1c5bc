"""Sending rate compared with a plain smtplib loop.

    python -m benchmarks.send [LETTERS]

Absolute rates depend on the machine. The ratios are taken in the same run, in turns, and are stable (medians of
five). Goals: the send engine's part of the design.
"""

import os
import re
import smtplib
import subprocess
import sys
import time
from statistics import median

import clock
from benchmarks import harness
from cli.work import HOOKS
from core.delivery import queue
from core.delivery.worker import SmtpWorker
from core.notices.rendering import RenderCache
from core.settings import load_settings
from mail.dkim_signer import DkimSigner
from models import Letter

LETTERS = 2000
MANY = 20_000


class UnsignedWorker(SmtpWorker):
    """A worker without DKIM."""

    def _sign(self, raw: bytes, settings: object) -> bytes:
        return raw


def main(letters: int = LETTERS) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {letters} letters, medians of {harness.ROUNDS}\n")
    with harness.run_smtp_sink() as port, harness.installation(letters, port) as config:
        compose_us, raw = _time_compose()
        rounds = []
        for _ in range(harness.ROUNDS):
            rounds.append(
                (
                    _time_bare_smtplib(port, raw, letters),
                    _time_rsa(),
                    _time_unsigned(config, letters),
                    *_time_signed(config, letters),
                )
            )
    bare, rsa, unsigned, signed, seconds = (median(column) for column in zip(*rounds, strict=True))
    small, large = (_peak_memory(count) for count in (LETTERS, MANY))
    harness.print_row("bare smtplib loop, bytes ready, one connection", f"{bare:,.0f}/s")
    harness.print_row("OpenSSL RSA-2048 on two cores", f"{rsa:,.0f}/s")
    harness.print_row("compose one letter", f"{compose_us:.0f} µs", "goal ≤ 60 µs", compose_us <= 60)
    harness.print_row("unsigned, one process", f"{unsigned:,.0f}/s")
    _print_ratio("  to the bare loop", unsigned / bare, 1.2)
    harness.print_row("signed, two processes", f"{signed:,.0f}/s")
    _print_ratio("  to the bare loop", signed / bare, 0.20, 0.30)
    _print_ratio("  to OpenSSL", signed / rsa, 0.45, 0.55)
    harness.print_row(
        f"{letters} signed letters, confirm to the sink", f"{seconds:.1f} s", "goal ≤ 5 s, then 3 s", seconds <= 5
    )
    harness.print_row(f"peak memory of a sender, {LETTERS:,} letters", f"{small:.0f} MB")
    harness.print_row(
        f"peak memory of a sender, {MANY:,} letters", f"{large:.0f} MB", "goal ≤ 120 MB, flat", large <= 120
    )


def _print_ratio(what: str, ratio: float, goal: float, then: float | None = None) -> None:
    harness.print_row(what, f"{ratio:.2f}", f"goal ≥ {goal}" + (f", then {then}" if then else ""), ratio >= goal)


def _time_compose() -> tuple[float, bytes]:
    """Return the microseconds to render one letter of a running notice, and the bytes of a signed letter."""
    notice = harness.start_notice()
    numbers = [letter.id for letter in Letter.select(Letter.id).where(Letter.notice == notice).limit(500)]
    rows = [queue.load_message(Letter.get_by_id(number)) for number in numbers]
    renderer, now = RenderCache(load_settings()), clock.now()
    raw = renderer.render(rows[0], False, now)

    def once() -> float:
        began = time.perf_counter()
        for row in rows:
            renderer.render(row, False, now)
        return (time.perf_counter() - began) / len(rows) * 1e6

    Letter.update(state="cancelled").where(Letter.notice == notice).execute()
    return harness.median_of(once), DkimSigner("kairan", "mail.school.example", _key()).sign(raw)


def _key() -> bytes:
    import config

    return config.current_config().key("dkim.pem")


def _time_bare_smtplib(port: int, raw: bytes, letters: int) -> float:
    """Return the letters per second of a loop over prepared bytes."""
    from mail.smtp import dot_stuff

    ready = dot_stuff(raw)
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        smtp.ehlo()
        began = time.perf_counter()
        for number in range(letters):
            smtp.docmd("MAIL", f"FROM:<b-{number}@mail.school.example>")
            smtp.docmd("RCPT", f"TO:<reader{number}@parents.example>")
            smtp.docmd("DATA")
            smtp.send(ready)
            smtp.getreply()
        return letters / (time.perf_counter() - began)


def _time_rsa() -> float:
    """Return the signatures per second of OpenSSL on two cores."""
    output = subprocess.run(
        ["openssl", "speed", "-seconds", "1", "-multi", "2", "rsa2048"], capture_output=True, text=True, check=True
    ).stdout
    return float(re.search(r"rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)", output)[1])


def _time_unsigned(config: object, letters: int) -> float:
    harness.start_notice()
    worker = UnsignedWorker(config, HOOKS)
    began = time.perf_counter()
    while worker.run_once(lambda: False):
        pass
    passed = time.perf_counter() - began
    worker.close()
    return letters / passed


def _time_signed(config: object, letters: int) -> tuple[float, float]:
    """Return the letters per second of two workers, and the seconds from confirmation to the last letter."""
    with harness.run_workers(config, 2):
        began = time.perf_counter()
        notice = harness.start_notice()
        filled = time.perf_counter()
        harness.wait_until(lambda: harness.count_accepted(notice) == letters, 300)
        ended = time.perf_counter()
    return letters / (ended - filled), ended - began


def _peak_memory(letters: int) -> float:
    """Return the peak memory in MB of a process that sends this many letters."""
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.send", "--memory", str(letters)], capture_output=True, text=True, check=True
    )
    return float(output.stdout)


def _send_and_tell_memory(letters: int) -> None:
    with harness.run_smtp_sink() as port, harness.installation(0, port) as config:
        made = subprocess.run(
            [sys.executable, "-m", "benchmarks.send", "--fill", str(config.data), str(port), str(letters)], check=True
        )
        assert made.returncode == 0
        worker = UnsignedWorker(config, HOOKS)
        worker.drain()
        worker.close()
        print(harness.peak_mb())


def _fill(folder: str, port: str, letters: int) -> None:
    """Enqueue letters in another process, so that the peak memory of this process shows sending only."""
    from pathlib import Path

    import config as ground
    from core import install

    config = ground.Config(
        data=Path(folder), smtp=f"smtp://127.0.0.1:{port}", rate=0, domain_rate=0, mail_domain="mail.school.example"
    )
    install.open_and_upgrade(ground.set_current_config(config))
    harness.add_readers(letters)
    harness.start_notice()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--memory", count]:
            _send_and_tell_memory(int(count))
        case ["--fill", folder, port, count]:
            _fill(folder, port, int(count))
        case [count]:
            main(int(count))
        case _:
            main()
