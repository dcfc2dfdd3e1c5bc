"""What came of notices, in figures: delivered, confirmed, answered, and how fast (E-10, E-16, E-17, X-13).

Each figure stands with what it is a share of. Each notice has a row of sums (`NoticeStats`), counted again for thirty
days and then fixed. So five years are compared without reading millions of letters.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from peewee import ModelSelect

import clock
from core.household_reads import first_read_times
from core.notices import merge_fields, questions
from core.permissions import Permissions, notice_ids_for_lists
from core.reports import notice_list, poll_results, progress, summaries
from core.reports.dashboard import practice_notice_ids
from core.responses import tracking
from core.settings import load_settings
from database import EPOCH, millis, optional_write
from models import LetterState, MailingList, Notice, NoticeState, NoticeStats, Target, Wording, count_letters

RECENT_AGE = timedelta(days=2)
FINAL_AFTER = timedelta(days=30)
REFRESH_RECENT, REFRESH_OLD = timedelta(minutes=1), timedelta(minutes=90)
"""How old sums may be for a page; the hourly task counts ahead of the second, so that pages count the newest alone."""
HOUR_MS = 3_600_000


def percentage(part: int, whole: int) -> float | None:
    """Return a share in percent; None where there is nothing to be a share of (shown as ―)."""
    return 100 * part / whole if whole else None


def delivery_rate(sent: int, failed: int) -> float | None:
    """Return (1 - failed / sent) x 100 (E-10): 200 sent, 3 came back: 98.5; None if nothing was sent."""
    return percentage(sent - failed, sent)


def sent_and_failed(letters: dict[str, int]) -> tuple[int, int]:
    """Return how many letters left or were refused, and how many of them failed: as the notice's own page counts."""
    seen = progress.Progress(dict.fromkeys(LetterState, 0) | letters, 0, None, "")
    return seen.sent, seen.errors


@dataclass(frozen=True, slots=True)
class StatsLine:
    """One notice with its figures. A rate is None where it has no meaning."""

    notice: Notice
    subject: str
    sums: NoticeStats

    @property
    def delivered(self) -> float | None:
        return delivery_rate(self.sums.sent, self.sums.failed)

    @property
    def read(self) -> float | None:
        return percentage(self.sums.read, self.sums.asked)

    @property
    def answered(self) -> float | None:
        return percentage(self.sums.answered, self.sums.could_answer)

    @property
    def opened(self) -> float | None:
        """Return the estimate of X-10: letters opened by readers, or by their provider for them; machines left out."""
        return percentage(self.sums.opened + self.sums.proxied, self.sums.opens_of)

    @property
    def clicked(self) -> float | None:
        return percentage(self.sums.clicked, self.sums.clicks_of)


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def stats_lines(notices: Iterable[Notice], now: datetime) -> list[StatsLine]:
    """Return notices with their figures, in the order given; what is stale is counted anew."""
    found = list(notices)
    numbers = [one.id for one in found]
    held = {row.notice_id: row for row in NoticeStats.select().where(NoticeStats.notice.in_(numbers))}
    subjects = dict(
        Wording.select(Wording.notice, Wording.subject)
        .where(Wording.notice.in_(numbers))
        .order_by(Wording.id.desc())
        .tuples()
    )
    return [
        StatsLine(
            one,
            merge_fields.display_subject(one, subjects.get(one.id, "")),
            _current_totals(one, held.get(one.id), now),
        )
        for one in found
    ]


def stats_of_notice(notice: Notice, now: datetime) -> StatsLine:
    """Return the figures of one notice, counted now."""
    return StatsLine(notice, merge_fields.display_subject(notice), refresh_totals(notice, now))


def _current_totals(notice: Notice, held: NoticeStats | None, now: datetime) -> NoticeStats:
    if held is None:
        return refresh_totals(notice, now)
    again = REFRESH_RECENT if now - (notice.started_at or now) < RECENT_AGE else REFRESH_OLD
    return held if held.fixed or now - held.at < again else refresh_totals(notice, now)


def refresh_totals(notice: Notice, now: datetime, *, again: bool = False) -> NoticeStats:
    """Count a notice and keep what was found; a fixed one stays as it is, unless it is counted `again`."""
    was = NoticeStats.get_or_none(NoticeStats.notice == notice)
    if was and (was.kept or (was.fixed and not again)):
        return was
    sent, failed = sent_and_failed(count_letters(notice.id))
    values = {
        "at": now,
        "fixed": _is_final(notice, now),
        "sent": sent,
        "failed": failed,
        **_read_totals(notice),
        **_answer_totals(notice),
        **_tracking_totals(notice),
    }
    with optional_write():
        NoticeStats.insert(notice=notice, **values).on_conflict(
            conflict_target=[NoticeStats.notice], update=values
        ).execute()
    return NoticeStats.get_or_none(NoticeStats.notice == notice, NoticeStats.at == now) or NoticeStats(
        notice=notice, **values
    )


