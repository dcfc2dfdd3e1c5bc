"""Attack a sample school on this machine and write the results into `docs/security.md`: `make security`.

The whole matrix of requests, bandit, pip-audit, wapiti with a session, sqlmap over every parameter that the pages show.
A tool that is not there, or whose database cannot be reached, is named in the result and does not stop the others.
"""

import http.cookiejar
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
TOOLS = ROOT / ".venv-security"
NEEDED = ROOT / "tools" / "security-requirements.txt"
PRODUCT = ("app.py", "blueprints", "cli", "core", "mail", "clock.py", "config.py", "database.py", "models.py", "smtpd.py", "tasks.py", "web.py", "web_security.py")  # fmt: skip
WAPITI_S, SQLMAP_S = int(os.environ.get("WAPITI_S", "300")), int(os.environ.get("SQLMAP_S", "3600"))
"""Seconds that each of the two may take."""
MAX_PAGES = 400
NEVER_FOLLOWED = re.compile(r"/(logout|login|static|account/sessions|users/\d+/(disable|log-out)|admin/mail)")
"""Would end the session of the attack, or turn its mail server."""

Row = dict[str, str]


def row(what: str, count: object, result: str) -> Row:
    print(f"{what}: {count}; {result}", flush=True)
    return {"what": what, "count": f"{count:,}" if isinstance(count, int) else str(count), "result": result}


def run(*command: object, timeout: float = 600, **options: object) -> subprocess.CompletedProcess[str]:
    words = [str(part) for part in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False, **options)


def tool(name: str) -> Path | None:
    """Return the path of a tool; install all of them on the first call."""
    if not TOOLS.exists():
        try:
            run(sys.executable, "-m", "venv", TOOLS)
            run(TOOLS / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "-r", NEEDED, timeout=1200)
        except subprocess.TimeoutExpired:
            shutil.rmtree(TOOLS, ignore_errors=True)
    found = TOOLS / "bin" / name
    return found if found.exists() else None


# ── the tests ────────────────────────────────────────────────────────────────────────────────────────────────────


PARTS = {
    "matrix": "matrix: route × method × role × object",
    "numbers": "foreign numbers in forms and queries",
    "csrf": "forms without the right token",
    "verbs": "other methods",
    "readers": "readers' pages with foreign numbers; an author whose role has ended",
}


def run_matrix(folder: Path) -> Iterator[Row]:
    """Run the whole matrix; give the counts of its parts."""
    counted = folder / "counts"
    counted.mkdir()
    more = {**os.environ, "KAIRAN_SECURITY": "whole", "KAIRAN_SECURITY_COUNTS": str(counted)}
    command = (
        BIN / "python",
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "--no-loadscope-reorder",
        "tests/security",
    )
    done = run(*command, timeout=3600, env=more)
    failed = re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    for name, what in PARTS.items():
        counts: Counter[str] = Counter()
        for path in counted.glob(f"{name}*.json"):
            counts.update(json.loads(path.read_text("utf-8")))
        parts = ", ".join(f"{counts[key]:,} {key}" for key in ("denied", "allowed", "mixed") if counts[key])
        bad = len([one for one in failed if _part_of(one) == name])
        said = f"{bad} tests failed" if bad else "no leak, no change"
        if not counts["requests"]:
            said = "failed to run"
        yield row(what, counts["requests"], f"{said} ({parts})" if parts else said)
    if done.returncode:
        print(done.stdout[-8000:], file=sys.stderr)


def _part_of(test: str) -> str:
    found = re.search(r"test_(matrix|foreign_numbers|readers|forms_and_verbs)\.py", test)
    name = {"foreign_numbers": "numbers"}.get(found[1], found[1]) if found else ""
    return ("verbs" if "methods" in test else "csrf") if name == "forms_and_verbs" else name


# ── tools that read the source ─────────────────────────────────────────────────────────────────────────────────────


def run_bandit() -> Row:
    found = tool("bandit")
    if not found:
        return row("bandit", "-", "not installed, skipped")
    done = run(found, "-q", "-r", "-f", "json", *PRODUCT)
    counts = Counter(one["issue_severity"].lower() for one in json.loads(done.stdout)["results"])
    lines = json.loads(done.stdout)["metrics"]["_totals"]["loc"]
    shown = ", ".join(f"{counts[level]} {level}" for level in ("high", "medium", "low"))
    return row("bandit", f"{lines:,} lines", shown)


