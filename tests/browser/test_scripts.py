"""Check static/kairan.js, static/reader.js and htmx in a real browser, on made-up pages under the strict policy."""

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page

from tests.web_thread import server_of

STATIC = Path(__file__).resolve().parent.parent.parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'"
)
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
HTMX = '{"includeIndicatorStyles":false,"allowEval":false,"historyCacheSize":0}'

pytestmark = pytest.mark.xdist_group("browser")


class Site:
    """An application of one page and the static files; it writes down every POST and every look at the page."""

    html = ""
    answer = ""
    status = 200
    address = ""
    views = 0

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, list[str]], str | None]] = []

    def __call__(self, environ: dict, start_response: Callable) -> list[bytes]:
        status, text, kind = self.post(environ) if environ["REQUEST_METHOD"] == "POST" else self.get(environ)
        body = text.encode()
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Security-Policy": POLICY,
            **({} if status == 204 else {"Content-Length": str(len(body))}),
        }
        start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
        return [body]

    def get(self, environ: dict) -> tuple[int, str, str]:
        path = STATIC / environ["PATH_INFO"].removeprefix("/static/")
        if environ["PATH_INFO"] == "/page":
            self.views += 1
            return 200, self.html, "text/html"
        if path.is_file():
            return 200, path.read_text(encoding="utf-8"), TYPES[path.suffix]
        return 200, "", "text/plain"

    def post(self, environ: dict) -> tuple[int, str, str]:
        body = environ["wsgi.input"].read().decode()
        self.posts.append((parse_qs(body), environ.get("HTTP_HX_REQUEST")))
        return self.status, self.answer, "text/html"


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()
    with server_of(one, max_body=2**20) as (port, _):
        one.address = f"http://127.0.0.1:{port}"
        yield one


@pytest.fixture
def page(page: Page) -> Page:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return page


def show(page: Page, site: Site, body: str, script: str = "kairan", lang: str = "ja") -> None:
    site.html = f"""<!doctype html><html lang="{lang}"><meta charset="utf-8"><title>t</title>
      <meta name="htmx-config" content='{HTMX}'>
      <link rel="icon" href="/static/favicon.svg"><link rel="stylesheet" href="/static/kairan.css">
      <script src="/static/vendor/htmx.min.js" defer></script>
      <script src="/static/{script}.js" defer></script><body>{body}</body></html>"""
    page.goto(f"{site.address}/page")


def settled(page: Page) -> None:
    """Wait until the server answered a request that was made after everything before it."""
    page.evaluate("() => fetch('/ping').then((answer) => answer.text())")


NOW = "2026-10-14T05:48:00Z"
READER = """<section id="seal"><p>not yet</p></section>
  <form id="read" method="post" action="/r/abc" data-touch-url="/r/abc/touch" data-press-after="2026-10-14T05:51:00Z" data-now="{now}">
  <input type="hidden" name="how" value="press"><button>見ました</button></form><input id="other"><p class="big"></p>"""


def open_letter(page: Page, site: Site, phone_clock: str = NOW, server_clock: str = NOW) -> None:
    site.answer = '<section id="seal" role="status"><p>確認しました</p></section>'
    page.clock.install(time=phone_clock)
    show(page, site, READER.format(now=server_clock), script="reader")


def test_reader_who_touches_the_page_is_recorded_when_the_time_has_come(page, site):
    open_letter(page, site)
    page.focus("#other")
    page.keyboard.press("Tab")
    page.focus("#other")
    settled(page)
    assert site.posts == []
    with page.expect_response("**/r/abc/touch"):
        page.clock.fast_forward(180_000)
    page.wait_for_selector("#seal[role=status]")
    assert site.posts == [({"how": ["press"]}, "true")]
    assert page.evaluate("document.activeElement.id") == "other"
    assert not page.is_visible("#read")
    page.keyboard.press("Tab")
    settled(page)
    assert len(site.posts) == 1


def test_late_touch_counts_at_once(page, site):
    open_letter(page, site)
    page.clock.fast_forward(200_000)
    settled(page)
    assert site.posts == []
    with page.expect_response("**/r/abc/touch"):
        page.mouse.wheel(0, 10)


def test_nobody_touched_it(page, site):
    open_letter(page, site)
    page.clock.fast_forward(3_600_000)
    settled(page)
    assert site.posts == []


def test_scripts_that_scroll_click_or_type_are_nobody(page, site):
    open_letter(page, site)
    page.clock.fast_forward(200_000)
    page.evaluate("""() => { window.scrollTo(0, 9); for (const n of ['pointerdown', 'touchstart', 'wheel', 'keydown'])
        document.body.dispatchEvent(new Event(n, {bubbles: true})) }""")
    settled(page)
    assert site.posts == []


def test_hidden_page_is_never_recorded(page, site):
    page.add_init_script("Object.defineProperty(document, 'visibilityState', {get: () => window.shown || 'hidden'})")
    open_letter(page, site)
    page.keyboard.press("Tab")
    page.clock.fast_forward(200_000)
    page.evaluate("window.shown = 'visible'; document.dispatchEvent(new Event('visibilitychange'))")
    settled(page)
    assert site.posts == []


