"""What holds for all questions of a notice, and what for one of them alone: who answers, until when, remarks (T-48).

One deadline, one unit and one line for remarks are enough for nearly every notice, so the form asks for them once. A
question may have its own, folded under it; what it leaves empty is as for all. The rows know nothing of this: each
has its own deadline, unit and line for remarks, and what most of them share is what the form shows for all.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from flask import request

import clock
import web
from blueprints.notices.forms import ContentForm
from core.notices import questions
from core.notices.questions import QuestionBlock
from i18n import N_

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
REMARKS_LABELS: dict[str, str] = {"yes": N_("with a line for remarks"), "no": N_("without a line for remarks")}


@dataclass(frozen=True, slots=True)
class QuestionTerms:
    """What one question has of its own, as typed. Empty: as for all. endless: no deadline, whatever the others have."""

    unit: str = ""
    day: str = ""
    hour: str = ""
    endless: bool = False
    remarks: str = ""

    @property
    def wrong(self) -> str:
        """Return what is wrong with the deadline, one sentence, or nothing."""
        return _deadline_error(self.day, self.hour)[1]

    @property
    def shown(self) -> list[str]:
        """Return it in words of this page, for the line that is folded."""
        end = parse_deadline(self.day, self.hour)
        until = web._("until %(day)s", day=questions.deadline_text(web.language(), end)) if end else ""
        parts = (
            web._("without a deadline") if self.endless else until,
            web._(questions.UNIT_LABELS[self.unit]) if self.unit else "",
            web._(REMARKS_LABELS[self.remarks]) if self.remarks else "",
        )
        return [one for one in parts if one]


# ── from the rows to the form ────────────────────────────────────────────────────────────────────────────────────


def shared_terms(blocks: Sequence[QuestionBlock]) -> dict[str, Any]:
    """Return what holds for all questions of a draft, for the form."""
    day, hour = _deadline_fields(_most_common(one.deadline for one in blocks))
    return {
        "unit": _most_common(one.unit for one in blocks) or "household",
        "comment": any(one.comment for one in blocks),
        "deadline_day": day,
        "deadline_time": hour,
    }


def terms_of_block(block: QuestionBlock, blocks: Sequence[QuestionBlock]) -> QuestionTerms:
    """Return what one question of a draft has of its own."""
    end = _most_common(one.deadline for one in blocks)
    day, hour = _deadline_fields(block.deadline) if block.deadline != end else ("", "")
    return QuestionTerms(
        block.unit if block.unit != _most_common(one.unit for one in blocks) else "",
        day,
        hour,
        endless=block.deadline is None and end is not None,
        remarks=_remarks_setting(block, blocks),
    )


def _remarks_setting(block: QuestionBlock, blocks: Sequence[QuestionBlock]) -> str:
    """Return whether a question has a line of its own, or none; the last line is that for all."""
    lines = [place for place, one in enumerate(blocks) if one.comment]
    place = blocks.index(block)
    if not lines or place == lines[-1]:
        return ""
    return "yes" if place in lines else "no" if place > lines[-1] else ""


def _most_common(values: Iterable[Any]) -> Any:
    """Return what most of them have, the first of equals; None of nothing."""
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else None


def _deadline_fields(end: datetime | None) -> tuple[str, str]:
    """Return a deadline as the fields hold it: the day alone if it is the end of that day."""
    if end is None:
        return "", ""
    local = clock.to_local(end)
    whole_day = (local.hour, local.minute) == questions.END_OF_DAY
    return local.strftime("%Y-%m-%d"), "" if whole_day else local.strftime("%H:%M")


# ── from the form to the rows ────────────────────────────────────────────────────────────────────────────────────


def read_terms(place: int) -> QuestionTerms:
    """Read what the form says of one question alone."""

    def said(name: str) -> str:
        return request.form.get(f"q{place}-{name}", "").strip()[:20]

    unit, remarks = said("unit"), said("remarks")
    return QuestionTerms(
        unit if unit in questions.UNIT_LABELS else "",
        said("day"),
        said("hour"),
        bool(said("endless")),
        remarks if remarks in REMARKS_LABELS else "",
    )


def effective_terms(mine: QuestionTerms, form: ContentForm) -> dict[str, Any]:
    """Return the unit and the deadline of one question: its own, or those for all."""
    unit = form.unit.data if form.unit.data in questions.UNIT_LABELS else "household"
    end = None if mine.endless else parse_deadline(mine.day, mine.hour) or shared_deadline(form)
    return {"unit": mine.unit or unit, "deadline": end}


def parse_deadline(day: str, hour: str) -> datetime | None:
    """Return the deadline that two fields say: the end of a day, or a time of it."""
    at = web.parse_local_time(day)
    if at is None:
        return None
    chosen, typed = clock.to_local(at).date(), _TIME.fullmatch(hour)
    if typed is None:
        return questions.end_of_day(chosen)
    return clock.from_local(datetime.combine(chosen, time(int(typed[1]), int(typed[2]))))


def shared_deadline(form: ContentForm) -> datetime | None:
    """Return the deadline for all questions."""
    return parse_deadline(form.deadline_day.data or "", form.deadline_time.data or "")


def add_deadline_error(form: ContentForm) -> bool:
    """Put a sentence on a deadline for all that cannot be read; say whether there is one."""
    place, sentence = _deadline_error((form.deadline_day.data or "").strip(), (form.deadline_time.data or "").strip())
    if sentence:
        web.add_field_error(form, f"deadline_{place}", sentence)
    return bool(sentence)


def _deadline_error(day: str, hour: str) -> tuple[str, str]:
    """Return which field of a deadline is wrong, and the sentence for it."""
    if day and web.parse_local_time(day) is None:
        return "day", N_("Write the day like 2026-11-07.")
    if hour and not day:
        return "day", N_("Choose the day of the deadline too.")
    if hour and not _TIME.fullmatch(hour):
        return "time", N_("Write the time like 21:00.")
    return "", ""
