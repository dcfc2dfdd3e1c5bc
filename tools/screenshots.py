"""Take the screenshots of the documentation (`docs/images/*.png`) from a temporary sample school.

Run `.venv/bin/python -m tools.screenshots [NAME …]`; names such as `board-phone` limit the output to these images.
"""

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

import clock

ROOT = Path(__file__).resolve().parent.parent
IMAGES = Path(os.environ.get("KAIRAN_IMAGES", ROOT / "docs" / "images"))
MOST_BYTES = 250_000
FAMILIES = "380"
CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
AUTHOR = "小川 守"


@dataclass(frozen=True)
class School:
    """A running sample school."""

    url: str
    data: Path
    passwords: dict[str, str]

    @property
    def password(self) -> str:
        return self.passwords[AUTHOR]

    def query(self, sql: str) -> str:
        """Return the first column of the first row."""
        with sqlite3.connect(self.data / "kairan.db") as db:
            return str(db.execute(sql).fetchone()[0])

    def notice(self, piece: str) -> str:
        """Return the id of the notice whose subject contains a text."""
        return self.query(f"SELECT notice_id FROM wording WHERE subject LIKE '%{piece}%' ORDER BY id LIMIT 1")


@contextmanager
def school(families: str = FAMILIES) -> Iterator[School]:
    """Create a sample school, serve it on a free port, and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="kairan-pictures-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {
        **os.environ,
        "KAIRAN_DATA": str(folder),
        "KAIRAN_HTTP": f"127.0.0.1:{port}",
        "KAIRAN_CLOCK_OFFSET_S": str(_until_monday().total_seconds()),
    }
    run = [sys.executable, "-m", "cli"]
    try:
        said = subprocess.run(
            [*run, "demo", "--families", families], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
        ).stderr
        passwords = dict(re.findall(r"^  (\S+ \S+)  (\S+)  ", said, re.MULTILINE))
        served = subprocess.Popen([*run, "serve"], cwd=ROOT, env=environ)
        try:
            yield _wait_until_ready(School(f"http://127.0.0.1:{port}", folder, passwords))
        finally:
            served.terminate()
            served.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _until_monday() -> timedelta:
    """Return the time until next Monday, 15:04, a typical hour for an urgent notice."""
    now = clock.to_local(clock.now())
    monday = datetime.combine(now.date() + timedelta(days=7 - now.weekday()), datetime.min.time(), clock.ZONE)
    return monday + timedelta(hours=15, minutes=4) - now


def _wait_until_ready(one: School) -> School:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{one.url}/healthz", timeout=1).close()
            return one
        except urllib.error.HTTPError:
            return one
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the sample school does not answer")


@dataclass
class Camera:
    """Takes screenshots of a browser window; `suffix` names the device."""

    school: School
    page: Page
    suffix: str
    wanted: set[str]

    def open_page(self, path: str) -> Page:
        self.page.goto(self.school.url + path, wait_until="networkidle")
        return self.page

    def capture(self, name: str) -> None:
        full = f"{name}-{self.suffix}"
        if self.wanted and full not in self.wanted:
            return
        path = IMAGES / f"{full}.png"
        self.page.screenshot(path=path, animations="disabled")
        size = path.stat().st_size
        print(f"{path.name}  {size / 1000:.0f} kB{'  TOO LARGE' if size > MOST_BYTES else ''}")


@contextmanager
def camera(browser: Browser, one: School, device: dict, suffix: str, wanted: set[str]) -> Iterator[Camera]:
    context = browser.new_context(locale="ja-JP", timezone_id="Asia/Tokyo", **device)
    try:
        yield Camera(one, context.new_page(), suffix, wanted)
    finally:
        context.close()


def log_in(shot: Camera) -> None:
    page = shot.open_page("/login")
    page.fill("[name=name]", AUTHOR)
    page.fill("[name=password]", shot.school.password)
    page.click("main button.main, main button[type=submit]")
    page.wait_for_url(shot.school.url + "/")


def organizer(shot: Camera) -> None:
    """Take the pages of a normal day."""
    one = shot.school
    log_in(shot)
    shot.open_page("/")
    shot.capture("home")
    page = shot.open_page(f"/notices/{one.notice('不審者')}/board")
    shot.capture("board")
    page.locator("ul.cells").first.evaluate("one => window.scrollBy(0, one.getBoundingClientRect().top - 90)")
    if shot.suffix == "phone":
        shot.capture("yet")
        shot.open_page(f"/notices/{one.notice('不審者')}/phone")
        shot.capture("calls")
    shot.open_page(f"/notices/{one.notice('日程調整')}/answers")
    shot.capture("poll")
    if shot.suffix == "phone":
        return
    shot.open_page("/history")
    shot.capture("history")
    page.set_viewport_size({"width": 1280, "height": 1150})
    shot.open_page("/lists/" + one.query("SELECT id FROM mailing_list WHERE name = '1年1組'"))
    shot.capture("list")
    shot.open_page("/lists/" + one.query("SELECT id FROM mailing_list WHERE name = '1年1組'") + "/handout")
    shot.capture("handout")


def typhoon(shot: Camera) -> None:
    """Take an urgent notice: template, wording, check page, hold window."""
    number = shot.school.notice("臨時休校")
    shot.open_page(f"/notices/{number}/recipients")
    shot.capture("recipients")
    shot.open_page(f"/notices/{number}/words")
    shot.capture("words")
    page = shot.open_page(f"/notices/{number}/check")
    shot.capture("check")
    typed = page.locator("[name=typed]")
    if typed.count():
        typed.scroll_into_view_if_needed()
        typed.fill(shot.school.query(READERS))
        shot.capture("typed")
    page.click("main form button.red, main form button.main >> nth=-1")
    page.wait_for_url(f"**/notices/{number}")
    shot.capture("held")
    page.get_by_text("残りの送信を止める").first.wait_for(timeout=150_000)
    page.wait_for_timeout(1_000)
    page.reload(wait_until="domcontentloaded")
    shot.capture("sending")


READERS = """SELECT COUNT(DISTINCT p.id) FROM membership m JOIN person p ON p.id = m.person_id
 JOIN mailing_list l ON l.id = m.list_id WHERE l.whole AND m.state = 'active' AND p.address IS NOT NULL
 AND p.address_state IN ('fine', 'refusing')"""
UNREAD = """SELECT d.token FROM delivery d JOIN wording w ON w.notice_id = d.notice_id
 JOIN letter l ON l.delivery_id = d.id
 WHERE w.subject LIKE '%不審者%' AND l.state = 'accepted' AND d.read_at IS NULL AND d.language = 'ja'
 AND LENGTH(d.name) = 5 AND NOT EXISTS (SELECT 1 FROM delivery_membership a JOIN delivery_membership b ON a.household = b.household
 JOIN delivery e ON e.id = b.delivery_id
 WHERE a.delivery_id = d.id AND e.notice_id = d.notice_id AND e.id <> d.id) ORDER BY d.id LIMIT 1"""


def reader(shot: Camera) -> None:
    """Take the signup page, and a reader page before and after the confirmation."""
    shot.open_page("/j/1nen1kumi")
    shot.capture("join")
    page = shot.open_page(f"/r/{shot.school.query(UNREAD)}")
    shot.capture("read")
    page.click("form button.main, form button.huge")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(600)
    shot.capture("read-done")


def combine_images(browser: Browser, one: School, wanted: set[str]) -> None:
    """Build the README image: the board beside the notice on a phone."""
    if wanted and "kairan" not in wanted:
        return
    with camera(browser, one, {"viewport": {"width": 1280, "height": 1460}}, "", set()) as shot:
        log_in(shot)
        board = shot.open_page(f"/notices/{one.notice('不審者')}/board").screenshot()
    with camera(browser, one, {**PHONE, "device_scale_factor": 1}, "", set()) as shot:
        phone = shot.open_page(f"/r/{one.query(UNREAD)}").screenshot()
    left, right = (f"data:image/png;base64,{b64encode(picture).decode()}" for picture in (board, phone))
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    page.set_content(SHEET.format(left=left, right=right))
    page.screenshot(path=IMAGES / "kairan.png")
    print(f"kairan.png  {(IMAGES / 'kairan.png').stat().st_size / 1000:.0f} kB")


SHEET = """<style>
body {{ margin: 0; background: #d9cfba; overflow: hidden }}
img {{ position: absolute }}
.board {{ left: 20px; top: 20px; width: 700px; border: 1px solid #857b69 }}
.phone {{ left: 680px; top: 40px; width: 284px; border: 8px solid #24201a; border-radius: 28px }}
</style><img class="board" src="{left}"><img class="phone" src="{right}">"""


def main(wanted: set[str]) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with school() as one, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        combine_images(browser, one, wanted)
        with camera(browser, one, DESKTOP, "desktop", wanted) as shot:
            organizer(shot)
        with camera(browser, one, PHONE, "phone", wanted) as shot:
            reader(shot)
        with camera(browser, one, PHONE, "phone", wanted) as shot:
            organizer(shot)
            typhoon(shot)
        browser.close()


if __name__ == "__main__":
    main(set(sys.argv[1:]))
