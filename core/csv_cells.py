"""Write CSV without cells that a spreadsheet would run as a formula, and read such cells back."""

import csv
import io
import re
from collections.abc import Iterable

_FORMULA = re.compile(
    r"'*(?:[\s\x00-\x1f\x7f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*"
    r"[=+\-@|＝＋－＠｜−﹢﹣﹦﹫]|[\t\r\n])"
)
"""A sign that begins a formula, also of full width and after signs that a spreadsheet or an import drops; or a tab, CR or LF."""
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def escape_formula(cell: str) -> str:
    """Put a ' before a cell that a spreadsheet would run as a formula; `clean_cell` removes it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def write_csv(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as CSV (UTF-8 with byte order mark, CRLF), texts escaped."""
    sheet = io.StringIO(newline="")
    csv.writer(sheet).writerows(
        [escape_formula(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return sheet.getvalue().encode("utf-8-sig")


def clean_cell(cell: str) -> str:
    """Trim a cell, drop control characters, and remove the ' that `escape_formula` put before a formula."""
    text = _CONTROL_CHARACTERS.sub("", cell.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.strip().strip("\u3000").strip()
    return text[1:].strip() if text.startswith("'") and _FORMULA.match(text) else text
