"""Helpers of the tests of rosters."""

from pathlib import Path

import clock
from core.imports import columns, jobs
from core.imports.plan_model import ImportPlan
from models import MailingList

DEMO = Path(__file__).parents[2] / "demo"
FAMILY = (
    "保護者氏名,児童氏名,児童カナ,学年,組,メール,当番日\r\n鈴木 大輔,鈴木 海斗,スズキ カイト,{},d@example.jp,{}\r\n"
)


def bring(mailing_list: MailingList, content: str | bytes, name: str = "x.csv") -> ImportPlan:
    """Import at once, as the terminal does."""
    sheet = jobs.read_sheet(content.encode() if isinstance(content, str) else content, name)
    return jobs.import_now(mailing_list, sheet, columns.guess_mapping(sheet), None, clock.now())


def sheet_of(text: str) -> columns.Sheet:
    """Return a sheet of UTF-8 CSV."""
    return jobs.read_sheet(text.encode())
