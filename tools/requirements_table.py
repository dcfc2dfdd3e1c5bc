"""Write the proving tests of each requirement into `docs/requirements.md`: `.venv/bin/python -m tools.requirements_table`.

A test declares them by `@pytest.mark.proves("D-40", "T-05")`; the third column is generated from these markers. The
fourth is written by hand: "by hand: how", "by decision: what differs from the source", "in part: what is missing" or
"nothing to build".
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "requirements.md"
ID = re.compile(r"\b[TDNXE]-\d\d\b")
ROW = re.compile(r"^\| (?P<id>[TDNXE]-\d\d) \| (?P<what>.*) \| (?P<tests>.*) \| (?P<remark>.*) \|$")
REMARK = re.compile(r"(?:by hand|by decision|in part): .+|nothing to build|-")
COUNT = re.compile(r"about [\d,]+ test functions")
"""Rounded to hundreds, so that a new test does not change the page."""


def test_functions(folder: Path) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield ("tests/x.py::test_y", function) of each test."""
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.relative_to(ROOT).as_posix()}::{node.name}", node


def proved_ids(function: ast.FunctionDef) -> list[str]:
    """Return the ids of a test's `proves` markers."""
    calls = [one for one in function.decorator_list if isinstance(one, ast.Call)]
    marks = [one for one in calls if ast.unparse(one.func) == "pytest.mark.proves"]
    return [ast.literal_eval(argument) for mark in marks for argument in mark.args]


def tests_by_id(folder: Path) -> dict[str, list[str]]:
    """Return {id: ["tests/x.py::test_y", …]}."""
    tests: dict[str, list[str]] = {}
    for name, function in test_functions(folder):
        for requirement in proved_ids(function):
            tests.setdefault(requirement, []).append(name)
    return tests


def fill_table(page: str, tests: dict[str, list[str]], functions: int) -> str:
    """Return the page with updated test column and test count."""
    lines = []
    for line in page.splitlines():
        if row := ROW.match(line):
            cell = " · ".join(f"`{one}`" for one in tests.get(row["id"], [])) or "-"
            line = f"| {row['id']} | {row['what']} | {cell} | {row['remark']} |"
        lines.append(COUNT.sub(f"about {round(functions, -2):,} test functions", line))
    return "\n".join(lines) + "\n"


def unproven(page: str) -> list[str]:
    """Return the ids with neither a test nor a remark."""
    rows = [row for line in page.splitlines() if (row := ROW.match(line))]
    return [
        row["id"]
        for row in rows
        if not REMARK.fullmatch(row["remark"])
        or (row["tests"] == "-" and not row["remark"].startswith(("by hand: ", "nothing to build")))
    ]


def written_page() -> str:
    """Return the page generated from the current tests."""
    folder = ROOT / "tests"
    return fill_table(PAGE.read_text("utf-8"), tests_by_id(folder), sum(1 for _ in test_functions(folder)))


def main() -> int:
    page = written_page()
    PAGE.write_text(page, "utf-8")
    if bare := unproven(page):
        print("neither test nor remark:", " ".join(bare), file=sys.stderr)
    return bool(bare)


if __name__ == "__main__":
    raise SystemExit(main())
