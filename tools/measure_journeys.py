"""Walk the journeys of an organizer and a parent in Chromium at 360 px and write `docs/journeys-measured.md`.

Run `.venv/bin/python -m tools.measure_journeys [NAME …]`; names limit the walk and print the table only. A tap in a
letter counts. Characters are those of a page above the button that leaves it, without the author's own words. Seconds
are the time of the pages plus 3 s for each tap and 1/3 s for each letter typed.
"""

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from playwright.sync_api import Browser, Locator, Page, sync_playwright

import clock
from tools.screenshots import ARGS, AUTHOR, CHROMIUM, ROOT, School, school

PAGE = ROOT / "docs" / "journeys-measured.md"
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
TAP_S, LETTER_S = 3.0, 1 / 3
CHARACTERS_ABOVE = """button => {
  const end = button.getBoundingClientRect().bottom, main = document.querySelector("main");
  const walk = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  let count = 0;
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!box.width || box.top >= end || node.parentElement.closest("textarea, .vh, script")) continue;
    if (node.parentElement.checkVisibility({visibilityProperty: true})) count += node.data.replace(/\\s/g, "").length;
  }
  return count;
}"""


@dataclass
class Thumb:
    """A person at a phone: counts taps, letters typed and characters read."""

    page: Page
    school: School
    taps: int = 0
    typed: int = 0
    read: int = 0
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0

    def tap(self, what: Locator, then: str = "") -> None:
        """Tap something; `then`: the pattern of the address that it leads to. Only such a tap ends the reading."""
        self.taps += 1
        if then:
            self.read += what.evaluate(CHARACTERS_ABOVE)
        what.click()
        if then:
            self.page.wait_for_url(re.compile(then))

    def send(self, what: Locator) -> None:
        """Tap the last button of a journey that stays on its page."""
        self.read += what.evaluate(CHARACTERS_ABOVE)
        self.taps += 1
        what.click()
        self.page.wait_for_load_state()

    def type(self, what: Locator, text: str, focused: bool = False) -> None:
        """Tap a field, unless the page has put the cursor there, and type."""
        self.taps += not focused
        self.typed += len(text)
        what.fill(text)

    def stop(self) -> None:
        self.seconds = time.monotonic() - self.began + TAP_S * self.taps + LETTER_S * self.typed


def _day(days: int) -> str:
    at = clock.now() + timedelta(days=days)
    return f"{clock.to_local(at).month}月{clock.to_local(at).day}日"


def _begin(thumb: Thumb, mailing_list: str) -> None:
    page = thumb.page
    thumb.tap(page.locator("#new-notice button").first, "/recipients")
    thumb.tap(page.locator("#recipients label").filter(has_text=mailing_list).first)
    page.locator("#recipients-now b", has_text=mailing_list).wait_for()
    thumb.tap(page.locator("#next"), "/words")


def ordinary(thumb: Thumb) -> None:
    """Write a notice with attendance to one class."""
    page = thumb.page
    _begin(thumb, "6年1組")
    thumb.type(page.locator("#subject"), "学級懇談会のお知らせ", focused=True)
    thumb.type(page.locator("#text"), f"学級懇談会を開きます。{_day(14)}までに、出欠をお知らせください。")
    thumb.tap(page.locator("[formaction*='/questions/add/attendance']"))
    page.locator("#q1-text").wait_for()
    thumb.tap(page.locator("#next"), "/check")
    thumb.tap(page.locator("#go"), r"/notices/\d+$")


def poll(thumb: Thumb) -> None:
    """Find a date with three days to choose from."""
    page = thumb.page
    _begin(thumb, "6年1組")
    thumb.type(page.locator("#subject"), "次の集まり", focused=True)
    thumb.type(page.locator("#text"), f"{_day(7)}までに、ご都合をお知らせください。")
    thumb.tap(page.locator("[formaction*='/questions/add/days']"))
    page.locator("#q1 .calendar").wait_for()
    thumb.type(page.locator("#q1-text"), "集まりの日", focused=True)
    for place in (8, 9, 10):
        thumb.tap(page.locator("#q1 .calendar label").nth(place))
    thumb.tap(page.locator("#next"), "/check")
    thumb.tap(page.locator("#go"), r"/notices/\d+$")


