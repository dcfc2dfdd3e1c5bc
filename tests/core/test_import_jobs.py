"""A large roster is brought in by the worker: progress, a killed process, two presses, undo (T-36; law 1)."""

import fcntl
from datetime import timedelta

import pytest

import clock
from core import scheduler
from core.errors import DomainError
from core.imports import apply, jobs
from models import Child, Job, Membership, Person

LINES = jobs.MAX_LINES_INLINE + 100


@pytest.fixture
def one(school):
    return school.lists["2-1"]


@pytest.fixture
def by(school):
    return school.users["太郎"]


def text(lines=LINES, change=""):
    rows = (f"保護者 {n},p{n}@example.com,子 {n}{change},2,1" for n in range(lines))
    return "保護者氏名,メールアドレス,児童氏名,学年,組\n" + "\n".join(rows)


@pytest.fixture
def job(one, by):
    return jobs.create_import(one, by, content=text().encode(), filename="名簿.csv", now=clock.now())


def asked(job, by):
    _, made = jobs.preview_import(job, clock.now(), job.user)
    return jobs.start_import(job, by, fingerprint=made.fingerprint, now=clock.now())


def again(job):
    return Job.get_by_id(job.id)


def test_a_small_one_is_carried_out_at_once(one, by):
    small = jobs.create_import(one, by, text=text(3), now=clock.now())
    assert asked(small, by) and again(small).state == "done"


def test_a_large_one_is_left_to_the_worker(job, one, by):
    """T-36: nothing is written inside the request; whatever is due finds the row, with the bell or without."""
    assert not asked(job, by) and again(job).state == "asked"
    assert Person.select().where(Person.name.startswith("保護者")).count() == 0
    assert jobs.running_import(one).id == job.id and jobs.estimate_remaining(again(job), clock.now()) is None
    scheduler.run_due_jobs(clock.now())
    done = again(job)
    assert (done.state, done.done, done.detail["counts"]["added"]) == ("done", LINES, LINES)
    assert Person.select().where(Person.name.startswith("保護者")).count() == LINES
    assert jobs.running_import(one) is None and not jobs.upload_path(job).exists()


def test_a_second_press_asks_for_nothing_more(job, by):
    asked(job, by)
    with pytest.raises(DomainError):
        asked(again(job), by)
    jobs.process_import_jobs(clock.now())
    assert jobs.process_import_jobs(clock.now()) == 0


def test_after_a_kill_it_goes_on_where_it_was_and_undo_knows_everything(job, by, monkeypatch):
    asked(job, by)
    chunks = []

    def killed(plan, chunk, written, write=apply._write_chunk):
        if chunks:
            raise SystemExit  # as a kill: nothing after this runs
        chunks.append(len(chunk))
        write(plan, chunk, written)

    monkeypatch.setattr(apply, "_write_chunk", killed)
    with pytest.raises(SystemExit):
        jobs.process_import_jobs(clock.now())
    half = again(job)
    assert (half.state, half.done) == ("working", apply.CHUNK_LINES)
    assert (
        Membership.select()
        .where(Membership.person.in_(Person.select().where(Person.name.startswith("保護者"))))
        .count()
        == half.done
    )
    later = half.made_at + timedelta(seconds=5)
    assert timedelta(0) < jobs.estimate_remaining(half, later) < timedelta(seconds=5)
    monkeypatch.undo()
    assert jobs.process_import_jobs(clock.now()) == 1
    done = again(job)
    assert done.state == "done" and done.detail["counts"]["added"] == LINES
    assert jobs.undo_import(done, by, clock.now()) == (3 * LINES, 0)
    assert not Person.select().where(Person.name.startswith("保護者")).exists()
    assert not Child.select().where(Child.name.startswith("子 ")).exists()


def test_only_one_process_writes(job, by, config):
    asked(job, by)
    with (config.data / "run" / "import").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert jobs.process_import_jobs(clock.now()) == 0
    assert again(job).state == "asked"


def test_what_cannot_be_written_goes_back_to_its_preview_and_says_why(job, one, by, monkeypatch):
    asked(job, by)
    small = jobs.create_import(one, by, text=text(3), now=clock.now())
    asked(small, by)
    assert jobs.process_import_jobs(clock.now()) == 0
    back = again(job)
    assert jobs.awaits_confirmation(back, clock.now()) and "changed" in jobs.failure_note(back).message
    assert not asked(back, by) and jobs.failure_note(again(job)) is None
    monkeypatch.setattr(jobs, "_apply_with_progress", lambda job, made: 1 / 0)
    jobs.process_import_jobs(clock.now())
    assert "broke off" in jobs.failure_note(again(job)).message
