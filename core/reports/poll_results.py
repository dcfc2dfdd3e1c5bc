"""Results of questions: counted by household, person or child, and by name (T-52).

Readers without an address count too. A unit answers once; where another unit is counted, its readers' latest answer counts.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from zlib import crc32

from peewee import JOIN, fn

from core.notices import questions
from core.notices.questions import Option, StoredQuestion
from core.reports import board_rows
from core.reports.board_rows import BoardReader, natural_sort_key
from models import Answer, Delivery, DeliveryMembership, Notice, NoticeStats, Question, User

GROUPINGS = ("household", "person", "child")
EACH_QUESTION = "each"
"""Each question counted by its own unit, where they differ."""


@dataclass(frozen=True, slots=True)
class CountedAnswer:
    """A current answer. `by`: the organizer who entered it, or empty."""

    option: Option
    comment: str
    at: datetime
    how: str
    by: str


@dataclass(frozen=True, slots=True)
class ReaderAnswers:
    """A reader with the answers of its units, by question id."""

    reader: BoardReader
    units: dict[str, str]
    said: dict[int, CountedAnswer]

    def own_name(self, unit: str) -> str:
        """Return the name of who answers by this letter, child or guardian."""
        children = dict.fromkeys(cell.child_name for cell in self.reader.cells if cell.child_name)
        return "、".join(children) if unit == "child" and children else self.reader.name

    def keys(self, by: str) -> list[str]:
        """Return what this reader counts for, by household, person or child."""
        if by == "person":
            return [self.units["person"]]
        cells = self.reader.cells
        if by == "household":
            return list(dict.fromkeys(f"h{cell.household}" for cell in cells if cell.household)) or [
                self.units["person"]
            ]
        children = (f"c{cell.household}\t{cell.child_name}" for cell in cells if cell.child_name)
        return list(dict.fromkeys(children)) or [self.units["person"]]


@dataclass(frozen=True, slots=True)
class ChoiceCount:
    option: Option
    count: int
    percent: int


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """A question with its bars. `asked`: number of units that may answer."""

    question: StoredQuestion
    bars: tuple[ChoiceCount, ...]
    answered: int
    asked: int

    @property
    def left(self) -> int:
        return self.asked - self.answered


@dataclass
class RespondentLine:
    """One unit with its readers, children and answers."""

    key: str
    voices: list[ReaderAnswers] = field(default_factory=list)

    @property
    def first(self) -> ReaderAnswers:
        return self.voices[0]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(voice.reader.name for voice in self.voices))

    @property
    def children(self) -> list[str]:
        found = (cell.child_name for voice in self.voices for cell in voice.reader.cells if cell.child_name)
        return list(dict.fromkeys(found))

    @property
    def kana(self) -> str:
        return next((cell.child_kana for cell in self.first.reader.cells if cell.child_kana), "") or self.names[0]

    @property
    def rooms(self) -> list[tuple[str, str]]:
        """Return grade and class of the children, in order."""
        found = ((cell.grade, cell.class_name) for voice in self.voices for cell in voice.reader.cells)
        return sorted(
            {room for room in found if any(room)},
            key=lambda room: (natural_sort_key(room[0]), natural_sort_key(room[1])),
        )

    @property
    def read_at(self) -> datetime | None:
        return min((one.reader.read_at for one in self.voices if one.reader.read_at), default=None)

    def each(self, question: StoredQuestion) -> list[tuple[str, CountedAnswer]]:
        """Return every answer of this line to a question, with whose it is where several answer for themselves."""
        found = {voice.units[question.unit]: voice for voice in self.voices if question.id in voice.said}
        several = len({voice.units[question.unit] for voice in self.voices}) > 1
        return [(voice.own_name(question.unit) if several else "", voice.said[question.id]) for voice in found.values()]

    def said(self, question: StoredQuestion) -> CountedAnswer | None:
        """Return the latest answer of this line to a question."""
        found = [voice.said[question.id] for voice in self.voices if question.id in voice.said]
        return max(found, key=lambda one: one.at, default=None)

    @property
    def last(self) -> CountedAnswer | None:
        """Return the latest answer to any question."""
        found = [said for voice in self.voices for said in voice.said.values()]
        return max(found, key=lambda one: one.at, default=None)


@dataclass(frozen=True)
class PollResults:
    """The answers of a notice as one user may see them."""

    questions: tuple[StoredQuestion, ...]
    voices: tuple[ReaderAnswers, ...]

    @cached_property
    def unit(self) -> str:
        """Return by what this notice is counted if nothing else is asked for: `each` question by its own unit."""
        units = {one.unit for one in self.questions}
        return units.pop() if len(units) == 1 else EACH_QUESTION

    def lines(self, by: str) -> list[RespondentLine]:
        """Return everybody who could answer, by class and reading; where each question has its own, by household."""
        by = "household" if by == EACH_QUESTION else by
        found: dict[str, RespondentLine] = {}
        for voice in self.voices:
            for key in voice.keys(by):
                found.setdefault(key, RespondentLine(key)).voices.append(voice)
        return sorted(found.values(), key=_class_order)

    def results(self, by: str, lines: Iterable[RespondentLine]) -> list[QuestionResult]:
        """Return each question with its bars, counted by these lines or, for `each`, by those who answer it once."""
        held = list(lines)
        return [
            _question_result(one, _lines_by_unit(self, one) if by == EACH_QUESTION else held) for one in self.questions
        ]

    def missing(self, line: RespondentLine) -> list[StoredQuestion]:
        """Return the questions to which an answer of this line is missing: of the household, or of one of it."""
        return [one for one in self.questions if any(one.id not in voice.said for voice in line.voices)]

    def still(self, line: RespondentLine) -> list[str]:
        """Return the same for people to read; days beside other questions by their heading, once."""
        names = (one.heading if self.mixed and one.heading else one.text for one in self.missing(line))
        return list(dict.fromkeys(names))

    @property
    def mixed(self) -> bool:
        """Say whether days stand beside other questions, or beside other days."""
        return len({one.heading for one in self.questions}) > 1

    def turnout(self) -> tuple[int, int]:
        """Return how many have answered at least one of the questions that are theirs, and how many could have."""
        answered = could = 0
        for unit in {one.unit for one in self.questions}:
            mine = [one for one in self.questions if one.unit == unit]
            lines = _lines_by_unit(self, mine[0])
            could += len(lines)
            answered += sum(any(line.said(one) for one in mine) for line in lines)
        return answered, could


def _class_order(line: RespondentLine) -> tuple:
    rooms = line.rooms[:1]
    return not rooms, [(natural_sort_key(grade), natural_sort_key(name)) for grade, name in rooms], line.kana, line.key


def _question_result(question: StoredQuestion, lines: list[RespondentLine]) -> QuestionResult:
    said = [found.option.number for line in lines if (found := line.said(question))]
    bars = tuple(
        ChoiceCount(
            option, said.count(option.number), round(100 * said.count(option.number) / len(said)) if said else 0
        )
        for option in question.options
    )
    return QuestionResult(question, bars, len(said), len(lines))


def best_days(results: Sequence[QuestionResult]) -> set[int]:
    """Return the questions (days) with the most first choices, of these with the most second ones; none: no answer."""
    counts = {result.question.id: [bar.count for bar in result.bars[:2]] for result in results}
    most = max(counts.values(), default=[0])
    return {question for question, count in counts.items() if count == most and count[0]}


def load_poll_results(notice: Notice, lists: Collection[int] | None = None) -> PollResults:
    """Load the results in four queries. `lists`: visible lists, None for all."""
    asked = questions.load_questions(notice)
    readers = board_rows.load_board_data(notice, lists).readers
    known = answer_units_by_delivery(notice)
    said = _counted_answers(asked)
    voices = [_reader_answers(one, known[one.number], asked, said) for one in readers]
    return PollResults(asked, tuple(one for one in voices if one.said or not one.reader.resting))


def answer_units_by_delivery(notice: Notice) -> dict[int, dict[str, str]]:
    """Return {delivery id: {unit kind: key}} for all readers."""
    mine = Delivery.notice == notice
    covers = (
        DeliveryMembership.select(DeliveryMembership.delivery, DeliveryMembership.household)
        .join(Delivery)
        .where(mine, DeliveryMembership.household != "")
    )
    households: dict[int, str] = {}
    for number, household in covers.order_by(DeliveryMembership.id).tuples():
        households.setdefault(number, f"h{household}")
    rows = Delivery.select(Delivery.id, Delivery.person, Delivery.child).where(mine).tuples()
    found = {}
    for number, person, child in rows:
        alone = f"p{person}" if person else f"d{number}"
        found[number] = questions.answer_keys(alone, households.get(number, alone), child)
    return found


def _reader_answers(
    reader: BoardReader,
    units: dict[str, str],
    asked: Iterable[StoredQuestion],
    said: dict[tuple[int, str], CountedAnswer],
) -> ReaderAnswers:
    mine = {one.id: said[one.id, units[one.unit]] for one in asked if (one.id, units[one.unit]) in said}
    return ReaderAnswers(reader, units, mine)


def _counted_answers(asked: Iterable[StoredQuestion]) -> dict[tuple[int, str], CountedAnswer]:
    """Return the current answers by question id and unit key."""
    options = {option.id: option for one in asked for option in one.options}
    rows = (
        Answer.select(Answer.question, Answer.unit, Answer.choice, Answer.comment, Answer.at, Answer.how, User.name)
        .join(User, JOIN.LEFT_OUTER)
        .where(Answer.question.in_([one.id for one in asked]), Answer.superseded_at.is_null())
        .tuples()
    )
    return {
        (question, unit): CountedAnswer(options[choice], comment, at, how, by or "")
        for question, unit, choice, comment, at, how, by in rows
    }


def poll_version(notice: Notice) -> str:
    """Return a hash that changes with answers and reads, from two small queries."""
    ours = [one.id for one in questions.load_questions(notice)]
    row = Answer.select(fn.COUNT(Answer.id), fn.MAX(Answer.id), fn.COUNT(Answer.superseded_at)).where(
        Answer.question.in_(ours)
    )
    moments = Delivery.select(fn.COUNT(Delivery.read_at), fn.COUNT(Delivery.phoned_at)).where(Delivery.notice == notice)
    return f"{crc32(repr((row.tuples().get(), moments.tuples().get(), notice.state)).encode()):08x}"


def first_answer_texts(notice: Notice) -> dict[int, str]:
    """Return what each reader's unit said to the first question, for the cells of the board; empty: nothing asked."""
    asked = questions.load_questions(notice)[:1]
    if not asked:
        return {}
    said, unit = _counted_answers(asked), asked[0].unit
    found = ((number, said.get((asked[0].id, keys[unit]))) for number, keys in answer_units_by_delivery(notice).items())
    return {number: one.option.text for number, one in found if one}


