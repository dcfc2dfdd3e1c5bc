"""All figures of one notice agree: head of every tab, lists of names, home, list, history, files and JSON."""

import csv
import html
import re
from collections import Counter
from datetime import timedelta
from io import StringIO
from random import Random

import pytest

import clock
from core.reports import progress, summaries
from core.responses import answers, read_confirmations
from core.settings import load_settings
from models import Delivery, Notice
from tests import cast_notices
from tests.cast_notices import outcome

LETTERS = ("accepted", "refused", "bounced", "deferred", "unknown", "expired", "cancelled", "waiting")
TABS = ("board", "board?view=table", "board?view=print", "phone", "text", "record")
PARTS = {"read": "確認", "told": "電話", "failed": "届かず", "unread": "まだ"}


def text(browser, address: str) -> str:
    answer = browser.get(address, follow_redirects=True)
    assert answer.status_code == 200, address
    return html.unescape(answer.get_data(as_text=True))


def head(page: str) -> str:
    """Return the line of figures without its tags."""
    line = re.search(r'<p class="figures">(.*?)</p>', page, re.DOTALL)
    assert line, page[:500]
    return re.sub(r"<[^>]+>", "", line[1])


def expected(count) -> str:
    """Return what every page must say: parts without a household are left out, but for the confirmed ones."""
    numbers = {name: getattr(count, name) for name in PARTS}
    parts = [f"{PARTS[name]}{number}" for name, number in numbers.items() if number or name == "read"]
    return f"{count.households}世帯：{'・'.join(parts)}"


def number(page: str, title: str) -> int:
    found = re.search(rf"{title} (\d+)世帯", page)
    return int(found[1]) if found else 0


SCENES = {
    "ordinary": {"state": "sent"},
    "urgent": {"state": "sent", "urgent": True},
    "being sent": {"state": "sending"},
    "paused": {"state": "paused", "pause_reason": "connect"},
    "stopped": {"state": "stopped"},
    "withdrawn": {"state": "withdrawn"},
    "question": {"state": "sent"},
}


@pytest.fixture(params=SCENES)
def sent(request, school):
    """Return a notice a day old whose readers have every fate: refused, bounced, read, told by telephone, answered."""
    chance = Random(request.param)
    made = cast_notices.send(
        [school.lists["1-1"], school.lists["2-1"]],
        by=school.users["守"],
        at=clock.now() - timedelta(days=1),
        **SCENES[request.param],
    )
    if request.param == "question":
        cast_notices.ask(made)
    for delivery in made.deliveries.values():
        if not delivery.reason:
            outcome(delivery, chance.choice(LETTERS))
        if chance.random() < 0.3 and not delivery.reason:
            _respond(delivery, made.notice, school, asked=request.param == "question")
        if chance.random() < 0.3:
            Delivery.update(phoned_at=clock.now()).where(Delivery.id == delivery.id).execute()
    return Notice.get_by_id(made.notice.id)


def _respond(delivery: Delivery, notice: Notice, school, *, asked: bool) -> None:
    if asked:
        standing = answers.current_answers(delivery)[0]
        given = {standing.question.id: answers.SubmittedAnswer(standing.question.options[0].number)}
        answers.enter_answers(delivery, given, by=school.users["守"], now=clock.now())
    else:
        found = read_confirmations.delivery_by_token(delivery.token)
        Delivery.update(read_at=clock.now(), read_via="press").where(Delivery.id == found.id).execute()


@pytest.mark.proves("T-45")
def test_every_tab_says_the_same(as_, sent):
    browser = as_("守")
    wanted = expected(summaries.count_households([sent.id], None)[sent.id])
    assert {tab: head(text(browser, f"/notices/{sent.id}/{tab}")) for tab in TABS} == dict.fromkeys(TABS, wanted)
    for address in (f"/notices/{sent.id}", f"/history/{sent.id}"):
        assert head(text(browser, address)) == wanted


def test_the_lists_of_names_are_as_long_as_the_head_says(as_, sent):
    browser, count = as_("守"), summaries.count_households([sent.id], None)[sent.id]
    board = text(browser, f"/notices/{sent.id}/board")
    assert number(board, "届いていない") == count.failed and number(board, "電話で伝えた") == count.told
    assert number(board, "まだ確認していない") == count.unread
    phone = text(browser, f"/notices/{sent.id}/phone")
    assert (number(phone, "届いていない"), number(phone, "まだ確認していない")) == (count.failed, count.unread)
    assert phone.count("/phone/mark") == count.left
    printed = text(browser, f"/notices/{sent.id}/board?view=print")
    assert number(printed, "電話で伝える") == count.left == printed.count("<td>□</td>")


def test_lists_of_notices_say_the_same(as_, sent):
    browser, wanted = as_("守"), expected(summaries.count_households([sent.id], None)[sent.id])
    for address in ("/notices", "/history"):
        row = text(browser, address).partition(f"/notices/{sent.id}")[2].partition("</li>")[0]
        assert (wanted in row) == (sent.state not in ("sending", "paused") or address == "/history"), address
    if sent.state in ("sent", "stopped"):
        assert wanted in text(browser, "/")


def test_file_and_document_say_the_same(as_, sent):
    count = summaries.count_households([sent.id], None)[sent.id]
    document = progress.notice_document(sent, load_settings(), clock.now(), deliveries=True)
    assert document["households"] == {"all": count.households, **{name: getattr(count, name) for name in PARTS}}
    answer = as_("守").get(f"/notices/{sent.id}/board.csv")
    rows = list(csv.DictReader(StringIO(answer.data.decode("utf-8-sig"))))
    states = {number: row["世帯の状態"] for row in rows for number in row["世帯"].split("、") if number}
    assert len(states) == count.households
    found = Counter(states.values())
    assert {name: found[name] for name in ("確認済み", "電話で伝えました", "届いていない")} == {
        "確認済み": count.read,
        "電話で伝えました": count.told,
        "届いていない": count.failed,
    }
