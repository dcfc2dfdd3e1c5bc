"""The board as a file for a spreadsheet: one line for each person, those who have not confirmed included (T-45)."""

import csv
from datetime import datetime
from io import StringIO

import clock
from blueprints.responses.board_display import class_title
from core.reports.board_rows import FAILURE_ADVICE, READER_STATES, BoardReader
from web import _


def board_as_csv(readers: tuple[BoardReader, ...]) -> bytes:
    """Return UTF-8 with a byte order mark, as spreadsheets want it."""
    out = StringIO(newline="")
    sheet = csv.writer(out)
    sheet.writerow(_headings())
    for one in sorted(readers, key=_class_sort_key):
        sheet.writerow([escape_formula(cell) for cell in _csv_row(one)])
    return out.getvalue().encode("utf-8-sig")


def _headings() -> list[str]:
    return [
        _("Class"),
        _("Child"),
        _("Guardian"),
        _("State"),
        _("Confirmed at"),
        _("Told by telephone at"),
        _("Reply"),
        _("Why not delivered"),
        _("Phone"),
    ]


def _class_sort_key(one: BoardReader) -> tuple:
    first = one.cells[0]
    return first.grade.zfill(3), first.class_name.zfill(3), first.child_kana or one.kana, one.number


def _csv_row(one: BoardReader) -> list[str]:
    rooms = dict.fromkeys(class_title(cell.grade, cell.class_name) for cell in one.cells)
    return [
        _joined(rooms),
        _joined(dict.fromkeys(cell.child_name for cell in one.cells)),
        one.name,
        _(READER_STATES[one.state]),
        format_cell_time(one.read_at),
        format_cell_time(one.phoned_at),
        _("Replied") if one.replied_at else "",
        _(FAILURE_ADVICE[one.trouble]) if one.trouble else "",
        one.phone,
    ]


def _joined(names: dict[str, None]) -> str:
    return "、".join(name for name in names if name)


def format_cell_time(at: datetime | None) -> str:
    return clock.to_local(at).strftime("%Y-%m-%d %H:%M") if at else ""


def escape_formula(cell: str) -> str:
    """Keep a spreadsheet from taking a name for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
