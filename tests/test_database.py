"""The database: writers that wait for each other, and rows of constant SELECT statements."""

import threading
from datetime import timedelta

import pytest
from peewee import SQL, Context, OperationalError

import clock
import database
import models
from database import db, load_rows
from models import MailingList, Membership
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


# ── rows of a constant SELECT ────────────────────────────────────────────────────────────────────────────────────

MEMBERS = "SELECT m.* FROM membership AS m WHERE list_id = ? AND joined_at >= ? AND state = 'active' ORDER BY id"


def plain(rows: list[Membership]) -> list[dict]:
    return [row.__data__ for row in rows]


def test_load_rows_gives_what_peewee_gives(school):
    """Numbers, moments and JSON are as peewee reads them."""
    since = clock.now() - timedelta(days=9)
    for name in ("2-1", "1-1", "2-1"):
        number = school.lists[name].id
        active = (Membership.list == number) & (Membership.joined_at >= since) & (Membership.state == "active")
        found = load_rows(Membership, MEMBERS, number, since)
        assert found and plain(found) == plain(list(Membership.select().where(active).order_by(Membership.id)))
        assert found[0].joined_at.tzinfo is not None and found[0].dirty_fields == []
    assert load_rows(Membership, MEMBERS, school.lists["1-1"].id, clock.now() + timedelta(days=1)) == []
    for table in models.TABLES:
        found = load_rows(table, f'SELECT * FROM "{table._meta.table_name}"')
        assert plain(found) == plain(list(table.select()))


def test_load_rows_is_one_statement_and_its_rows_can_be_saved(school):
    number, since = school.lists["1-1"].id, clock.now() - timedelta(days=9)
    assert queries(lambda: load_rows(Membership, MEMBERS, number, since)) == 1
    row = load_rows(Membership, MEMBERS, number, since)[0]
    row.state = "stopped"
    row.save()
    assert Membership.get_by_id(row.id).state == "stopped"


OTHER = Membership.alias()
STATEMENTS = {
    "columns": MailingList.select().where(MailingList.name == "x").order_by(MailingList.name),
    "join": Membership.select(Membership, MailingList).join(MailingList).where(MailingList.id.in_([1, 2])),
    "alias": Membership.select(Membership.id, OTHER.id).join(OTHER, on=OTHER.person == Membership.person),
    "nothing": MailingList.select().where(MailingList.id.in_([]) | MailingList.id.not_in([])),
    "nested": MailingList.select().where(
        MailingList.id.in_(Membership.select(Membership.list).where(Membership.person.in_(OTHER.select(OTHER.person))))
    ),
    "compound": MailingList.select(MailingList.id).where(
        MailingList.id.not_in(Membership.select(Membership.list) | OTHER.select(OTHER.list))
    ),
    "raw": MailingList.select().where(MailingList.id.in_(SQL("(SELECT 1)"))),
    "insert": Membership.insert_from(OTHER.select(OTHER.list, OTHER.person), [Membership.list, Membership.person]),
    "update": MailingList.update(name=MailingList.name + "x").where(MailingList.id.in_(OTHER.select(OTHER.list))),
    "delete": Membership.delete().where(Membership.list == 1),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_are_built_as_peewee_builds_them(config, monkeypatch, name):
    ours = STATEMENTS[name].sql()
    monkeypatch.setattr(database.RetryingSqlite, "context_class", Context)
    assert ours == STATEMENTS[name].sql()


def test_nested_subqueries_are_built_once(config, monkeypatch):
    """Peewee builds the innermost 2⁴ times."""
    built = []
    inner = Membership.select(Membership.list)
    kept = type(inner).__sql_selection__
    monkeypatch.setattr(type(inner), "__sql_selection__", lambda *given: built.append(1) or kept(*given))
    for _ in range(4):
        inner = MailingList.select(MailingList.id).where(MailingList.id.in_(inner))
    inner.sql()
    assert len(built) == 5
