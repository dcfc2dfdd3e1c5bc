"""The text fields of the questions on a form, and the drafts they become (T-48): for notices and for templates.

A notice has shared terms: deadline, unit and remarks line are asked once, because most notices need only one of each.
A question may override them; an empty field means the shared term. The database stores terms per question only, so the
form shows the most common values as the shared terms. A template has no shared terms: a question holds its own.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any

import clock
import i18n
from core.notices import questions
from core.notices.questions import QuestionDraft
from core.settings import load_settings
from i18n import N_

_KIND = re.compile(r"q(\d{1,3})-kind")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
CALENDAR_WEEKS = 6
REMARKS_LABELS: dict[str, str] = {"yes": N_("with a line for remarks"), "no": N_("without a line for remarks")}


@dataclass(frozen=True, slots=True)
class SharedTerms:
    """The terms of every question that does not override them. `comment`: the last question has a remarks line."""

    unit: str = "household"
    deadline: datetime | None = None
    comment: bool = False


@dataclass(frozen=True, slots=True)
class QuestionTerms:
    """Overrides of one question, as typed. Empty: shared term. endless: no deadline, even if a shared one is set."""

    unit: str = ""
    day: str = ""
    hour: str = ""
    endless: bool = False
    remarks: str = ""

    @property
    def wrong(self) -> str:
        """Return the error message of the deadline, or an empty string."""
        return deadline_error(self.day, self.hour)[1]

    def labels(self, language: str) -> list[str]:
        """Return the overrides as texts for the collapsed line."""
        end = parse_deadline(self.day, self.hour)
        until = i18n.say(language, "until %(day)s", day=questions.deadline_text(language, end)) if end else ""
        parts = (
            i18n.say(language, "without a deadline") if self.endless else until,
            i18n.say(language, questions.UNIT_LABELS[self.unit]) if self.unit else "",
            i18n.say(language, REMARKS_LABELS[self.remarks]) if self.remarks else "",
        )
        return [part for part in parts if part]


@dataclass
class QuestionFields:
    """One question in the form. days: the dates of a date poll, one per line."""

    kind: str
    title: str
    choices: list[str] = field(default_factory=list)
    days: str = ""
    own: QuestionTerms = QuestionTerms()

    @property
    def fixed(self) -> bool:
        return questions.PRESETS[self.kind].fixed

    @property
    def rows(self) -> list[str]:
        """Return the choices with an empty one at the end."""
        if self.fixed or len(self.choices) >= questions.MAX_CHOICES:
            return self.choices
        return [*self.choices, *[""] * max(1, 2 - len(self.choices))]


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_deadline(day: str, hour: str) -> datetime | None:
    """Return the deadline of a day and an optional time; without a time, the end of the day."""
    at = clock.parse_local_time(day)
    if at is None:
        return None
    chosen, typed = clock.to_local(at).date(), _TIME.fullmatch(hour)
    if typed is None:
        return questions.end_of_day(chosen)
    return clock.from_local(datetime.combine(chosen, time(int(typed[1]), int(typed[2]))))


def deadline_error(day: str, hour: str) -> tuple[str, str]:
    """Return the wrong field of a deadline and its error message."""
    if day and clock.parse_local_time(day) is None:
        return "day", N_("Write the day like 2026-11-07.")
    if hour and not day:
        return "day", N_("Choose the day of the deadline too.")
    if hour and not _TIME.fullmatch(hour):
        return "time", N_("Write the time like 21:00.")
    return "", ""


def _deadline_fields(end: datetime | None) -> tuple[str, str]:
    """Return day and time fields; the time is empty if the deadline is the end of the day."""
    if end is None:
        return "", ""
    local = clock.to_local(end)
    whole_day = (local.hour, local.minute) == questions.END_OF_DAY
    return local.strftime("%Y-%m-%d"), "" if whole_day else local.strftime("%H:%M")


# ── drafts to form ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _DraftBlock:
    """Drafts that are one question in the form: one draft, or the days of a date poll."""

    drafts: tuple[QuestionDraft, ...]

    @property
    def first(self) -> QuestionDraft:
        return self.drafts[0]

    @property
    def comment(self) -> bool:
        return any(draft.comment for draft in self.drafts)

    def fields(self, own: QuestionTerms) -> QuestionFields:
        first, days = self.first, self.first.kind == "days"
        return QuestionFields(
            first.kind if first.kind in questions.PRESETS else "own",
            first.heading if days else first.text,
            list(first.choices),
            "\n".join(draft.text for draft in self.drafts if draft.text) if days else "",
            own,
        )


def _blocks_of(drafts: Iterable[QuestionDraft]) -> list[_DraftBlock]:
    def block_key(numbered: tuple[int, QuestionDraft]) -> tuple[object, ...]:
        place, draft = numbered
        return (draft.heading, draft.unit, draft.deadline) if draft.kind == "days" else (place,)

    return [_DraftBlock(tuple(draft for _, draft in group)) for _, group in groupby(enumerate(drafts), key=block_key)]


def template_fields(drafts: Iterable[QuestionDraft]) -> list[QuestionFields]:
    """Return the form fields of a template's questions, each with its own unit and remarks line."""
    return [
        block.fields(QuestionTerms(block.first.unit, remarks="yes" if block.comment else ""))
        for block in _blocks_of(drafts)
    ]


