"""Form tokens and methods: what no page sends is refused, and changes nothing (T-12)."""

import re
from collections.abc import Iterator

import pytest

from tests.architecture.test_routes import WITHOUT_TOKEN
from tests.security import addresses
from tests.security.access import METHODS, ROLES, Route, classify, rules
from tests.security.walk import Walker, in_group, set_cookies

ADMINISTRATOR = ROLES[-1]
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def all_routes(walker: Walker) -> Iterator[Route]:
    for rule, method in rules(walker.app):
        kind, _, need = (classify(rule, method) or "").partition(" ")
        yield Route(rule.endpoint, method, rule.rule, kind, need)


def token_of_another_session(walker: Walker) -> str:
    return TOKEN.search(walker.app.test_client().get("/login").get_data(as_text=True))[1]


@pytest.mark.timeout(600)
@pytest.mark.proves("T-12")
@pytest.mark.parametrize("kind", [in_group(kind, kind) for kind in ("missing", "empty", "foreign", "query")])
def test_a_form_without_the_token_of_its_session_is_refused(walker, kind):
    walker.app.config["WTF_CSRF_ENABLED"] = True
    page, _changes = walker.ask(ADMINISTRATOR, "GET", "/account")
    walker.cookies[ADMINISTRATOR.name] |= set_cookies(page)
    own = TOKEN.search(page.get_data(as_text=True))[1]
    found, foreign = [], token_of_another_session(walker)
    fields = {"missing": {}, "empty": {"csrf_token": ""}, "foreign": {"csrf_token": foreign}, "query": {}}[kind]
    query = {"csrf_token": own} if kind == "query" else {}
    for route in all_routes(walker):
        if route.method != "POST" or route.endpoint.startswith("public.") or route.endpoint in WITHOUT_TOKEN:
            continue
        url = addresses.address(walker.world, route, addresses.owners(route)[0])
        data = addresses.form_of(walker.world, route, "a") | fields
        answer, changes = walker.ask(ADMINISTRATOR, "POST", url, data=data, query_string=query)
        if answer.status_code != 403 or changes:
            found.append(f"{route.key}: {answer.status_code}, changes {[one.table for one in changes]}")
    walker.keep_counts(f"csrf-{kind}")
    assert not found, "\n".join(found)
    assert walker.counts["requests"] > 100
    accepted, _changes = walker.ask(ADMINISTRATOR, "POST", "/account/email/wanted/forget", data={"csrf_token": own})
    assert accepted.status_code == 303, "with the token of the session it is accepted"


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("verbs")
def test_other_methods_are_refused(walker):
    methods: dict[str, set[str]] = {}
    for rule, method in rules(walker.app):
        methods.setdefault(rule.rule, set()).add(method)
    found = []
    for route in {one.rule: one for one in all_routes(walker) if one.endpoint != "static"}.values():
        url = addresses.address(walker.world, route, addresses.owners(route)[0])
        for method in sorted(set(METHODS) - methods[route.rule]):
            answer, changes = walker.ask(ADMINISTRATOR, method, url, data={})
            if answer.status_code not in (404, 405) or changes:
                found.append(f"{method} {route.rule}: {answer.status_code}, changes {[one.table for one in changes]}")
    walker.keep_counts("verbs")
    assert not found, "\n".join(found)
    assert walker.counts["requests"] > 200
