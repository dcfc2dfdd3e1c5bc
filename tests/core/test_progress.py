"""How far a notice has come: by state, by name, and as the document of `flask notice show` (X-09, X-12, N-17)."""

import json
from datetime import timedelta

import pytest

import clock
from core.reports import progress
from core.settings import load_settings
from models import Delivery, Letter, Person
from tests import smarthost
from tests.smarthost import begun, fresh, later, letter_to

KEYS = {
    "waiting",
    "sending",
    "accepted",
    "deferred",
    "refused",
    "bounced",
    "skipped",
    "unknown",
    "expired",
    "cancelled",
}


@pytest.fixture
def notice(school):
    return begun(school.users["花子"], [school.lists["1-1"]])


def put(notice, address, **fields):
    Letter.update(**fields).where(Letter.id == letter_to(notice, address).id).execute()


def seen(notice):
    return progress.notice_progress(fresh(notice), load_settings(), clock.now())


def test_a_fresh_notice_waits_and_counts_who_gets_no_letter_as_skipped(notice):
    found = seen(notice)
    assert set(found.counts) == KEYS
    assert {state: count for state, count in found.counts.items() if count} == {"waiting": 4, "skipped": 3}
    assert (found.total, found.done, found.left, found.stoppable, found.percent) == (4, 0, 4, 4, 0)


def test_each_state_is_counted_and_what_is_settled_is_done(notice):
    put(notice, "naoki@example.jp", state="accepted")
    put(notice, "suzuki@example.com", state="deferred")
    put(notice, "aoyama.k@example.com", state="refused")
    found = seen(notice)
    assert (found.counts["accepted"], found.counts["deferred"], found.counts["refused"]) == (1, 1, 1)
    assert (found.done, found.left, found.percent) == (2, 2, 50)


def test_the_mark_for_polling_changes_with_every_count_and_with_the_notice(notice, school):
    marks = {seen(notice).serial}
    put(notice, "naoki@example.jp", state="accepted")
    marks.add(seen(notice).serial)
    from core.notices import workflow

    workflow.stop_sending(notice, school.users["花子"], clock.now())
    marks.add(seen(notice).serial)
    assert len(marks) == 3 and seen(notice).serial in marks


@pytest.mark.proves("X-09")
def test_the_end_is_estimated_by_the_set_rate_then_by_the_pace_so_far(school):
    """X-09."""
    smarthost.send_by(smarthost.closed_port(), rate=60)
    smarthost.families(school.lists["1-1"], 56)
    notice = begun(school.users["花子"], [school.lists["1-1"]])
    now = clock.now()
    assert abs(seen(notice).ends_at - now - timedelta(seconds=60)) < timedelta(seconds=2)
    half = Letter.select(Letter.id).where(Letter.notice == notice).limit(30)
    Letter.update(state="accepted").where(Letter.id.in_(half)).execute()
    later(seconds=300)
    assert abs(seen(notice).ends_at - clock.now() - timedelta(seconds=300)) < timedelta(seconds=2)
    Letter.update(state="accepted").execute()
    assert seen(notice).ends_at is None and seen(notice).percent == 100


def test_letters_are_listed_by_name_in_the_order_of_their_reading(notice):
    for address in ("suzuki@example.com", "aoyama.k@example.com"):
        put(notice, address, state="refused", reason="filtered")
    rows = list(progress.letters_by_name(notice, ("refused",)))
    assert [row.delivery.name for row in rows] == ["青山 健太", "鈴木 大輔"]
    assert {one.name for one in progress.skipped_deliveries(notice)} == {"和田 幸子", "雑音 一", "雑音 三"}


@pytest.mark.proves("N-17")
def test_the_document_has_every_key_and_every_delivery_once(notice, school):
    put(notice, "naoki@example.jp", state="refused", reason="unknown_user", code=550)
    first = letter_to(notice, "suzuki@example.com")
    Letter.update(is_current=False, state="expired").where(Letter.id == first.id).execute()
    Letter.create(
        notice=notice,
        delivery=first.delivery,
        person=first.person,
        round=2,
        address=first.address,
        domain="x",
        expires_at=clock.now(),
        state="accepted",
        code=250,
    )
    Delivery.update(read_at=clock.now(), read_via="press").where(Delivery.id == first.delivery_id).execute()
    document = progress.notice_document(fresh(notice), load_settings(), clock.now(), deliveries=True)
    json.dumps(document)
    assert {"number", "state", "counts", "reads", "answers", "deliveries"} <= set(document)
    assert set(document["counts"]) == KEYS and sum(document["counts"].values()) == 7
    assert set(document["households"]) == {"all", "read", "told", "failed", "unread"}
    assert (document["reads"], document["counts"]["skipped"]) == (1, 3)
    rows = {row["address"]: row for row in document["deliveries"]}
    assert len(document["deliveries"]) == 7
    assert (rows["suzuki@example.com"]["state"], rows["suzuki@example.com"]["read_via"]) == ("accepted", "press")
    refused = rows["naoki@example.jp"]
    assert (refused["state"], refused["code"], refused["reason"]) == ("refused", 550, "unknown_user")
    assert (rows[None]["state"], rows[None]["reason"]) == ("skipped", "no_address")
    assert (rows["noise1@example.net"]["state"], rows["noise1@example.net"]["reason"]) == ("skipped", "stopped")
    assert all(
        set(row) >= {"address", "state", "code", "reason", "read_at", "read_via", "answers"} for row in rows.values()
    )


def test_without_deliveries_the_document_has_none(notice):
    assert "deliveries" not in progress.notice_document(notice, load_settings(), clock.now(), deliveries=False)


def test_a_document_costs_the_same_number_of_queries_for_ten_and_for_four_hundred(school):
    counts = []
    for start, count in ((0, 10), (10, 390)):
        smarthost.families(school.lists["2-1"], count, start=start)
        notice = begun(school.users["太郎"], [school.lists["2-1"]])
        with smarthost.queries() as statements:
            progress.notice_document(notice, load_settings(), clock.now(), deliveries=True)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_an_erased_reader_stays_in_the_numbers(notice, school):
    Person.delete().where(Person.id == school.people["石川 直樹"].id).execute()
    assert seen(notice).total == 4
    assert len(progress.notice_document(notice, load_settings(), clock.now(), deliveries=True)["deliveries"]) == 7
