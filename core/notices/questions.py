"""The questions of a notice: written with the draft, numbered through, frozen with everything else (T-48, T-49).

What is written is an `Ask` (plain values), what stands in the tables comes back as an `Asked` (with its numbers).
Answers: `core.responses.answers`. Ready-made ones: `core.notices.questions`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from itertools import count, groupby
from typing import Any

import clock
import i18n
from database import db
from i18n import N_, say
from mail import compose, merge
from models import Choice, Notice, Question

UNIT_LABELS: dict[str, str] = {
    "household": N_("one answer per household"),
    "person": N_("one answer per person"),
    "child": N_("one answer per child"),
}
END_OF_DAY = (23, 59)
MAX_QUESTIONS, MAX_CHOICES, MAX_TEXT_CHARS = 40, 20, 200


@dataclass(frozen=True, slots=True)
class QuestionDraft:
    """A question as it is written. `heading` only for kind `days`, where `text` is one of the days."""

    text: str
    choices: tuple[str, ...]
    kind: str = "own"
    heading: str = ""
    unit: str = "household"
    deadline: datetime | None = None
    comment: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """A choice with its row and its number through all questions of the notice."""

    id: int
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class StoredQuestion:
    """A question as it stands in the tables."""

    id: int
    place: int
    kind: str
    heading: str
    text: str
    unit: str
    deadline: datetime | None
    comment: bool
    options: tuple[Option, ...]

    def option(self, number: int | None) -> Option | None:
        """Return the choice with a number, if it is one of this question."""
        return next((one for one in self.options if one.number == number), None)

    def is_open(self, now: datetime) -> bool:
        """Say whether readers may still answer."""
        return self.deadline is None or now <= self.deadline


@dataclass(frozen=True, slots=True)
class QuestionBlock:
    """What is asked together: one question, or the days of a date finding under their heading."""

    questions: tuple[StoredQuestion, ...]

    @property
    def days(self) -> bool:
        return self.questions[0].kind == "days"

    @property
    def title(self) -> str:
        """Return the question, or what stands above the days."""
        return self.questions[0].heading if self.days else self.questions[0].text

    @property
    def deadline(self) -> datetime | None:
        return self.questions[0].deadline

    @property
    def unit(self) -> str:
        return self.questions[0].unit

    @property
    def comment(self) -> StoredQuestion | None:
        """Return the question whose answer takes the comment of this block."""
        return next((one for one in self.questions if one.comment), None)


def answer_keys(person: str, household: str, child: int | None) -> dict[str, str]:
    """Return the keys under which a reader answers, by the question's unit."""
    return {"person": person, "household": household, "child": f"c{child}" if child else household}


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def save_questions(notice: Notice, asks: Sequence[QuestionDraft]) -> None:
    """Replace the questions of a draft. Call inside the transaction that has seen that it is one."""
    if list(asks) == question_drafts(notice):
        return
    Question.delete().where(Question.notice == notice).execute()
    numbers = count(1)
    for place, ask in enumerate(asks[:MAX_QUESTIONS], 1):
        row = Question.create(
            notice=notice,
            place=place,
            kind=ask.kind,
            heading=_clean_line(ask.heading),
            text=_clean_line(ask.text),
            unit=ask.unit,
            deadline=ask.deadline,
            comment=ask.comment,
        )
        texts = [line for text in ask.choices if (line := _clean_line(text))][:MAX_CHOICES]
        choices = [(row.id, next(numbers), text) for text in texts]
        if choices:
            Choice.insert_many(choices, fields=[Choice.question, Choice.number, Choice.text]).execute()


def _clean_line(text: str) -> str:
    return merge.one_line(text)[:MAX_TEXT_CHARS]


def question_drafts(notice: Notice) -> list[QuestionDraft]:
    """Return the questions of a notice as they were written."""
    return [
        QuestionDraft(
            one.text,
            tuple(option.text for option in one.options),
            one.kind,
            one.heading,
            one.unit,
            one.deadline,
            one.comment,
        )
        for one in load_questions(notice)
    ]


def copy_questions(notice: Notice, fresh: Notice, now: datetime) -> None:
    """Give a correction the questions of the notice that it corrects; a deadline that has passed stays behind."""
    save_questions(fresh, [_drop_past_deadline(ask, now) for ask in question_drafts(notice)])


def _drop_past_deadline(ask: QuestionDraft, now: datetime) -> QuestionDraft:
    return replace(ask, deadline=None) if ask.deadline and ask.deadline < now else ask


