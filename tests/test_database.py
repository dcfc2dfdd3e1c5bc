"""The ground under the tables: writers that wait for each other, and queries whose text is written once."""

import threading
from datetime import timedelta

import pytest
from peewee import ModelSelect, ModelUpdate, OperationalError, fn

import clock
import database
from database import db, prepared_query
from models import MailingList, Membership, Person
from tests.counting import queries


def held_by_another(seconds_or_until: threading.Event) -> threading.Thread:
    """Hold the right to write in another thread until an event is set; return when it is held."""
    holds = threading.Event()

    def hold() -> None:
        with db.atomic():
            MailingList.update(name="はじめ").execute()
            holds.set()
            assert seconds_or_until.wait(20)
        db.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(20)
    return thread


@pytest.mark.parametrize("together", [True, False], ids=["in a transaction", "alone"])
def test_who_writes_waits_for_the_one_who_does(school, monkeypatch, together):
    """Law 4: the writer looks again and again, and writes when the other is done; what both wrote stands."""
    done, glances = threading.Event(), []
    other = held_by_another(done)

    def glance(seconds: float) -> None:
        glances.append(seconds)
        if len(glances) == 3:
            done.set()
            other.join(20)

    monkeypatch.setattr(database.time, "sleep", glance)
    renamed = MailingList.update(address=MailingList.address.concat("-2"))
    if together:
        with db.atomic():
            renamed.execute()
    else:
        renamed.execute()
    assert len(glances) == 3 and all(0 < one < 0.01 for one in glances)
    row = MailingList.select().first()
    assert row.name == "はじめ" and row.address.endswith("-2")


def test_who_waits_too_long_says_so(school, monkeypatch):
    done = threading.Event()
    other = held_by_another(done)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.01)
    with pytest.raises(OperationalError, match="locked"), db.atomic():
        raise AssertionError("began beside another writer")
    done.set()
    other.join(20)
    with db.atomic():
        assert MailingList.update(name="つぎ").execute()


def test_another_fault_is_no_reason_to_wait(school, monkeypatch):
    monkeypatch.setattr(database.time, "sleep", lambda seconds: pytest.fail("waited"))
    with pytest.raises(OperationalError, match="no such table"):
        db.execute_sql("SELECT 1 FROM nowhere")


# ── queries whose text is written once ───────────────────────────────────────────────────────────────────────────


@prepared_query
def _members(number: int, since: object) -> ModelSelect:
    """The members of a list."""
    known = (Membership.list == number) & (Membership.joined_at >= since) & (Membership.state == "active")
    return Membership.select(Membership, Person).join(Person).where(known).order_by(Membership.id)


@prepared_query
def _shout(name: str, number: int) -> ModelUpdate:
    return Person.update(name=fn.COALESCE(fn.NULLIF(name, ""), Person.name)).where(Person.id == number)


def plain(rows: list[Membership]) -> list[tuple]:
    return [(row.__data__, row.person.__data__, row.person.id) for row in rows]


def test_a_query_written_once_gives_what_peewee_gives(school):
    """Rows, joined rows, moments and JSON are as peewee reads them, whatever the values and on whichever call."""
    since = clock.now() - timedelta(days=9)
    for name in ("2-1", "1-1", "2-1"):
        number = school.lists[name].id
        known = (Membership.list == number) & (Membership.joined_at >= since) & (Membership.state == "active")
        rows = Membership.select(Membership, Person).join(Person).where(known).order_by(Membership.id)
        found = _members(number, since)
        assert found and plain(found) == plain(list(rows))
        assert found[0].joined_at.tzinfo is not None and found[0].dirty_fields == []
    assert _members(school.lists["1-1"].id, clock.now() + timedelta(days=1)) == []


def test_a_query_written_once_is_one_statement_and_its_rows_can_be_saved(school):
    number, since = school.lists["1-1"].id, clock.now() - timedelta(days=9)
    assert queries(lambda: [one.person.name for one in _members(number, since)]) == 1
    row = _members(number, since)[0]
    row.state = "stopped"
    row.save()
    assert Membership.get_by_id(row.id).state == "stopped"
    assert _members.__doc__ == "The members of a list."


def test_a_change_written_once_tells_how_many(school):
    person = Person.select().first()
    assert _shout("青山 花", person.id) == 1 and Person.get_by_id(person.id).name == "青山 花"
    assert _shout("", person.id) == 1 and Person.get_by_id(person.id).name == "青山 花"
    assert _shout("誰か", 10**9) == 0


def test_a_query_written_once_serves_every_thread(school):
    """Each thread has a connection of its own."""
    number, since = school.lists["1-1"].id, clock.now() - timedelta(days=9)
    wanted, found = plain(_members(number, since)), []

    def look() -> None:
        found.append(plain(_members(number, since)))
        db.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert found == [wanted] * 4
