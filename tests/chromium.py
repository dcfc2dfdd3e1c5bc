"""Chromium as Debian ships it, for tests/browser and tests/e2e."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

import config as ground
from tests.conftest import needs_part

CHROMIUM = os.environ.get("KAIRAN_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP localhost 127.0.0.1",  # the servers do not listen on ::1
]
PATIENCE_MS = 30_000
"""For a page, an element or a sentence: a busy machine needs some of it, a test that passes does not wait for it."""
AXE_SOURCE = (ground.PROJECT_DIR / "tests" / "vendor" / "axe.min.js").read_text("utf-8")


@contextmanager
def started_chromium() -> Iterator[Browser]:
    """Start Chromium. Not for the session: while Playwright runs, no other test may run an event loop."""
    needs_part(bool(CHROMIUM), "chromium (apt install chromium fonts-noto-cjk)")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()
