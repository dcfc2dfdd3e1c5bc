"""Two days of an organizer's life (field 5.1, 5.2), played on a phone of 360 px on a slow line: 400 kbit/s, 150 ms.

A person's time is what the page takes plus three seconds for each tap and a third of a second for each letter typed.
"""

import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from tests import files
from tests.e2e.conftest import PHONE, Installation, by_day, links, log_in, wait_for

pytestmark = pytest.mark.xdist_group("days")

SETTINGS = {"KAIRAN_CLOCK_OFFSET_S": by_day()}
BYTES_A_SECOND = 400_000 / 8
TAP_S, LETTER_S = 3.0, 1 / 3
HEAVIEST = 50_000
SUBJECT = "懇談会について"
TEXT = "保護者の皆様\n\n台風の接近により、本日は臨時休校とします。\n外出を控え、安全な場所でお過ごしください。\n"


def on_a_slow_line(page) -> None:
    """Let everything that this page loads come over a storm's telephone line."""
    line = {"offline": False, "latency": 150, "downloadThroughput": BYTES_A_SECOND, "uploadThroughput": BYTES_A_SECOND}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", line)


def weight(page) -> int:
    """Return how many bytes came over the line for the page that is open."""
    return page.evaluate(
        "performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))"
        ".reduce((sum, one) => sum + one.transferSize, 0)"
    )


@dataclass
class Thumb:
    """Somebody at a phone: counts taps, and the seconds that a person and the line take."""

    page: object
    taps: int = 0
    typed: int = 0
    began: float = field(default_factory=time.monotonic)

    def tap(self, what, then: str = "") -> None:
        """Tap something; wait for the page that it leads to."""
        self.taps += 1
        what.click()
        if then:
            self.page.wait_for_url(re.compile(then))

    def type(self, where: str, text: str) -> None:
        self.typed += len(text)
        self.page.fill(where, text)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began + TAP_S * self.taps + LETTER_S * self.typed


def list_named(page, name: str):
    return page.locator("[name=lists]").locator("xpath=..").filter(has_text=name).first


def number_of(page) -> int:
    return int(re.search(r"/notices/(\d+)", page.url)[1])


def link(house: Installation, letter, part: str) -> str:
    """Return the first link of a letter that holds a part, at this house."""
    return re.sub(r"^https?://[^/]+", house.url, next(url for url in links(letter) if part in url))


def theirs(house: Installation, subject: str) -> list:
    """Return the families' letters with exactly this subject; nobody's own copy."""
    return [one for one in house.letters(subject=subject) if str(one["Subject"]) == subject]


def families(house: Installation, subject: str, count: int) -> list:
    """Wait for the families' letters with exactly this subject."""
    wait_for(lambda: len(theirs(house, subject)) >= count, 80, f"{count} letters")
    return theirs(house, subject)


def _urgent_from_the_first_page(page) -> tuple[int, str]:
    """From the first page to the sending, as somebody at a phone would; return how many letters, and the subject."""
    page.goto("/")
    thumb = Thumb(page)
    thumb.tap(page.locator("#new-notice a[href='/notices/urgent']"), "/notices/urgent$")
    thumb.tap(page.locator(".chips a").filter(has_text="自宅待機"), "what=wait")
    for chosen in ("暴風警報", "7時", "まだ開きません"):
        thumb.tap(page.locator(".choose label").filter(has_text=re.compile(f"^\\s*{chosen}\\s*$")))
    page.wait_for_selector("#go")
    shown = page.inner_text("#view")
    assert "〔" not in shown and "暴風警報のため" in shown and "明日" not in shown
    subject = page.inner_text("#view header b")
    assert subject.startswith("【緊急】") and "自宅で待機" in subject
    count = int(re.search(r"よろしければ (\d+) と", shown)[1])
    thumb.taps += 1  # into the field of the number
    thumb.type("[name=typed]", str(count))
    thumb.tap(page.locator("#go"), r"/notices/\d+$")
    print(f"typhoon: {thumb.taps} taps, {thumb.typed} letters typed, {thumb.seconds:.0f} s of a person's time")
    assert thumb.taps <= 8 and thumb.seconds < 30
    return count, subject


