"""The answers: charts with tables, who answered and who did not, by class, and answers by telephone (T-52)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from flask import Response, abort, render_template, request, url_for
from flask_login import current_user

import clock
from blueprints.responses import bp
from blueprints.responses.board import class_title, format_cell_time, get_sent_notice
from core import audit, visibility
from core.notices import merge_fields, questions
from core.permissions import target_lists
from core.reports import poll_results
from core.reports.board_rows import FAILURE_ADVICE
from core.reports.poll_results import PollResults, RespondentLine
from core.responses import answers
from core.responses.answers import SubmittedAnswer
from i18n import N_
from models import Delivery, Notice, NoticeState
from web import (
    _,
    csv_response,
    flash_message,
    forbid,
    is_htmx,
    no_content_if_seen,
    permissions,
    redirect_to,
    render_page,
)

ROW_FILTERS = ("left", "said")
PAGE_SIZE = 100
SOURCE_LABELS: dict[str, str] = {
    "press": N_("by the reader"),
    "touch": N_("by opening the link"),
    "organizer": N_("entered by %(name)s"),
}
UNIT_LABELS: dict[str, str] = {"household": N_("Households"), "person": N_("Persons"), "child": N_("Children")}
PER_QUESTION_UNIT = N_("As each is asked")


@dataclass(frozen=True, slots=True)
class AnswersFilter:
    """Filters of the answers page, from the query string."""

    number: int
    by: str
    unit: str
    show: str = "left"
    room: str = ""
    view: str = ""

    def to(self, **changes: Any) -> str:
        """Return the URL with changed filters; default values are left out."""
        other = replace(self, **changes)
        plain = AnswersFilter(self.number, self.unit, self.unit)
        given = {name: getattr(other, name) for name in ("by", "show", "room", "view")}
        changed = {name: value for name, value in given.items() if value != getattr(plain, name)}
        return url_for("responses.show_answers", number=self.number, **changed)


bp.add_app_template_global(poll_results.best_days)


@bp.get("/notices/<int:number>/answers", endpoint="show_answers")
def show_answers(number: int) -> Any:
    """Show the answers, or answer a poll with the changes; 204 if there are none."""
    notice = get_sent_notice(number)
    pulse = poll_results.poll_version(notice)
    if is_htmx() and (same := no_content_if_seen(pulse)):
        return same
    results = poll_results.load_poll_results(notice, permissions().visible_lists(notice))
    if not results.questions:
        abort(404)
    filters = _requested_filter(notice, results)
    page = "responses/answers_print.html" if filters.view == "print" else "responses/answers.html"
    return render_page(page, "responses/_answers.html", **_answers_values(notice, results, filters), pulse=pulse)


def _requested_filter(notice: Notice, results: PollResults) -> AnswersFilter:
    by, show = request.args.get("by", ""), request.args.get("show", "")
    return AnswersFilter(
        notice.id,
        by if by in (*poll_results.GROUPINGS, results.unit) else results.unit,
        results.unit,
        show if show in ROW_FILTERS else "left",
        request.args.get("room", "")[:80],
        "print" if request.args.get("view") == "print" else "",
    )


def _answers_values(notice: Notice, results: PollResults, filters: AnswersFilter) -> dict[str, Any]:
    lines = results.lines(filters.by)
    left = [line for line in lines if results.missing(line)]
    answered = [line for line in lines if line.last]
    shown = _filter_by_class(answered if filters.show == "said" else left, filters.room)
    page = max(1, request.args.get("page", 1, type=int))
    may_enter = permissions().visible_lists(notice, "send")
    return {
        "notice": notice,
        "subject": merge_fields.display_subject(notice),
        "tab": "answers",
        "look": filters,
        "tally": results,
        "blocks": _result_blocks(results, filters.by, lines),
        "asked": len(lines),
        "left": left,
        "answered": answered,
        "shown": shown if filters.view == "print" else shown[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
        "rooms": _count_by_class(answered if filters.show == "said" else left),
        "here": page,
        "pages": max(1, -(-len(shown) // PAGE_SIZE)),
        "may_enter": (may_enter is None or bool(may_enter)) and notice.state != NoticeState.WITHDRAWN,
        "so_many": lambda number: count_with_unit(
            number, "household" if filters.by == poll_results.EACH_QUESTION else filters.by
        ),
        "room_title": class_title,
        "how": source_label,
        "until": questions.deadline_text,
        "ADVICE": FAILURE_ADVICE,
        "UNIT_LABELS": {poll_results.EACH_QUESTION: PER_QUESTION_UNIT, **UNIT_LABELS}
        if results.unit == poll_results.EACH_QUESTION
        else UNIT_LABELS,
    }


def _result_blocks(
    poll: PollResults, by: str, lines: list[RespondentLine]
) -> list[tuple[questions.QuestionBlock, list[poll_results.QuestionResult], str]]:
    """Return the results by block of questions, with the unit of the counts."""
    results = {result.question.id: result for result in poll.results(by, lines)}
    return [
        (
            block,
            [results[question.id] for question in block.questions],
            UNIT_LABELS[block.unit if by == poll_results.EACH_QUESTION else by],
        )
        for block in questions.group_into_blocks(poll.questions)
    ]


def class_key(room: tuple[str, str]) -> str:
    """Return the key of a class for URLs."""
    return "-".join(room)


def _filter_by_class(lines: list[RespondentLine], mark: str) -> list[RespondentLine]:
    return [line for line in lines if not mark or mark in map(class_key, line.rooms)]


def _count_by_class(lines: Iterable[RespondentLine]) -> dict[tuple[str, str], int]:
    """Return the classes with their number of lines, in order."""
    counted: dict[tuple[str, str], int] = {}
    for line in lines:
        for room in line.rooms:
            counted[room] = counted.get(room, 0) + 1
    return counted


def count_with_unit(number: int, by: str) -> str:
    counted = {"household": N_("%(n)s households"), "person": N_("%(n)s persons"), "child": N_("%(n)s children")}
    return _(counted[by], n=f"{number:,}")


def source_label(answer: poll_results.CountedAnswer) -> str:
    """Return how an answer arrived. For telephone answers only the organizer is known."""
    return (
        _(SOURCE_LABELS[answer.how], name=answer.by or _("somebody"))
        if answer.how == "organizer"
        else _(SOURCE_LABELS[answer.how])
    )


# ── what was telephoned ──────────────────────────────────────────────────────────────────────────────────────────


@bp.route("/notices/<int:number>/answers/<int:delivery>", methods=["GET", "POST"], endpoint="enter_answer")
def enter_answer(number: int, delivery: int) -> Any:
    """Enter an answer given by telephone, also after the deadline; it is marked as such."""
    notice = get_sent_notice(number)
    reader = _delivery_or_404(notice, delivery)
    standings = answers.current_answers(reader)
    if not standings or notice.state == NoticeState.WITHDRAWN:
        abort(404)
    if request.method == "POST":
        given = _posted_answers(standings)
        if given:
            answers.enter_answers(reader, given, by=current_user, now=clock.now())
            flash_message(N_("The answer was entered."))
            return redirect_to("responses.show_answers", number=number, _anchor="who")
    status = 422 if request.method == "POST" else 200
    page = render_template(
        "responses/enter_answer.html",
        notice=notice,
        subject=merge_fields.display_subject(notice),
        reader=reader,
        standings=standings,
        missing=status == 422,
        how=_source_of_standing,
    )
    return page, status


def _delivery_or_404(notice: Notice, number: int) -> Delivery:
    """Return a delivery of the notice that the user may act for; else 404."""
    lists = permissions().visible_lists(notice, "send")
    if lists is not None and not lists:
        forbid("send", [mailing_list.id for mailing_list in target_lists(notice)])
    return visibility.delivery_in_lists(notice, number, lists) or abort(404)


def _posted_answers(standings: list[answers.CurrentAnswer]) -> dict[int, SubmittedAnswer]:
    """Return the answers in the form that differ from the current ones."""
    given = {}
    for standing in standings:
        number = request.form.get(f"q{standing.question.place}", 0, type=int)
        comment = request.form.get(f"c{standing.question.place}", "").strip()
        before = (standing.chosen.number, standing.answer.comment) if standing.chosen and standing.answer else None
        if standing.question.option(number) and (number, comment) != before:
            given[standing.question.id] = SubmittedAnswer(number, comment)
    return given


def _source_of_standing(standing: answers.CurrentAnswer) -> str:
    row = standing.answer
    return "" if row is None else _(SOURCE_LABELS[row.how], name=row.by.name if row.by else _("somebody"))


# ── as a file ────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/notices/<int:number>/answers.csv")
def answers_csv(number: int) -> Response:
    """Send the answers as CSV; the download is logged."""
    notice = get_sent_notice(number)
    results = poll_results.load_poll_results(notice, permissions().visible_lists(notice))
    if not results.questions:
        abort(404)
    filters = _requested_filter(notice, results)
    lines = results.lines(filters.by)
    audit.log_view(current_user, "notice.answers_exported", notice.id, detail={"lines": len(lines)})
    return csv_response(_csv_rows(results, lines), f"kairan-{notice.id}-answers.csv")


def _csv_rows(results: PollResults, lines: list[RespondentLine]) -> Iterator[list[str]]:
    titles = [f"{question.heading} {question.text}".strip() for question in results.questions]
    yield [_("Class"), _("Child"), _("Guardian"), *titles, _("Remarks"), _("Answered at"), _("How"), _("Phone")]
    yield from (_csv_row(results, line) for line in lines)


def _csv_row(results: PollResults, line: RespondentLine) -> list[str]:
    cells = [line.each(question) for question in results.questions]
    last = line.last
    return [
        "、".join(class_title(*room) for room in line.rooms),
        "、".join(line.children),
        "、".join(line.names),
        *("、".join(f"{name} {answer.option.text}".strip() for name, answer in each) for each in cells),
        "、".join(answer.comment for each in cells for _name, answer in each if answer.comment),
        format_cell_time(last.at) if last else "",
        source_label(last) if last else "",
        "、".join(dict.fromkeys(voice.reader.phone for voice in line.voices if voice.reader.phone)),
    ]
