"""Sizes of files and functions: a report (`pytest -s`), and a failure only for outliers."""

import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parents[2]
MAX_FUNCTION = 60
MAX_FILE = 650  # a file is as long as its one subject, up to about 600
EXCEPTIONS = {"models.py": 1400}  # one file of lean tables, read section by section
OUTSIDE = {".venv", "data", "migrations", "node_modules"}
NOT_PRODUCT = {"tests", "tools", "benchmarks"}


def files() -> dict[str, str]:
    """Return {path: source} of every Python file of the repository that we wrote."""
    paths = (path for path in HERE.rglob("*.py") if not OUTSIDE & set(path.relative_to(HERE).parts))
    return {path.relative_to(HERE).as_posix(): path.read_text("utf-8") for path in sorted(paths)}


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Give (name, lines) of every function, decorators left out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_and_no_function_is_far_too_long():
    sources = files()
    long_files = {
        path: size
        for path, source in sources.items()
        if (size := len(source.splitlines())) > EXCEPTIONS.get(path, MAX_FILE)
    }
    long_functions = {
        f"{path}::{name}": size
        for path, source in sources.items()
        for name, size in functions(source)
        if size > MAX_FUNCTION
    }
    assert (long_files, long_functions) == ({}, {})
    assert len(sources) > 200


def test_most_functions_of_the_product_are_short():
    product = {path: source for path, source in files().items() if path.split("/")[0] not in NOT_PRODUCT}
    sizes = sorted(size for source in product.values() for _, size in functions(source))
    file_sizes = sorted(len(source.splitlines()) for source in product.values())
    median, p90 = sizes[len(sizes) // 2], sizes[len(sizes) * 9 // 10]
    print(f"\n{len(sizes)} functions: median {median}, p90 {p90}, longest {sizes[-1]} lines")
    print(f"{len(file_sizes)} files, {sum(file_sizes)} lines: median {file_sizes[len(file_sizes) // 2]}", end=", ")
    print(f"p90 {file_sizes[len(file_sizes) * 9 // 10]}, longest {file_sizes[-1]} lines")
    assert median <= 10 and p90 <= 32


def test_the_measure_counts_the_lines_of_a_function():
    source = "@decorated\ndef short():\n    return 1\n\nasync def long():\n" + "    x = 1\n" * 61
    assert dict(functions(source)) == {"short": 2, "long": 62}
