"""Files and functions stay small enough to be read at once; the sizes are printed (`pytest -s`), outliers fail."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
LONGEST_FUNCTION = 60
LONGEST_FILE = 400
LONGEST = {"models.py": 1000}  # one file of lean tables, read section by section
OUTSIDE = {".venv", "data", "migrations", "node_modules"}


def files() -> list[Path]:
    """Return every Python file of the repository that we wrote."""
    return sorted(path for path in HERE.rglob("*.py") if not OUTSIDE & set(path.relative_to(HERE).parts))


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Give (name, lines) of every function, decorators left out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(HERE)))
def test_a_file_and_its_functions_can_be_read_at_once(path):
    assert lines(path) <= LONGEST.get(path.name, LONGEST_FILE)
    assert [(name, size) for name, size in functions(path.read_text("utf-8")) if size > LONGEST_FUNCTION] == []


def test_most_functions_are_short():
    product = [path for path in files() if path.relative_to(HERE).parts[0] not in ("tests", "tools", "benchmarks")]
    sizes = sorted(size for path in product for _, size in functions(path.read_text("utf-8")))
    file_sizes = sorted(map(lines, product))
    middle, ninth = sizes[len(sizes) // 2], sizes[len(sizes) * 9 // 10]
    print(f"\n{len(sizes)} functions: median {middle}, nine of ten up to {ninth}, longest {sizes[-1]} lines")
    print(f"{len(file_sizes)} files: median {file_sizes[len(file_sizes) // 2]}, longest {file_sizes[-1]} lines")
    assert middle <= 10 and ninth <= 32


def test_the_measure_counts_the_lines_of_a_function():
    source = "@decorated\ndef short():\n    return 1\n\nasync def long():\n" + "    x = 1\n" * 61
    assert dict(functions(source)) == {"short": 2, "long": 62}
