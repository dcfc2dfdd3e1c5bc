"""Answers by readers, and entered for them by organizers (T-49 to T-52; decision 1).

Opening a choice records a visit and preselects it; a press answers. The last answer before the deadline counts; earlier ones
stay, superseded. After the deadline only organizers enter answers. If the list is set so, opening answers too, with the
guards of `core.responses.read_confirmations`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from peewee import JOIN

from core import audit
from core.delivery import lifecycle as letters
from core.errors import require_length
from core.notices import questions
from core.notices.questions import Option, StoredQuestion, answer_keys
from core.responses import read_confirmations
from database import db, load_rows, millis
from models import Answer, Choice, Delivery, MailingList, Notice, User

MAX_COMMENT_CHARS = 500


@dataclass(frozen=True, slots=True)
class SubmittedAnswer:
    """An answer as posted: choice number and comment."""

    number: int
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CurrentAnswer:
    """A question with the reader's current answer. `mine`: given by this letter, or entered for it."""

    question: StoredQuestion
    answer: Answer | None
    chosen: Option | None
    mine: bool

    @property
    def entered(self) -> bool:
        """Say whether an organizer entered it."""
        return self.answer is not None and self.answer.how == "organizer"


def answer_units(delivery: Delivery) -> dict[str, str]:
    """Return {unit kind: key} for a reader, as frozen when sending began.

    Without a child or household, the next larger unit takes its place.
    """
    person = f"p{delivery.person_id}" if delivery.person_id else f"d{delivery.id}"
    found = db.execute_sql(
        "SELECT household FROM delivery_membership WHERE delivery_id = ? AND household <> '' ORDER BY id LIMIT 1",
        (delivery.id,),
    ).fetchone()
    return answer_keys(person, f"h{found[0]}" if found else person, delivery.child_id)


_CURRENT_ANSWERS = """
SELECT a.* FROM answer AS a JOIN question AS q ON q.id = a.question_id
WHERE q.notice_id = ? AND a.unit IN (?, ?, ?) AND a.superseded_at IS NULL"""


def current_answers(delivery: Delivery, asked: Iterable[StoredQuestion] | None = None) -> list[CurrentAnswer]:
    """Return the questions of a notice with the current answers of this reader's units."""
    asked = list(questions.load_questions(delivery.notice_id) if asked is None else asked)
    if not asked:
        return []
    units = answer_units(delivery)
    pairs = {one.id: units[one.unit] for one in asked}
    rows = load_rows(Answer, _CURRENT_ANSWERS, delivery.notice_id, *units.values())
    found = {row.question_id: row for row in rows if row.unit == pairs.get(row.question_id)}
    return [_current_answer(one, found.get(one.id), delivery) for one in asked]


def _current_answer(question: StoredQuestion, answer: Answer | None, delivery: Delivery) -> CurrentAnswer:
    chosen = next((one for one in question.options if answer and one.id == answer.choice_id), None)
    return CurrentAnswer(question, answer, chosen, answer is not None and answer.delivery_id == delivery.id)


# ── answering ────────────────────────────────────────────────────────────────────────────────────────────────────


def submit_answers(
    delivery: Delivery,
    given: Mapping[int, SubmittedAnswer],
    *,
    agent: str,
    now: datetime,
    asked: Iterable[StoredQuestion] | None = None,
) -> int:
    """Save posted answers {question id: answer}; return how many are new or changed.

    Known scanners, closed questions and unknown choices are ignored.
    """
    if read_confirmations.is_known_scanner(agent):
        return 0
    asked = questions.load_questions(delivery.notice_id) if asked is None else asked
    open_lists = [one for one in asked if one.is_open(now)]
    return _write_answers(delivery, open_lists, given, "press", None, now)


def answer_by_touch(delivery: Delivery, number: int, *, agent: str, now: datetime) -> bool:
    """Save the opened choice after a trusted touch, if the list is set so (T-50).

    Guards: 180 s after acceptance, no other link fetched within a minute, and no earlier answer.
    """
    link = f"a{number}"
    if not records_on_open(delivery):
        return False
    with db.atomic():
        if not read_confirmations.is_touch_valid(delivery, link, agent=agent, now=now):
            return False
        found = [one for one in current_answers(delivery) if one.question.option(number) and one.question.is_open(now)]
        if not found or found[0].answer is not None:
            return False
        given = {found[0].question.id: SubmittedAnswer(number)}
        done = _write_answers(delivery, [found[0].question], given, "touch", None, now)
        if done:
            read_confirmations.record_touch(delivery, link, agent=agent, now=now)
    return bool(done)


def records_on_open(delivery: Delivery) -> bool:
    """Say whether opening answers in the list of this letter."""
    row = MailingList.get_or_none(MailingList.id == delivery.list_id)
    return row is not None and row.answer_on_open