def urgent(thumb: Thumb) -> None:
    """Close the whole school because of a typhoon."""
    page = thumb.page
    thumb.tap(page.locator("a[href='/notices/urgent']").first, "/notices/urgent$")
    thumb.tap(page.locator(".chips a").first, "what=closed")
    page.locator("#view article").wait_for()
    for place in (0, 1):
        thumb.tap(page.locator("fieldset:has(input[name^='f']) .choose").nth(place).locator("label").first)
    page.locator("#go").wait_for()
    count = re.search(r"\d+", page.inner_text("label[for=typed]"))
    thumb.type(page.locator("#typed"), count[0] if count else "")
    thumb.tap(page.locator("#go"), r"/notices/\d+$")


def remind(thumb: Thumb) -> None:
    """Send a notice again to those who have not confirmed it, from its page."""
    page = thumb.page
    page.goto(f"/notices/{thumb.school.notice('懇談会の出欠')}/board")
    thumb.tap(page.locator("a[href$='/remind']:visible").first, "/remind")
    if page.locator("#typed").count():
        count = re.search(r"\d+", page.inner_text("label[for=typed]"))
        thumb.type(page.locator("#typed"), count[0] if count else "")
    thumb.tap(page.locator("main form .btn.huge").first, r"/notices/\d+(/board)?(#.*)?$")


UNREAD = "SELECT token FROM delivery WHERE notice_id = {} AND read_at IS NULL AND reason = '' ORDER BY id LIMIT 1"


def read(thumb: Thumb) -> None:
    """Read a notice and confirm it, from the letter."""
    token = thumb.school.query(UNREAD.format(thumb.school.notice("不審者")))
    thumb.taps += 1  # on the link in the letter
    thumb.page.goto(f"/r/{token}")
    thumb.send(thumb.page.locator("#read button, form[method=post] .btn.huge").first)


@dataclass(frozen=True)
class Journey:
    """A journey with its goals: taps and characters read (None: no goal). user: None for a parent."""

    name: str
    walk: Callable[[Thumb], None]
    title: str
    user: str | None
    taps: int | None = None
    read: int | None = None


SECRETARY = "長谷川 小百合"
JOURNEYS = (
    Journey("ordinary", ordinary, "ordinary notice with attendance, one class", SECRETARY, 7, 1000),
    Journey("urgent", urgent, "whole school closed", AUTHOR, 8),
    Journey("poll", poll, "poll for a date, three days", SECRETARY),
    Journey("remind", remind, "reminder, from the notice's page", AUTHOR, 2),
    Journey("read", read, "parent reads and confirms, from the letter", None, 2),
)


def walk(browser: Browser, one: School, journey: Journey) -> Thumb:
    """Walk a journey on a fresh phone; the login does not count."""
    context = browser.new_context(base_url=one.url, locale="ja-JP", timezone_id="Asia/Tokyo", **PHONE)
    page = context.new_page()
    page.set_default_timeout(60_000)
    if journey.user:
        page.goto("/login")
        page.fill("[name=name]", journey.user)
        page.fill("[name=password]", one.passwords[journey.user])
        page.click("main form button")
        page.wait_for_url(re.compile(r"/(\?.*)?$"))
    thumb = Thumb(page, one)
    journey.walk(thumb)
    thumb.stop()
    context.close()
    return thumb


def row(journey: Journey, thumb: Thumb) -> str:
    """Return a line of the table."""
    taps = f"{thumb.taps}" + (f" (≤ {journey.taps})" if journey.taps else "")
    characters = f"{thumb.read:,}" + (f" (≤ {journey.read:,})" if journey.read else "")
    return f"| {journey.title} | {taps} | {characters} | {thumb.typed} | {thumb.seconds:.0f} |"


HEAD = """# Journeys, measured

Written by `.venv/bin/python -m tools.measure_journeys`: Chromium, 360 × 740 px, the sample school. In brackets the goal.

- **Taps** begin on the first page after login, on the notice's page, or in the letter. A tap into a field counts.
- **Characters** stand above the button that leaves a page. The author's own words in fields do not count.
- **Seconds** are the time of the pages on this machine plus 3 s for each tap and 1/3 s for each letter typed.

| journey | taps | characters read | letters typed | seconds |
|---|---|---|---|---|
"""


def main(wanted: list[str]) -> int:
    """Walk the journeys; return 1 if a goal was missed."""
    lines, missed = [], 0
    with school("36") as one, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        for journey in JOURNEYS:
            if wanted and journey.name not in wanted:
                continue
            thumb = walk(browser, one, journey)
            lines.append(row(journey, thumb))
            print(lines[-1], flush=True)
            missed += bool(journey.taps and thumb.taps > journey.taps or journey.read and thumb.read > journey.read)
        browser.close()
    if not wanted:
        PAGE.write_text(HEAD + "\n".join(lines) + "\n", "utf-8")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
