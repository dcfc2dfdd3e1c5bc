"""Every route × method × role × object: a refused request shows nothing and changes nothing (T-33, D-08)."""

import os
import re
import zlib
from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

import web
from models import Group
from tests.security import addresses
from tests.security.access import ROLES, RoleCase, Route, guarded_routes, is_allowed
from tests.security.walk import (
    MAY_CHANGE_ON_REFUSAL,
    Change,
    Walker,
    foreign_changes,
    in_group,
    is_refusal,
    leaks,
    may_touch,
    tables_of,
)
from tests.security.world import rows_by_table

PARTS = 8
WHOLE = os.environ.get("KAIRAN_SECURITY") == "whole"
LOGGED = {"audit_log"}
GET_MAY_CHANGE = {
    "history.breach_report_csv": LOGGED,
    "history.show_breach_report": LOGGED,
    "responses.answers_csv": LOGGED,
    "responses.board_csv": LOGGED,
    "stats.address_report_csv": LOGGED,
    "stats.notices_csv": LOGGED,
    "stats.show": {"notice_stats"},
}
"""A download of families' data is logged. The sums of a notice are counted when they are first looked at."""
RUNS_SCHEDULED_WORK = {"signup.open_registration_day": {"queued_signup"}}
"""Runs at once what the periodic task runs every minute, for all lists."""

WITHOUT_OBJECT = {
    "admin.outbox_message_html",  # the outbox shows the HTML of letters that have a row; the one of this school has none
    "admin.download_backup",  # no backup was made
    "account.replace_recovery_codes",  # no user of this school has a second factor
    "account.passkey_options",  # a passkey wants https
    "account.add_passkey",
    "account.confirm_passkey_options",
    "account.confirm_with_passkey",
}
"""Routes whose object this school lacks: 404 also for who may."""

REMOVES_TWICE = {"notices.remove_file", "notices.save_and_remove_file"}
"""A file that is not there (any more) is no error: the own draft is shown, or saved, all the same."""


def problems(walker: Walker, role: RoleCase, route: Route, owner: str, child_owner: str) -> Iterator[str]:
    """Send one request; give what is wrong with its answer or with what it changed."""
    url = addresses.address(walker.world, route, owner, child_owner)
    if url is None or (child_owner and url == addresses.address(walker.world, route, owner)):
        return
    # An address without an object gets numbers that the role may name; foreign ones are for test_foreign_numbers.
    named = owner if addresses.main_kind(route) else ("b" if role.level("b") > role.level("a") else "a")
    data = addresses.form_of(walker.world, route, named) if route.method != "GET" else None
    answer, changes = walker.ask(role, route.method, url, data=data)
    if answer.status_code >= 500:
        yield f"is answered with {answer.status_code}"
    if found := leaks(role, answer):
        yield f"shows {found}"
    free = RUNS_SCHEDULED_WORK.get(route.endpoint, set())
    if found := [one for one in foreign_changes(role, walker.world, changes) if one.split()[0] not in free]:
        yield f"changes {found}"
    if route.method == "GET" and (
        found := tables_of(changes) - {"session"} - GET_MAY_CHANGE.get(route.endpoint, set())
    ):
        yield f"changes {sorted(found)} by GET"
    if child_owner:
        walker.counts["mixed"] += 1
        yield from _problems_of_mixed_numbers(route, role, child_owner, answer, changes)
    elif not is_allowed(role, route.kind, route.need, owner):
        walker.counts["denied"] += 1
        yield from _problems_of_refusal(answer, changes)
    else:
        walker.counts["allowed"] += 1
        if is_refusal(answer) and route.endpoint not in WITHOUT_OBJECT and addresses.UNKNOWN not in url:
            yield f"is refused with {answer.status_code} {answer.headers.get('Location', '')}"


def _problems_of_refusal(answer: TestResponse, changes: list[Change]) -> Iterator[str]:
    if not is_refusal(answer):
        yield f"is not refused but answered with {answer.status_code} {answer.headers.get('Location', '')}"
    if found := tables_of(changes) - MAY_CHANGE_ON_REFUSAL:
        yield f"is refused and changes {sorted(found)}"


