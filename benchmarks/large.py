"""Time and memory of letters with a large attachment inside, compared with the same letters without it.

    python -m benchmarks.large [LETTERS]

Each letter is 4 MB on the wire (3 MB of attachments, the maximum). Two real workers, with DKIM. Goal: memory does not
grow with the number of letters.
"""

import os
import secrets
import sys
import time

import clock
from benchmarks import harness
from core.notices import approval, attachments, drafts, start
from core.notices.audience import resolve_audience
from models import MailingList, Notice

LETTERS = 2000
OCTETS = attachments.MAX_ENCLOSED_BYTES


def start_notice_with_file() -> Notice:
    """Start a notice whose letters contain the largest allowed attachment."""
    now = clock.now()
    notice = drafts.create_draft(None, now=now)
    drafts.save_draft(notice, now=now, subject="しおり", text=harness.TEXT, files_inside=True)
    drafts.set_recipients(notice, now=now, lists=[MailingList.get().id])
    head, tail = b"%PDF-1.7\n", b"\n%%EOF\n"
    attachments.add_file(notice, "しおり.pdf", head + secrets.token_bytes(OCTETS - len(head + tail)) + tail, None, now)
    approval.confirm_send(notice, by=None, fingerprint=resolve_audience(notice).fingerprint, now=now, hold_s=0)
    start.start_due_notices(clock.now())
    return notice


def time_sending(config: object, begin: object, letters: int) -> tuple[float, list[float]]:
    """Return the seconds until the last letter is recorded, and the peak memory of each worker in MB."""
    with harness.run_workers(config, 2) as running:
        notice = begin()
        began = time.perf_counter()
        harness.wait_until(lambda: harness.count_accepted(notice) == letters, 1200)
        return time.perf_counter() - began, [harness.peak_mb(one.pid) for one in running]


def main(letters: int = LETTERS) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {letters} letters of 4 MB\n")
    with harness.run_smtp_sink() as port, harness.installation(letters, port) as config:
        plain_s, plain_mb = time_sending(config, harness.start_notice, letters)
        large_s, large_mb = time_sending(config, start_notice_with_file, letters)
    few = max(1, letters // 10)
    with harness.run_smtp_sink() as port, harness.installation(few, port) as config:
        _, few_mb = time_sending(config, start_notice_with_file, few)
    harness.print_row(f"{letters:,} letters without a file", f"{plain_s:.1f} s")
    harness.print_row(f"{letters:,} letters of 4 MB, confirm to the sink", f"{large_s:.1f} s")
    harness.print_row("  on the wire", f"{letters * 4.1 / large_s:,.0f} MB/s")
    harness.print_row("peak memory of a sender, without a file", f"{max(plain_mb):.0f} MB")
    harness.print_row(f"  with the file, {few:,} letters", f"{max(few_mb):.0f} MB")
    flat = max(large_mb) < max(few_mb) + 10
    harness.print_row(f"  with the file, {letters:,} letters", f"{max(large_mb):.0f} MB", "goal: flat", flat)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
