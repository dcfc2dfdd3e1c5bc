"""Statistics over time and for one notice; each chart has a table; print and CSV (E-10, E-16, E-17, X-13)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Response, abort, redirect, render_template, request, url_for
from flask_login import current_user

import clock
import web
from blueprints.stats import bp
from core import audit
from core.permissions import target_lists
from core.reports import dashboard, dead_addresses, stats
from core.reports.dead_addresses import DeadAddress
from core.reports.stats import StatsLine
from core.responses import tracking
from i18n import N_
from web import _

PAGE_SIZE = 50
CHART_POINTS = 24
SORTS = {"new": N_("Newest first"), "fast": N_("Confirmed fastest"), "opened": N_("Opened most (estimate)")}
SORT_FUNCTIONS = {"fast": stats.fastest_read, "opened": stats.most_opened}


@dataclass(frozen=True, slots=True)
class StatsFilter:
    """Filters: one list or all, school year, sort order."""

    list_id: int | None
    year: int
    sort: str

    def to(self, **changes: Any) -> str:
        """Return the URL with changed filters."""
        return url_for("stats.index", **{"list": self.list_id, "year": self.year, "sort": self.sort, **changes})


def requested_list() -> int | None:
    """Return the list id of the query, None for all. Raise 404 if the user may not view the list (T-33)."""
    number = request.args.get("list", type=web.parse_row_id)
    return web.get_list_or_404(number).id if number else None


def _requested_filter(years: list[int]) -> StatsFilter:
    year, sort = request.args.get("year", type=web.parse_row_id), request.args.get("sort", "")
    return StatsFilter(requested_list(), year if year in years else years[0], sort if sort in SORTS else "new")


def _filtered_lines(filters: StatsFilter) -> list[StatsLine]:
    return stats.stats_lines(stats.visible_notices(web.permissions(), filters.list_id, filters.year), clock.now())


def _sorted_lines(lines: list[StatsLine], filters: StatsFilter) -> list[StatsLine]:
    return SORT_FUNCTIONS[filters.sort](lines) if filters.sort in SORT_FUNCTIONS else lines


@bp.get("")
def index() -> str:
    """Show the statistics of a school year: total, by notice, by hour of day, by list."""
    years = stats.school_years(web.permissions(), clock.now())
    filters = _requested_filter(years)
    lines = _filtered_lines(filters)
    total, shown = stats.sum_lines("", lines), _sorted_lines(lines, filters)
    page = max(1, min(request.args.get("page", 1, type=int), -(-len(shown) // PAGE_SIZE) or 1))
    newest = sorted(lines, key=lambda line: line.notice.started_at)[-CHART_POINTS:]
    return render_template(
        "stats/index.html",
        filters=filters,
        years=years,
        sorts={name: words for name, words in SORTS.items() if name != "opened" or total.opens_of},
        lists=list(web.permissions().lists("view")),
        total=total,
        lines=shown[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
        page=page,
        pages=-(-len(shown) // PAGE_SIZE),
        chart=[line for line in newest if line.read is not None],
        opened_chart=[line for line in newest if line.opened is not None],
        hours=stats.hourly_activity(lines),
        by_hour=stats.totals_by_sending_hour(lines),
        by_list=stats.totals_by_list(lines),
    )


@bp.get("/figures.csv")
def notices_csv() -> Response:
    """Send the statistics as CSV; the download is logged."""
    filters = _requested_filter(stats.school_years(web.permissions(), clock.now()))
    audit.log_view(current_user, "figures.exported", detail={"year": filters.year})
    return web.csv_response(notice_rows(_sorted_lines(_filtered_lines(filters), filters)), f"kairan-{filters.year}.csv")


@bp.get("/<int:number>")
def show(number: int) -> Any:
    """Show one notice: delivered, confirmed, answered, speed, and a comparison with the same list."""
    notice = web.get_notice_or_404(number)
    if notice.started_at is None:
        abort(404)
    if web.permissions().summed_lists(notice) is not None:
        return redirect(url_for("responses.show_board", number=number))
    line, lists = stats.stats_of_notice(notice, clock.now()), target_lists(notice)
    others = _comparison_total(line, lists[0].id if len(lists) == 1 else None)
    return render_template(
        "stats/show.html",
        line=line,
        notice=notice,
        lists=lists,
        others=others,
        curve=stats.read_curve(notice),
        hours=stats.hourly_activity([line]),
        by_child=dashboard.counts_by_child(notice),
        tracked=tracking.count_opens_and_clicks(notice) if notice.tracking.is_on else None,
    )


def _comparison_total(line: StatsLine, list_id: int | None) -> stats.StatsTotal | None:
    """Return the total of the other notices to the same list in the same school year."""
    if list_id is None:
        return None
    year = clock.school_year(clock.to_local(line.notice.started_at).date())
    lines = stats.stats_lines(stats.visible_notices(web.permissions(), list_id, year), clock.now())
    others = [other for other in lines if other.notice.id != line.notice.id]
    return stats.sum_lines("", others) if others else None


@bp.app_template_filter("percent")
def format_percent(rate: float | None) -> str:
    """Return a percentage: 98.5%, 100%, or ― where it has no meaning (E-10)."""
    if rate is None:
        return "―"
    shown = int(rate * 10 + 1e-9) / 10 if 99 < rate < 100 else round(rate, 1)  # 99.97 must not show as 100%
    return f"{shown:g}%"


@bp.app_template_filter("duration")
def format_duration(seconds: int | None) -> str:
    """Return a duration in its two largest units: 3 h 20 min."""
    if seconds is None:
        return "―"
    minutes = seconds // 60
    if minutes < 60:
        return web._("%(n)s min", n=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return web._("%(n)s days", n=hours // 24)
    return web._("%(h)s h %(m)s min", h=hours, m=minutes) if minutes else web._("%(n)s hours", n=hours)


# ── addresses ───────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/addresses")
def address_report_page() -> str:
    """Show undeliverable addresses by reason, for one list or all visible lists."""
    list_id, rows = _filtered_rows()
    counts = dead_addresses.count_by_reason(rows)
    why = request.args.get("why", "")
    shown = [row for row in rows if row.why == why] if why in counts else rows
    return render_template(
        "stats/address_report.html",
        lists=[mailing_list for mailing_list in web.permissions().lists("view") if not mailing_list.practice_of_id],
        list_id=list_id,
        counts=counts,
        why=why if why in counts else "",
        rows=rows,
        shown=shown,
        WHY=dead_addresses.REASONS,
        to=lambda **changes: url_for("stats.address_report_page", **{"list": list_id, "why": why, **changes}),
    )


def _filtered_rows() -> tuple[int | None, list[DeadAddress]]:
    list_id = requested_list()
    return list_id, dead_addresses.list_dead_addresses(web.permissions(), clock.now(), list_id)


@bp.get("/addresses.csv")
def address_report_csv() -> Response:
    """Send the report as CSV, after password or second factor; the download is logged."""
    list_id, rows = _filtered_rows()
    web.ensure_confirmed("stats.address_report_page", list=list_id)
    audit.log_view(current_user, "addresses.exported", list_id, detail={"lines": len(rows)})
    return web.csv_response(_csv_rows(rows), "kairan-addresses.csv")


def _csv_rows(rows: Iterable[DeadAddress]) -> Iterator[list[object]]:
    yield [
        _("Reason"),
        _("Since"),
        _("Name"),
        _("Kana"),
        _("Children"),
        _("Lists"),
        _("E-mail address"),
        _("Telephone"),
    ]
    for row in rows:
        since = clock.to_local(row.since).strftime("%Y-%m-%d") if row.since else ""
        yield [
            _(dead_addresses.REASONS[row.why]),
            since,
            row.person.name,
            row.person.kana,
            "、".join(row.children),
            "、".join(row.lists),
            row.address,
            row.person.phone,
        ]


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def notice_rows(lines: Iterable[StatsLine]) -> Iterator[list[object]]:
    """Return the headings and one line for each notice."""
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
    for line in lines:
        sums = line.sums
        yield [
            clock.to_local(line.notice.started_at).strftime("%Y-%m-%d %H:%M"),
            line.subject,
            sums.sent,
            sums.failed,
            _percent_cell(line.delivered),
            sums.asked,
            sums.read,
            _percent_cell(line.read),
            sums.read_1h,
            "" if sums.half_s is None else sums.half_s // 60,
            sums.could_answer,
            sums.answered,
            _percent_cell(line.answered),
            sums.opens_of,
            sums.opened,
            sums.proxied,
            _percent_cell(line.opened),
            sums.clicks_of,
            sums.clicked,
            _percent_cell(line.clicked),
        ]


def _percent_cell(rate: float | None) -> object:
    return "" if rate is None else round(rate, 1)
