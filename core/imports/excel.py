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
MAX_SHEETS = 60
_STRIKE = r"<(?:\w+:)?strike(?:\s+val=[\"'](?:1|true|on)[\"'])?\s*/>"


class UnreadableWorkbook(Exception):
    """The file is broken, or needs more memory or time than a roster."""


def read_workbook(content: bytes, most_rows: int, most_columns: int) -> dict[str, Any]:
    """Return the sheets that are not empty, hidden ones last, and the names of those beyond MAX_SHEETS. Raises UnreadableWorkbook.

    {"unread": [name], "sheets": [{"name", "place", "hidden", "rows": cells as text, "hidden_rows": numbers,
    "struck_rows": numbers, "filled": count of cells}]}. A merged cell gives its value to all its rows. If all sheets are
    hidden, they count as visible.
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

    parts, struck = _sheet_parts(content), _struck_styles(content)
    sheets, unread = [], []
    with load_workbook(io.BytesIO(content)) as book:
        shown = [sheet.name for sheet in book.sheets_metadata if sheet.visible == SheetVisibleEnum.Visible]
        for place, name in enumerate(book.sheet_names):
            if place >= MAX_SHEETS:
                unread.append(name)
                continue
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False, nrows=most_rows)
            texts = [[_cell_text(cell) for cell in row[:most_columns]] for row in rows]
            part = parts.get(name, b"")
            hidden = _hidden_rows(texts, part)
            if any(cell.strip() for row in texts for cell in row):
                sheets.append(
                    {
                        "name": name,
                        "place": place,
                        "hidden": bool(shown) and name not in shown,
                        "rows": texts,
                        "filled": _fill_merged(texts, part, {*hidden}),
                        "hidden_rows": hidden,
                        "struck_rows": _struck_rows(texts, part, struck),
                    }
                )
    sheets.sort(key=lambda sheet: (sheet["hidden"], sheet["place"]))
    return {"sheets": sheets, "unread": unread}


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


def _hidden_rows(rows: list[list[str]], part: bytes) -> list[int]:
    """Return the numbers of the rows with text that a filter or a person hid."""
    found = []
    for tag in re.findall(rb"<(?:\w+:)?row\b[^>]*>", part):
        number = _xml_attribute(tag, "r")
        is_hidden = _xml_attribute(tag, "hidden") in ("1", "true")
        if is_hidden and number.isdigit() and 0 < int(number) <= len(rows) and any(rows[int(number) - 1]):
            found.append(int(number))
    return found


def _struck_styles(content: bytes) -> set[str]:
    """Return the numbers of the cell styles whose font is struck through."""
    if not content.startswith(b"PK"):
        return set()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if "xl/styles.xml" not in archive.namelist():
            return set()
        styles = archive.read("xl/styles.xml").decode("utf-8", "replace")
    fonts = re.search(r"<(?:\w+:)?fonts\b.*?</(?:\w+:)?fonts>", styles, re.DOTALL)
    formats = re.search(r"<(?:\w+:)?cellXfs\b.*?</(?:\w+:)?cellXfs>", styles, re.DOTALL)
    if not fonts or not formats:
        return set()
    each = re.findall(r"<(?:\w+:)?font\b(?:[^>]*/>|.*?</(?:\w+:)?font>)", fonts[0], re.DOTALL)
    struck = {str(number) for number, font in enumerate(each) if re.search(_STRIKE, font)}
    used = re.findall(r"<(?:\w+:)?xf\b[^>]*>", formats[0])
    return {str(number) for number, tag in enumerate(used) if _xml_attribute(tag.encode(), "fontId") in struck}


def _struck_rows(rows: list[list[str]], part: bytes, struck: set[str]) -> list[int]:
    """Return the numbers of the rows in which a cell with text is struck through."""
    found = set()
    for tag in re.findall(rb"<(?:\w+:)?c\b[^>]*>", part) if struck else ():
        place = re.fullmatch(r"([A-Z]{1,3})(\d{1,7})", _xml_attribute(tag, "r"))
        if place and _xml_attribute(tag, "s") in struck:
            row, column = int(place[2]), _column_number(place[1])
            if 0 < row <= len(rows) and column <= len(rows[row - 1]) and rows[row - 1][column - 1]:
                found.add(row)
    return sorted(found)


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def _fill_merged(rows: list[list[str]], part: bytes, hidden: set[int]) -> int:
    """Put the value of a cell that is merged over several rows into all of them; return how many cells it filled."""
    count = 0
    for tag in re.findall(rb"<(?:\w+:)?mergeCell\b[^>]*>", part):
        match = re.fullmatch(r"\$?([A-Z]{1,3})\$?(\d{1,7}):\$?[A-Z]{1,3}\$?(\d{1,7})", _xml_attribute(tag, "ref"))
        if match is None:
            continue
        column = _column_number(match[1])
        first, last = int(match[2]) - 1, min(int(match[3]), len(rows))
        if first >= len(rows) or column > len(rows[first]) or not rows[first][column - 1]:
            continue
        for number, row in enumerate(rows[first + 1 : last], first + 2):
            if column <= len(row) and not row[column - 1] and any(row):
                row[column - 1] = rows[first][column - 1]
                count += number not in hidden
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
