"""The questions of a notice: presets, drafts, validation and stored rows (T-48, T-49).

A `QuestionDraft` holds what the author wrote, a `StoredQuestion` a row with its choices. Choices are numbered through
all questions of the notice. Answers: `core.responses.answers`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from itertools import count, groupby
from typing import Any

import clock
import i18n
from core.errors import DomainError
from database import db
from i18n import N_, LazyMessage
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
    """A question as written. `heading`: only for kind `days`, where `text` is one of the days."""

    text: str
    choices: tuple[str, ...]
    kind: str = "own"
    heading: str = ""
    unit: str = "household"
    deadline: datetime | None = None
    comment: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    id: int
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class StoredQuestion:
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
        """Return the choice with this number, if it belongs to this question."""
        return next((option for option in self.options if option.number == number), None)

    def is_open(self, now: datetime) -> bool:
        return self.deadline is None or now <= self.deadline


@dataclass(frozen=True, slots=True)
class QuestionBlock:
    """Questions shown together: one question, or the days of a date poll under their heading."""

    questions: tuple[StoredQuestion, ...]

    @property
    def days(self) -> bool:
        return self.questions[0].kind == "days"

    @property
    def title(self) -> str:
        return self.questions[0].heading if self.days else self.questions[0].text

    @property
    def deadline(self) -> datetime | None:
        return self.questions[0].deadline

    @property
    def unit(self) -> str:
        return self.questions[0].unit

    @property
    def comment(self) -> StoredQuestion | None:
        """Return the question whose answer stores the comment of this block."""
        return next((question for question in self.questions if question.comment), None)


def short_day(language: str, day: date) -> str:
    """Return 12/2(水), or the whole day in English."""
    return (
        f"{day.month}/{day.day}({i18n.format_day('ja', day)[-2]})" if language == "ja" else i18n.format_day("en", day)
    )


def answer_keys(person: str, household: str, child: int | None) -> dict[str, str]:
    """Return {unit of a question: key of the reader's answer}."""
    return {"person": person, "household": household, "child": f"c{child}" if child else household}


# ── drafts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def save_questions(notice: Notice, drafts: Sequence[QuestionDraft]) -> None:
    """Replace the questions of a draft. Call inside the transaction that checked the state."""
    if list(drafts) == question_drafts(notice):
        return
    if error := limit_error(drafts):
        raise DomainError(error)
    Question.delete().where(Question.notice == notice).execute()
    numbers = count(1)
    for place, draft in enumerate(drafts, 1):
        row = Question.create(
            notice=notice,
            place=place,
            kind=draft.kind,
            heading=_clean_line(draft.heading),
            text=_clean_line(draft.text),
            unit=draft.unit,
            deadline=draft.deadline,
            comment=draft.comment,
        )
        texts = [line for text in draft.choices if (line := _clean_line(text))]
        choices = [(row.id, next(numbers), text) for text in texts]
        if choices:
            Choice.insert_many(choices, fields=[Choice.question, Choice.number, Choice.text]).execute()


def _clean_line(text: str) -> str:
    return merge.one_line(text)


def limit_error(drafts: Sequence[QuestionDraft]) -> str:
    """Return the first limit that the questions exceed, or "". Nothing is cut: the writer decides what goes."""
    if len(drafts) > MAX_QUESTIONS:
        return LazyMessage(
            N_("At most %(most)s questions, or days of a date poll, fit into one notice; these are %(n)s."),
            most=MAX_QUESTIONS,
            n=len(drafts),
        )
    for draft in drafts:
        if len(draft.choices) > MAX_CHOICES:
            return LazyMessage(
                N_("A question has at most %(most)s choices; these are %(n)s."), most=MAX_CHOICES, n=len(draft.choices)
            )
        for text in (draft.heading, draft.text, *draft.choices):
            if len(text) > MAX_TEXT_CHARS:
                return LazyMessage(
                    N_("“%(start)s…” has %(n)s characters; at most %(most)s fit."),
                    start=text[:20],
                    n=len(text),
                    most=MAX_TEXT_CHARS,
                )
    return ""


def question_drafts(notice: Notice) -> list[QuestionDraft]:
    """Return the questions of a notice as written."""
    return [
        QuestionDraft(
            stored.text,
            tuple(option.text for option in stored.options),
            stored.kind,
            stored.heading,
            stored.unit,
            stored.deadline,
            stored.comment,
        )
        for stored in load_questions(notice)
    ]


def copy_questions(notice: Notice, fresh: Notice, now: datetime) -> None:
    """Copy the questions to a follow-up, without deadlines that have passed."""
    drafts = question_drafts(notice)
    save_questions(
        fresh, [replace(draft, deadline=None) if draft.deadline and draft.deadline < now else draft for draft in drafts]
    )


def questions_error(notice: Notice, begins: datetime) -> str:
    """Return the first error of the questions, or "". begins: start of sending."""
    for draft in question_drafts(notice):
        if error := question_error(draft):
            return error
        if draft.deadline and draft.deadline <= begins:
            return N_("The deadline of the answers is before the notice goes out.")
    return ""


def question_error(draft: QuestionDraft) -> str:
    """Return the first error of a question, or "", independent of the notice."""
    if not draft.text:
        return N_("Write the question, or remove it.")
    if draft.kind == "days" and not draft.heading:
        return N_("Write what the days are for.")
    if len(draft.choices) < 2:
        return N_("A question needs at least two choices.")
    if len(set(draft.choices)) < len(draft.choices):
        return N_("Two choices of a question are the same.")
    if merge.field_names(" ".join((draft.heading, draft.text, *draft.choices))):
        return N_("Double braces cannot be filled in inside a question. Please write the words themselves.")
    return ""


# ── stored questions ──────────────────────────────────────────────────────────────────────────────────────────────────────


# Every request of a reader's page runs this: plain SQL takes a fifth of the time of two peewee queries.
_SELECT_QUESTIONS = """
SELECT q.id, q.place, q.kind, q.heading, q.text, q.unit, q.deadline, q.comment, c.id, c.number, c.text
FROM question AS q LEFT JOIN choice AS c ON c.question_id = q.id
WHERE q.notice_id = ? ORDER BY q.place, c.number"""


def load_questions(notice: Notice | int) -> tuple[StoredQuestion, ...]:
    """Return the questions of a notice with their choices, in order."""
    number = notice.id if isinstance(notice, Notice) else notice
    rows = db.execute_sql(_SELECT_QUESTIONS, (number,)).fetchall()
    return tuple(_build_question(list(group)) for _, group in groupby(rows, key=lambda row: row[0]))


def _build_question(rows: list[tuple[Any, ...]]) -> StoredQuestion:
    number, place, kind, heading, text, unit, deadline, comment = rows[0][:8]
    options = tuple(Option(*row[8:]) for row in rows if row[8] is not None)
    end = Question.deadline.python_value(deadline)
    return StoredQuestion(number, place, kind, heading, text, unit, end, bool(comment), options)


def group_into_blocks(questions: Iterable[StoredQuestion]) -> list[QuestionBlock]:
    return [QuestionBlock(tuple(group)) for _, group in groupby(questions, key=_block_key)]


def _block_key(question: StoredQuestion) -> tuple[object, ...]:
    return (question.heading, question.unit, question.deadline) if question.kind == "days" else (question.id,)


def deadline_text(language: str, deadline: datetime | None) -> str:
    """Return a deadline for display; without the time if it is the end of a day."""
    if deadline is None:
        return ""
    local = clock.to_local(deadline)
    return (
        i18n.format_day(language, deadline)
        if (local.hour, local.minute) == END_OF_DAY
        else i18n.format_datetime(language, deadline)
    )


def end_of_day(day: date) -> datetime:
    """Return the deadline 「11月7日まで」, which includes the day."""
    return clock.from_local(datetime.combine(day, time(*END_OF_DAY, 59)))


WHO_ANSWERS: dict[str, str] = {
    "household": N_("One answer for the household."),
    "person": N_("One answer from each person who gets this letter."),
    "child": N_("One answer for each child."),
}
"""Shown to readers if some question is not answered by household."""


def who_answers(blocks: Iterable[QuestionBlock]) -> dict[int, str]:
    """Return {place of a block: who answers it}; empty if every question is for the household."""
    blocks = list(blocks)
    if all(block.unit == "household" for block in blocks):
        return {}
    return {block.questions[0].place: WHO_ANSWERS[block.unit] for block in blocks}


def letter_questions(notice: Notice, language: str) -> tuple[compose.LetterQuestion, ...]:
    blocks = group_into_blocks(load_questions(notice))
    who = who_answers(blocks)
    return tuple(_letter_question(block, language, who.get(block.questions[0].place, "")) for block in blocks)


def _letter_question(block: QuestionBlock, language: str, who: str) -> compose.LetterQuestion:
    choices = tuple((option.number, option.text) for option in block.questions[0].options)
    days = (
        tuple((question.options[0].number, question.text) for question in block.questions if question.options)
        if block.days
        else ()
    )
    return compose.LetterQuestion(
        block.title, deadline_text(language, block.deadline), choices, days, i18n.say(language, who) if who else ""
    )


def has_questions(notice: Notice) -> bool:
    return bool(Question.select().where(Question.notice == notice).exists())


# ── JSON files ──────────────────────────────────────────────────────────────────────────────────────────────────


class InvalidQuestionFile(ValueError):
    """A JSON file of questions is invalid; the message says where (for the terminal, English only)."""


def from_json(text: str, read_time: Any) -> list[QuestionDraft]:
    """Parse `[{"text": …, "choices": [… ], "unit": …, "deadline": …, "comment": …}, …]`. Raises InvalidQuestionFile.

    read_time: parses the text of a deadline; None if it is invalid.
    """
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise InvalidQuestionFile(f"it is no JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise InvalidQuestionFile("it must hold a list of questions")
    if len(entries) > MAX_QUESTIONS:
        raise InvalidQuestionFile(f"it holds more than {MAX_QUESTIONS} questions")
    return [_from_entry(entry, f"question {place}", read_time) for place, entry in enumerate(entries, 1)]


def _from_entry(entry: Any, where: str, read_time: Any) -> QuestionDraft:
    known = {"text", "choices", "kind", "heading", "unit", "deadline", "comment"}
    if not isinstance(entry, dict) or set(entry) - known:
        raise InvalidQuestionFile(f"{where} must have only: {', '.join(sorted(known))}")
    choices = entry.get("choices")
    texts = [entry.get("text"), entry.get("kind", "own"), entry.get("heading", ""), entry.get("unit", "household")]
    if not isinstance(choices, list) or not all(isinstance(value, str) for value in [*texts, *choices]):
        raise InvalidQuestionFile(f"{where} needs a text and a list of choices")
    if len(choices) > MAX_CHOICES or any(len(value) > MAX_TEXT_CHARS for value in [*texts, *choices]):
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


# ── presets ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Preset:
    """The initial values of a kind of question. `fixed`: the author cannot change the choices."""

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
    """Return a new question of a kind, in the organization's language."""
    preset = PRESETS[kind]
    text, choices = i18n.say(language, preset.text), tuple(i18n.say(language, choice) for choice in preset.choices)
    if kind == "days":
        return QuestionDraft("", choices, kind, heading=text, unit=preset.unit)
    return QuestionDraft(text, choices, kind, unit=preset.unit, comment=preset.comment)