def _is_final(notice: Notice, now: datetime) -> bool:
    ended = notice.state in (NoticeState.SENT, NoticeState.STOPPED, NoticeState.WITHDRAWN)
    return ended and notice.started_at is not None and notice.started_at < now - FINAL_AFTER


NO_READS: dict[str, object] = {"asked": 0, "read": 0, "told": 0, "read_1h": 0, "half_s": None, "hours": []}


def _read_totals(notice: Notice) -> dict[str, object]:
    """Count households as the board does; who they are and by whom they confirmed nobody learns from a sum."""
    if not notice.read_confirmation or notice.started_at is None:
        return NO_READS
    counted = summaries.count_households([notice.id], None).get(notice.id)
    if counted is None:
        return NO_READS
    moments, begun = first_read_times(notice.id), millis(notice.started_at)
    half = ceil(counted.households / 2)
    return {
        "asked": counted.households,
        "read": counted.read,
        "told": counted.told,
        "read_1h": sum(at - begun <= HOUR_MS for at in moments),
        "half_s": max(0, moments[half - 1] - begun) // 1000 if 0 < half <= len(moments) else None,
        "hours": count_by_hour(moments),
    }


def count_by_hour(moments: Iterable[int]) -> list[int]:
    """Return how many of some moments lie in each hour of the school's day."""
    found = [0] * 24
    for at in moments:
        found[clock.to_local(EPOCH + timedelta(milliseconds=at)).hour] += 1
    return found


def _answer_totals(notice: Notice) -> dict[str, int]:
    if not questions.has_questions(notice):
        return {"could_answer": 0, "answered": 0}
    answered, could = poll_results.load_poll_results(notice).turnout()
    return {"could_answer": could, "answered": answered}


def _tracking_totals(notice: Notice) -> dict[str, object]:
    """Estimate openings and clicks, where an organizer asked for them (D-31, X-10)."""
    counted = notice.tracking
    if not counted.is_on:
        return {}
    found = tracking.count_opens_and_clicks(notice)
    return {
        "opens_of": found.letters if counted.opens else 0,
        "opened": found.opened,
        "proxied": found.proxied,
        "clicks_of": found.letters if counted.clicks else 0,
        "clicked": found.clicked,
        "open_hours": list(found.open_hours),
        "click_hours": list(found.click_hours),
    }


def finalize_old_totals(now: datetime, most: int = 20) -> int:
    """Count for good what was sent more than thirty days ago; return how many. Repeatable; the hourly task does it."""
    done = NoticeStats.select(NoticeStats.notice).where(NoticeStats.fixed == True)
    found = (
        Notice.select()
        .where(
            Notice.started_at < now - FINAL_AFTER,
            Notice.state.in_((NoticeState.SENT, NoticeState.STOPPED, NoticeState.WITHDRAWN)),
            Notice.id.not_in(done),
        )
        .order_by(Notice.started_at)
        .limit(most)
    )
    return sum(refresh_totals(one, now).fixed for one in list(found))


def refresh_recent_totals(now: datetime, most: int = 60) -> int:
    """Count anew what was sent within thirty days, so that no page has to; return how many. The hourly task does it."""
    aged = NoticeStats.select(NoticeStats.notice).where(
        (NoticeStats.fixed == True) | (NoticeStats.at > now - REFRESH_RECENT)
    )
    young = Notice.select().where(Notice.started_at > now - FINAL_AFTER, Notice.kind != "step", Notice.id.not_in(aged))
    return sum(bool(refresh_totals(one, now)) for one in list(young.order_by(Notice.started_at.desc()).limit(most)))


# ── over time ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class StatsTotal:
    """Sums of several notices."""

    name: str
    notices: int = 0
    sent: int = 0
    failed: int = 0
    asked: int = 0
    read: int = 0
    could_answer: int = 0
    answered: int = 0
    opens_of: int = 0
    opened: int = 0
    proxied: int = 0
    clicks_of: int = 0
    clicked: int = 0

    @property
    def delivered_rate(self) -> float | None:
        return delivery_rate(self.sent, self.failed)

    @property
    def read_rate(self) -> float | None:
        return percentage(self.read, self.asked)

    @property
    def answered_rate(self) -> float | None:
        return percentage(self.answered, self.could_answer)

    @property
    def opened_rate(self) -> float | None:
        return percentage(self.opened + self.proxied, self.opens_of)

    @property
    def clicked_rate(self) -> float | None:
        return percentage(self.clicked, self.clicks_of)