def run_pip_audit() -> Row:
    found = tool("pip-audit")
    if not found:
        return row("pip-audit", "-", "not installed, skipped")
    done = run(found, "-r", "requirements.txt", "--no-deps", "--disable-pip", "-f", "json", "--timeout", "15")
    try:
        parts = [one for one in json.loads(done.stdout)["dependencies"] if "vulns" in one]  # the others were not found
    except (ValueError, KeyError):
        parts = []
    if not parts:
        return row("pip-audit", "-", "its database could not be reached, skipped")
    bad = [f"{one['name']}: {', '.join(found['id'] for found in one['vulns'])}" for one in parts if one["vulns"]]
    return row("pip-audit", f"{len(parts)} packages", "; ".join(bad) or "no known vulnerability")


# ── a running school ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class School:
    """A sample school that answers on this machine, and the session of its administrator."""

    url: str
    opener: urllib.request.OpenerDirector
    jar: http.cookiejar.CookieJar

    @property
    def cookie(self) -> str:
        return "; ".join(f"{one.name}={one.value}" for one in self.jar)

    def get(self, path: str) -> tuple[str, str]:
        """Return (address after redirects, text) of a page; ("", "") if it is none."""
        try:
            with self.opener.open(self.url + path, timeout=30) as answer:
                is_page = answer.headers.get_content_type() == "text/html"
                return answer.url.removeprefix(self.url), answer.read().decode() if is_page else ""
        except (urllib.error.URLError, TimeoutError):
            return "", ""


