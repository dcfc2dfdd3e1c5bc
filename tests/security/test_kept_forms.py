"""Every form in which text is written survives the end of its session, without script (decision 89)."""

from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest

from tests.security import addresses
from tests.security.access import ROLES
from tests.security.test_forms_and_verbs import all_routes
from tests.security.walk import Walker

ADMINISTRATOR = ROLES[-1]
WORDS = "とても大事な、{} 番目の <言葉>"
TEXTS = ("text", "search", "tel", "url")
NOT_KEPT = ("password", "code", "credential", "secret", "token", "old")


class Page(HTMLParser):
    """The forms of a page as a browser posts them: (action, method, {name: [tag, type, value]})."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, str, list[list[str]]]] = []
        self.text: list[str] | None = None
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.inside = True
            self.forms.append((given.get("action") or "", (given.get("method") or "get").lower(), []))
        elif self.inside and tag in ("input", "textarea") and given.get("name"):
            kind = given.get("type", "text") if tag == "input" else tag
            field = [given["name"], kind, given.get("value") or ""]
            self.forms[-1][2].append(field)
            self.text = field if tag == "textarea" else None

    def handle_data(self, data):
        if self.text is not None:
            self.text[2] += data

    def handle_endtag(self, tag):
        if tag == "textarea" and self.text is not None:
            self.text[2] = self.text[2].removeprefix("\n")
            self.text = None
        if tag == "form":
            self.inside = False


def text_forms(html: str) -> list[tuple[str, list[list[str]]]]:
    """Return (action, fields) of the forms of a page that post text which a person types."""
    return [
        (action, fields)
        for action, method, fields in Page(html).forms
        if method == "post" and any(is_text(name, kind) for name, kind, _ in fields)
    ]


def is_text(name: str, kind: str) -> bool:
    return (kind == "textarea" or kind in TEXTS) and not any(part in name for part in NOT_KEPT)


def pages(walker: Walker) -> dict[str, str]:
    """Return {address: HTML} of all pages that an administrator opens."""
    found = {}
    for route in all_routes(walker):
        if route.method != "GET" or route.endpoint.startswith("public.") or route.endpoint == "static":
            continue
        url = addresses.address(walker.world, route, addresses.owners(route)[0])
        answer, _changes = walker.ask(ADMINISTRATOR, "GET", url) if url else (None, [])
        if answer is not None and answer.status_code == 200 and answer.mimetype == "text/html":
            found[url] = answer.get_data(as_text=True)
    return found


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("kept-forms")
def test_each_form_with_a_text_comes_back_filled_in_after_the_login(walker):
    walker.app.config["WTF_CSRF_ENABLED"] = True
    seen, lost = set(), []
    for url, html in pages(walker).items():
        for action, fields in text_forms(html):
            target = urlsplit(urljoin(f"http://localhost{url}", action)).path
            shape = (walker.app.url_map.bind("").match(target, "POST")[0], tuple(name for name, _kind, _ in fields))
            if shape in seen or walker.app.view_functions[shape[0]].__dict__.get("is_public"):
                continue
            seen.add(shape)
            lost += comes_back(walker, url, target, fields)
    assert lost == []
    assert len(seen) > 25 and "notices.save_content" in {endpoint for endpoint, _names in seen}, sorted(seen)


def comes_back(walker: Walker, url: str, target: str, fields: list[list[str]]) -> list[str]:
    """Post a form without a session; return what is missing on the page that the user sees after the login."""
    posted, typed = [], []
    for place, (name, kind, value) in enumerate(fields):
        if is_text(name, kind):
            typed.append((name, WORDS.format(place)))
        if kind not in ("checkbox", "radio", "file"):
            posted.append((name, WORDS.format(place) if is_text(name, kind) else value))
    stranger = walker.app.test_client(use_cookies=False)
    answer = stranger.post(target, data=as_data(posted), headers={"Referer": f"http://localhost{url}"})
    where = parse_qs(urlsplit(answer.headers.get("Location", "")).query).get("next", [""])[0]
    if answer.status_code != 302 or not where.startswith("/account/kept/"):
        return [f"{target} from {url}: {answer.status_code} {answer.headers.get('Location')}"]
    cookie = "; ".join(f"{name}={value}" for name, value in walker.cookies[ADMINISTRATOR.name].items())
    browser = walker.app.test_client(use_cookies=False)
    led = browser.get(where, headers={"Cookie": cookie})
    page = browser.get(led.headers["Location"], headers={"Cookie": cookie})
    shown = {
        (name, value) for _action, fields in text_forms(page.get_data(as_text=True)) for name, _kind, value in fields
    }
    walker._changes()
    return [f"{target} from {url}: {name} is lost" for name, words in typed if (name, words) not in shown]


def as_data(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
