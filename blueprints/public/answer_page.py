"""Answer page of a letter. The opened choice is preselected and a button press submits it (T-49 to T-51).

A GET only records the visit. HEAD and OPTIONS run no view. The page works without script.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flask import Response, redirect, render_template, request, url_for

import clock
from blueprints.public import bp, views
from blueprints.public.access import (
    closed_page,
    delivery_of_token,
    human_check_number,
    is_internal_visit,
    is_script_press,
    unknown_token_page,
    user_agent,
)
from core.display_names import make_stamp
from core.notices import questions, related_notices
from core.notices.questions import QuestionBlock
from core.responses import answers, read_confirmations
from core.responses.answers import CurrentAnswer, SubmittedAnswer
from models import Delivery

_NUMBER = re.compile(r"\s*0*(\d{1,4})(?!\d)")


@dataclass(frozen=True, slots=True)
class QuestionView:
    """One block of questions for this reader. who: who answers; empty if all questions are for the household."""

    block: QuestionBlock
    standings: tuple[CurrentAnswer, ...]
    open: bool
    who: str = ""

    @property
    def answered(self) -> bool:
        return all(standing.answer for standing in self.standings)


@bp.route("/a/<token>", methods=["GET", "POST"], strict_slashes=False)
@bp.route("/a/<token>/<choice>", methods=["GET", "POST"], strict_slashes=False)
def answer_questions(token: str, choice: str = ""):
    delivery = delivery_of_token(token)
    if delivery is None:
        return unknown_token_page(token)
    if request.method == "POST":
        return _save_answers(delivery, _choice_number(choice))
    number = _choice_number(choice)
    link = f"a{number or ''}"
    read_confirmations.record_visit(delivery, link, agent=user_agent(), inside=is_internal_visit(), now=clock.now())
    return _answer_page(delivery, number)


def _choice_number(text: str) -> int | None:
    """Return the number of a choice, also from a link with trailing characters: 「2。」 is 2."""
    match = _NUMBER.match(text)
    return int(match[1]) if match else None


def _answer_page(
    delivery: Delivery,
    opened: int | None,
    given: Mapping[int, SubmittedAnswer] | None = None,
    status: int = 200,
    unsure: str = "",
):
    """Render the page. unsure: the number to type after a press that may be automatic."""
    if read_confirmations.is_page_closed(delivery):
        return closed_page(delivery)
    standings = answers.current_answers(delivery)
    if not standings:
        return redirect(url_for("public.read_notice", token=delivery.token, p=1), 303)
    page = render_template(
        "public/answer.html",
        notice=delivery.notice,
        words=views.render_body(delivery),
        newer=related_notices.newer_exists(delivery.notice),
        given=given or {},
        missing=status == 422,
        unsure=unsure,
        touch_from=_auto_answer_from(delivery, opened, standings),
        **_answer_values(delivery, opened, standings),
    )
    return page, status


def _answer_values(delivery: Delivery, opened: int | None, standings: list[CurrentAnswer]) -> dict:
    now = clock.now()
    by_question = {standing.question.id: standing for standing in standings}
    blocks = questions.group_into_blocks(standing.question for standing in standings)
    who = questions.who_answers(blocks)
    shown = [
        QuestionView(
            block,
            tuple(by_question[question.id] for question in block.questions),
            block.questions[0].is_open(now),
            who.get(block.questions[0].place, ""),
        )
        for block in blocks
    ]
    return {
        "delivery": delivery,
        "shown": shown,
        "opened": _opened_option(standings, opened),
        "alone": standings[0] if len(standings) == 1 else None,
        "answered": all(standing.answer for standing in standings),
        "still": [row.question.text for row in standings if not row.answer and row.question.is_open(now)],
        "any_open": any(view.open for view in shown),
        "ends": {view.block.deadline for view in shown if view.open},
        "stamp": make_stamp(delivery.name),
        "landed": request.args.get("done") == "1",
        "until": questions.deadline_text,
    }


def _opened_option(standings: list[CurrentAnswer], number: int | None) -> questions.Option | None:
    return next((option for standing in standings if (option := standing.question.option(number))), None)


def _auto_answer_from(delivery: Delivery, opened: int | None, standings: list[CurrentAnswer]):
    """Return the time from which reader.js may submit; None if forbidden by the list, answered or closed."""
    standing = next((row for row in standings if row.question.option(opened)), None)
    if standing is None or standing.answer or not standing.question.is_open(clock.now()):
        return None
    return read_confirmations.touch_valid_from(delivery) if answers.records_on_open(delivery) else None


def _save_answers(delivery: Delivery, opened: int | None):
    now, rows = clock.now(), questions.load_questions(delivery.notice_id)
    given = _posted_answers(rows)
    if read_confirmations.is_page_closed(delivery) or not any(question.is_open(now) for question in rows):
        return _answer_page(delivery, opened, status=409)
    if not given:
        return _answer_page(delivery, opened, given, 422)
    if is_script_press(delivery):
        return _answer_page(delivery, opened, given, unsure=human_check_number(delivery))
    answers.submit_answers(delivery, given, agent=user_agent(), now=now, asked=rows)
    return redirect(url_for("public.answer_questions", token=delivery.token, p=1, done=1), 303)


@bp.post("/a/<token>/<choice>/touch")
def answer_by_touch(token: str, choice: str):
    """Record the choice reported by reader.js; 204 if the reader selected another one."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return unknown_token_page(token)
    opened = _choice_number(choice)
    given = _posted_answers(questions.load_questions(delivery.notice_id))
    numbers = {answer.number for answer in given.values()}
    if (
        opened is None
        or opened not in numbers
        or not answers.answer_by_touch(delivery, opened, agent=user_agent(), now=clock.now())
    ):
        return Response(status=204)
    fresh = read_confirmations.delivery_by_token(delivery.token) or delivery
    return render_template(
        "public/_answer_status.html",
        **{**_answer_values(fresh, opened, answers.current_answers(fresh)), "landed": True},
    )


def _posted_answers(rows: Iterable[questions.StoredQuestion]) -> dict[int, SubmittedAnswer]:
    """Return the posted answers by question id, without invalid choices."""
    submitted = {}
    for question in rows:
        number = _choice_number(request.form.get(f"q{question.place}", ""))
        if question.option(number):
            comment = request.form.get(f"c{question.place}", "")
            submitted[question.id] = SubmittedAnswer(number or 0, comment)
    return submitted
