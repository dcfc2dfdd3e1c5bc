"""The school's pages, served by the product's own server, and a browser that complains."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests import cast
from tests.chromium import AXE_SOURCE, started_chromium
from tests.web_thread import server_of

SMALL = {"width": 360, "height": 780}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with started_chromium() as opened:
        yield opened


@pytest.fixture
def site(app) -> Iterator[str]:
    """Serve the school's pages on a free port."""
    with server_of(app, app.config["MAX_CONTENT_LENGTH"]) as (port, _):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(browser: Browser, site: object) -> Iterator[Page]:
    """A small screen that complains about everything the content policy would not let pass. Closed before its site."""
    context = browser.new_context(viewport=SMALL, locale="ja-JP")  # type: ignore[arg-type]
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("pageerror", lambda fault: complaints.append(str(fault)))
    yield opened
    context.close()
    assert complaints == []


def login(page: Page, site: str) -> None:
    page.goto(f"{site}/login")
    page.fill("[name=name]", "花子")
    page.fill("[name=password]", cast.PASSWORD)
    page.click("main form button")
    page.wait_for_url(lambda url: "/login" not in url)


def barriers(page: Page) -> list[str]:
    page.evaluate(AXE_SOURCE)
    found = page.evaluate("axe.run({resultTypes: ['violations']}).then(result => result.violations)")
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found]
