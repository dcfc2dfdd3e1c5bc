"""The questions of a template. Without script, buttons add and remove a question and save nothing (T-48)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from flask import request

from core.notices import questions
from core.notices.questions import QuestionDraft

_KIND = re.compile(r"q(\d{1,3})-kind")


@dataclass
class QuestionFields:
    """One question as form fields; for kind days, `days` holds one day on each line."""

    kind: str
    title: str
    choices: list[str] = field(default_factory=list)
    days: str = ""
    unit: str = "household"
    comment: bool = False

    @property
    def fixed(self) -> bool:
        return questions.PRESETS[self.kind].fixed


def fields_of_questions(asks: Iterable[QuestionDraft]) -> list[QuestionFields]:
    """Return form fields for a template's questions; days under one heading are one question."""
    grouped = groupby(enumerate(asks), key=lambda one: one[1].heading if one[1].kind == "days" else one[0])
    return [_fields_of_group([ask for _, ask in held]) for _, held in grouped]


def _fields_of_group(asks: list[QuestionDraft]) -> QuestionFields:
    first, days = asks[0], asks[0].kind == "days"
    kind = first.kind if first.kind in questions.PRESETS else "own"
    lines = "\n".join(ask.text for ask in asks if ask.text) if days else ""
    comment = any(ask.comment for ask in asks)
    return QuestionFields(kind, first.heading if days else first.text, list(first.choices), lines, first.unit, comment)


def read_posted(without: int | None = None) -> list[QuestionFields]:
    """Return the posted questions, without the one at `but`."""
    places = sorted({int(match[1]) for name in request.form if (match := _KIND.fullmatch(name))})
    return [_read_question(place) for place in places[: questions.MAX_QUESTIONS] if place != without]


def _read_question(place: int) -> QuestionFields:
    kind, unit = request.form[f"q{place}-kind"], request.form.get(f"q{place}-unit", "")
    return QuestionFields(
        kind if kind in questions.PRESETS else "own",
        request.form.get(f"q{place}-text", "").strip()[: questions.MAX_TEXT_CHARS],
        _nonempty_lines(request.form.get(f"q{place}-choices", ""))[: questions.MAX_CHOICES],
        "\n".join(_nonempty_lines(request.form.get(f"q{place}-days", ""))),
        unit if unit in questions.UNIT_LABELS else "household",
        bool(request.form.get(f"q{place}-comment")),
    )


def _nonempty_lines(text: str) -> list[str]:
    return [line.strip()[: questions.MAX_TEXT_CHARS] for line in text.splitlines() if line.strip()]


def questions_to_save(sheets: Iterable[QuestionFields]) -> tuple[QuestionDraft, ...]:
    """Return the questions in the stored format."""
    asks = [ask for sheet in sheets for ask in _questions_of(sheet)]
    return tuple(asks[: questions.MAX_QUESTIONS])


def _questions_of(sheet: QuestionFields) -> list[QuestionDraft]:
    choices = tuple(sheet.choices)
    if sheet.kind != "days":
        return [QuestionDraft(sheet.title, choices, sheet.kind, unit=sheet.unit, comment=sheet.comment)]
    days = sheet.days.splitlines() or [""]
    last = len(days) - 1
    return [
        QuestionDraft(day, choices, "days", sheet.title, sheet.unit, comment=sheet.comment and place == last)
        for place, day in enumerate(days)
    ]
