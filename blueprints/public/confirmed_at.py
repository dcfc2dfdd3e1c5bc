"""Moments as the readers' sentences want them: 「10月14日 6:12」, "6:12 on 14 October"."""

from dataclasses import dataclass
from datetime import datetime

from babel.dates import format_date

import clock
from i18n import format_time


@dataclass(frozen=True, slots=True)
class ConfirmedAt:
    """When a reader confirmed, in the parts that a sentence needs."""

    language: str
    at: datetime

    @property
    def day(self) -> str:
        on = clock.to_local(self.at).date()
        return f"{on.month}月{on.day}日" if self.language == "ja" else format_date(on, "d MMMM", locale="en")

    @property
    def time(self) -> str:
        return format_time(self.at)
