"""Read an Excel file in a subprocess with a memory limit, because a file of 1 kB can request all memory of the machine.

The reader allocates every cell up to the farthest one; one cell at XFD1048576 means 17,000,000,000 of them. Above the
limit only the subprocess fails (defences.md, archive bombs).
"""

import html
import io
import json
import re
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).parents[2]
MAX_MEMORY = 768 * 2**20
"""Bytes of address space. 20,000 rows of 40 columns need 150 MB."""
MAX_SECONDS = 60
MAX_UNPACKED = 100 * 2**20
MAX_SHEETS = 20


class UnreadableWorkbook(Exception):
    """The file is broken, or needs more memory or time than a roster."""


def read_workbook(content: bytes, most_rows: int, most_columns: int) -> dict[str, Any]:
    """Return the visible sheets that are not empty, and the names of the hidden ones. Raises UnreadableWorkbook.

    {"hidden": [name], "sheets": [{"name", "rows": cells as text, "hidden_rows": count, "filled": count of cells}]}. A hidden
    row is empty; a merged cell gives its value to all its rows. If all sheets are hidden, they count as visible.
    """
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


def _read_sheets(content: bytes, most_rows: int, most_columns: int) -> dict[str, Any]:
    from python_calamine import SheetVisibleEnum, load_workbook

    parts = _sheet_parts(content)
    sheets, hidden = [], []
    with load_workbook(io.BytesIO(content)) as book:
        shown = [sheet.name for sheet in book.sheets_metadata if sheet.visible == SheetVisibleEnum.Visible]
        for name in book.sheet_names:
            if shown and name not in shown:
                hidden.append(name)
                continue
            if len(sheets) == MAX_SHEETS:
                break
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False, nrows=most_rows)
            texts = [[_cell_text(cell) for cell in row[:most_columns]] for row in rows]
            filled = _fill_merged(texts, parts.get(name, b""))
            hidden_rows = _empty_hidden_rows(texts, parts.get(name, b""))
            if any(cell.strip() for row in texts for cell in row):
                sheets.append({"name": name, "rows": texts, "hidden_rows": hidden_rows, "filled": filled})
    return {"sheets": sheets, "hidden": hidden}


def _sheet_parts(content: bytes) -> dict[str, bytes]:
    """Return {name of the sheet: its XML} of an .xlsx; {} for other files."""
    if not content.startswith(b"PK"):
        return {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = set(archive.namelist())
        if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= names:
            return {}
        targets = {}
        for relation in re.findall(rb"<(?:\w+:)?Relationship\b[^>]*>", archive.read("xl/_rels/workbook.xml.rels")):
            targets[_xml_attribute(relation, "Id")] = _xml_attribute(relation, "Target")
        parts = {}
        for sheet in re.findall(rb"<(?:\w+:)?sheet\b[^>]*>", archive.read("xl/workbook.xml")):
            target = targets.get(_xml_attribute(sheet, r"\w+:id"), "")
            path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            if path in names:
                parts[html.unescape(_xml_attribute(sheet, "name"))] = archive.read(path)
        return parts


def _xml_attribute(tag: bytes, name: str) -> str:
    match = re.search(rf"""\s{name}\s*=\s*["']([^"']*)["']""", tag.decode("utf-8", "replace"))
    return match[1] if match else ""


def _empty_hidden_rows(rows: list[list[str]], part: bytes) -> int:
    """Empty the rows that a filter or a person hid; return how many had text."""
    count = 0
    for tag in re.findall(rb"<(?:\w+:)?row\b[^>]*>", part):
        number = _xml_attribute(tag, "r")
        is_hidden = _xml_attribute(tag, "hidden") in ("1", "true")
        if is_hidden and number.isdigit() and int(number) <= len(rows):
            count += any(rows[int(number) - 1])
            rows[int(number) - 1] = []
    return count


def _fill_merged(rows: list[list[str]], part: bytes) -> int:
    """Put the value of a cell that is merged over several rows into all of them; return how many cells it filled."""
    count = 0
    for tag in re.findall(rb"<(?:\w+:)?mergeCell\b[^>]*>", part):
        match = re.fullmatch(r"\$?([A-Z]{1,3})\$?(\d{1,7}):\$?[A-Z]{1,3}\$?(\d{1,7})", _xml_attribute(tag, "ref"))
        if match is None:
            continue
        column = 0
        for letter in match[1]:
            column = column * 26 + ord(letter) - 64
        first, last = int(match[2]) - 1, min(int(match[3]), len(rows))
        if first >= len(rows) or column > len(rows[first]) or not rows[first][column - 1]:
            continue
        for row in rows[first + 1 : last]:
            if column <= len(row) and not row[column - 1] and any(row):
                row[column - 1] = rows[first][column - 1]
                count += 1
    return count


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
    json.dump(_read_sheets(content, most_rows, most_columns), sys.stdout)


if __name__ == "__main__":
    main()
