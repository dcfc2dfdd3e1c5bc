"""What may not be written anywhere in the repository, and how partials and source strings look."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tools import catalogue

HERE = Path(__file__).parents[2]
TEXT = {".py", ".html", ".js", ".css", ".md", ".toml", ".sh", ".service", ".json", ".csv", ".txt", ".yml", ".cfg", ""}
THIS = Path(__file__).name
PRODUCT = (
    "app.py",
    "smtpd.py",
    "web.py",
    "models.py",
    "tasks.py",
    "config.py",
    "clock.py",
    "i18n.py",
    "core",
    "mail",
    "cli",
)
WORKER_LOOPS = {
    "tasks.py",
    "core/inbound/imap_poller.py",
    "core/delivery/worker.py",
    "smtpd.py",
    "core/inbound/dispatch.py",
    "cli/deliver.py",
    "mail/auth_results.py",
    "core/imports/jobs.py",
}
"""The worker loop and the mail door, where any exception is caught: they record it, put the work off and go on."""


def tracked() -> list[Path]:
    """Return the text files that git keeps, vendored ones left out."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HERE, capture_output=True, check=True).stdout.decode()
    paths = [HERE / name for name in listed.split("\0") if name and "vendor/" not in name]
    return [path for path in paths if path.suffix in TEXT and path.name != THIS and path.is_file()]


def python_files() -> list[Path]:
    folders = [*PRODUCT, "blueprints"]
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(HERE).parts[0] in folders]


def name(path: Path) -> str:
    return str(path.relative_to(HERE))


FORBIDDEN = {
    "a path of somebody's machine": r"(?<![\w.])/(?:home|Users|work|root|tmp)/\w",
    "a note of unfinished work": r"\b(?:TODO|FIXME|XXX|HACK)\b",
    "a stamp of who or what wrote it": r"Co-Authored-By|Generated (?:with|by) \w+ (?:Code|AI)|\bChatGPT\b|\bClaude\b",
    "a private key": r"-----BEGIN (?:RSA |EC )?PRIVATE KEY",
}
EXCUSED = {("kairan", "/root/"), (".ci/run", "/root/"), (".ci/run", "/tmp/")}


def test_no_file_holds_what_is_forbidden():
    found = [
        (name(path), what, hit[0])
        for path in tracked()
        for what, pattern in FORBIDDEN.items()
        for hit in re.finditer(pattern, path.read_text("utf-8", errors="replace"))
        if not any(name(path) == file and hit[0].startswith(text) for file, text in EXCUSED)
    ]
    assert found == []


def test_every_text_is_utf_8_with_unix_lines():
    wrong = []
    for path in tracked():
        content = path.read_bytes()
        if path.name.endswith(("_sjis.csv",)):
            continue
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            wrong.append(name(path))
        if b"\r\n" in content and path.suffix != ".csv":
            wrong.append(name(path))
    assert wrong == []


# ── python ───────────────────────────────────────────────────────────────────────────────────────────────────────


def broad_excepts(source: str) -> list[int]:
    """Return the lines that catch everything and do not raise it again."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler)
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
    ]


def test_the_rule_for_excepts_sees_a_breach_and_lets_a_clean_up_pass():
    assert broad_excepts("try:\n    f()\nexcept Exception:\n    pass") == [3]
    assert broad_excepts("try:\n    f()\nexcept BaseException:\n    undo()\n    raise") == []


def test_only_the_worker_loop_catches_everything():
    found = {name(path): broad_excepts(path.read_text("utf-8")) for path in python_files()}
    assert {file: lines for file, lines in found.items() if lines and file not in WORKER_LOOPS} == {}


PERSONAL = re.compile(r"address|email|mail$|subject|text$|body|phone|token|password|\.name$|kana|payload")


def personal_in_logs(source: str) -> list[str]:
    """Return what a log call is handed that sounds like an address, a name, a text or a key."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        if not (isinstance(owner, ast.Name) and owner.id in ("log", "logger", "logging")):
            continue
        for argument in [*node.args, *(one.value for one in node.keywords)]:
            parts = [argument] if not isinstance(argument, ast.JoinedStr) else argument.values
            found += [
                ast.unparse(one)
                for part in parts
                for one in ast.walk(part)
                if isinstance(one, ast.Name | ast.Attribute) and PERSONAL.search(ast.unparse(one))
            ]
    return found


def test_no_log_line_names_anybody():
    """X-02."""
    found = {name(path): personal_in_logs(path.read_text("utf-8")) for path in python_files()}
    assert {file: hits for file, hits in found.items() if hits} == {}


def test_the_rule_for_logs_sees_a_breach_and_lets_numbers_pass():
    for line in ('log.info("to %s", letter.address)', 'log.warning(f"{person.name} left")', 'log.info("%s", token)'):
        assert personal_in_logs(line), line
    assert personal_in_logs('log.info("letter %s of %s: %s", letter.id, notice.id, type(wrong).__name__)') == []


def now_of_the_machine(source: str) -> list[str]:
    """Return calls that read the machine's clock instead of `clock.now()`."""
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [one for one in calls if re.search(r"(?:datetime|date)\.(?:now|utcnow|today)$", one)]


def test_one_clock_for_all():
    found = {name(path): now_of_the_machine(path.read_text("utf-8")) for path in python_files()}
    assert {file for file, calls in found.items() if calls} <= {"clock.py"}