def questions_error(notice: Notice, begins: datetime) -> str:
    """Return what is wrong with the questions, one sentence, or nothing. `begins`: when the notice is to go."""
    for ask in question_drafts(notice):
        if wrong := question_error(ask):
            return wrong
        if ask.deadline and ask.deadline <= begins:
            return N_("The deadline of the answers is before the notice goes out.")
    return ""


def question_error(ask: QuestionDraft) -> str:
    """Return what is wrong with one question as it is written, or nothing."""
    if not ask.text:
        return N_("Write the question, or remove it.")
    if ask.kind == "days" and not ask.heading:
        return N_("Write what the days are for.")
    if len(ask.choices) < 2:
        return N_("A question needs at least two choices.")
    if len(set(ask.choices)) < len(ask.choices):
        return N_("Two choices of a question are the same.")
    if merge.field_names(" ".join((ask.heading, ask.text, *ask.choices))):
        return N_("Double braces cannot be filled in inside a question. Please write the words themselves.")
    return ""


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────


# Every opening and every press of a reader's page comes by here: plain SQL costs a fifth of what two queries do.
_SELECT_QUESTIONS = """
SELECT q.id, q.place, q.kind, q.heading, q.text, q.unit, q.deadline, q.comment, c.id, c.number, c.text
FROM question AS q LEFT JOIN choice AS c ON c.question_id = q.id
WHERE q.notice_id = ? ORDER BY q.place, c.number"""


def load_questions(notice: Notice | int) -> tuple[StoredQuestion, ...]:
    """Return the questions of a notice with their choices, in order."""
    number = notice.id if isinstance(notice, Notice) else notice
    rows = db.execute_sql(_SELECT_QUESTIONS, (number,)).fetchall()
    return tuple(_build_question(list(held)) for _, held in groupby(rows, key=lambda row: row[0]))


def _build_question(rows: list[tuple]) -> StoredQuestion:
    number, place, kind, heading, text, unit, deadline, comment = rows[0][:8]
    options = tuple(Option(*row[8:]) for row in rows if row[8] is not None)
    end = Question.deadline.python_value(deadline)
    return StoredQuestion(number, place, kind, heading, text, unit, end, bool(comment), options)


def group_into_blocks(asked: Iterable[StoredQuestion]) -> list[QuestionBlock]:
    """Return what is asked together."""
    return [QuestionBlock(tuple(held)) for _, held in groupby(asked, key=_block_key)]


def _block_key(one: StoredQuestion) -> tuple:
    return (one.heading, one.unit, one.deadline) if one.kind == "days" else (one.id,)


def deadline_text(language: str, deadline: datetime | None) -> str:
    """Return a deadline in words: the day alone if it is the end of that day; "" if there is none."""
    if deadline is None:
        return ""
    local = clock.to_local(deadline)
    return (
        i18n.format_day(language, deadline)
        if (local.hour, local.minute) == END_OF_DAY
        else i18n.format_datetime(language, deadline)
    )


def end_of_day(day: date) -> datetime:
    """Return the deadline 「11月7日まで」, which includes that day."""
    return clock.from_local(datetime.combine(day, time(*END_OF_DAY, 59)))


WHO_ANSWERS: dict[str, str] = {
    "household": N_("One answer for the household."),
    "person": N_("One answer from each person who gets this letter."),
    "child": N_("One answer for each child."),
}
"""Who answers once, for the readers; said where it is not the household alone."""


def who_answers(asked: Iterable[QuestionBlock]) -> dict[int, str]:
    """Return by the place of a block who answers it; empty where every question is for the household."""
    found = list(asked)
    if all(one.unit == "household" for one in found):
        return {}
    return {one.questions[0].place: WHO_ANSWERS[one.unit] for one in found}


def letter_questions(notice: Notice, language: str) -> tuple[compose.LetterQuestion, ...]:
    """Return the questions of a notice as its letters ask them."""
    found = group_into_blocks(load_questions(notice))
    said = who_answers(found)
    return tuple(_letter_question(one, language, said.get(one.questions[0].place, "")) for one in found)


def _letter_question(block: QuestionBlock, language: str, who: str) -> compose.LetterQuestion:
    choices = tuple((one.number, one.text) for one in block.questions[0].options)
    days = tuple((one.options[0].number, one.text) for one in block.questions if one.options) if block.days else ()
    return compose.LetterQuestion(
        block.title, deadline_text(language, block.deadline), choices, days, i18n.say(language, who) if who else ""
    )


