"""Every page of the demo school that can be reached by links: it fits, axe finds nothing, the console is silent."""

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import clock
import config as ground
from core import demo, install
from core.accounts import accounts
from database import db
from models import User
from tests import cast
from tests.e2e.conftest import (
    AXE_COLOURS,
    AXE_SOURCE,
    DESKTOP,
    PHONE,
    Installation,
    fits_the_width,
    has_no_axe_faults,
    log_in,
    slip_code,
)

pytestmark = pytest.mark.xdist_group("pages")

AXE_WHEN_ASKED = f"""Object.defineProperty(window, "axe", {{
  configurable: true, get() {{ delete window.axe; {AXE_SOURCE}; return window.axe; }}
}})"""
"""Loaded with each page, run when first used: sending axe to every page anew costs a tenth of a second."""
NUMBERS = re.compile(r"\d+")
MOST = 80


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, key_box: Path) -> Iterator[Installation]:
    """The sample school, running; its administrator has the password of the cast."""
    data = tmp_path_factory.mktemp("demo") / "data"
    data.mkdir(mode=0o700)
    shutil.copytree(key_box, data / "keys")
    ground.set_current_config(ground.Config(data=data))
    install.prepare_data_folder(ground.current_config())
    demo.fill_demo(clock.now())
    accounts.set_password(User.get(User.name == "小川 守"), cast.PASSWORD, now=clock.now())
    db.close()
    running = Installation(data, KAIRAN_MAIL_DOMAIN="").start()
    yield running
    running.stop()


def shape(url: str) -> str:
    """Return an address without its numbers and choices: pages of one shape are looked at once."""
    parts = urlsplit(url)
    names = sorted(one.partition("=")[0] for one in parts.query.split("&") if one)
    return NUMBERS.sub("0", parts.path) + ("?" + "&".join(names) if names else "")


def is_a_page(url: str, house: Installation) -> bool:
    """Say whether a link leads to a page of ours that only shows something."""
    return url.startswith(house.url) and not re.search(
        r"\.(csv|eml|gif|png|txt)$|/source|/export|\.csv\?|/static/", url
    )


def pages_of(page, house: Installation) -> Iterator[str]:
    """Walk all links from the first page on; yield each page once it is open."""
    waiting, seen = [house.url + "/"], {"/"}
    while waiting and len(seen) < MOST * 3:
        url = waiting.pop(0)
        answer = page.goto(url)
        if answer is None or "text/html" not in answer.headers.get("content-type", ""):
            continue
        assert answer.status < 500, f"{url}: {answer.status}"
        yield url
        for found in page.eval_on_selector_all("a[href]", "all => all.map(one => one.href.split('#')[0])"):
            if is_a_page(found, house) and shape(found) not in seen:
                seen.add(shape(found))
                waiting.append(found)


@pytest.mark.proves("E-04")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("device", "language", "checks"),
    [(PHONE, "ja", (fits_the_width, has_no_axe_faults)), (DESKTOP, "en", (fits_the_width,))],
    ids=["phone-ja", "desktop-en"],
)
def test_every_page_fits_and_has_no_axe_fault(visit, house, device, language, checks) -> None:
    """All pages by links, as administrator: nothing scrolls sideways, nothing in the console, on the phone WCAG by axe.

    Axe takes most of the time. On the desktop the tests of the single journeys use it.
    """
    page = visit(device)
    page.add_init_script(AXE_WHEN_ASKED)
    log_in(page, "小川 守")
    if language == "en":
        page.goto("/account")
        page.check("[name=language][value=en]")
        page.locator("form:has([name=language]) button:not([type=button])").first.click()
    faults, count = [], 0
    for url in pages_of(page, house):
        count += 1
        for check in checks:
            try:
                check(page)
            except AssertionError as fault:
                faults.append(f"{url}: {fault}")
    print(f"{count} pages looked at")
    assert faults == []
    assert count >= 25


def test_the_readers_pages_too(visit, house) -> None:
    """A reader's pages of every notice of the sample school, in the light and in the dark."""
    with closing(sqlite3.connect(house.data / "kairan.db")) as tables:
        tokens = [
            row[0] for row in tables.execute("SELECT max(token) FROM delivery WHERE reason = '' GROUP BY notice_id")
        ]
        slip = tables.execute(
            "SELECT join_code FROM child, membership WHERE child.id = child_id AND list_id = 1"
        ).fetchone()
    doors = [
        "/j/zenko",
        "/j/zenko?lang=en",
        "/j/zenko?sent=1",
        "/p",
        "/p?sent=1",
        f"/j/zenko/{slip_code(house, 1, slip[0])}",
    ]
    page = visit(PHONE)
    page.add_init_script(AXE_WHEN_ASKED)
    for path in [f"/{area}/{token}" for token in tokens for area in ("r", "u", "a")] + doors:
        page.emulate_media(color_scheme="light")
        if page.goto(house.url + path).status == 200:
            fits_the_width(page)
            has_no_axe_faults(page)
            page.emulate_media(color_scheme="dark")
            fits_the_width(page)
            has_no_axe_faults(page, AXE_COLOURS)
    visit.noises[:] = [
        one for one in visit.noises if "410" not in one
    ]  # the withdrawn notice's page is gone, and says so
