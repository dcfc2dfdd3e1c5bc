"""Smoke in the engine of Safari and of every iPhone (T-20): log in, write, and press 「見ました」 as a parent."""

import re
from collections.abc import Iterator

import pytest

from tests import cast
from tests.conftest import needs_part
from tests.e2e.conftest import links, wait_for
from tests.e2e.webkit import WebKit, is_installed

pytestmark = pytest.mark.xdist_group("journeys")


@pytest.fixture
def safari() -> Iterator[WebKit]:
    needs_part(is_installed(), "webkit2gtk-driver and xvfb (apt install webkit2gtk-driver xvfb)")
    window = WebKit()
    yield window
    window.close()


@pytest.mark.proves("T-20", "E-04")
def test_an_organizer_writes_and_a_parent_presses(safari: WebKit, house) -> None:
    """T-20, T-25, T-44."""
    safari.open(f"{house.url}/login")
    safari.type("[name=name]", "花子")
    safari.type("[name=password]", cast.PASSWORD)
    safari.click("main form button")
    wait_for(lambda: "新しいお知らせ" in safari.text(), 30, "the first page")
    safari.click("form[action*='/notices/new'] button")
    wait_for(lambda: safari.script("return !!document.querySelector('[name=lists]')"), 30, "the recipients")
    safari.click("[name=lists]")
    safari.click("#next")
    wait_for(lambda: safari.script("return !!document.querySelector('[name=subject]')"), 30, "the words")
    safari.type("[name=subject]", "Safari")
    safari.type("[name=text]", "本文")
    safari.click("#next")
    wait_for(lambda: safari.script("return !!document.querySelector('#go')"), 30, "the check page")
    safari.click("#go")

    letter = next(one for one in house.wait_letters(5, subject="Safari") if "user" not in str(one["To"]))
    read = next(url for url in links(letter) if "/r/" in url)
    safari.open(re.sub(r"^https?://[^/]+", house.url, read))
    safari.click("#read button")
    wait_for(lambda: "受け付けました" in safari.text(), 30, "the stamp")
    assert safari.script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
