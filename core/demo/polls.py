"""The questions of the sample school's notices, and what its families answered; one telephoned (T-48)."""

import re
from datetime import date, datetime, timedelta
from random import Random

from core.demo.dates import fill_dates, local_moment
from core.notices import questions
from core.notices.questions import QuestionDraft
from core.reports import poll_results
from core.responses import answers
from core.responses.answers import SubmittedAnswer
from database import bulk_insert
from models import Answer, Delivery, Notice, User

_DEADLINE = re.compile(r"\{\+(\d+)\}(?: (\d{1,2}:\d\d))?|本日(\d{1,2}:\d\d)")
CHOICE_WEIGHTS = (60, 25, 15, 8)


def question_drafts(entry: dict, day: date) -> list[QuestionDraft]:
    """Return the questions of a notice of the file, its dates counted from a day."""
    poll = entry.get("poll")
    if not poll:
        return []
    shared = {
        "kind": poll.get("kind", "own"),
        "unit": poll.get("unit", "household"),
        "deadline": _deadline(poll["deadline"], day),
    }
    choices = tuple(fill_dates(text, day) for text in poll["opts"])
    if days := poll.get("days"):
        heading = fill_dates(poll["q"], day)
        return [QuestionDraft(fill_dates(text, day), choices, heading=heading, **shared) for text in days]
    return [QuestionDraft(fill_dates(poll["q"], day), choices, comment=poll.get("comment", False), **shared)]


def _deadline(text: str, day: date) -> datetime:
    found = _DEADLINE.fullmatch(text)
    if found is None:
        raise ValueError(f"no deadline: {text}")
    if found[3]:
        return local_moment(day, found[3])
    last = day + timedelta(days=int(found[1]))
    return local_moment(last, found[2]) if found[2] else questions.end_of_day(last)


def simulate_answers(notice: Notice, lots: Random, now: datetime) -> None:
    """Let whoever has read the notice have answered it, and a family without an address have telephoned."""
    asked = questions.load_questions(notice)
    if not asked:
        return
    end = min(one.deadline or now for one in asked)
    late = (Delivery.notice == notice) & (Delivery.read_at > end)
    Delivery.update(read_at=None, read_via="").where(late).execute()
    readers = list(Delivery.select().where(Delivery.notice == notice, Delivery.read_at.is_null(False)))
    units = poll_results.answer_units_by_delivery(notice)
    given: dict[tuple[int, str], dict] = {}
    for reader in readers:
        for question in asked:
            choice = lots.choices(question.options, CHOICE_WEIGHTS[: len(question.options)])[0]
            unit = units[reader.id][question.unit]
            row = {"question": question.id, "unit": unit, "delivery": reader.id, "choice": choice.id}
            given.setdefault(
                (question.id, unit), {**row, "at": reader.read_at, "comment": _random_comment(question, lots)}
            )
    bulk_insert(Answer, given.values())
    Delivery.update(read_via="answer").where(Delivery.id.in_([one.id for one in readers])).execute()
    _simulate_phone_call(notice, asked, now)


def _random_comment(question: questions.StoredQuestion, lots: Random) -> str:
    said = ("少し遅れて行きます。", "下の子も連れて行きます。", "祖母がうかがいます。")
    return lots.choice(said) if question.comment and lots.random() < 0.15 else ""


def _simulate_phone_call(notice: Notice, asked: tuple[questions.StoredQuestion, ...], now: datetime) -> None:
    """Let the first family without an address have telephoned an hour after the notice."""
    first = Delivery.select().where(Delivery.notice == notice, Delivery.reason == "no_address").first()
    if first is None or notice.started_at is None or notice.by is None:
        return
    by: User = notice.by
    at = min(notice.started_at + timedelta(hours=1), now)
    answers.enter_answers(first, {one.id: SubmittedAnswer(one.options[-1].number) for one in asked}, by=by, now=at)
