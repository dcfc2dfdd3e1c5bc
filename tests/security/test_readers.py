"""The readers' pages: the link of one letter opens nothing of another family, list or notice (T-43, T-44)."""

from datetime import timedelta

import pytest

import clock
from core.members import signed_links
from models import MailingList, Person
from tests.security import addresses
from tests.security.access import NOBODY, ROLES, Route, classify, rules
from tests.security.walk import Walker, canaries_of, tables_of

STRANGER = next(role for role in ROLES if role.name == NOBODY)
FOREIGN = {"b", "next", "both", "house"}
COUNTED_BY_GET = {"page_view"}
"""Opening a page and following a tracked link is counted."""


def value(walker: Walker, route: Route, name: str, owner: str) -> object:
    """Return a parameter of a reader's address for the objects of an owner."""
    made = walker.world.numbers[owner]
    if name == "mark" and route.rule.startswith("/p/<mark>"):
        return signed_links.sign_page_token(Person.get_by_id(made["person"]), clock.now() + timedelta(hours=1))
    if name == "mark":
        return made["mark of sent"]
    if name == "number":
        return {"/r": made["file of sent"], "/p": made["list"], "/c": 1}[route.rule[:2]]
    if name == "address":
        return MailingList.get_by_id(made["list"]).address
    if name == "code":
        return MailingList.get_by_id(made["list"]).join_code
    return {"token": made["token"], "choice": 1}[name]


def address(walker: Walker, route: Route, first: str, second: str) -> str:
    """Return the address with the mark of one owner and the other numbers of another."""
    names = addresses.PARAMETER.findall(route.rule)
    filled = iter([str(value(walker, route, name, second if place else first)) for place, name in enumerate(names)])
    return addresses.PARAMETER.sub(lambda _part: next(filled), route.rule)


def public_routes(walker: Walker) -> list[Route]:
    return [
        Route(rule.endpoint, method, rule.rule, classify(rule, method) or "", "")
        for rule, method in rules(walker.app)
        if rule.endpoint.startswith("public.")
    ]


@pytest.mark.timeout(600)
@pytest.mark.proves("T-43")
@pytest.mark.xdist_group("readers")
def test_a_letters_link_shows_and_changes_only_its_own_family(walker):
    found, shown = [], 0
    for route in public_routes(walker):
        for second in ("a", "b"):
            for numbers in ("a", "b", "next"):
                url = address(walker, route, "a", second)
                data = addresses.form(walker.world, numbers) if route.method == "POST" else None
                answer, changes = walker.ask(STRANGER, route.method, url, data=data)
                seen = {word for word, owner, level in canaries_of(answer) if owner in FOREIGN and level != "n"}
                touched = {one[:2] for one in changes if walker.world.owner_of.get(one[:2]) in FOREIGN}
                by_get = tables_of(changes) - COUNTED_BY_GET if route.method == "GET" else set()
                shown += answer.status_code == 200
                if answer.status_code >= 500 or seen or touched or by_get:
                    found.append((route.key, second, numbers, answer.status_code, seen, touched, by_get))
    walker.keep_counts("readers")
    assert not found, "\n".join(map(str, found))
    assert shown > 30
