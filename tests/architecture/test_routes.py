"""Every address of the pages wants a login, a form token and the protecting headers; `tests/security/access.py` names the open ones."""

import re
from collections.abc import Iterator

import pytest
from werkzeug.routing import Rule

from tests import cast, cast_notices
from tests.security import access

OPEN_TO_ALL = {key.split()[0] for key, value in access.ACCESS.items() if value == "open"}
"""Pages of the organizers' areas that need no login."""

WITHOUT_TOKEN = {
    "notices.cancel_reminder_by_link",
    "notices.cancel_by_link",
    "inbound.confirm_signup",
    "inbound.stop_membership",
    "inbound.resume_membership",
    "inbound.release_held_post",
}
"""The mark in its address, mailed to the writer alone, is the authority, as on the readers' pages."""

HTMX = {"HX-Request": "true"}


def addresses(app, method: str) -> Iterator[tuple[str, str]]:
    """Give (endpoint, address) of every route that takes a method, variable parts filled in."""
    for rule in app.url_map.iter_rules():
        if method in (rule.methods or ()) and rule.endpoint != "static":
            yield rule.endpoint, filled(rule)


def filled(rule: Rule) -> str:
    """Return an address for a rule: numbers are 1 (there is such a row), words cannot be guessed."""
    return re.sub(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>", lambda part: "1" if part[1] == "int" else "aaaa2222", rule.rule)


def is_open(app, endpoint: str) -> bool:
    return endpoint.startswith("public.") or getattr(app.view_functions[endpoint], "is_public", False)


@pytest.fixture
def strict(app):
    """The application with form tokens switched on, as it is served."""
    app.config["WTF_CSRF_ENABLED"] = True
    return app


def test_every_route_says_who_may_use_it(app):
    """T-33: the matrix of `tests/security` walks what is written there."""
    assert access.unclassified(app) == []
    assert access.outdated(app) == []
    assert len(access.guarded_routes(app)) > 200


def test_a_route_without_a_line_is_named(app, monkeypatch):
    monkeypatch.delitem(access.ACCESS, "home.index")
    (sentence,) = access.unclassified(app)
    assert "GET /" in sentence and '"home.index"' in sentence


def test_only_the_named_pages_are_open(app):
    opened = {endpoint for endpoint in app.view_functions if endpoint != "static" and is_open(app, endpoint)}
    assert {one for one in opened if not one.startswith("public.")} == OPEN_TO_ALL


@pytest.mark.proves("T-10", "X-05")
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_every_other_page_wants_a_login(app, method, headers):
    """T-10: nothing of a page, a fragment or a file is told to somebody without a session."""
    guarded = [(name, url) for name, url in addresses(app, method) if not is_open(app, name)]
    for endpoint, url in guarded:
        got = app.test_client().open(url, method=method, headers=headers)
        where = got.headers.get("HX-Redirect") if headers else got.headers.get("Location")
        assert got.status_code == (401 if headers else 302), (endpoint, method, got.status_code)
        assert re.match(r"/login(\?|$)", where or ""), (endpoint, where)
        assert "かえで原" not in got.get_data(as_text=True), endpoint
    assert len(guarded) > 15 or method not in ("GET", "POST")


def test_every_form_wants_its_token(strict):
    """T-12: a POST without the token of this session is refused, whoever sends it; the readers' pages need none."""
    browser = strict.test_client()
    page = browser.get("/login").get_data(as_text=True)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
    data = {"name": "守", "password": cast.PASSWORD, "csrf_token": token}
    assert browser.post("/login", data=data).status_code == 303
    for endpoint, url in addresses(strict, "POST"):
        got = browser.post(url, data={"subject": "x"})
        free = endpoint.startswith("public.") or endpoint in WITHOUT_TOKEN
        assert (got.status_code == 403) != free, (endpoint, got.status_code)
    assert browser.get("/").status_code == 200, "and nothing of it has logged anybody out"


@pytest.mark.proves("E-01")
@pytest.mark.parametrize("who", ["守", None], ids=["administrator", "stranger"])
def test_every_answer_carries_the_protecting_headers(app, as_, school, who):
    """T-12: nothing is kept by a browser, so that the way back after a logout shows nothing."""
    cast_notices.send([school.lists["1-1"]], by=school.users["守"])
    browser = as_(who) if who else app.test_client()
    for endpoint, url in [*addresses(app, "GET"), ("none", "/no-such-page")]:
        got = browser.get(url)
        headers = got.headers
        assert got.status_code < 500, (endpoint, got.status_code)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, endpoint
        assert "unsafe-inline" not in policy and not re.search(r"https?:|\*|[a-z]\.[a-z]", policy), endpoint
        assert headers["X-Content-Type-Options"] == "nosniff", endpoint
        assert "no-store" in headers["Cache-Control"], endpoint
        assert headers["Referrer-Policy"] in ("same-origin", "no-referrer"), endpoint


@pytest.mark.proves("T-09", "E-05")
def test_a_page_over_https_asks_for_https_for_ever(app):
    got = app.test_client().get("/login", base_url="https://kairan.test")
    assert "max-age" in got.headers["Strict-Transport-Security"]
