"""A question on a phone: the organizer asks, a parent answers from the letter and changes, the bars say so."""

import re

import pytest

from tests.e2e.conftest import PHONE, fits_the_width, has_no_axe_faults, links, log_in
from tests.e2e.test_main_journey import write_notice

pytestmark = pytest.mark.xdist_group("families")


@pytest.mark.proves("T-49")
def test_a_poll_written_on_a_phone_comes_back_as_bars(visit, house) -> None:
    """T-47 to T-52: written, sent, received with its links and buttons, answered, changed, counted."""
    page = visit(PHONE)
    log_in(page, "花子")
    write_notice(page, "授業参観の出欠", lambda _: None)
    page.goto(re.search(r".*/notices/\d+", page.url)[0] + "/words")
    page.get_by_role("button", name="＋出欠").click()
    page.wait_for_selector("#q1-text")
    fits_the_width(page)
    has_no_axe_faults(page)
    page.locator("#next").click()
    page.wait_for_url(re.compile("/check"))
    page.locator("#go").click()
    page.wait_for_url(re.compile(r"/notices/\d+$"))
    letter = house.wait_letters(1, "naoki", "授業参観の出欠")[0]
    assert letter.get_content_type() == "multipart/alternative"
    choices = [re.sub(r"^https?://[^/]+", house.url, url) for url in links(letter) if "/a/" in url]
    assert len(choices) == 3 and letter.get_body(("html",)).get_content().count('class="choice"') >= 3
    parent = visit(PHONE)
    for url, said in ((choices[0], "出席する"), (choices[1], "欠席する")):
        parent.goto(url)
        parent.get_by_role("button", name=f"「{said}」と回答する").click()
        parent.get_by_text(f"「{said}」で受け付けました").wait_for()
        has_no_axe_faults(parent)
    page.goto(re.search(r".*/notices/\d+", page.url)[0] + "/answers")
    assert page.locator("tbody td.n b").all_inner_texts()[:3] == ["0", "1", "0"]
    has_no_axe_faults(page)