def answered_counts(notices: Collection[int]) -> dict[int, int]:
    """Return how many have answered the first question of each of some notices; one query."""
    rows = (
        Answer.select(Question.notice, fn.COUNT(Answer.unit.distinct()))
        .join(Question)
        .where(Question.notice.in_(list(notices)), Question.place == 1, Answer.superseded_at.is_null())
        .group_by(Question.notice)
    )
    asked = Question.select(Question.notice).where(Question.notice.in_(list(notices)), Question.place == 1)
    stayed = {notice: one["1"][1] for notice, one in _stored_answers(notices).items() if "1" in one}
    return dict.fromkeys((number for (number,) in asked.tuples()), 0) | dict(rows.tuples()) | stayed


def _stored_answers(notices: Collection[int]) -> dict[int, dict]:
    """Return (asked, answered, choices) by question of the notices whose answers are deleted (`core.reports.summaries`)."""
    rows = NoticeStats.select(NoticeStats.notice, NoticeStats.kept).where(
        NoticeStats.notice.in_(list(notices)), NoticeStats.kept.is_null(False)
    )
    return {row.notice_id: row.kept["answers"] for row in rows}


def stored_results(notice: Notice) -> list[QuestionResult]:
    """Return the bars of a notice whose answers are deleted, from its sums; [] while they are there."""
    found = _stored_answers([notice.id]).get(notice.id, {}) if notice.purged_at else {}
    return [
        _stored_result(one, *found[str(one.place)])
        for one in questions.load_questions(notice)
        if str(one.place) in found
    ]