@contextmanager
def running_school(folder: Path) -> Iterator[School]:
    """Fill a sample school in a folder of its own, serve its pages, log its administrator in."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    more = {
        **os.environ,
        "KAIRAN_DATA": str(folder / "data"),
        "KAIRAN_HTTP": f"127.0.0.1:{port}",
        "FLASK_APP": "app.py",
    }
    filled = run(BIN / "flask", "demo", env=more)
    name, password = re.findall(r"^  (.+?)  (\S+)   \(administrator\)", filled.stderr, re.MULTILINE)[0]
    server = subprocess.Popen([BIN / "flask", "serve", "--only", "web"], cwd=ROOT, env=more, stderr=subprocess.DEVNULL)
    try:
        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        school = School(f"http://127.0.0.1:{port}", opener, jar)
        for _ in range(120):
            if school.get("/login")[1]:
                break
            time.sleep(0.5)
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', school.get("/login")[1])
        data = {"csrf_token": token[1] if token else "", "name": name, "password": password}
        opener.open(f"{school.url}/login", urllib.parse.urlencode(data).encode(), timeout=30).close()
        yield school
    finally:
        server.terminate()
        server.wait(60)


class Links(HTMLParser):
    """Links and forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.forms: list[tuple[str, str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.links |= {values[name] for name in ("href", "hx-get", "src") if values.get(name, "").startswith("/")}
        if tag == "form":
            self.forms.append((values.get("method", "get").lower(), values.get("action", ""), {}))
        if tag in ("input", "select", "textarea") and self.forms and values.get("name"):
            self.forms[-1][2].setdefault(values["name"], values.get("value") or "1")


@dataclass
class Targets:
    """What sqlmap tries: (address with numbers as #, names of the parameters) → one example."""

    pages: int = 0
    gets: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    posts: dict[tuple[str, tuple[str, ...]], tuple[str, str, str]] = field(default_factory=dict)


def crawl(school: School) -> Targets:
    """Follow the links of all pages; collect every parameter of their addresses and forms."""
    found, waiting, seen = Targets(), ["/"], {"/"}
    while waiting and found.pages < MAX_PAGES:
        here, text = school.get(waiting.pop(0))
        if not text:
            continue
        found.pages += 1
        page = Links()
        page.feed(text)
        for method, action, fields in page.forms:
            _collect_form(found, here, method, urllib.parse.urljoin(here, action or here), fields)
        for link in sorted(page.links):
            plain = link.partition("#")[0]
            if NEVER_FOLLOWED.match(plain) or _shape(plain) in seen:
                continue
            seen.add(_shape(plain))
            waiting.append(plain)
            _collect_query(found, plain)
    return found


def _shape(link: str) -> tuple[str, tuple[str, ...]] | str:
    """Return an address without its numbers and values: two members' pages are one target."""
    path, _, query = link.partition("?")
    return re.sub(r"/\d+", "/#", path), tuple(sorted(urllib.parse.parse_qs(query, keep_blank_values=True)))


def _collect_query(found: Targets, link: str) -> None:
    path, names = _shape(link)
    if names or "#" in path:
        found.gets.setdefault((path, names), link)


def _collect_form(found: Targets, page: str, method: str, action: str, fields: dict[str, str]) -> None:
    if NEVER_FOLLOWED.match(action):
        return
    names = tuple(sorted(set(fields) - {"csrf_token"}))
    values = urllib.parse.urlencode(fields)
    if method == "get" and names:
        found.gets.setdefault((_shape(action)[0], names), f"{action.partition('?')[0]}?{values}")
    elif names:
        found.posts.setdefault((_shape(action)[0], names), (page, action, values))


# ── tools that send requests ──────────────────────────────────────────────────────────────────────────────────────


def run_wapiti(school: School, folder: Path) -> Row:
    found = tool("wapiti")
    if not found:
        return row("wapiti", "-", "not installed, skipped")
    report = folder / "wapiti.json"
    # Not csrf: it sends two content types, so that every form is refused, and takes that for an unchecked token.
    modules = "cookieflags,http_headers,csp,redirect,xss,sql,permanentxss,file,exec,crlf,methods,upload"
    seconds = WAPITI_S / (len(modules.split(",")) + 5)
    limits = ("--max-scan-time", seconds * 5, "--max-attack-time", seconds, "-d", 6, "--max-links-per-page", 40)
    left_out = [part for path in ("/logout", "/login", "/account/*") for part in ("-x", school.url + path)]
    command = (found, "-u", f"{school.url}/", "--flush-session", "-C", school.cookie, *left_out, "-m", modules, *limits)
    try:
        run(
            *command,
            "-f",
            "json",
            "-o",
            report,
            "--no-bugreport",
            timeout=WAPITI_S * 2,
            env={**os.environ, "HOME": str(folder)},
        )
        result = json.loads(report.read_text("utf-8"))
    except (subprocess.TimeoutExpired, OSError, ValueError):
        return row("wapiti", "-", "ended without a report")
    found_things = {**result["vulnerabilities"], **result["anomalies"]}
    shown = "; ".join(f"{name}: {len(items)}" for name, items in found_things.items() if items)
    return row("wapiti with a session", f"{result['infos'].get('crawled_pages_nbr', 0)} pages", shown or "nothing")


def run_sqlmap(school: School, folder: Path) -> Row:
    """Try the parameters of all pages, one address after the other, until the time is over."""
    found = tool("sqlmap")
    if not found:
        return row("sqlmap", "-", "not installed, skipped")
    targets, begun, bad = crawl(school), time.monotonic(), []
    wanted = [(url, "", "") for url in targets.gets.values()]
    wanted = sorted([*wanted, *((url, data, page) for page, url, data in targets.posts.values())])
    parameters = done = 0
    for url, data, page in wanted:
        if time.monotonic() - begun > SQLMAP_S:
            break
        said = _sqlmap(found, school, folder, url, data, page)
        done += 1
        parameters += max(1, len(urllib.parse.parse_qs(data or url.partition("?")[2], keep_blank_values=True)))
        if re.search(r"is vulnerable|identified the following injection", said):
            bad.append(url)
    result = f"{done} of {len(wanted)} addresses of {targets.pages} pages; {'; '.join(bad) or 'nothing injectable'}"
    return row("sqlmap", f"{parameters} parameters", result)


def _sqlmap(found: Path, school: School, folder: Path, url: str, data: str, page: str) -> str:
    target = url if "?" in url or data else re.sub(r"/(\d+)", r"/\1*", url)
    command = [found, "-u", school.url + target, "--cookie", school.cookie, "--batch", "--level", 1, "--risk", 1]
    command += [
        "--dbms",
        "sqlite",
        "--technique",
        "BEU",
        "--flush-session",
        "--disable-coloring",
        "--output-dir",
        folder,
    ]
    if data:
        command += ["--data", data, "--csrf-token", "csrf_token", "--csrf-url", school.url + page]
    try:
        return run(*command, timeout=120).stdout
    except subprocess.TimeoutExpired:
        return ""


def main() -> int:
    """Run everything; write `docs/security.md`. Exit 1 if the matrix failed or something was found."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        rows = [*run_matrix(folder), run_bandit(), run_pip_audit()]
        with running_school(folder) as school:
            rows += [run_wapiti(school, folder), run_sqlmap(school, folder)]
        commit = run("git", "rev-parse", "--short", "HEAD").stdout.strip()
        counts = folder / "counts.json"
        counts.write_text(json.dumps({"day": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit, "rows": rows}), "utf-8")
        run(BIN / "python", "-m", "tools.security_page", counts)
    return int(any("failed" in one["result"] or "vulnerable" in one["result"] for one in rows))


if __name__ == "__main__":
    raise SystemExit(main())
