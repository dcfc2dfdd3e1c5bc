"""Helpers of the tests of rosters."""

from pathlib import Path

import clock
from core.roster import columns
from core.roster import jobs as roster
from core.roster.draft import Plan
from models import MailingList

DEMO = Path(__file__).parents[2] / "demo"
FAMILY = (
    "保護者氏名,児童氏名,児童カナ,学年,組,メール,当番日\r\n鈴木 大輔,鈴木 海斗,スズキ カイト,{},d@example.jp,{}\r\n"
)


def bring(mailing_list: MailingList, content: str | bytes, name: str = "x.csv") -> Plan:
    """Import at once, as the terminal does."""
    sheet = roster.read(content.encode() if isinstance(content, str) else content, name)
    return roster.write(mailing_list, sheet, columns.guess_mapping(sheet), None, clock.now())


def sheet_of(text: str) -> columns.Sheet:
    """Return a sheet of UTF-8 CSV."""
    return roster.read(text.encode())