@pytest.mark.proves("N-03")
@pytest.mark.timeout(120)
def test_the_typhoon_day(visit, house) -> None:
    """Field 5.2: from the shipped sample on the first page, under a minute and at most seven taps to the sending;
    reminder, latest news, the list to telephone.
    """
    page = visit(PHONE)
    log_in(page, "守")
    on_a_slow_line(page)
    count, subject = _urgent_from_the_first_page(page)
    number = number_of(page)
    letters = families(house, subject, count)
    assert len(letters) == count
    page.wait_for_url(re.compile(r"/notices/\d+/board"))
    page.locator("#count .tag.done", has_text="送信済み").wait_for(timeout=30_000)

    parent = visit(PHONE)
    on_a_slow_line(parent)
    mine = next(one for one in letters if "naoki" in str(one["To"]))
    parent.goto(link(house, mine, "/r/"))
    parent.get_by_role("button", name=re.compile("見ました")).click()
    parent.get_by_text("受け付けました").first.wait_for()

    again = Thumb(page)
    again.tap(page.locator("#remind"), "/remind")
    again.type("[name=typed]", str(count - 1))
    again.tap(page.get_by_role("button", name=re.compile("再送する")), r"/notices/\d+/board")
    assert again.taps == 2
    reminded = families(house, f"【再送】{subject}", count - 1)
    assert len(reminded) == count - 1 and not [one for one in reminded if "naoki" in str(one["To"])]
    late = next(one for one in reminded if "suzuki" in str(one["To"]))
    first = next(one for one in letters if "suzuki" in str(one["To"]))
    assert link(house, late, "/r/") == link(house, first, "/r/")

    page.goto(f"/notices/{number}/phone")
    assert page.get_by_role("link", name="000-0000-0001").is_visible()

    news = Thumb(page)
    page.goto(f"/notices/{number}")
    news.tap(page.locator("#more > summary"))
    news.tap(page.get_by_role("link", name="続報を送る"), "/update")
    news.tap(page.get_by_role("button", name="続報を書く"), "/words")
    newer = page.input_value("[name=subject]")
    assert re.fullmatch(r"【\d{1,2}:\d\d 更新】【緊急】.*自宅で待機してください", newer)
    news.type("[name=text]", "10時に登校してください。")
    news.tap(page.locator("#next"), "/check")
    news.type("[name=typed]", str(count))
    news.tap(page.locator("#go"), r"/notices/\d+$")
    wait_for(lambda: len([one for one in house.letters(subject="更新】")]) >= count, 20, "the latest news")
    parent.reload()
    assert "新しいお知らせをお送りしています" in parent.inner_text("main")


def _written_in_the_tram(visit) -> int:
    """Write a notice with a file and a question, press nothing at the end, and close the tab; return its number."""
    page = visit(PHONE)
    log_in(page, "花子")
    on_a_slow_line(page)
    page.goto("/")
    page.get_by_role("button", name="新しいお知らせを作る").click()
    page.wait_for_url(re.compile("/recipients"))
    list_named(page, "1年1組").click()
    page.locator("#next").click()
    page.wait_for_url(re.compile("/words"))
    page.fill("[name=subject]", SUBJECT)
    page.locator("#files-fold > summary").click()
    page.set_input_files("#file", files=[{"name": "しおり.pdf", "mimeType": "application/pdf", "buffer": files.PDF}])
    page.locator("#files .name", has_text="しおり.pdf").wait_for()
    page.get_by_role("button", name="出欠").click()
    page.wait_for_selector("#q1-text")
    page.fill("#q1-text", "懇談会に出席しますか。")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.fill("[name=text]", "懇談会を開きます。添付のしおりをご覧のうえ、ご出席ください。")
    number = number_of(page)
    page.close()  # the tram comes; nothing was pressed
    return number


