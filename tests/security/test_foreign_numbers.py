"""Own addresses with numbers of another list in every form field and query parameter (T-33)."""

import pytest

from tests.security import addresses
from tests.security.access import ROLES, guarded_routes
from tests.security.test_matrix import GET_MAY_CHANGE, RUNS_SCHEDULED_WORK, is_in_fixed_half
from tests.security.walk import HTMX, Walker, foreign_changes, in_group, leaks, tables_of

PARTS = 4
POSTING = ("no role", "viewer of a", "sender of a", "manager of a")


def problems(walker: Walker, role, route, headers: dict[str, str]) -> list[str]:
    """Send the request; give what it shows or changes of list b."""
    own, world = addresses.address(walker.world, route, addresses.owners(route)[0]), walker.world
    if route.method == "GET":
        answer, changes = walker.ask(role, "GET", own, query_string=addresses.query(world, "b"), headers=headers)
    else:
        answer, changes = walker.ask(
            role,
            route.method,
            own,
            data=addresses.form_of(world, route, "b"),
            query_string={"notice": world.numbers["b"]["draft"]},
        )
    free = RUNS_SCHEDULED_WORK.get(route.endpoint, set())
    by_get = (
        tables_of(changes) - {"session"} - GET_MAY_CHANGE.get(route.endpoint, set()) if route.method == "GET" else ()
    )
    found = {
        "status": answer.status_code if answer.status_code >= 500 else 0,
        "shows": leaks(role, answer),
        "changes": [one for one in foreign_changes(role, world, changes) if one.split()[0] not in free],
        "by GET": sorted(by_get),
    }
    return [f"{what} {value}" for what, value in found.items() if value]


@pytest.mark.timeout(1200)
@pytest.mark.proves("T-33")
@pytest.mark.parametrize("part", [in_group(f"numbers{part}", part) for part in range(PARTS)])
def test_a_foreign_number_in_a_form_or_query_reaches_nothing(walker, part):
    found = []
    for route in guarded_routes(walker.app)[part::PARTS]:
        for role in ROLES:
            for headers in ({}, HTMX) if route.method == "GET" else ({},):
                if (route.method == "GET" or role.name in POSTING) and is_in_fixed_half(
                    route.key, role.name, len(headers)
                ):
                    wrong = problems(walker, role, route, headers)
                    found += [f"{route.key} ({route.endpoint}) as {role.name}: {one}" for one in wrong]
    walker.keep_counts(f"numbers{part}")
    assert not found, "\n".join(found)
    assert walker.counts["requests"] > 100
