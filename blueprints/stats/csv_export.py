"""The figures as lines of a file for a spreadsheet: numbers as numbers, a share never without its whole."""

from collections.abc import Iterable, Iterator

import clock
from core.reports.stats import StatsLine
from web import _


def notice_rows(lines: Iterable[StatsLine]) -> Iterator[list[object]]:
    """Give the headings and one line for each notice."""
    yield [
        _("Sent at"),
        _("Subject"),
        _("Letters sent"),
        _("Did not arrive"),
        _("Delivered, percent"),
        _("Households asked"),
        _("Confirmed"),
        _("Confirmed, percent"),
        _("Confirmed within an hour"),
        _("Minutes until half had confirmed"),
        _("Could answer"),
        _("Answered"),
        _("Answered, percent"),
        _("Letters whose openings are counted"),
        _("Opened by readers (estimate)"),
        _("Opened by their mail provider alone (estimate)"),
        _("Opened, percent (estimate)"),
        _("Letters whose links are counted"),
        _("Links opened by (estimate)"),
        _("Links opened, percent (estimate)"),
    ]
    for one in lines:
        sums = one.sums
        yield [
            clock.to_local(one.notice.started_at).strftime("%Y-%m-%d %H:%M"),
            one.subject,
            sums.sent,
            sums.failed,
            _percent_cell(one.delivered),
            sums.asked,
            sums.read,
            _percent_cell(one.read),
            sums.read_1h,
            "" if sums.half_s is None else sums.half_s // 60,
            sums.could_answer,
            sums.answered,
            _percent_cell(one.answered),
            sums.opens_of,
            sums.opened,
            sums.proxied,
            _percent_cell(one.opened),
            sums.clicks_of,
            sums.clicked,
            _percent_cell(one.clicked),
        ]


def _percent_cell(rate: float | None) -> object:
    return "" if rate is None else round(rate, 1)