def test_page_hidden_when_the_time_comes_waits_until_it_is_seen(page, site):
    page.add_init_script("Object.defineProperty(document, 'visibilityState', {get: () => window.shown || 'visible'})")
    open_letter(page, site)
    page.keyboard.press("Tab")
    page.evaluate("window.shown = 'hidden'")
    page.clock.fast_forward(200_000)
    settled(page)
    assert site.posts == []
    with page.expect_response("**/r/abc/touch"):
        page.evaluate("window.shown = 'visible'; document.dispatchEvent(new Event('visibilitychange'))")


def test_phone_with_a_wrong_clock_waits_as_long_as_others(page, site):
    open_letter(page, site, phone_clock="2026-10-14T06:30:00Z")
    page.keyboard.press("Tab")
    page.clock.fast_forward(170_000)
    settled(page)
    assert site.posts == []
    with page.expect_response("**/r/abc/touch"):
        page.clock.fast_forward(11_000)


def test_button_pressed_by_hand_is_the_only_record(page, site):
    open_letter(page, site)
    with page.expect_response("**/r/abc"):
        page.click("#read button")
    page.clock.fast_forward(200_000)
    settled(page)
    assert site.posts == [({"how": ["press"]}, None)]


def test_countdown_follows_the_servers_clock(page, site):
    page.clock.install(time="2026-10-14T09:00:00Z")
    span = '<span id="{}" lang="{}" data-now="2026-10-14T05:48:00Z" data-until="2026-10-14T05:51:05Z">3分</span>'
    show(page, site, span.format("a", "ja") + span.format("b", "en"))
    assert re.fullmatch("3分0[0-5]秒", page.text_content("#a"))
    page.clock.run_for(60_000)
    assert re.fullmatch("2 min 0[0-6] s|1 min 59 s", page.text_content("#b"))
    page.clock.run_for(200_000)
    assert page.text_content("#a") == "0分00秒"


def test_second_press_of_a_once_button_sends_nothing(page, site):
    site.status = 204
    page.clock.install()
    show(
        page,
        site,
        '<form method="post" action="/send" data-once><button name="go" value="1" data-busy="送信中">'
        "送信する</button></form>",
    )
    with page.expect_response("**/send"):
        page.evaluate("() => { const b = document.querySelector('button'); b.click(); b.click(); b.click() }")
    assert page.text_content("button") == "送信中"
    assert page.get_attribute("button", "aria-disabled") == "true"
    settled(page)
    assert [fields for fields, _ in site.posts] == [{"go": ["1"]}]
    page.clock.run_for(21_000)
    assert page.text_content("button") == "送信する"


def test_once_button_can_be_pressed_again_after_an_htmx_answer(page, site):
    show(
        page,
        site,
        '<form hx-post="/send" hx-swap="none" data-once><button data-busy="…"><b>送信</b>する</button></form>',
    )
    for count in (1, 2):
        with page.expect_response("**/send"):
            page.click("button")
        page.wait_for_selector("button:not([aria-disabled]) b")
        assert len(site.posts) == count


def test_choosing_submits(page, site):
    show(
        page, site, '<form method="post" action="/set"><select name="s" data-submit><option>a<option>b</select></form>'
    )
    with page.expect_response("**/set"):
        page.select_option("select", "b")
    assert site.posts[0][0] == {"s": ["b"]}


def test_copying_tells_that_it_was_done(page, site):
    page.clock.install()
    show(
        page,
        site,
        '<input id="url" value="https://x/1"><button data-copy="#url" data-done="コピーしました">コピー</button>',
    )
    page.click("button")
    page.wait_for_function("document.querySelector('button').textContent === 'コピーしました'")
    assert page.evaluate("navigator.clipboard.readText()") == "https://x/1"
    page.clock.run_for(2_100)
    assert page.text_content("button") == "コピー"


@pytest.mark.proves("T-22")
def test_print_button_prints(page, site):
    page.add_init_script("window.printed = 0; window.print = () => { window.printed += 1 }")
    show(page, site, "<button data-print>印刷する</button>")
    page.click("button")
    assert page.evaluate("window.printed") == 1


@pytest.mark.proves("T-12")
def test_page_from_the_browsers_memory_is_loaded_anew(page, site):
    show(page, site, "<p>1</p>")
    with page.expect_navigation():
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    assert site.views == 2


def test_htmx_keeps_the_focus_and_breaks_no_policy(page, site):
    site.answer = '<input id="q" name="q" value="2"><p id="new">2</p>'
    show(page, site, '<div id="box"><input id="q" name="q" hx-post="/s" hx-trigger="keyup" hx-target="#box"></div>')
    page.focus("#q")
    page.keyboard.press("a")
    page.wait_for_selector("#new")
    assert page.evaluate("document.activeElement.id") == "q"
    assert page.evaluate("document.documentElement.classList.contains('js')")
