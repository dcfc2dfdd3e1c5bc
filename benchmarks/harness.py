"""Benchmark tools: a temporary installation with readers, an SMTP sink, workers and medians."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import clock
import config as ground
from core import install, settings
from core.notices import approval, drafts, start
from core.notices.audience import resolve_audience
from database import bulk_insert, db
from models import Letter, MailingList, Membership, Notice, Person

ROUNDS = 5
TEXT = "保護者の皆様\n\n" + "秋も深まってまいりました。下記のとおり授業参観を行います。\n" * 20


@contextmanager
def installation(readers: int, port: int = 0, **options: object) -> Iterator[ground.Config]:
    """Create a temporary installation with one list of this many readers; letters go to a local port."""
    with tempfile.TemporaryDirectory(prefix="kairan-bench-") as folder:
        given = {"rate": 0, "domain_rate": 0, "mail_domain": "mail.school.example", **options}
        smtp = f"smtp://127.0.0.1:{port}" if port else ""
        config = ground.set_current_config(ground.Config(data=Path(folder) / "data", smtp=smtp, **given))
        install.prepare_data_folder(config)
        settings.update_organization(
            None, name="かえで原小学校", postal="〒000-0000 例示市1-2-3", contact="000-0000-0000"
        )
        settings.mark_set_up(clock.now())
        MailingList.create(name="保護者", address="hogosha")
        add_readers(readers)
        yield config
        db.close()


def add_readers(count: int) -> None:
    everybody = MailingList.get()
    mails = [f"reader{number:05d}@parents.example" for number in range(count)]
    with db.atomic():
        bulk_insert(
            Person,
            ({"name": "鈴木 花子", "kana": "スズキ ハナコ", "address": one, "address_key": one} for one in mails),
        )
        rows = Person.select(Person.id).tuples().iterator()
        bulk_insert(Membership, [{"person": number, "list": everybody.id} for (number,) in rows])


def create_confirmed_notice() -> Notice:
    """Write and confirm a notice to all readers, due at once."""
    now = clock.now()
    notice = drafts.create_draft(None, now=now)
    drafts.save_draft(notice, now=now, subject="授業参観・学級懇談会のお知らせ", text=TEXT, read_confirmation=True)
    drafts.set_recipients(notice, now=now, lists=[MailingList.get().id])
    return approval.confirm_send(notice, by=None, fingerprint=resolve_audience(notice).fingerprint, now=now, hold_s=0)


def start_notice() -> Notice:
    """Confirm a notice and enqueue its letters."""
    notice = create_confirmed_notice()
    start.start_due_notices(clock.now())
    return notice


def count_accepted(notice: Notice) -> int:
    return Letter.select().where(Letter.notice == notice, Letter.is_current == True, Letter.state == "accepted").count()


@contextmanager
def run_smtp_sink() -> Iterator[int]:
    """Run a mail server that discards all mail (Postfix's smtp-sink if installed); yield its port."""
    port = free_port()
    program = shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")
    rights = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = (
        [program, *rights, f"127.0.0.1:{port}", "200"]
        if program
        else [sys.executable, "-m", "benchmarks.smtp_sink", str(port)]
    )
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port), 10)
        yield port
    finally:
        running.terminate()
        running.wait(10)


@contextmanager
def run_workers(config: ground.Config, count: int) -> Iterator[list[subprocess.Popen]]:
    """Run real worker processes; yield when they are idle."""
    environ = {
        **os.environ,
        "KAIRAN_DATA": str(config.data),
        "KAIRAN_SMTP": config.smtp,
        "KAIRAN_RATE": "0",
        "KAIRAN_MAIL_DOMAIN": config.mail_domain,
    }
    started = [
        subprocess.Popen([sys.executable, "-m", "cli", "send-letters"], cwd=ground.PROJECT_DIR, env=environ)
        for _ in range(count)
    ]
    try:
        wait_until(lambda: len(list((config.data / "run").glob("sender-*"))) == count, 30)
        time.sleep(1)
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(40)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(happened: Callable[[], object], seconds: float) -> None:
    """Wait for a condition. Raise TimeoutError if it stays false."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.05)


def peak_mb(process: int | str = "self") -> float:
    """Return the peak memory of a process in MB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def median_of(measure: Callable[[], float], rounds: int = ROUNDS) -> float:
    return median(measure() for _ in range(rounds))


def print_row(what: str, figure: str, goal: str = "", reached: bool | None = None) -> None:
    mark = "" if reached is None else ("  reached" if reached else "  not yet")
    print(f"{what:<58}{figure:>16}   {goal}{mark}", flush=True)