@pytest.mark.proves("T-02", "D-36")
@pytest.mark.timeout(180)
def test_the_ordinary_week(visit, house) -> None:
    """Field 5.1: a question and a file, written in the evening, survive a closed tab; a colleague corrects a word and
    books them for seven; they go out at seven, are answered on a phone, and go once more to those who have not.
    """
    number = _written_in_the_tram(visit)
    colleague = visit(PHONE)
    log_in(colleague, "守")
    on_a_slow_line(colleague)
    colleague.goto(f"/notices/{number}")
    assert colleague.input_value("#q1-text") == "懇談会に出席しますか。"
    assert colleague.locator("#files .name", has_text="しおり.pdf").is_visible()
    colleague.fill("[name=text]", "懇談会を開きます。添付のしおりをご覧のうえ、ぜひご出席ください。")
    colleague.locator("#next").click()
    colleague.wait_for_url(re.compile("/check"))
    with colleague.expect_popup():  # the file is looked at before it goes
        colleague.locator("#files button").click()
    colleague.get_by_text("開いて確かめました").or_(colleague.locator("#files .tag.done")).first.wait_for()
    colleague.locator("#send nav").get_by_role("link", name=re.compile("7:00")).last.click()
    colleague.get_by_role("button", name=re.compile("予約")).wait_for()
    colleague.locator("#go").click()
    colleague.wait_for_url(re.compile(r"/notices/\d+$"))
    assert "7:00" in colleague.inner_text("#scheduled")

    seven = house.now().replace(hour=7, minute=0, second=0, microsecond=0) + timedelta(days=house.now().hour >= 7)
    assert not theirs(house, SUBJECT)
    house.sleep_until(seven - timedelta(seconds=10))
    letters = families(house, SUBJECT, 4)
    late = [(parsedate_to_datetime(str(one["Date"])) - seven).total_seconds() for one in letters]
    assert len(letters) == 4 and all(0 <= one < 30 for one in late), late
    log_in(colleague, "守")  # a night is longer than a login
    colleague.goto(f"/notices/{number}")
    colleague.locator("#count .tag.done", has_text="送信済み").wait_for(timeout=30_000)

    mine = next(one for one in letters if "naoki" in str(one["To"]))
    assert "しおり.pdf" in mine.get_body(("plain",)).get_content()
    parent = visit(PHONE)
    on_a_slow_line(parent)
    parent.goto(link(house, mine, "/a/"))
    parent.get_by_role("button", name=re.compile("と回答する")).first.click()
    parent.get_by_text("受け付けました").first.wait_for()

    colleague.goto(f"/notices/{number}/answers")
    assert colleague.locator("tbody td.n b").first.inner_text() == "1"
    colleague.get_by_role("link", name="未回答の方に再送する").click()
    colleague.wait_for_url(re.compile("/remind"))
    colleague.get_by_role("button", name=re.compile("再送する")).click()
    reminded = families(house, f"【再送】{SUBJECT}", 3)
    assert sorted(re.search(r"<(.+?)>", str(one["To"]))[1][:6] for one in reminded) == ["aoyama", "misaki", "suzuki"]


PAGES = (
    "/",
    "/notices",
    "/notices/new-draft/recipients",
    "/notices/new-draft/words",
    "/notices/new-draft/check",
    "/notices/sent",
    "/notices/sent/board",
    "/notices/sent/remind",
    "/notices/sent/phone",
    "/notices/sent/text",
    "/notices/sent/record",
    "/history",
    "/lists",
)


def test_no_page_weighs_more_than_fifty_kilobytes(visit, house) -> None:
    """Field 5.2: what comes over the line with nothing in the phone's cache, in a school of 400 families."""
    page = visit(PHONE)
    log_in(page, "守")
    _grow(house, 400)
    draft, sent = _draft(page), _sent(house)
    _forget_everything(page)
    weights = {}
    for path in PAGES:
        page.goto(path.replace("new-draft", str(draft)).replace("/sent", f"/{sent}"))
        weights[path] = weight(page)
    reader = visit(PHONE)
    _forget_everything(reader)
    for part in ("/r/", "/u/"):
        reader.goto(link(house, house.letters(to="naoki")[0], part))
        weights[f"{part}…"] = weight(reader)
    for path, found in weights.items():
        print(f"{found / 1000:6.1f} kB  {path}")
    assert {path: found for path, found in weights.items() if not 0 < found < HEAVIEST} == {}


def _forget_everything(page) -> None:
    """Keep nothing in the browser's cache from here on."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})


def _grow(house: Installation, count: int) -> None:
    """Bring in a roster of so many families, in twelve classes."""
    rows = [f"保護者 {n},p{n}@parents.example,児童 {n},{n % 6 + 1},{n % 2 + 1}" for n in range(count)]
    roster = house.data.parent / "roster.csv"
    roster.write_text("\n".join(["保護者氏名,メールアドレス,児童氏名,学年,組", *rows]), encoding="utf-8")
    house.run("member", "import", "zenko", str(roster))


def _draft(page) -> int:
    page.goto("/")
    page.get_by_role("button", name="新しいお知らせを作る").click()
    page.wait_for_url(re.compile("/recipients"))
    list_named(page, "全校").click()
    page.locator("#next").click()
    page.wait_for_url(re.compile("/words"))
    page.fill("[name=subject]", "重さ")
    page.fill("[name=text]", TEXT)
    page.locator("#next").click()
    page.wait_for_url(re.compile("/check"))
    return number_of(page)


def _sent(house: Installation) -> int:
    body = house.data.parent / "body.txt"
    body.write_text(TEXT, encoding="utf-8")
    words = ("--list", "zenko", "--subject", "重さの試し", "--body-file", str(body), "--read-confirmation")
    number = int(house.run("notice", "send", *words, "--by", "守"))
    house.wait_letters(1, to="naoki")
    return number
