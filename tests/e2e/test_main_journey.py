"""The main journey on a phone, on a desktop and without JavaScript: write, check, send, receive, press, see."""

import re
from collections.abc import Callable

import pytest

from tests.e2e.conftest import DESKTOP, PHONE, fits_the_width, has_no_axe_faults, links, log_in

pytestmark = pytest.mark.xdist_group("families")

FAMILIES = ["aoyama.k@example.com", "misaki@mobile.example.jp", "naoki@example.jp", "suzuki@example.com"]
TEXT = "保護者の皆様\n\n水筒をお持ちください。\n\nかえで原小学校"


def look(page) -> None:
    """Check that a page fits and that axe finds nothing."""
    fits_the_width(page)
    has_no_axe_faults(page)


def pass_by(page) -> None:
    """Look at nothing: axe needs the JavaScript that this browser has not."""


def write_notice(page, subject: str, look_at: Callable, list_name: str = "1年1組") -> None:
    """Go from home to the check page with a notice to one list, looking at each page on the way."""
    page.goto("/")
    look_at(page)
    page.get_by_role("button", name=re.compile("新しいお知らせ")).click()
    page.wait_for_url(re.compile("/recipients"))
    page.locator("[name=lists]").locator("xpath=..").filter(has_text=list_name).locator("input").check()
    look_at(page)
    page.locator("#next").click()
    page.wait_for_url(re.compile("/words"))
    page.fill("[name=subject]", subject)
    page.fill("[name=text]", TEXT)
    look_at(page)
    page.locator("#next").click()
    page.wait_for_url(re.compile("/check"))
    look_at(page)


@pytest.mark.proves("T-19", "T-20", "T-21", "T-25", "T-43", "X-11", "E-04")
@pytest.mark.parametrize(
    ("device", "options", "look_at"),
    [(PHONE, {}, look), (DESKTOP, {}, look), (PHONE, {"java_script_enabled": False}, pass_by)],
    ids=["phone", "desktop", "no-script"],
)
def test_a_notice_reaches_every_family_and_comes_back_stamped(visit, house, device, options, look_at, request) -> None:
    """T-13, T-14, T-25, T-42 to T-45, X-11: from the organizer's phone to the parent's press and back to the board."""
    subject = f"持ち物のお知らせ {request.node.callspec.id}"
    page = visit(device, **options)
    log_in(page, "花子")
    write_notice(page, subject, look_at)
    page.locator("#go").click()
    page.wait_for_url(re.compile(r"/notices/\d+$"))
    look_at(page)

    own = "user"  # the writer's own copy goes to her own address
    letters = [one for one in house.wait_letters(len(FAMILIES) + 1, subject=subject) if own not in str(one["To"])]
    assert sorted(re.findall(r"<(.+?)>", " ".join(str(one["To"]) for one in letters))) == FAMILIES

    letter = next(one for one in letters if "naoki" in str(one["To"]))
    read = next(url for url in links(letter) if "/r/" in url)
    parent = visit(PHONE, **options)
    parent.goto(re.sub(r"^https?://[^/]+", house.url, read))
    look_at(parent)
    parent.get_by_role("button", name=re.compile("見ました")).click()
    parent.get_by_text("受け付けました").first.wait_for()
    look_at(parent)
    assert parent.context.cookies() == []

    page.goto(re.search(r"/notices/\d+", page.url)[0] + "/board")
    assert page.get_by_text("石川 蓮 確認済み").count() >= 1
    look_at(page)
