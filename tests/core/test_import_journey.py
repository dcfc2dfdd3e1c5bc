"""Rosters out and in again, an import in steps, its undo, and the same few queries."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clock
import models
from core import settings
from core.csv_cells import clean_cell, escape_formula
from core.errors import DomainError
from core.imports import apply, columns, jobs
from core.imports import export as roster_export
from core.imports import plan as roster_plan
from core.imports.columns import read_rows
from core.imports.plan import plan_rows
from core.imports.read import ReadOptions
from core.members import lists
from database import db
from models import AuditLog, Child, Delivery, DeliveryMembership, Membership, Notice, Person, Role, User
from tests.core.rosters import DEMO, FAMILY, bring, sheet_of


@pytest.fixture
def zenko(config):
    settings.load_settings()  # makes the Organization row, which is not what the tests of queries count
    return lists.add_list(None, "全校", "zenko", whole=True, now=clock.now())


@pytest.fixture
def by(config):
    user = User.create(name="花子", name_key="花子")
    Role.create(user=user, kind="admin", list_id=0)
    return user


# ── out and in again ─────────────────────────────────────────────────────────────────────────────────────────────


def cells(content):
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


@pytest.mark.parametrize("language", ["ja", "en"])
def test_an_export_comes_back_unchanged(zenko, language):
    bring(zenko, (DEMO / "demo_members.csv").read_bytes())
    bring(
        zenko,
        "氏名,メール,電話,項目\r\n=cmd|' /C calc'!A0,e@example.jp,+81-90-0000,-1\r\n"
        '\'-x,f@example.jp,@x,"=1\r\n+2"\r\n',
    )
    out = roster_export.export_csv(zenko, language)
    assert out.startswith(b"\xef\xbb\xbf")
    made = bring(zenko, out)
    assert made.counts == {"added": 0, "changed": 0, "already": 42, "wrong": 0}
    assert roster_export.export_csv(zenko, language) == out


def test_an_export_makes_the_same_list_elsewhere(zenko):
    bring(zenko, (DEMO / "demo_members.csv").read_bytes())
    out = roster_export.export_csv(zenko)
    for table in (Membership, Child, Person):
        table.delete().execute()
    bring(zenko, out)
    assert roster_export.export_csv(zenko) == out
    assert lists.count_members(zenko)["bounced"] == 1


def test_no_cell_of_an_export_is_a_formula(zenko):
    bring(zenko, '氏名,メール,項目\r\n=1+1,e@example.jp,"\t=2"\r\n西田,-chihiro-@example.jp,@SUM\r\n')
    rows = cells(roster_export.export_csv(zenko))
    assert len(rows) == 3 and "'=1+1" in rows[1] + rows[2] and "'@SUM" in rows[1] + rows[2]
    for row in rows:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@given(st.text())
def test_the_guard_comes_off_again(text):
    trimmed = clean_cell(text)
    assert clean_cell(escape_formula(clean_cell(trimmed))) == clean_cell(trimmed)


def test_who_left_is_not_in_the_export(zenko):
    bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n")
    Membership.update(state="left").execute()
    assert len(cells(roster_export.export_csv(zenko))) == 1


# ── in steps, and back ───────────────────────────────────────────────────────────────────────────────────────────


def start(zenko, by, text="氏名,メール\r\n山田,y@example.jp\r\n林,bad\r\n"):
    return jobs.create_import(zenko, by, content=text.encode(), filename="名簿.csv", now=clock.now())


def carry_out(job, by):
    _, made = jobs.preview_import(job, clock.now(), job.user)
    assert jobs.start_import(job, by, fingerprint=made.fingerprint, now=clock.now())
    return models.Job.get_by_id(job.id).detail["counts"]


def test_nothing_is_written_before_it_is_confirmed(zenko, by):
    job = start(zenko, by)
    jobs.preview_import(job, clock.now(), job.user)
    assert Person.select().count() == 0
    assert carry_out(job, by)["added"] == 1
    assert models.Job.get_by_id(job.id).state == "done"
    assert AuditLog.select().where(AuditLog.action == "roster.imported").get().detail["wrong"] == 1


def test_the_file_is_gone_afterwards(zenko, by, config):
    carry_out(start(zenko, by), by)
    assert list((config.data / "imports").iterdir()) == []


def test_a_second_press_does_nothing(zenko, by):
    job = start(zenko, by)
    _, made = jobs.preview_import(job, clock.now(), job.user)
    jobs.start_import(job, by, fingerprint=made.fingerprint, now=clock.now())
    with pytest.raises(DomainError):
        jobs.start_import(job, by, fingerprint=made.fingerprint, now=clock.now())
    assert Person.select().count() == 1


def test_an_import_whose_process_died_can_be_carried_on(zenko, by):
    job = start(zenko, by)
    models.Job.update(state="working", made_at=clock.now()).execute()
    with pytest.raises(DomainError):
        carry_out(models.Job.get_by_id(job.id), by)
    clock.set_offset(11 * 60)
    job = models.Job.get_by_id(job.id)
    assert jobs.awaits_confirmation(job, clock.now())
    assert carry_out(job, by)["added"] == 1


def test_a_list_that_changed_since_the_preview_asks_again(zenko, by):
    job = start(zenko, by)
    _, made = jobs.preview_import(job, clock.now(), job.user)
    bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n")
    with pytest.raises(DomainError, match="changed"):
        jobs.start_import(job, by, fingerprint=made.fingerprint, now=clock.now())


def test_undo_takes_everything_back(zenko, by):
    bring(zenko, FAMILY.format("3,2", "1日"))
    before = roster_export.export_csv(zenko)
    job = start(zenko, by, FAMILY.format("4,1", "2日") + "林 一,林 葵,ハヤシ アオイ,1,1,h@example.jp,\r\n")
    carry_out(job, by)
    assert roster_export.export_csv(zenko) != before
    job = models.Job.get_by_id(job.id)
    back, kept = jobs.undo_import(job, by, clock.now())
    assert (back, kept) == (5, 0)
    assert roster_export.export_csv(zenko) == before
    assert (Person.select().count(), Child.select().count()) == (1, 1)
    with pytest.raises(DomainError):
        jobs.undo_import(job, by, clock.now())


def test_an_extended_log_keeps_the_first_values(zenko, by):
    """An import that goes on after a kill, and a rollover of several plans, write one log."""
    bring(zenko, "氏名,メール,電話\r\n鈴木 直子,n@example.jp,03-0000-0001\r\n")
    bring(zenko, FAMILY.format("3,2", ""))
    before = {row.id: (row.name, row.phone, row.household) for row in Person.select()}
    log = apply.UndoLog()
    first = sheet_of("氏名,メール,電話\r\n鈴木 直子,n@example.jp,03-0000-0002\r\n林,h@example.jp,\r\n")
    joined = sheet_of(
        FAMILY.format("3,2", "").replace("鈴木 大輔", "鈴木 直子").replace("d@", "n@")
        + "林,鈴木 海斗,スズキ カイト,3,2,h@example.jp,\r\n"
    )
    for sheet in (first, joined):
        plan = roster_plan.plan_sheet(zenko, sheet, columns.guess_mapping(sheet), clock.now())
        apply.apply_plan(plan, undo_log=log)
    assert len({row.household for row in Person.select()}) == 1
    apply.undo_changes(json.loads(json.dumps(log.as_json())))
    assert {row.id: (row.name, row.phone, row.household) for row in Person.select()} == before


def test_undo_leaves_what_something_happened_to(zenko, by):
    job = start(zenko, by, "氏名,メール\r\n山田,y@example.jp\r\n林,h@example.jp\r\n森,m@example.jp\r\n")
    carry_out(job, by)
    yamada, hayashi = (Person.get(Person.name == name) for name in ("山田", "林"))
    Membership.update(state="stopped", stopped_by="reader").where(Membership.person == yamada).execute()
    delivery = Delivery.create(notice=Notice.create(), person=hayashi, token="t")
    DeliveryMembership.create(delivery=delivery, membership=hayashi.memberships.get())
    back, kept = jobs.undo_import(models.Job.get_by_id(job.id), by, clock.now())
    assert (back, kept) == (2, 4)
    assert {one.name for one in Person.select()} == {"山田", "林"}


def test_undo_puts_a_rejoined_member_back_to_left(zenko, by):
    bring(zenko, "氏名,メール\r\n山田,y@example.jp\r\n")
    Membership.update(state="left", left_at=clock.now()).execute()
    left_at = Membership.get().left_at
    job = start(zenko, by)
    carry_out(job, by)
    jobs.undo_import(models.Job.get_by_id(job.id), by, clock.now())
    row = Membership.get()
    assert (row.state, row.left_at) == ("left", left_at)


def test_files_that_nobody_confirmed_are_deleted(zenko, by, config):
    start(zenko, by)
    assert models.Job.select().count() == 1 and len(list((config.data / "imports").iterdir())) == 1
    clock.set_offset(25 * 3600)
    jobs.purge_old_imports(clock.now())
    assert models.Job.select().count() == 0
    assert list((config.data / "imports").iterdir()) == []


def test_another_encoding_and_other_columns_can_be_chosen(zenko, by):
    job = jobs.create_import(zenko, by, content="氏名,メール\r\n山田,y@example.jp\r\n".encode("cp932"), now=clock.now())
    jobs.set_options(job, ReadOptions("utf-8"))
    assert jobs.preview_import(job, clock.now(), job.user)[1].counts["wrong"] > 0
    jobs.set_options(job, ReadOptions("cp932"))
    jobs.set_mapping(job, ("attribute", "address", "nonsense"))
    carry_out(job, by)
    assert (Person.get().name, Membership.get().attributes) == ("", {"氏名": "山田"})


# ── speed ────────────────────────────────────────────────────────────────────────────────────────────────────────


def roll(count, who, room="1"):
    lines = [f"山田 {who}{n},山田 {who}{n},ヤマダ,{n % 6 + 1},{room},{who}{n}@example.jp" for n in range(count)]
    return "保護者氏名,児童氏名,児童カナ,学年,組,メール\r\n" + "\r\n".join(lines)


def queries(work):
    seen = []
    db.connection().set_trace_callback(seen.append)
    try:
        work()
    finally:
        db.connection().set_trace_callback(None)
    return len(seen)


def test_the_number_of_queries_does_not_grow_with_the_lines(zenko):
    few, many = (lists.add_list(None, name, name, now=clock.now()) for name in ("few", "many"))
    first = queries(lambda: bring(few, roll(10, "few")))
    assert queries(lambda: bring(many, roll(500, "many"))) == first
    changed = queries(lambda: bring(few, roll(10, "few", "2")))
    assert queries(lambda: bring(many, roll(500, "many", "3"))) == changed


def test_one_plan_reads_and_never_writes(zenko):
    sheet = sheet_of(roll(5, "x"))
    before = db.connection().total_changes
    plan_rows(zenko, read_rows(sheet, columns.guess_mapping(sheet)), clock.now())
    assert db.connection().total_changes == before


def test_large_imports_report_their_progress(zenko, monkeypatch):
    monkeypatch.setattr(apply, "CHUNK_LINES", 4)
    sheet, told = sheet_of(roll(10, "x")), []
    apply.apply_plan(roster_plan.plan_sheet(zenko, sheet, columns.guess_mapping(sheet), clock.now()), told.append)
    assert told == [0, 4, 8, 10]
    assert lists.count_members(zenko)["members"] == 10
