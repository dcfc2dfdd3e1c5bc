"""Write into `docs/requirements.md` which tests hold each requirement, read from the ids that the tests quote.

Run it as `.venv/bin/python -m tools.requirements_table`. A row without a test keeps its "later: …"; what has neither is named.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "requirements.md"
ID = re.compile(r"\b[TDNXE]-\d\d\b")
ROW = re.compile(r"^\| (?P<id>[TDNXE]-\d\d) \| (?P<what>.*) \| (?P<where>.*) \|$")
MAX_TESTS = 3
"""Tests named for one requirement; more are seldom read."""


def tests_by_id(folder: Path) -> dict[str, list[str]]:
    """Return {id: ["tests/x.py::test_y", …]}; an id outside every test function names the file alone."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        source = path.read_text("utf-8")
        name = path.relative_to(ROOT).as_posix()
        rest = set(ID.findall(source))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                here = set(ID.findall(_source_with_comment(source, node)))
                rest -= here
                for one in sorted(here):
                    found.setdefault(one, []).append(f"{name}::{node.name}")
        for one in sorted(rest):
            found.setdefault(one, []).append(name)
    return found


def _source_with_comment(source: str, node: ast.FunctionDef) -> str:
    """Return the text of a function with its decorators and the comment lines directly above."""
    lines = source.splitlines()
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1
    while first and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : node.end_lineno])


def fill_table(page: str, tests: dict[str, list[str]]) -> tuple[str, list[str]]:
    """Return the page with its last column renewed, and the ids that have neither test nor "later"."""
    lines, bare = [], []
    for line in page.splitlines():
        row = ROW.match(line)
        if row:
            where = _cell(tests.get(row["id"], [])) or (row["where"] if row["where"].startswith("later: ") else "-")
            bare += [row["id"]] if where == "-" else []
            line = f"| {row['id']} | {row['what']} | {where} |"
        lines.append(line)
    return "\n".join(lines) + "\n", bare


def _cell(tests: list[str]) -> str:
    exact = [one for one in tests if "::" in one] or tests
    return " · ".join(f"`{one}`" for one in exact[:MAX_TESTS])


def main() -> int:
    page, bare = fill_table(PAGE.read_text("utf-8"), tests_by_id(ROOT / "tests"))
    PAGE.write_text(page, "utf-8")
    if bare:
        print("neither test nor later:", " ".join(bare), file=sys.stderr)
    return bool(bare)


if __name__ == "__main__":
    raise SystemExit(main())