def _stored_result(question: StoredQuestion, asked: int, answered_: int, choices: dict[str, int]) -> QuestionResult:
    counts = {option.number: choices.get(str(option.number), 0) for option in question.options}
    said = sum(counts.values())
    bars = tuple(
        ChoiceCount(option, counts[option.number], round(100 * counts[option.number] / said) if said else 0)
        for option in question.options
    )
    return QuestionResult(question, bars, answered_, asked)


def poll_document(notice: Notice) -> dict:
    """Return what `flask notice show` says of the questions: each counted by its own unit."""
    if not questions.has_questions(notice):
        return {"answers": 0, "questions": []}
    entries = []
    for result in stored_results(notice) or load_poll_results(notice).results(EACH_QUESTION, ()):
        question = result.question
        entries.append(
            {
                "number": question.place,
                "text": question.text,
                "heading": question.heading or None,
                "kind": question.kind,
                "unit": question.unit,
                "deadline": question.deadline.isoformat(timespec="seconds") if question.deadline else None,
                "asked": result.asked,
                "answered": result.answered,
                "choices": [
                    {"number": bar.option.number, "text": bar.option.text, "count": bar.count} for bar in result.bars
                ],
            }
        )
    return {"answers": sum(entry["answered"] for entry in entries), "questions": entries}


def _lines_by_unit(found: PollResults, question: StoredQuestion) -> list[RespondentLine]:
    """Return the lines of exactly those who answer a question once."""
    lines: dict[str, RespondentLine] = {}
    for voice in found.voices:
        key = voice.units[question.unit]
        lines.setdefault(key, RespondentLine(key)).voices.append(voice)
    return list(lines.values())
