"""What remains of a notice after the purge: counts without names (decision 15).

`core.retention.purge` writes them once, by state, class, hour and choice. Choices are counted for the whole notice only:
in a small class a count would reveal a family.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass

from core import household_reads
from core.household_reads import HouseholdCount
from core.notices import questions
from core.reports import board, poll_results
from models import Delivery, Notice, NoticeStats, count_letters


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """A class, or a list without classes: households asked, read, and told by telephone."""

    grade: str
    class_name: str
    list_name: str
    asked: int
    read: int
    told: int


@dataclass(frozen=True, slots=True)
class NoticeSummary:
    """Counts of a notice, by child if `by_child`, else by household. `letters`: by state; `left_out`: readers without a letter;
    `reads`: readers who read; `failed`: households that no letter reached and nobody telephoned.

    `answers`: {question position: (asked, answered, {choice number: count})}.
    """

    letters: dict[str, int]
    left_out: int
    reads: int
    households: int
    read: int
    told: int
    failed: int
    by_child: bool
    rooms: tuple[ClassSummary, ...]
    curve: tuple[tuple[int, int], ...]
    answers: dict[int, tuple[int, int, dict[int, int]]]

    @property
    def counts(self) -> dict[str, int]:
        """Return the letters by state as `Progress` does: left-out readers count as skipped."""
        return self.letters | {"skipped": self.letters.get("skipped", 0) + self.left_out}


def summary_of_notice(notice: Notice) -> NoticeSummary | None:
    """Return the summary; None while the letters still exist."""
    return load_summaries([notice.id]).get(notice.id) if notice.purged_at else None


def load_summaries(notices: Collection[int]) -> dict[int, NoticeSummary]:
    """Return the summaries of purged notices by id."""
    rows = NoticeStats.select(NoticeStats.notice, NoticeStats.kept).where(
        NoticeStats.notice.in_(list(notices)), NoticeStats.kept.is_null(False)
    )
    return {row.notice_id: _parse_summary(row.kept) for row in rows}


def count_households(notices: Collection[int], lists: Collection[int] | None) -> dict[int, HouseholdCount]:
    """Count the households of notices for every page, file and command: the one source of these figures.

    `lists`: only families visible to these lists; None: all, from the summary where the letters are deleted.
    """
    summarized = load_summaries(notices) if lists is None else {}
    return household_reads.count_households(notices, lists) | {
        notice: HouseholdCount(one.households, one.read, one.told, one.failed, by_child=one.by_child)
        for notice, one in summarized.items()
    }


def _parse_summary(found: dict) -> NoticeSummary:
    answers = {
        int(place): (asked, answered, {int(number): n for number, n in choices.items()})
        for place, (asked, answered, choices) in found["answers"].items()
    }
    rooms, curve = tuple(ClassSummary(**one) for one in found["rooms"]), tuple(map(tuple, found["curve"]))
    return NoticeSummary(**{"failed": 0, **found, "rooms": rooms, "curve": curve, "answers": answers})


def build_summary(notice: Notice, curve: list[tuple[int, int]]) -> dict:
    """Count what remains of a notice, as JSON for its row."""
    drawn = board.build_board(notice)
    read = Delivery.select().where(Delivery.notice == notice, Delivery.read_at.is_null(False))
    out = Delivery.select().where(Delivery.notice == notice, Delivery.reason != "")
    found = NoticeSummary(
        letters=count_letters(notice.id),
        left_out=out.count(),
        reads=read.count(),
        households=len(drawn.units),
        read=drawn.count("read"),
        told=drawn.count("told"),
        failed=drawn.count("trouble"),
        by_child=drawn.by_child,
        rooms=tuple(_class_summary(one) for one in drawn.rooms),
        curve=tuple(curve),
        answers=_answer_counts(notice),
    )
    return asdict(found)


def _class_summary(room: board.BoardClass) -> ClassSummary:
    return ClassSummary(
        room.grade, room.class_name, room.list_name, len(room.places), room.count("read"), room.count("told")
    )


def _answer_counts(notice: Notice) -> dict[int, tuple[int, int, dict[int, int]]]:
    if not questions.has_questions(notice):
        return {}
    each = poll_results.load_poll_results(notice).results(poll_results.EACH_QUESTION, ())
    return {
        one.question.place: (one.asked, one.answered, {bar.option.number: bar.count for bar in one.bars})
        for one in each
    }
