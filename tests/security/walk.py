"""Send one request as one user, and find out what it showed and what it changed."""

import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

import clock
from config import FILE_NAME, current_config
from database import db
from models import TABLES, Device, Group, MailingList, Person, Session
from tests import cast
from tests.security.access import LISTS_OF, NOBODY, PRACTISING, ROLES, RoleCase
from tests.security.world import World, build, canaries_in, may_see, rows_by_table

MAY_CHANGE_ON_REFUSAL = {"audit_log", "session"}
"""A refused request may leave a line in the audit log; using a session notes the time."""
HTMX = {"HX-Request": "true"}


class Change(tuple):
    """(table, id, row before or None, row after or None)."""

    __slots__ = ()
    table = property(lambda self: self[0])
    number = property(lambda self: self[1])
    before = property(lambda self: self[2])
    after = property(lambda self: self[3])


@dataclass
class Walker:
    """The cookies of all users, and the tables as they were: every request begins from the same state."""

    app: Flask
    world: World
    cookies: dict[str, dict[str, str]]
    tables: sqlite3.Connection
    rows: dict[str, dict[int, tuple]]
    observer: sqlite3.Connection
    counts: Counter[str] = field(default_factory=Counter)
    version: int = 0
    limits_written: int = 0

    @classmethod
    def start(cls, app: Flask) -> "Walker":
        world = build()
        cookies = {role.name: {} for role in ROLES}
        for name in cookies.keys() - {NOBODY}:
            data = {"name": world.users[name].name, "password": cast.PASSWORD}
            answer = app.test_client().post("/login", data=data)
            assert answer.status_code == 303, name
            cookies[name] = set_cookies(answer)
        later = clock.now() + timedelta(hours=2)  # no request notes its time, none asks for the password again
        Session.update(seen_at=later, confirmed_at=later).execute()
        Device.update(seen_at=later).execute()
        observer = sqlite3.connect(current_config().data / "kairan.db", check_same_thread=False)
        walker = cls(app, world, cookies, sqlite3.connect(":memory:"), {}, observer)
        _copy_files(current_config().data, "kept")
        walker.keep_state()
        return walker

    def keep_state(self) -> None:
        """Make the tables as they are now the state from which every request begins."""
        db.connection().backup(self.tables)
        self.rows, self.version = rows_by_table(), self._data_version()

    def stop(self) -> None:
        self.observer.close()
        self.tables.close()

    def ask(self, role: RoleCase, method: str, url: str, **options: Any) -> tuple[TestResponse, list[Change]]:
        """Send a request; return the answer and the changed rows. The tables are put back."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies[role.name].items())
        headers = {"Cookie": cookie, **options.pop("headers", {})}
        browser = self.app.test_client(use_cookies=False)
        answer = browser.open(url, method=method, headers=headers, **options)
        answer.get_data()
        answer.close()
        self.counts["requests"] += 1
        self.counts[f"{answer.status_code // 100}xx"] += 1
        self._forget_rate_limits()
        return answer, self._changes()

    def keep_counts(self, name: str) -> None:
        """Write the counts into the folder that KAIRAN_SECURITY_COUNTS names."""
        if folder := os.environ.get("KAIRAN_SECURITY_COUNTS"):
            Path(folder, f"{name}.json").write_text(json.dumps(self.counts), "utf-8")

    def _data_version(self) -> int:
        return int(self.observer.execute("PRAGMA data_version").fetchone()[0])

    def _forget_rate_limits(self) -> None:
        """Empty the counters, so that the thousandth request is answered like the first."""
        path = current_config().data / "limits.db"
        if not path.exists() or path.stat().st_mtime_ns == self.limits_written:
            return
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("PRAGMA synchronous = OFF")
            file.execute("DELETE FROM hit")
        self.limits_written = path.stat().st_mtime_ns

    def _changes(self) -> list[Change]:
        version = self._data_version()
        if version == self.version:
            return []
        found = list(differences(self.rows, rows_by_table()))
        self.tables.backup(db.connection())
        _put_files_back(current_config().data, "kept")
        self.version = self._data_version()
        return found


def set_cookies(answer: TestResponse) -> dict[str, str]:
    """Return the cookies that an answer sets."""
    pairs = [text.partition(";")[0].partition("=") for text in answer.headers.getlist("Set-Cookie")]
    return {name: value for name, _, value in pairs}


def differences(before: dict[str, dict[int, tuple]], after: dict[str, dict[int, tuple]]) -> Iterator[Change]:
    for table, rows in before.items():
        now = after[table]
        if rows == now:
            continue
        for number in sorted(rows.keys() | now.keys()):
            if rows.get(number) != now.get(number):
                yield Change((table, number, rows.get(number), now.get(number)))


FOLDERS = ("attachments", "imports", "inbox", "outbox", "pictures")


def _copy_files(data: Path, name: str) -> None:
    for folder in FOLDERS:
        if (data / folder).exists():
            shutil.copytree(data / folder, data / name / folder)


def _put_files_back(data: Path, name: str) -> None:
    """Restore files that a request has removed, and forget settings that it wrote; other new files stay."""
    (data / FILE_NAME).unlink(missing_ok=True)
    for kept in (data / name).rglob("*"):
        path = data / kept.relative_to(data / name)
        if kept.is_file() and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(kept, path)


# ── what an answer shows and a request changes ──────────────────────────────────────────────────────────────────


def canaries_of(answer: TestResponse) -> set[tuple[str, str, str]]:
    """Return (canary, owner, level) of every canary in body and header fields."""
    text = answer.get_data().decode("utf-8", "replace") + str(answer.headers)
    return {*canaries_in(text), *canaries_in(unescape(unquote(text)))}


def leaks(role: RoleCase, answer: TestResponse) -> list[str]:
    """Return the canaries in an answer that this role must not see."""
    return sorted({word for word, owner, level in canaries_of(answer) if not may_see(role, owner, level)})


def may_touch(role: RoleCase, owner: str, table: str = "") -> bool:
    """Say whether any right of a role reaches the rows of an owner. Answers to a notice to 全校 touch that notice."""
    if owner in ("house", "chief"):
        return role.is_admin and owner == "house"
    if owner == "practice":
        return role.name == PRACTISING
    if owner == "whole" and table in ("notice", "question", "choice"):
        return role.best >= 1
    return max(role.level(key) for key in LISTS_OF[owner]) >= 1


def tables_of(changes: Iterable[Change]) -> set[str]:
    return {one.table for one in changes}


REFERENCES = {
    table._meta.table_name: [
        (place, one.rel_model._meta.table_name)
        for place, one in enumerate(table._meta.sorted_fields)
        if getattr(one, "rel_model", None) is not None
    ]
    for table in TABLES
}
"""{table: [(column, table that it refers to)]}"""


def foreign_changes(role: RoleCase, world: World, changes: Iterable[Change]) -> list[str]:
    """Return rows that were changed, deleted or referred to although no right of the role reaches their owner."""
    found = []
    for change in changes:
        owner = world.owner_of.get((change.table, change.number))
        if change.before is not None and owner and not may_touch(role, owner, change.table):
            found.append(f"{change.table} {change.number} of {owner} changed")
        elif change.table in OWN_COLUMNS and _changes_family(change) and not manages_all(role, world, change):
            found.append(f"{change.table} {change.number} in {sorted(world.lists_of[change[:2]])} changed")
        if change.before is None:
            found += _foreign_references(role, world, change)
    return found


OWN_COLUMNS = {
    "person": ("name", "kana", "address", "address_key", "phone", "language", "household"),
    "child": ("name", "kana", "grade", "class_name", "household", "attributes"),
}
"""What only users with rights over all lists of a person or child change; others ask them."""
COLUMNS = {table._meta.table_name: [one.name for one in table._meta.sorted_fields] for table in TABLES}


def _changes_family(change: Change) -> bool:
    """Say whether an existing person or child got another name, address, household …, or is deleted."""
    places = [COLUMNS[change.table].index(name) for name in OWN_COLUMNS[change.table]]
    return change.before is not None and (
        change.after is None or any(change.before[place] != change.after[place] for place in places)
    )


def manages_all(role: RoleCase, world: World, change: Change) -> bool:
    return all(role.level(key) >= 3 for key in world.lists_of.get(change[:2], ()))


def _foreign_references(role: RoleCase, world: World, change: Change) -> Iterator[str]:
    """Give what a new row refers to beyond the rights of the role."""
    pointed = [(change.after[place], table) for place, table in REFERENCES[change.table]]
    if change.table == "target":
        names = {"list": MailingList, "group": Group, "person": Person}
        columns = {"kind": change.after[3], "number": change.after[4]}
        pointed.append((columns["number"], names[columns["kind"]]._meta.table_name))
    for number, table in pointed:
        owner = world.owner_of.get((table, number)) if number else None
        if owner and not may_touch(role, owner, table):
            yield f"new {change.table} refers to {table} {number} of {owner}"


def is_refusal(answer: TestResponse) -> bool:
    """Say whether an answer is the login page, 403 or 404."""
    where = answer.headers.get("Location") or answer.headers.get("HX-Redirect") or ""
    return answer.status_code in (403, 404) or (answer.status_code in (302, 401) and where.startswith("/login"))


def in_group(name: str, *values: object) -> Any:
    """Return a parameter of a test that runs in a group of its own, so that all processors share the matrix."""
    return pytest.param(*values, marks=pytest.mark.xdist_group(name), id=name)