def enter_answers(delivery: Delivery, given: Mapping[int, SubmittedAnswer], *, by: User, now: datetime) -> int:
    """Enter answers for a reader, also after the deadline; return how many are new."""
    asked = questions.load_questions(delivery.notice_id)
    done = _write_answers(delivery, asked, given, "organizer", by, now)
    if done:
        Delivery.update(phoned_at=now, phoned_by=by).where(
            Delivery.id == delivery.id, Delivery.phoned_at.is_null(), Delivery.read_at.is_null()
        ).execute()
        audit.log_action(by, "notice.answer_entered", delivery.notice_id, detail={"answers": done})
    return done


def _write_answers(
    delivery: Delivery,
    asked: Iterable[StoredQuestion],
    given: Mapping[int, SubmittedAnswer],
    how: str,
    by: User | None,
    now: datetime,
) -> int:
    """Write answers in one transaction. BEGIN IMMEDIATE queues writers, so that none overwrites another unseen."""
    wanted = [
        (one, option, given[one.id])
        for one in asked
        if one.id in given and (option := one.option(given[one.id].number))
    ]
    if not wanted:
        return 0
    units = answer_units(delivery)
    with db.atomic():
        if db.execute_sql(_SELECT_WITHDRAWN, (delivery.notice_id,)).fetchone():
            return 0
        changed = sum(
            _write_answer(one, units[one.unit], option, said, delivery, how, by, now) for one, option, said in wanted
        )
        if how != "organizer":
            _mark_read(delivery, how, now)
    return changed


# Every press comes by here, two thousand in a minute: plain SQL costs a tenth of what building the statements does.
_SELECT_WITHDRAWN = "SELECT 1 FROM notice WHERE id = ? AND state = 'withdrawn'"
_SELECT_CURRENT = (
    "SELECT id, choice_id, comment, how FROM answer WHERE question_id = ? AND unit = ? AND superseded_at IS NULL"
)
_SUPERSEDE = "UPDATE answer SET superseded_at = ? WHERE id = ?"
_INSERT_ANSWER = (
    "INSERT INTO answer (question_id, unit, delivery_id, choice_id, comment, at, how, by_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_MARK_READ = (
    "UPDATE delivery SET read_at = COALESCE(read_at, ?), read_via = ? WHERE id = ? AND (read_at IS NULL{touched})"
)


def _write_answer(
    question: StoredQuestion,
    unit: str,
    option: Option,
    said: SubmittedAnswer,
    delivery: Delivery,
    how: str,
    by: User | None,
    now: datetime,
) -> bool:
    """Make an answer current; False if it already is (T-51)."""
    comment = require_length(said.comment, MAX_COMMENT_CHARS, "comment") if question.comment else ""
    before = db.execute_sql(_SELECT_CURRENT, (question.id, unit)).fetchone()
    if before and before[1:3] == (option.id, comment) and before[3] != "touch":
        return False
    at = millis(now)
    if before:
        db.execute_sql(_SUPERSEDE, (at, before[0]))
    db.execute_sql(_INSERT_ANSWER, (question.id, unit, delivery.id, option.id, comment, at, how, by.id if by else None))
    return True


def _mark_read(delivery: Delivery, how: str, now: datetime) -> None:
    """Mark the letter as read: an answer is also a read. A touch stays provisional."""
    touched = "" if how == "touch" else " OR read_via = 'touch'"
    as_read = "touch" if how == "touch" else "answer"
    db.execute_sql(_MARK_READ.format(touched=touched), (millis(now), as_read, delivery.id))
    letters.accept_unknown_on_read(delivery, now)


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────


def answers_by_delivery(notice: Notice) -> dict[int, list[dict]]:
    """Return the current answers by delivery, for the JSON document."""
    places = {one.id: one.place for one in questions.load_questions(notice)}
    rows = (
        Answer.select(
            Answer.delivery,
            Answer.question,
            Choice.number,
            Choice.text,
            Answer.comment,
            Answer.at,
            Answer.how,
            User.name,
        )
        .join(Choice)
        .switch(Answer)
        .join(User, JOIN.LEFT_OUTER)
        .where(Answer.question.in_(list(places)), Answer.superseded_at.is_null())
        .order_by(Answer.question, Answer.id)
        .tuples()
    )
    found: dict[int, list[dict]] = {}
    for delivery, question, number, text, comment, at, how, by in rows:
        found.setdefault(delivery, []).append(
            {
                "question": places[question],
                "choice": number,
                "text": text,
                "comment": comment or None,
                "at": at.isoformat(timespec="seconds"),
                "how": how,
                "by": by,
            }
        )
    return found
