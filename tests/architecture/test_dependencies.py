"""The dependency order: one table says who may import whom; imports inside functions count too."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOUNDATION = ("clock", "i18n", "config", "database", "models")
PACKAGES = (
    "core.errors",
    "core.disk_space",
    "core.csv_cells",
    "core.display_names",
    "core.audit",
    "core.permissions",
    "core.visibility",
    "core.clock_watch",
    "core.quarantine",
    "core.process_settings",
    "core.settings",
    "core.schema",
    "core.install",
    "core.rate_limits",
    "core.household_reads",
    "core.backup",
    "core.notifications",
    "core.accounts",
    "core.members",
    "core.imports",
    "core.rollover",
    "core.delivery",
    "core.notices",
    "core.signup",
    "core.responses",
    "core.inbound",
    "core.reports",
    "core.retention",
    "core.system",
    "core.scheduler",
    "core.demo",
)
"""A part of `core/` imports only parts that stand above it."""

MAY_IMPORT = {
    "clock": set(),
    "i18n": {"clock"},
    "config": {"i18n"},
    "database": set(),
    "models": {"clock", "database"},
    "mail": {"config", "i18n", "mail"},
    "core": {*FOUNDATION, "mail"},
    "tasks": {"database", "clock", "config", "i18n", "models", "core"},
    "web": {"clock", "config", "i18n", "database", "models", "core"},
    "web_security": {"clock", "i18n", "database", "web", "core", "models"},
    "smtpd": {"database", "clock", "config", "i18n", "models", "core", "tasks"},
    "blueprints": {"clock", "i18n", "database", "models", "core", "tasks", "web"},
    "cli": {*FOUNDATION, "mail", "core", "tasks", "web", "smtpd", "app"},
    "compression": set(),
    "app": {*FOUNDATION, "core", "web", "web_security", "compression", "blueprints", "cli"},
}
"""What each part outside `core/` may import beside itself."""

NO_WEB_NO_QUEUE = {*FOUNDATION, "mail", "core"}
WEB_AND_QUEUE = {"flask", "flask_login", "flask_wtf", "wtforms", "werkzeug", "jinja2", "huey", "waitress", "click"}


def modules() -> dict[str, Path]:
    """Return {dotted name: file} of the product; tests, tools, benchmarks and migrations stand outside."""
    found = {}
    for part in MAY_IMPORT:
        paths = (ROOT / part).rglob("*.py") if (ROOT / part).is_dir() else [ROOT / f"{part}.py"]
        for path in sorted(paths):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(source: str) -> Iterator[str]:
    """Give the dotted name of everything imported, also inside functions; of ours the module, not the name in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            for one in node.names:
                yield full if (full := f"{module}.{one.name}") in MODULES else module


def part_of(module: str) -> str:
    """Return the part of the table to which a module belongs: `core.delivery`, `mail`, `blueprints`, …"""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "core" and len(parts) > 1 else parts[0]


def breaches(module: str, source: str) -> list[str]:
    """Return what a module imports against the table."""
    own, top = part_of(module), module.split(".")[0]
    found = []
    for name in imported(source):
        other, other_top = part_of(name), name.split(".")[0]
        if top in NO_WEB_NO_QUEUE and other_top in WEB_AND_QUEUE:
            found.append(name)
        elif other_top not in MAY_IMPORT or other == own and top != "blueprints":
            continue
        elif top == other_top == "core":
            if other == "core" or PACKAGES.index(other) > PACKAGES.index(own):
                found.append(name)
        elif top == other_top == "blueprints":
            if name.split(".")[:2] != module.split(".")[:2]:
                found.append(name)
        elif other_top not in MAY_IMPORT[top]:
            found.append(name)
    return found


def test_no_module_imports_against_the_table():
    found = {name: breaches(name, path.read_text("utf-8")) for name, path in MODULES.items()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_the_table_names_every_part_of_core():
    assert {part_of(name) for name in MODULES if name.startswith("core.")} == set(PACKAGES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.members.lists", "def f():\n    from flask import abort"),
        ("core.members.lists", "from web import render"),
        ("core.members.lists", "def f():\n    from core.notices import draft"),
        ("core.delivery.worker", "from core.notices.rendering import render"),
        ("core.members.lists", "import core"),
        ("mail.compose", "import models"),
        ("mail.compose", "from core.members.lists import add"),
        ("models", "import core.members.lists"),
        ("i18n", "import config"),
        ("tasks", "from blueprints.home import views"),
        ("blueprints.lists.views", "from blueprints.members import forms"),
        ("blueprints.lists.views", "from mail import address"),
        ("blueprints.lists.views", "from app import create_app"),
        ("cli.lists", "import blueprints.lists"),
    ],
)
def test_a_breach_is_seen(module, source):
    assert breaches(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "blueprints.lists.imports",
            "from blueprints.lists.views import Form\nfrom core.members import lists\nimport web",
        ),
        ("core.members.lists", "from mail import address\nimport clock\nfrom core import errors"),
        ("core.notices.state", "from core.delivery import queue"),
        ("cli.serve", "from app import create_app"),
    ],
)
def test_an_import_along_the_table_passes(module, source):
    assert breaches(module, source) == []


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or around corners (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_no_circle_of_imports():
    graph = {
        name: {other for other in imported(path.read_text("utf-8")) if other in MODULES} - {name}
        for name, path in MODULES.items()
    }
    assert circles(graph) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


EACH_ALONE = """
import gc, importlib, os, sys
import aiosmtpd.smtp, babel, cryptography, flask, flask_login, flask_wtf, huey, peewee, wtforms
gc.disable()  # a collection costs more than an import, and each process ends after one
for name in sys.argv[1:]:
    if (child := os.fork()) == 0:
        try:
            importlib.import_module(name)
            if "core.notifications.kinds" in sys.modules:
                assert len(sys.modules["core.notifications.kinds"].KINDS) >= 47
        except BaseException as wrong:
            print(f"{name}: {wrong!r}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.timeout(400)  # a fresh interpreter for each module: 15 s of processor
def test_each_module_can_be_imported_alone():
    """Every module in a process in which nothing of ours was loaded before; the registry of letters is whole."""
    done = subprocess.run(
        [sys.executable, "-c", EACH_ALONE, *MODULES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
