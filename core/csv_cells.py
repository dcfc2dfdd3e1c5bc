"""Escape CSV cells that a spreadsheet would run as a formula, and read such cells back."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def escape_formula(cell: str) -> str:
    """Put a ' before a cell that a spreadsheet would run as a formula; `clean_cell` removes it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def clean_cell(cell: str) -> str:
    """Trim a cell, drop control characters, and remove the ' that `escape_formula` put before a formula."""
    text = _CONTROL_CHARACTERS.sub("", cell.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.strip().strip("\u3000").strip()
    return text[1:].strip() if text.startswith("'") and _FORMULA.match(text) else text
