"""What every test stands on: a fresh installation in a temporary folder, and the small school of `cast`."""

import gc
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from copy import deepcopy
from pathlib import Path

import pytest
import time_machine
from argon2 import PasswordHasher
from flask import Flask

import clock
import config as ground
from core import install
from core.accounts import passwords
from database import EPOCH, db, open_database, set_busy_timeout
from tests import cast

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
"""Without bytecode files every process that a test starts compiles the product and the tests anew: seconds each."""


LONG_GROUPS = ("days", "processes", "real", "journeys", "pages", "families", "browser")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the workers of xdist begin with the long groups, which one worker runs to the end; the rest fills the gaps."""
    if hasattr(config, "workerinput"):
        items.sort(key=_place_of_group)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over modules and tests, which stay: it takes a tenth of the time otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _place_of_group(item: pytest.Item) -> int:
    mark = item.get_closest_marker("xdist_group")
    if not mark:
        return len(LONG_GROUPS) + 1
    return LONG_GROUPS.index(mark.args[0]) if mark.args[0] in LONG_GROUPS else len(LONG_GROUPS)


@pytest.fixture(scope="session")
def mould(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One fresh installation for the whole run, to be copied: making keys and tables for each test takes minutes."""
    folder = tmp_path_factory.mktemp("mould")
    install.prepare_data_folder(ground.Config(data=folder))
    db.close()
    return folder


@pytest.fixture(scope="session")
def key_box(mould: Path) -> Path:
    """The keys that all tests share."""
    return mould / "keys"


@pytest.fixture(scope="session")
def one_app(mould: Path) -> Flask:
    """One web application for the whole run: making its routes and templates takes longer than most tests."""
    from app import create_app

    made = create_app(ground.Config(data=mould))
    db.close()
    return made


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> None:
    """Hash the cast's passwords cheaply: with the real parameters each test would spend half a second on them."""
    passwords.hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(autouse=True)
def umask_as_it_was() -> Iterator[None]:
    """Give the process its umask back: commands close it for everybody else, and servers of later tests need it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def hour() -> Iterator[None]:
    """The hour at which a test begins: now, or another hour and season (`make hours`); its own changes end with it."""
    offset_s = float(os.environ.get("KAIRAN_TEST_OFFSET_S", "0"))
    clock.set_offset(0)
    with time_machine.travel(time.time() + offset_s) if offset_s else nullcontext():
        yield
    clock.set_offset(0)


@pytest.fixture(autouse=True)
def boot_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that moves the wall clock means that time passes: the time since boot follows."""
    monkeypatch.setattr(clock, "since_boot", lambda: clock.now() - EPOCH)


@pytest.fixture
def config(tmp_path: Path, mould: Path) -> Iterator[ground.Config]:
    """An installation of its own: data folder, keys, empty tables; letters go nowhere."""
    data = tmp_path / "data"
    for folder in (data, data / "run", data / "outbox"):
        folder.mkdir(mode=0o700)
    (data / "keys").symlink_to(mould / "keys")
    shutil.copy(mould / "kairan.db", data / "kairan.db")
    made = ground.Config(data=data, mail_domain="mail.school.example", base_url="http://kairan.test")
    ground.set_current_config(made)
    install.lock_shared(data)
    set_busy_timeout(None)  # a request of an earlier test has set it for this thread
    open_database(made.database)  # as `install.prepare_data_folder`, which looks for migrations, too
    db.execute_sql("PRAGMA synchronous = OFF")  # nobody pulls the plug of this connection
    yield made
    db.close()


@pytest.fixture(scope="session")
def kept_school() -> Iterator[tuple[sqlite3.Connection, list[cast.School]]]:
    """The tables of the school, and its rows by name once they are written."""
    with closing(sqlite3.connect(":memory:")) as tables:
        yield tables, []


@pytest.fixture
def school(config: ground.Config, kept_school: tuple[sqlite3.Connection, list[cast.School]]) -> cast.School:
    """The organization with its users, lists and families, and noise that no query may catch.

    Written once, when the first test wants it: a copy costs a tenth of writing it.
    """
    tables, written = kept_school
    if not written:
        with db.atomic():
            written.append(cast.build())
        db.connection().backup(tables)
    else:
        tables.backup(db.connection())
    return deepcopy(written[0])


@pytest.fixture
def app(one_app: Flask, school: cast.School) -> Iterator[Flask]:
    """The web application of the school, forms without CSRF tokens (one test checks these)."""
    kept = dict(one_app.config)
    one_app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    yield one_app
    one_app.config.clear()
    one_app.config.update(kept)


@pytest.fixture
def client(app):
    """A browser that has not logged in."""
    return app.test_client()


@pytest.fixture
def as_(app):
    """Log in as one of the cast: `as_("花子").get("/")`."""

    def login(name: str):
        browser = app.test_client()
        answer = browser.post("/login", data={"name": name, "password": cast.PASSWORD})
        assert answer.status_code == 303, answer.status_code
        return browser

    return login


@pytest.fixture
def as_confirmed(as_):
    """Log in and confirm by password, as rosters and mail settings require."""

    def login(name: str):
        browser = as_(name)
        answer = browser.post("/account/confirm/password", data={"password": cast.PASSWORD})
        assert answer.status_code == 303, answer.status_code
        return browser

    return login


def needs_part(found: bool, what: str) -> None:
    """Skip a test whose real part is not installed, saying what to install; in CI that is a failure."""
    if found:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"this test needs {what}; .ci/run must install it")
    pytest.skip(f"install {what} to run this test")
