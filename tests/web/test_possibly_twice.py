"""A letter that was sent again after an unknown outcome: organizers read by name who may have two copies."""

import csv

import pytest

import clock
from core.delivery.lifecycle import expire_letters
from core.notices import workflow
from core.reports import progress
from core.settings import load_settings
from models import AuditLog, Letter
from tests import smarthost
from tests.smarthost import begun, drained, fresh, later, letter_to, put, states

NAOKI = "naoki@example.jp"


@pytest.fixture
def host(school):
    with smarthost.running() as (found, port):
        smarthost.send_by(port)
        found.rules[NAOKI] = ["vanish"]
        yield found


def document(notice):
    return progress.notice_document(fresh(notice), load_settings(), clock.now(), deliveries=True)


def shown_places(page, notice):
    """Return what the notice's page, board and record say."""
    places = (f"/notices/{notice.id}", f"/notices/{notice.id}/board", f"/history/{notice.id}")
    answers = [page.get(place, follow_redirects=True) for place in places]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    return [answer.text for answer in answers]


def test_an_urgent_letter_that_went_again_by_itself_is_named_everywhere(school, host, as_):
    notice = begun(school.users["花子"], [school.lists["1-1"]], urgent=True)
    assert drained()
    assert states(notice) == {"accepted": 4} and host.to().count(NAOKI) == 2
    page, board, record = shown_places(as_("花子"), notice)
    for text in (page, board):
        assert "2通届いたかもしれない方: 1人" in text and "もう一度送りました" in text
        assert "石川 直樹" in text.partition("2通届いたかもしれない方: 1人")[2].partition("</section>")[0]
    assert "うち、2通届いたかもしれない方" in record and record.count("2通届いたかもしれません") == 1
    found = document(notice)
    assert found["possibly_twice"] == 1
    assert [row["address"] for row in found["deliveries"] if row["possibly_twice"]] == [NAOKI]
    entry = AuditLog.get(AuditLog.action == "notice.unknown_sent_again")
    assert (entry.number, entry.detail, entry.user_id) == (notice.id, {"letters": 1}, None)


def test_so_is_one_that_an_organizer_sent_again(school, host, as_):
    notice = begun(school.users["花子"], [school.lists["1-1"]])
    assert drained()
    assert states(notice) == {"accepted": 3, "unknown": 1}
    assert document(notice)["possibly_twice"] == 0
    assert not any("2通届いた" in text for text in shown_places(as_("花子"), notice))
    assert workflow.resend_unknown(fresh(notice), school.users["花子"], clock.now()) == 1
    assert document(notice)["possibly_twice"] == 0  # the second one waits
    assert drained()
    assert all("2通届いた" in text for text in shown_places(as_("花子"), notice))
    assert document(notice)["possibly_twice"] == 1


def test_the_csv_the_print_and_the_telephone_list_name_it(school, host, as_):
    notice = begun(school.users["花子"], [school.lists["1-1"]], urgent=True, read_confirmation=True)
    assert drained()
    page, board = as_("花子"), f"/notices/{notice.id}/board"
    head, *rows = csv.reader(page.get(f"{board}.csv").data.decode("utf-8-sig").splitlines())
    place, name = head.index("2通届いたかもしれない"), head.index("保護者")
    assert [row[name] for row in rows if row[place] == "2通届いたかもしれません"] == ["石川 直樹"]
    assert {row[place] for row in rows} == {"", "2通届いたかもしれません"}
    for address in (f"/notices/{notice.id}/phone", f"{board}?view=print"):
        answer = page.get(address)
        assert answer.status_code == 200 and answer.text.count("2通届いたかもしれません") == 1
        before = answer.text.partition("2通届いたかもしれません")[0]
        assert before.rindex("石川 直樹") > before.rindex("石川 蓮")


@pytest.mark.parametrize("ended_by", ["stop", "time"])
def test_what_is_not_sent_again_after_all_stays_unknown(school, host, ended_by):
    notice = begun(school.users["花子"], [school.lists["1-1"]])
    assert drained()
    workflow.resend_unknown(fresh(notice), school.users["花子"], clock.now())
    if ended_by == "stop":
        assert workflow.stop_sending(fresh(notice), school.users["花子"], clock.now()) == 1
    else:
        later(hours=49)
        assert expire_letters(clock.now()) == 1
    assert letter_to(notice, NAOKI).state == "unknown"


def test_a_later_round_keeps_the_mark_of_the_first(school, host):
    notice = begun(school.users["花子"], [school.lists["1-1"]], urgent=True)
    assert drained()
    first = letter_to(notice, NAOKI)
    Letter.update(is_current=False).where(Letter.id == first.id).execute()
    Letter.create(
        notice=notice,
        delivery=first.delivery_id,
        person=first.person_id,
        round=2,
        address=NAOKI,
        domain="example.jp",
        state="accepted",
        expires_at=clock.now(),
    )
    assert document(put(notice, rounds=2))["possibly_twice"] == 1
