"""The file of huey's queue may be deleted at any moment; a notice in the tables survives the loss of the WAL."""

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta

import clock
import tasks
from database import db
from tests.smarthost import book, confirmed, written


def test_a_deleted_queue_file_heals_in_every_process_at_the_next_bell(config):
    consumer = tasks.get_huey.__wrapped__(config.data)  # as the scheduler process holds it
    tasks.get_huey.cache_clear()
    tasks.wake_worker()
    assert consumer.dequeue().name == "ring" and consumer.dequeue() is None
    for _ in range(2):
        for file in config.data.glob("huey.db*"):
            file.unlink()
        tasks.wake_worker()
        tasks.wake_worker(clock.now() + timedelta(hours=1))
        assert [consumer.dequeue().name, consumer.dequeue().name] == ["ring", "ring"]
        assert consumer.dequeue() is None
    assert not list(config.data.glob("huey.db-wal"))
    tasks.get_huey.cache_clear()


def test_a_confirmed_or_booked_notice_stands_in_the_main_file(school, config, tmp_path):
    hanako = school.users["花子"]
    first = written(hanako, [school.lists["1-1"]])
    second = written(hanako, [school.lists["1-1"]], subject="booked")
    confirmed(first, hanako, hold_s=180)
    book(second, hanako, hours=2)
    shutil.copyfile(config.database, tmp_path / "alone.db")  # without the WAL
    with closing(sqlite3.connect(tmp_path / "alone.db")) as alone:
        found = dict(alone.execute("SELECT id, state FROM notice"))
    assert (found[first.id], found[second.id]) == ("held", "scheduled")
    assert not db.in_transaction()
