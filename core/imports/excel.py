"""Read an Excel file in a subprocess with a memory limit: 1 kB of it can ask for all memory of the machine.

The reader allocates every cell up to the farthest one; one cell at XFD1048576 means 17,000,000,000 of them. Above the
limit only the subprocess fails (defences.md, archive bombs).
"""

import io
import json
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

PROJECT_ROOT = Path(__file__).parents[2]
MAX_MEMORY = 768 * 2**20
"""Bytes of address space. 20,000 rows of 40 columns need 150 MB."""
MAX_SECONDS = 60
MAX_UNPACKED = 100 * 2**20


class UnreadableWorkbook(Exception):
    """The file is broken, or needs more memory or time than a roster."""


def read_workbook(content: bytes, most_rows: int, most_columns: int) -> list[list[str]]:
    """Return the first sheet that is not empty, cells as text, within the limits. Raises UnreadableWorkbook."""
    command = [sys.executable, "-m", "core.imports.excel", str(most_rows), str(most_columns)]
    try:
        process = subprocess.run(  # noqa: S603  nothing of it comes from outside
            command, input=content, capture_output=True, cwd=PROJECT_ROOT, timeout=MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnreadableWorkbook from error
    if process.returncode:
        raise UnreadableWorkbook
    return json.loads(process.stdout)


def _is_zip_bomb(content: bytes) -> bool:
    if not content.startswith(b"PK"):
        return False
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED


def _first_filled_sheet(content: bytes, most_rows: int, most_columns: int) -> list[list[str]]:
    from python_calamine import load_workbook

    with load_workbook(io.BytesIO(content)) as book:
        for name in book.sheet_names:
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False, nrows=most_rows)
            if any(any(cell != "" for cell in row) for row in rows):
                return [[_cell_text(cell) for cell in row[:most_columns]] for row in rows]
    return []


def _cell_text(cell: object) -> str:
    """Return a cell as Excel shows it: whole floats without a point, dates without midnight."""
    if isinstance(cell, bool) or cell is None:
        return "" if cell is None else str(cell)
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).removesuffix(" 00:00:00")


def main() -> None:
    """Read a file from stdin, write its rows to stdout as JSON; a failure exits with a status other than 0."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most_rows, most_columns = map(int, sys.argv[1:])
    content = sys.stdin.buffer.read()
    if _is_zip_bomb(content):
        sys.exit(1)
    json.dump(_first_filled_sheet(content, most_rows, most_columns), sys.stdout)


if __name__ == "__main__":
    main()