def _problems_of_mixed_numbers(
    route: Route, role: RoleCase, child_owner: str, answer: TestResponse, changes: list[Change]
) -> Iterator[str]:
    """An own object with a foreign second one is refused; to a user with both it does nothing."""
    if route.endpoint in REMOVES_TWICE:
        return
    if not may_touch(role, child_owner):
        yield from _problems_of_refusal(answer, changes)
    elif found := tables_of(changes) - MAY_CHANGE_ON_REFUSAL:
        yield f"mixes two lists and changes {sorted(found)}"


def cases(route: Route) -> Iterator[tuple[RoleCase, str, str]]:
    """Give (role, owner, owner of the second object) of a route."""
    for role in ROLES:
        for owner in addresses.owners(route):
            yield role, owner, ""
            if addresses.has_child(route) and owner in ("a", "b"):
                yield role, owner, "b" if owner == "a" else "a"


def is_in_fixed_half(*parts: object) -> bool:
    """Say whether a request is in the half that runs without KAIRAN_SECURITY=whole: always the same one."""
    return WHOLE or zlib.crc32("|".join(map(str, parts)).encode()) % 2 == 0


@pytest.mark.timeout(1200)
@pytest.mark.proves("T-33")
@pytest.mark.parametrize("part", [in_group(f"matrix{part}", part) for part in range(PARTS)])
def test_no_role_sees_or_changes_what_it_may_not(walker, part):
    found = []
    for route in guarded_routes(walker.app)[part::PARTS]:
        for role, owner, child_owner in cases(route):
            if is_in_fixed_half(route.key, role.name, owner, child_owner):
                found += [
                    f"{route.key} ({route.endpoint}) as {role.name}, object of {owner} {child_owner}: {problem}"
                    for problem in problems(walker, role, route, owner, child_owner)
                ]
    walker.keep_counts(f"matrix{part}")
    assert not found, "\n".join(found)
    assert walker.counts["denied"] > 100 and walker.counts["allowed"] > 50


def problems_of(walker: Walker, endpoint: str, role: str, owner: str, child_owner: str = "") -> str:
    """Return all problems of a POST in one text."""
    route = next(one for one in guarded_routes(walker.app) if (one.endpoint, one.method) == (endpoint, "POST"))
    user = next(one for one in ROLES if one.name == role)
    return " | ".join(problems(walker, user, route, owner, child_owner))


@pytest.mark.xdist_group("matrix0")
def test_the_matrix_notices_a_permission_that_is_not_asked_for(walker, monkeypatch):
    assert problems_of(walker, "lists.export_csv", "viewer of a", "a") == ""
    monkeypatch.setattr(
        "blueprints.lists.views.get_list_or_404", lambda number, need="view": web.get_list_or_404(number)
    )
    found = problems_of(walker, "lists.export_csv", "viewer of a", "a")
    assert "not refused but answered with 200" in found and re.search(r"shows \['zq\w+sx\d+'", found)


@pytest.mark.xdist_group("matrix1")
def test_the_matrix_notices_an_object_of_another_list(walker, monkeypatch):
    assert problems_of(walker, "lists.close_group", "sender of a", "a", "b") == ""
    monkeypatch.setattr("blueprints.lists.groups._group_or_404", lambda _list, number: Group.get_by_id(number))
    found = problems_of(walker, "lists.close_group", "sender of a", "a", "b")
    assert "member_group" in found and "of b changed" in found


@pytest.mark.xdist_group("matrix2")
def test_the_matrix_puts_everything_back(walker):
    before = walker.rows
    administrator = ROLES[-1]
    _answer, changes = walker.ask(
        administrator, "POST", f"/notices/{walker.world.numbers['a']['draft']}/delete", data={}
    )
    assert {"notice", "wording", "target"} <= tables_of(changes)
    assert rows_by_table() == before
