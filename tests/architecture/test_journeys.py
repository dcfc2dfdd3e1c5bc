"""Every file, function and table that `docs/journeys.md` names exists."""

import ast
import re
from pathlib import Path

import models

HERE = Path(__file__).parents[2]
PLACE = re.compile(r"`((?:[\w-]+/)*[\w-]+(?:\.\w+|/))`")
TABLE = re.compile(r"`([A-Z][a-z]\w+)`")


def read(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def defined_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def exists(place: str) -> bool:
    """Say whether `core/a/b.py`, `templates/a/` or the function `core/a/b.verb` exists."""
    if (HERE / place).exists():
        return True
    module, _, name = place.rpartition(".")
    path = HERE / f"{module}.py"
    return path.is_file() and name in defined_in(path)


def test_every_file_and_function_of_the_journeys_exists():
    places = PLACE.findall(read("docs/journeys.md"))
    assert len(places) > 25
    assert [place for place in places if not exists(place)] == []
    assert not exists("core/no_such.py") and not exists("tasks.no_such")


def test_every_table_of_the_journeys_exists():
    named = set(TABLE.findall(read("docs/journeys.md")))
    assert named and named <= {table.__name__ for table in models.TABLES}