def has_questions(notice: Notice) -> bool:
    """Say whether a notice asks anything."""
    return Question.select().where(Question.notice == notice).exists()


# ── from a file ──────────────────────────────────────────────────────────────────────────────────────────────────


class InvalidQuestionFile(ValueError):
    """A file of questions cannot be read; the message says where."""


def from_json(text: str, read_time: Any) -> list[QuestionDraft]:
    """Read `[{"text": …, "choices": [… ], "unit": …, "deadline": …, "comment": …}, …]`. Raises BadFile.

    read_time: turns the text of a deadline into a moment, None if it cannot.
    """
    try:
        found = json.loads(text)
    except ValueError as fault:
        raise InvalidQuestionFile(f"it is no JSON: {fault}") from fault
    if not isinstance(found, list) or not found:
        raise InvalidQuestionFile("it must hold a list of questions")
    if len(found) > MAX_QUESTIONS:
        raise InvalidQuestionFile(f"it holds more than {MAX_QUESTIONS} questions")
    return [_from_entry(entry, f"question {place}", read_time) for place, entry in enumerate(found, 1)]


def _from_entry(entry: Any, where: str, read_time: Any) -> QuestionDraft:
    known = {"text", "choices", "kind", "heading", "unit", "deadline", "comment"}
    if not isinstance(entry, dict) or set(entry) - known:
        raise InvalidQuestionFile(f"{where} must have only: {', '.join(sorted(known))}")
    choices = entry.get("choices")
    texts = [entry.get("text"), entry.get("kind", "own"), entry.get("heading", ""), entry.get("unit", "household")]
    if not isinstance(choices, list) or not all(isinstance(one, str) for one in [*texts, *choices]):
        raise InvalidQuestionFile(f"{where} needs a text and a list of choices")
    if len(choices) > MAX_CHOICES or any(
        isinstance(one, str) and len(one) > MAX_TEXT_CHARS for one in [*texts, *choices]
    ):
        raise InvalidQuestionFile(
            f"{where}: at most {MAX_CHOICES} choices, each text at most {MAX_TEXT_CHARS} characters"
        )
    if entry.get("unit", "household") not in UNIT_LABELS:
        raise InvalidQuestionFile(f"{where}: unit is one of {', '.join(UNIT_LABELS)}")
    deadline = entry.get("deadline")
    moment = read_time(deadline) if isinstance(deadline, str) else None
    if deadline is not None and moment is None:
        raise InvalidQuestionFile(f"{where}: deadline {deadline!r} is no time; write it like 2026-11-22T21:00")
    text, kind, heading, unit = texts
    return QuestionDraft(text, tuple(choices), kind, heading, unit, moment, entry.get("comment") is True)


@dataclass(frozen=True, slots=True)
class Preset:
    """What a kind of question begins with. `fixed`: its choices are not changed, so that everybody knows them."""

    name: str
    text: str = ""
    choices: tuple[str, ...] = ()
    unit: str = "household"
    comment: bool = False
    fixed: bool = False


PRESETS: dict[str, Preset] = {
    "attendance": Preset(
        N_("Attendance"),
        N_("Will you attend?"),
        (N_("We attend"), N_("We do not attend"), N_("Not known yet")),
        comment=True,
    ),
    "majority": Preset(N_("Majority vote"), N_("Which do you prefer?"), (N_("In favour"), N_("Against"))),
    "days": Preset(
        N_("Finding a day"), N_("Which days suit you?"), (N_("○ Yes"), N_("△ Perhaps"), N_("× No")), fixed=True
    ),
    "proxy": Preset(
        N_("Assembly and proxy"),
        N_("How will you take part in the assembly?"),
        (N_("We attend"), N_("Absent, the chair votes for us"), N_("Absent, we vote in writing")),
        comment=True,
    ),
    "safety": Preset(
        N_("Safety check"),
        N_("How is your child?"),
        (N_("Safe"), N_("Hurt, or needs help"), N_("Not known yet, still searching")),
        unit="child",
        fixed=True,
    ),
    "own": Preset(N_("A question of your own")),
}


def new_question(kind: str, language: str) -> QuestionDraft:
    """Return a fresh question of a kind, in the organization's language."""
    made = PRESETS[kind]
    text, choices = say(language, made.text), tuple(say(language, one) for one in made.choices)
    if kind == "days":
        return QuestionDraft("", choices, kind, heading=text, unit=made.unit)
    return QuestionDraft(text, choices, kind, unit=made.unit, comment=made.comment)
