"""Machines at the links of a letter, on the running program: none confirms and none answers (T-44, T-50, decision 1).

At 10 s, 43 s, 4 min and 1 h after the letter was accepted: for each a web part of its own on the same data, its clock
moved (`KAIRAN_CLOCK_OFFSET_S`). The list takes opened choices as answers, which is the harder case.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.browser.test_answering import PRESSES, SUBMITS, SYNTHETIC
from tests.cast_notices import PHONE as AGENT
from tests.e2e.conftest import PHONE, Installation, by_day, links

pytestmark = pytest.mark.xdist_group("journeys")

BASE = by_day()
SETTINGS = {"KAIRAN_CLOCK_OFFSET_S": BASE}
AFTER = (10, 43, 240, 3600)
COUNTS = ("SELECT count(read_at) FROM delivery", "SELECT count(*) FROM answer WHERE superseded_at IS NULL")
PREVIEWS = (
    "facebookexternalhit/1.1",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "WhatsApp/2.23.20.0",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "line-poker/1.0",
    "SkypeUriPreview Preview/0.5",
    "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))",
    "Mozilla/5.0 (Windows NT 10.0) Microsoft Office SafeLinks",
    "",
)


@dataclass
class Sent:
    """A notice with a confirmation and a question: its number, and the paths of one family's letter."""

    number: int
    paths: list[str]

    def outcome(self, house: Installation) -> tuple[int, int]:
        """Return how many have confirmed and how many have answered, as the tables say."""
        with closing(sqlite3.connect(house.data / "kairan.db")) as tables:
            return tuple(tables.execute(count).fetchone()[0] for count in COUNTS)


@pytest.fixture(scope="module")
def sent(house: Installation) -> Sent:
    with closing(sqlite3.connect(house.data / "kairan.db")) as tables, tables:
        tables.execute("UPDATE mailing_list SET answer_on_open = 1")
    words = (
        "--list",
        "1nen1kumi",
        "--subject",
        "授業参観の出欠",
        "--body-file",
        "-",
        "--read-confirmation",
        "--question",
        "出席しますか",
        "--choice",
        "出席する",
        "--choice",
        "欠席する",
        "--by",
        "守",
    )
    number = int(house.run("notice", "send", *words, stdin="授業参観です。\n"))
    letter = house.wait_letters(1, to="naoki", subject="授業参観の出欠")[0]
    paths = [re.sub(r"^https?://[^/]+", "", url) for url in links(letter)]
    assert {path[:3] for path in paths} == {"/r/", "/a/", "/u/"}
    return Sent(number, paths)


@pytest.fixture(scope="module")
def later(house: Installation, sent: Sent) -> Iterator[dict[int, str]]:
    """The same house, seen so many seconds later: the addresses of its web parts."""
    doors = {after: Installation(house.data, KAIRAN_CLOCK_OFFSET_S=str(int(BASE) + after)) for after in AFTER}
    for door in doors.values():
        door.command = ("pages",)
    with ThreadPoolExecutor() as pool:
        list(pool.map(Installation.start, doors.values()))
    yield {after: door.url for after, door in doors.items()}
    with ThreadPoolExecutor() as pool:
        list(pool.map(Installation.stop, doors.values()))


def ask(url: str, method: str, agent: str) -> int:
    request = Request(url, method=method, headers={"User-Agent": agent}, data=b"hand=0" if method == "POST" else None)
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status
    except HTTPError as refused:
        return refused.code


@pytest.mark.parametrize("after", AFTER)
def test_all_links_at_once_record_nothing(house, sent, later, after) -> None:
    """HEAD, OPTIONS and GET of every link at the same moment, by scanners, previews and what looks like a phone."""
    asked = [
        (later[after] + path, method, agent)
        for path in sent.paths
        for agent in (AGENT, *PREVIEWS)
        for method in ("HEAD", "OPTIONS", "GET")
    ]
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda one: ask(*one), asked))
    assert found <= {200, 204}
    assert sent.outcome(house) == (0, 0)


@pytest.mark.parametrize("after", AFTER)
def test_a_press_under_the_name_of_a_robot_records_nothing(house, sent, later, after) -> None:
    for path in sent.paths:
        if path[:3] != "/u/":
            assert ask(later[after] + path, "POST", PREVIEWS[after % 7]) < 500
    assert sent.outcome(house) == (0, 0)


@pytest.mark.parametrize("after", AFTER)
def test_scripts_without_a_hand_record_nothing(visit, house, sent, later, after) -> None:
    """A browser opens every link, visible and with script: first without any touch, then with made-up events."""
    page = visit(PHONE)
    for path in sent.paths:
        page.goto(later[after] + path)
        page.evaluate("() => fetch('/healthz').then(answer => answer.text())")
        page.evaluate(SYNTHETIC)
        for script in (PRESSES, SUBMITS):
            if page.locator("form[data-hand]").count():
                with page.expect_navigation():
                    page.evaluate(f"setTimeout({script})")
    assert sent.outcome(house) == (0, 0)


def test_a_reader_still_can(visit, house, sent, later) -> None:
    """The same page, pressed with the keyboard as screen readers do, and by a program that says the number shown."""
    page = visit(PHONE)
    read, answer = (later[3600] + next(path for path in sent.paths if part in path) for part in ("/r/", "/a/"))
    page.goto(read)
    page.locator("#read button").focus()
    page.keyboard.press("Enter")
    page.get_by_text("受け付けました").first.wait_for()
    assert sent.outcome(house) == (1, 0)
    page.goto(answer)
    with page.expect_navigation():
        page.evaluate(f"setTimeout({PRESSES})")
    number = re.search(r"(\d\d) と入力", page.inner_text("main"))[1]
    with page.expect_navigation():
        page.evaluate(
            "number => setTimeout(() => { document.querySelector('[name=typed]').value = number;"
            " document.querySelector('form[data-hand] button').click() })",
            number,
        )
    page.get_by_text("受け付けました").first.wait_for()
    assert sent.outcome(house) == (1, 1)
    shown = json.loads(house.run("notice", "show", str(sent.number), "--json"))
    assert (shown["reads"], shown["answers"]) == (1, 1)
