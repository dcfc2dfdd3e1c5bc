"""Who may import whom: the order of the house (design 1), read from the syntax of every file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
GROUND = {"config", "clock", "words"}
PARTS = GROUND | {
    "mail",
    "database",
    "models",
    "core",
    "tasks",
    "web",
    "blueprints",
    "guards",
    "packing",
    "inlet",
    "cli",
    "app",
}
MAY = {
    "config": {"words"},
    "clock": set(),
    "words": {"clock"},
    "mail": {"config", "words", "mail"},
    "database": set(),
    "models": {"clock", "database"},
    "core": GROUND | {"mail", "models", "core"},
    "tasks": GROUND | {"core", "models"},
    "web": GROUND | {"core", "models"},
    "guards": {"web", "core", "models"},
    "packing": set(),
    "blueprints": {"web", "tasks", "core", "models", "clock", "words"},
    "inlet": GROUND | {"tasks", "core", "models"},
    "cli": PARTS - {"blueprints", "guards", "packing"},
    "app": PARTS,
}
WITHOUT_WEB_AND_QUEUE = GROUND | {"mail", "models", "core"}
FORBIDDEN = {"flask", "flask_login", "flask_wtf", "wtforms", "werkzeug", "jinja2", "huey", "gunicorn", "click"}


def files() -> Iterator[Path]:
    """Give every Python file of the product (tests, tools and migrations stand outside)."""
    for part in sorted(PARTS):
        yield from sorted((HERE / part).rglob("*.py")) if (HERE / part).is_dir() else [HERE / f"{part}.py"]


def imported(source: str) -> Iterator[str]:
    """Give the dotted name of everything imported, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole way"
            yield node.module or ""
            yield from (f"{node.module}.{one.name}" for one in node.names)


def part_of(path: Path) -> str:
    return path.relative_to(HERE).parts[0].removesuffix(".py")


def wrong(path: Path, source: str) -> list[str]:
    """Return what a file imports and must not."""
    part, own = part_of(path), path.relative_to(HERE).parts[:2]
    found = []
    for name in imported(source):
        top, *rest = name.split(".")
        if part in WITHOUT_WEB_AND_QUEUE and top in FORBIDDEN:
            found.append(name)
        elif part == "blueprints" and top == "blueprints":
            found += [] if not rest or rest[0] == own[1] else [name]
        elif top in PARTS and top != part and top not in MAY[part]:
            found.append(name)
    return found


@pytest.mark.parametrize("path", list(files()), ids=lambda path: str(path.relative_to(HERE)))
def test_a_file_imports_only_what_its_place_allows(path):
    assert wrong(path, path.read_text("utf-8")) == []


def test_only_the_terminal_and_tests_import_the_application():
    users = {part_of(path) for path in files() for name in imported(path.read_text("utf-8")) if name == "app"}
    assert users <= {"cli"}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/members/lists.py", "def f():\n    from flask import abort"),
        ("core/members/lists.py", "from web import rights"),
        ("mail/compose.py", "import models"),
        ("mail/compose.py", "from core.lists import add"),
        ("models.py", "import core.lists"),
        ("i18n.py", "import config"),
        ("tasks.py", "from blueprints.home import routes"),
        ("blueprints/lists/views.py", "from blueprints.members import forms"),
        ("blueprints/lists/views.py", "from mail import address"),
        ("blueprints/lists/views.py", "from app import create_app"),
        ("cli/list.py", "import blueprints.lists"),
    ],
)
def test_the_rule_sees_a_breach(path, source):
    assert wrong(HERE / path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "blueprints/lists/views.py",
            "from blueprints.lists.forms import Form\nfrom core import lists\nimport web",
        ),
        ("core/members/lists.py", "from mail import address\nimport clock"),
        ("cli/serve.py", "from app import create_app"),
    ],
)
def test_the_rule_lets_the_right_ones_pass(path, source):
    assert wrong(HERE / path, source) == []


FIRST = """
import importlib, sys
for name in sys.argv[1:]:
    for known in [one for one in sys.modules if one.split(".")[0] == "core"]:
        del sys.modules[known]
    importlib.import_module(name)
"""


def test_each_file_of_the_verbs_can_be_the_first_one_loaded():
    """No circle of imports that only the usual order of loading hides."""
    paths = [path.relative_to(HERE).with_suffix("") for path in (HERE / "core").rglob("*.py")]
    names = sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)
    done = subprocess.run([sys.executable, "-c", FIRST, *names], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-600:]
