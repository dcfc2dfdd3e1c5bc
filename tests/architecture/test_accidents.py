"""`docs/accidents.md`: all thirteen accidents stand there, and every test it names exists (field 5.3)."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> dict[int, list[tuple[str, str]]]:
    """Return the tests that hold each accident, by its number."""
    found = ROW.findall((HERE / "docs" / "accidents.md").read_text(encoding="utf-8"))
    return {int(number): TEST.findall(held) for number, _, held in found}


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}


def test_each_accident_is_held_by_a_test() -> None:
    assert list(rows()) == list(range(1, 14))
    assert [number for number, held in rows().items() if not held] == []


def test_every_test_that_is_named_exists() -> None:
    missing = [
        f"{file}::{name}" for held in rows().values() for file, name in held if name not in names_in(HERE / file)
    ]
    assert missing == []