def visible_notices(rights: Permissions, list_id: int | None = None, year: int | None = None) -> "ModelSelect[Notice]":
    """Return the notices whose whole figures a user may see, newest first: of one list, of one school year.

    Whoever looks at some lists only sees the notices that went to these alone. Practice and steps are left out.
    """
    found = notice_list.sent_notices(rights).where(
        Notice.kind != "step",
        Notice.practice == load_settings().practice,
        Notice.id.not_in(practice_notice_ids()),
        Notice.started_at.is_null(False),
    )
    if not rights.may("view", 0):
        mine = rights.lists("view").select(MailingList.id).order_by()
        others = MailingList.select(MailingList.id).where(MailingList.id.not_in(mine))
        found = found.where(Notice.id.not_in(notice_ids_for_lists(others)))
    if list_id:
        found = found.where(Notice.id.in_(notice_ids_for_lists([list_id])))
    if year:
        begin, end = (clock.from_local(datetime(one, 4, 1)) for one in (year, year + 1))  # noqa: DTZ001
        found = found.where(Notice.started_at >= begin, Notice.started_at < end)
    return found


def school_years(rights: Permissions, now: datetime) -> list[int]:
    """Return the school years in which something was sent, the present one first."""
    first = visible_notices(rights).order_by(Notice.started_at).select(Notice.started_at).first()
    present = clock.school_year(clock.to_local(now).date())
    begun = clock.school_year(clock.to_local(first.started_at).date()) if first else present
    return list(range(present, begun - 1, -1))


def totals_by_list(some: Collection[StatsLine]) -> list[StatsTotal]:
    """Return the totals by list, by name; a notice to two lists counts in both."""
    held = {one.notice.id: one for one in some}
    rows = (
        Target.select(MailingList.name, Target.notice)
        .join(MailingList, on=(Target.number == MailingList.id))
        .where(Target.kind == "list", Target.include == True, Target.notice.in_(list(held)))
        .order_by(MailingList.whole.desc(), MailingList.name)
        .tuples()
    )
    groups: dict[str, list[StatsLine]] = {}
    for name, notice in rows:
        groups.setdefault(name, []).append(held[notice])
    return [sum_lines(name, group) for name, group in groups.items()]


CURVE_MINUTES = (10, 30, 60, 180, 720, 1440, 2880)


def read_curve(notice: Notice) -> list[tuple[int, int]]:
    """Return how many households had confirmed so many minutes after the sending began."""
    if stayed := summaries.summary_of_notice(notice):
        return list(stayed.curve)
    begun, moments = millis(notice.started_at), first_read_times(notice.id)
    return [(minutes, sum(at - begun <= minutes * 60_000 for at in moments)) for minutes in CURVE_MINUTES]


def totals_by_sending_hour(some: Iterable[StatsLine]) -> list[StatsTotal]:
    """Return the totals by the hour of the school's day at which notices began to be sent, from midnight on (X-13)."""
    groups: dict[int, list[StatsLine]] = {}
    for one in some:
        groups.setdefault(clock.to_local(one.notice.started_at).hour, []).append(one)
    return [sum_lines(str(hour), groups[hour]) for hour in sorted(groups)]


_SUMMED_COLUMNS = (
    "sent",
    "failed",
    "asked",
    "read",
    "could_answer",
    "answered",
    "opens_of",
    "opened",
    "proxied",
    "clicks_of",
    "clicked",
)


def sum_lines(name: str, some: Collection[StatsLine]) -> StatsTotal:
    """Add up the figures of some notices."""
    return StatsTotal(name, len(some), **{key: sum(getattr(one.sums, key) for one in some) for key in _SUMMED_COLUMNS})


@dataclass(frozen=True, slots=True)
class HourlyActivity:
    """What happened in each hour of the school's day: first confirmations, openings, links (X-13)."""

    read: list[int]
    opened: list[int]
    clicked: list[int]

    @property
    def rows(self) -> list[tuple[int, int, int, int]]:
        """Return (hour, confirmations, openings, links) of each hour in which something happened."""
        every = zip(range(24), self.read, self.opened, self.clicked, strict=True)
        return [row for row in every if any(row[1:])]


def hourly_activity(some: Iterable[StatsLine]) -> HourlyActivity:
    """Return the hours of the day of some notices together."""
    sums = [one.sums for one in some]
    return HourlyActivity(
        *(_sum_hours(getattr(one, name) for one in sums) for name in ("hours", "open_hours", "click_hours"))
    )


def _sum_hours(lists: Iterable[list[int]]) -> list[int]:
    found = [0] * 24
    for one in lists:
        for hour, number in enumerate(one):
            found[hour] += number
    return found


def most_opened(some: Iterable[StatsLine]) -> list[StatsLine]:
    """Return the notices whose openings were counted, the most opened first (X-10)."""
    return sorted((one for one in some if one.opened is not None), key=lambda one: -(one.opened or 0))


def fastest_read(some: Iterable[StatsLine]) -> list[StatsLine]:
    """Return the notices that half of the households had confirmed soonest, the fastest first (E-17)."""
    counted = [(one.sums.half_s, one) for one in some if one.sums.half_s is not None]
    return [one for _, one in sorted(counted, key=lambda pair: pair[0])]