def notice_fields(drafts: Iterable[QuestionDraft]) -> list[QuestionFields]:
    """Return the form fields of a notice's questions, each with the terms in which it differs from the shared ones."""
    blocks = _blocks_of(drafts)
    return [block.fields(_differing_terms(place, blocks)) for place, block in enumerate(blocks)]


def shared_fields(drafts: Iterable[QuestionDraft]) -> dict[str, Any]:
    """Return the shared terms of a notice as form fields."""
    blocks = _blocks_of(drafts)
    day, hour = _deadline_fields(_most_common(block.first.deadline for block in blocks))
    return {
        "unit": _most_common(block.first.unit for block in blocks) or "household",
        "comment": any(block.comment for block in blocks),
        "deadline_day": day,
        "deadline_time": hour,
    }


def _differing_terms(place: int, blocks: Sequence[_DraftBlock]) -> QuestionTerms:
    asked = blocks[place].first
    end = _most_common(block.first.deadline for block in blocks)
    day, hour = _deadline_fields(asked.deadline) if asked.deadline != end else ("", "")
    return QuestionTerms(
        asked.unit if asked.unit != _most_common(block.first.unit for block in blocks) else "",
        day,
        hour,
        endless=asked.deadline is None and end is not None,
        remarks=_remarks_setting(place, blocks),
    )


def _remarks_setting(place: int, blocks: Sequence[_DraftBlock]) -> str:
    """Return "yes", "no" or "" (shared). The last remarks line is the shared one."""
    lines = [other for other, block in enumerate(blocks) if block.comment]
    if not lines or place == lines[-1]:
        return ""
    return "yes" if place in lines else "no" if place > lines[-1] else ""


def _most_common(values: Iterable[Any]) -> Any:
    """Return the most common value, the first if tied; None if there are no values."""
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else None


# ── form to drafts ────────────────────────────────────────────────────────────────────────────────────────────────


def parse_fields(posted: Mapping[str, Sequence[str]]) -> dict[int, QuestionFields]:
    """Return the posted questions by their position on the page; `posted` is {field name: values}.

    Empty choices stay, so that the position of a choice is the one on the page.
    """
    places = sorted({int(match[1]) for name in posted if (match := _KIND.fullmatch(name))})
    return {place: _parse_question(posted, place) for place in places}


