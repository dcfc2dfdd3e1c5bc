"""A real Kairan and a real browser: the whole installation is started as its users start it, in a temporary folder."""

import email
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.policy import default as policy
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import clock
import config as ground
from core import install
from core.members import join_codes
from database import db
from tests import cast
from tests.chromium import AXE_SOURCE, PATIENCE_MS, started_chromium

PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}


class Installation:
    """A running installation: its address, its outbox, and the commands of its terminal."""

    def __init__(self, data: Path, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KAIRAN_")},
            "KAIRAN_DATA": str(data),
            "KAIRAN_HTTP": f"127.0.0.1:{self.port}",
            "KAIRAN_HOLD_S": "1",
            "KAIRAN_MAIL_DOMAIN": "mail.school.example",
            **settings,
        }
        self.process: subprocess.Popen | None = None
        self.command: tuple[str, ...] = ("serve",)

    def start(self) -> "Installation":
        """Start every part and wait until the pages answer."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", *self.command],
            cwd=ground.PROJECT_DIR,
            env=self.environ,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(self._answers, 60, "the pages to answer")
        except AssertionError:
            self.stop()
            raise
        return self

    def _answers(self) -> bool:
        try:
            return urlopen(f"{self.url}/healthz", timeout=2).status == 200  # noqa: S310
        except (URLError, ConnectionError, TimeoutError):
            return False

    def stop(self) -> None:
        """End it as Ctrl-C or systemd would."""
        if self.process:
            self.process.terminate()
            self.process.wait(40)

    def sleep_until(self, moment: datetime) -> None:
        """Start anew with the clock at a later moment, as after a night with a restart."""
        self.stop()
        further = (moment - self.now()).total_seconds()
        self.environ["KAIRAN_CLOCK_OFFSET_S"] = str(round(int(self.environ["KAIRAN_CLOCK_OFFSET_S"]) + further))
        self.start()

    def now(self) -> datetime:
        """Return the house's time, in the school's zone."""
        return clock.to_local(datetime.now(UTC) + timedelta(seconds=int(self.environ["KAIRAN_CLOCK_OFFSET_S"])))

    def run(self, *words: str, stdin: str | None = None) -> str:
        """Run a command of the terminal; return its stdout."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            cwd=ground.PROJECT_DIR,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def letters(self, to: str = "", subject: str = "") -> list[email.message.EmailMessage]:
        """Return the letters in the outbox, oldest first, as a mail program reads them."""
        found = []
        for path in sorted((self.data / "outbox").glob("*.eml")):
            letter = email.message_from_bytes(path.read_bytes(), policy=policy)
            if to in str(letter["To"]) and subject in str(letter["Subject"]):
                found.append(letter)
        return found

    def wait_letters(self, count: int, to: str = "", subject: str = "") -> list[email.message.EmailMessage]:
        """Wait until so many letters have arrived."""
        wait_for(lambda: len(self.letters(to, subject)) >= count, 60, f"{count} letters")
        return self.letters(to, subject)


def wait_for(happened, seconds: float, what: str) -> None:
    """Poll until something has happened outside this process; fail with its name if it does not."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def by_day() -> str:
    """Return the clock's offset that makes it ten in the morning at school: what a test sees must not hang on the hour
    at which it runs. Always forward, so that nothing which stands in the tables lies in the future.
    """
    local = clock.to_local(clock.now())
    ten = local.replace(hour=10, minute=0, second=0) + timedelta(days=local.hour >= 10)
    return str(round((ten - local).total_seconds()))


def links(letter: email.message.EmailMessage) -> list[str]:
    """Return the web addresses that stand in a letter's text."""
    return re.findall(r"https?://[!-~]+", letter.get_body(("plain",)).get_content())


@pytest.fixture(scope="package")
def browser() -> Iterator:
    with started_chromium() as started:
        yield started


@pytest.fixture(scope="module")
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, key_box: Path
) -> Iterator[Installation]:
    """The school of the cast, running from ten in the morning, with the settings of the module (`SETTINGS`) if any."""
    data = tmp_path_factory.mktemp("house") / "data"
    data.mkdir(mode=0o700)
    shutil.copytree(key_box, data / "keys")
    ground.set_current_config(ground.Config(data=data))
    install.prepare_data_folder(ground.current_config())
    cast.build()
    db.close()
    settings = {"KAIRAN_CLOCK_OFFSET_S": by_day(), **getattr(request.module, "SETTINGS", {})}
    running = Installation(data, **settings).start()
    yield running
    running.stop()


@pytest.fixture
def visit(browser, house: Installation) -> Iterator:
    """Open pages in a fresh browser profile: `visit(PHONE).goto("/")`; afterwards the console must have been silent."""
    contexts, noises = [], []

    def opened(device: dict, **options):
        context = browser.new_context(base_url=house.url, locale="ja-JP", timezone_id="Asia/Tokyo", **device, **options)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on(
            "console", lambda message: noises.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: noises.append(str(error)))
        contexts.append(context)
        return page

    opened.noises = noises  # type: ignore[attr-defined]
    yield opened
    for context in contexts:
        context.close()
    assert noises == []


def slip_code(house: "Installation", list_id: int, seed: str) -> str:
    """Return the code on the slip of a child with this seed, in a list."""
    return join_codes.compute_code(ground.Config(data=house.data).key("secret"), list_id, seed)


def log_in(page, name: str) -> None:
    """Log in as one of the cast, with the form that everybody uses."""
    page.goto("/login")
    page.fill("[name=name]", name)
    page.fill("[name=password]", cast.PASSWORD)
    page.click("main button[type=submit], main form button")
    page.wait_for_url(re.compile(r"/(\?.*)?$"))


AXE = """async tags => {
  const found = await axe.run(document, {runOnly: tags, resultTypes: ["violations"]});
  return found.violations.map(one => [one.id, one.nodes.slice(0, 3).map(node => node.html.slice(0, 160))]);
}"""


AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE_COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules of axe-core that look at colours."""


def has_no_axe_faults(page, only: list[str] | None = None) -> None:
    """Check a page with axe-core, by all rules of `AXE_TAGS` or only some; any violation is named.

    What is well stays in the browser: it is megabytes.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SOURCE)
    found = page.evaluate(AXE, only or AXE_TAGS)
    assert found == [], f"{page.url}: {found}"


def fits_the_width(page) -> None:
    """Check that nothing makes the page scroll sideways."""
    page.wait_for_load_state()
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url} is {wide} px too wide"
