"""A large roster is brought in by the worker: progress, a killed process, two presses, undo (T-36; law 1)."""

import fcntl
from datetime import timedelta

import pytest

import clock
from core import due
from core.roster import apply, work
from core.roster import jobs as roster
from models import Child, Job, Membership, Person

LINES = work.LARGE + 100


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
    return roster.begin(one, by, content=text().encode(), filename="名簿.csv", now=clock.now())


def asked(job, by):
    _, made = roster.preview(job, clock.now())
    return work.ask(job, by, fingerprint=made.fingerprint, now=clock.now())


def again(job):
    return Job.get_by_id(job.id)


def test_a_small_one_is_carried_out_at_once(one, by):
    small = roster.begin(one, by, text=text(3), now=clock.now())
    assert asked(small, by) and again(small).state == "done"


def test_a_large_one_is_left_to_the_worker(job, one, by):
    """T-36: nothing is written inside the request; whatever is due finds the row, with the bell or without."""
    assert not asked(job, by) and again(job).state == "asked"
    assert Person.select().where(Person.name.startswith("保護者")).count() == 0
    assert work.going_on(one).id == job.id and work.left(again(job), clock.now()) is None
    due.begin(clock.now())
    done = again(job)
    assert (done.state, done.done, done.detail["counts"]["added"]) == ("done", LINES, LINES)
    assert Person.select().where(Person.name.startswith("保護者")).count() == LINES
    assert work.going_on(one) is None and not roster.file_of(job).exists()


def test_a_second_press_asks_for_nothing_more(job, by):
    asked(job, by)
    with pytest.raises(roster.Refused):
        asked(again(job), by)
    work.work(clock.now())
    assert work.work(clock.now()) == 0


def test_after_a_kill_it_goes_on_where_it_was_and_undo_knows_everything(job, by, monkeypatch):
    asked(job, by)
    chunks = []

    def killed(plan, chunk, written, write=apply._write):
        if chunks:
            raise SystemExit  # as a kill: nothing after this runs
        chunks.append(len(chunk))
        write(plan, chunk, written)

    monkeypatch.setattr(apply, "_write", killed)
    with pytest.raises(SystemExit):
        work.work(clock.now())
    half = again(job)
    assert (half.state, half.done) == ("working", apply.CHUNK)
    assert (
        Membership.select()
        .where(Membership.person.in_(Person.select().where(Person.name.startswith("保護者"))))
        .count()
        == half.done
    )
    later = half.made_at + timedelta(seconds=5)
    assert timedelta(0) < work.left(half, later) < timedelta(seconds=5)
    monkeypatch.undo()
    assert work.work(clock.now()) == 1
    done = again(job)
    assert done.state == "done" and done.detail["counts"]["added"] == LINES
    assert roster.undo(done, by, clock.now()) == (3 * LINES, 0)
    assert not Person.select().where(Person.name.startswith("保護者")).exists()
    assert not Child.select().where(Child.name.startswith("子 ")).exists()


def test_only_one_process_writes(job, by, config):
    asked(job, by)
    with (config.data / "run" / "import").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert work.work(clock.now()) == 0
    assert again(job).state == "asked"


def test_what_cannot_be_written_goes_back_to_its_preview_and_says_why(job, one, by, monkeypatch):
    asked(job, by)
    small = roster.begin(one, by, text=text(3), now=clock.now())
    asked(small, by)
    assert work.work(clock.now()) == 0
    back = again(job)
    assert roster.is_waiting(back, clock.now()) and "changed" in work.why_back(back).message
    assert not asked(back, by) and work.why_back(again(job)) is None
    monkeypatch.setattr(work, "_apply", lambda job, made: 1 / 0)
    work.work(clock.now())
    assert "broke off" in work.why_back(again(job)).message