def test_the_tables_know_no_clock_of_their_own():
    sql = re.compile(
        r"CURRENT_TIMESTAMP|datetime\('now'|julianday\(|fn\.(?:strftime|datetime|date|unixepoch|now)\b", re.IGNORECASE
    )
    assert [name(path) for path in python_files() if sql.search(path.read_text("utf-8"))] == []


# ── words and templates ──────────────────────────────────────────────────────────────────────────────────────────

JAPANESE = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff]")
NAMES_OF_THINGS = re.compile(r"「[^」]*」|\([^)]*\)")


def test_source_strings_are_english():
    """A Japanese word may be quoted in 「」 or brackets, as the name of what stands on a page or of a law."""
    found, _ = catalogue.extract_messages(catalogue.ROOT)
    assert [sentence for sentence in found if JAPANESE.search(NAMES_OF_THINGS.sub("", sentence))] == []


def partials() -> list[Path]:
    return sorted((HERE / "templates").rglob("_*.html"))


def outermost(text: str) -> str | None:
    """Return the first tag of a template; None if it holds macros only."""
    plain = re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)
    if re.match(r"\s*(?:\{%-? *(?:from|import|set)\b.*?%\}\s*)*\{%-? *macro\b", plain, flags=re.DOTALL):
        return None
    first = re.search(r"<(?![!/])(?:\{\{.*?\}\}|[^>])*>", plain)
    return first[0] if first else None


def test_every_partial_can_be_replaced_by_its_id():
    """htmx swaps a partial for itself, so it needs an id, or names the ids that it is swapped for."""
    tags = {name(path): outermost(path.read_text("utf-8")) for path in partials()}
    assert len(tags) > 20
    assert {file: tag for file, tag in tags.items() if tag and not re.search(r"\sid=|\shx-swap-oob=\"\w+:#", tag)} == {}


def test_the_rule_for_partials_sees_the_first_tag():
    assert outermost('{# a <p> #}\n<section class="a" id="{{ x }}"><p>') == '<section class="a" id="{{ x }}">'
    assert outermost("{% macro row(one) %}<li>{% endmacro %}") is None


# ── what no page has ─────────────────────────────────────────────────────────────────────────────────────────────

ELSEWHERE = re.compile(
    r"(?:src|href|action|poster|data|srcset)\s*=\s*[\"']?\s*(?:https?:)?//|url\(\s*[\"']?(?:https?:)?//|@import"
)
PLUG_IN = re.compile(r"<(?:object|embed|applet|iframe(?![^>]*sandbox))\b")
ENVELOPE_FORM_FIELD = re.compile(r"^\s+(?:to|cc|bcc|rcpt)\s*=\s*\w*Field\(", re.MULTILINE)
ENVELOPE_FIELD = re.compile(r"name\s*=\s*[\"'](?:to|cc|bcc|rcpt)[\"']", re.IGNORECASE)


def pages_and_styles() -> list[Path]:
    own = [path for path in (HERE / "static").rglob("*") if path.suffix in (".css", ".js", ".svg")]
    return [*(HERE / "templates").rglob("*.html"), *(path for path in own if "vendor" not in path.parts)]


@pytest.mark.proves("T-19", "E-01")
def test_nothing_is_fetched_from_elsewhere():
    """E-01, E-04, T-19: whoever reaches this server needs no other one: no font, no script, no picture."""
    assert [name(path) for path in pages_and_styles() if ELSEWHERE.search(path.read_text("utf-8"))] == []


@pytest.mark.proves("T-22")
def test_no_page_needs_a_plug_in():
    """T-22."""
    assert [name(path) for path in pages_and_styles() if PLUG_IN.search(path.read_text("utf-8"))] == []


@pytest.mark.proves("N-07", "E-06", "E-07")
def test_no_form_has_a_field_for_to_cc_or_bcc():
    """N-07, E-06: what does not exist cannot be confused; recipients are lists and names, never typed addresses."""
    forms = [*(HERE / "templates").rglob("*.html"), *(HERE / "blueprints").rglob("*.py")]
    assert [name(path) for path in forms if ENVELOPE_FIELD.search(path.read_text("utf-8"))] == []
    assert [name(path) for path in forms if ENVELOPE_FORM_FIELD.search(path.read_text("utf-8"))] == []
    assert len(forms) > 150 and any("Field(" in path.read_text("utf-8") for path in forms)


def test_the_rules_for_pages_see_a_breach():
    assert ELSEWHERE.search('<script src="https://cdn.example/x.js">')
    assert ELSEWHERE.search("a { background: url(//example.com/a.png) }")
    assert PLUG_IN.search('<embed src="a.pdf">')
    assert ENVELOPE_FIELD.search('<input name="bcc">')
    assert ENVELOPE_FORM_FIELD.search("    cc = StringField(")


def test_who_still_belongs_to_a_list_is_asked_in_one_way():
    """Places that were left or refused count nowhere: a query of its own for one forgets the other (decision 52)."""
    asks = re.compile(r"\bstate (==|!=|in|not in|<<) \W{0,2}MembershipState\.LEFT\b")
    meant = {"core/members/unsubscribe.py"}  # who went lately
    found = {
        str(path.relative_to(HERE))
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(HERE).parts[0] in ("core", "blueprints", "cli")
        if asks.search(path.read_text("utf-8"))
    }
    assert found == meant