def _parse_question(posted: Mapping[str, Sequence[str]], place: int) -> QuestionFields:
    def typed(name: str) -> str:
        return next(iter(posted.get(f"q{place}-{name}", ())), "").replace("\r\n", "\n")

    kind = typed("kind")
    choices = "\n".join(posted.get(f"q{place}-choice", ())).replace("\r\n", "\n").split("\n")
    return QuestionFields(
        kind if kind in questions.PRESETS else "own",
        typed("text").strip(),
        [text.strip() for text in choices],
        merge_picked_days(typed("days"), posted.get(f"q{place}-pick", ()), typed("picked").split()),
        _parse_terms(*(typed(name).strip()[:20] for name in ("unit", "day", "hour", "endless", "remarks"))),
    )


def merge_picked_days(lines: str, picked: Sequence[str], shown: Sequence[str]) -> str:
    """Return the lines of a date poll with the days of the calendar: picked ones added, no longer picked ones removed.

    picked, shown: ISO days that are ticked, and that the page had ticked. A line may go on after its day: 12/2(水) 19:00.
    """
    added = {day: label for day in picked if (label := _day_label(day))}
    removed = tuple(label for day in set(shown) - set(picked) if (label := _day_label(day)))
    before = lines.split("\n")
    kept = [line for line in before if not (removed and line.startswith(removed))]
    new = [added[day] for day in sorted(added) if not any(line.startswith(added[day]) for line in kept)]
    if not new and len(kept) == len(before):
        return lines
    return "\n".join([*(line for line in kept if line.strip()), *new])


def _day_label(day: str) -> str:
    try:
        return questions.short_day(load_settings().language, date.fromisoformat(day))
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A day of the calendar of a date poll. shown: its number, with the month on the first day of a month."""

    day: date
    shown: str
    chosen: bool
    past: bool


def calendar_weeks(lines: str, today: date) -> list[list[CalendarDay]]:
    """Return six weeks from Sunday on, with the days of these lines chosen."""
    sunday, rows = today - timedelta(days=(today.weekday() + 1) % 7), lines.split("\n")
    days = [sunday + timedelta(days=number) for number in range(CALENDAR_WEEKS * 7)]
    cells = []
    for day in days:
        label = _day_label(day.isoformat())
        shown = f"{day.month}/{day.day}" if day.day == 1 or day in (sunday, today) else str(day.day)
        cells.append(CalendarDay(day, shown, any(row.startswith(label) for row in rows), day < today))
    return [cells[start : start + 7] for start in range(0, len(cells), 7)]


def _parse_terms(unit: str, day: str, hour: str, endless: str, remarks: str) -> QuestionTerms:
    return QuestionTerms(
        unit if unit in questions.UNIT_LABELS else "",
        day,
        hour,
        bool(endless),
        remarks if remarks in REMARKS_LABELS else "",
    )


def drop_empty_choices(sheets: Iterable[QuestionFields]) -> list[QuestionFields]:
    return [replace(sheet, choices=[text for text in sheet.choices if text]) for sheet in sheets]


def drafts_of_fields(sheets: Iterable[QuestionFields], shared: SharedTerms) -> list[QuestionDraft]:
    """Return the drafts of the questions. The shared remarks line belongs to the last question."""
    drafts: list[QuestionDraft] = []
    own, last = set(), -1
    for sheet in sheets:
        drafts = [*drafts, *_drafts_of_question(sheet, shared)]
        if sheet.own.remarks == "yes":
            own.add(len(drafts) - 1)
        if sheet.own.remarks != "no":
            last = len(drafts) - 1
    lines = own | ({last} if shared.comment else set())
    return [replace(draft, comment=place in lines) for place, draft in enumerate(drafts)]


def _drafts_of_question(sheet: QuestionFields, shared: SharedTerms) -> list[QuestionDraft]:
    own, choices = sheet.own, tuple(sheet.choices)
    terms: dict[str, Any] = {
        "unit": own.unit or shared.unit,
        "deadline": None if own.endless else parse_deadline(own.day, own.hour) or shared.deadline,
    }
    if sheet.kind != "days":
        return [QuestionDraft(sheet.title, choices, sheet.kind, **terms)]
    days = [line.strip() for line in sheet.days.split("\n") if line.strip()] or [""]
    return [QuestionDraft(day, choices, "days", heading=sheet.title, **terms) for day in days]
