"""The questions of a form become drafts and come back as the same fields (T-48)."""

from datetime import UTC, date, datetime

import pytest

from core.notices import question_fields
from core.notices.question_fields import (
    SharedTerms,
    drafts_of_fields,
    drop_empty_choices,
    notice_fields,
    parse_fields,
    shared_fields,
    template_fields,
)
from core.notices.questions import QuestionDraft

YES_NO = ("はい", "いいえ")
DRAFTS = [
    QuestionDraft("出席", YES_NO, "attendance", comment=True),
    QuestionDraft("10/1", ("○", "×"), "days", "懇談", "person"),
    QuestionDraft("10/2", ("○", "×"), "days", "懇談", "person", comment=True),
    QuestionDraft("靴", YES_NO, unit="child"),
]


def test_the_fields_of_a_template_hold_their_own_terms():
    sheets = template_fields(DRAFTS)
    assert [(sheet.title, sheet.own.unit, sheet.own.remarks) for sheet in sheets] == [
        ("出席", "household", "yes"),
        ("懇談", "person", "yes"),
        ("靴", "child", ""),
    ]
    assert sheets[1].days == "10/1\n10/2" and sheets[1].fixed
    assert drafts_of_fields(sheets, SharedTerms()) == DRAFTS


def test_the_fields_of_a_notice_hold_what_differs_from_the_shared_terms():
    deadline = datetime(2026, 11, 7, 3, 30, tzinfo=UTC)
    days = DRAFTS[1:3]
    drafts = [
        QuestionDraft("出席", YES_NO, "attendance", deadline=deadline),
        *days,
        QuestionDraft("靴", YES_NO, deadline=deadline),
    ]
    shared = shared_fields(drafts)
    assert shared == {"unit": "household", "comment": True, "deadline_day": "2026-11-07", "deadline_time": "12:30"}
    sheets = notice_fields(drafts)
    assert [(sheet.own.unit, sheet.own.endless, sheet.own.remarks) for sheet in sheets] == [
        ("", False, ""),
        ("person", True, ""),
        ("", False, "no"),
    ]
    assert drafts_of_fields(sheets, SharedTerms("household", deadline, comment=True)) == drafts


def test_choices_come_in_fields_or_in_lines():
    fields = {"q1-kind": ["own"], "q1-text": [" 出席 "], "q2-kind": ["strange"], "q2-unit": ["nobody"]}
    one_each = parse_fields({**fields, "q1-choice": ["はい", "", "いいえ"]})
    in_lines = parse_fields({**fields, "q1-choice": ["はい\r\n\r\n いいえ"]})
    assert one_each[1].choices == in_lines[1].choices == ["はい", "", "いいえ"]
    assert (one_each[1].title, one_each[2].kind, one_each[2].own.unit) == ("出席", "own", "")
    assert [sheet.choices for sheet in drop_empty_choices(one_each.values())] == [["はい", "いいえ"], []]


@pytest.mark.parametrize(
    ("lines", "picked", "shown", "kept"),
    [
        ("", ["2026-12-26", "2026-12-05"], [], "12/5(土)\n12/26(土)"),
        ("12/5(土) 19:00", ["2026-12-05", "2026-12-26"], ["2026-12-05"], "12/5(土) 19:00\n12/26(土)"),
        ("12/5(土) 19:00\n終業式の日", [], ["2026-12-05"], "終業式の日"),
        ("12/5(土)\n\n", ["2026-12-05"], ["2026-12-05"], "12/5(土)\n\n"),
        ("終業式の日", ["x"], ["y"], "終業式の日"),
    ],
)
def test_days_tapped_in_the_calendar_join_the_lines(school, lines, picked, shown, kept):
    """The weekday is computed, so it cannot be typed wrong; a line may go on after its day."""
    assert question_fields.merge_picked_days(lines, picked, shown) == kept


def test_the_calendar_begins_on_sunday_and_shows_what_is_chosen(school):
    weeks = question_fields.calendar_weeks("12/5(土) 19:00", date(2026, 12, 2))
    cells = [cell for week in weeks for cell in week]
    assert len(weeks) == 6 and cells[0].day == date(2026, 11, 29)
    assert [cell.day for cell in cells if cell.past] == [date(2026, 11, 29), date(2026, 11, 30), date(2026, 12, 1)]
    assert [cell.shown for cell in cells[:4]] == ["11/29", "30", "12/1", "12/2"]
    assert [cell.day for cell in cells if cell.chosen] == [date(2026, 12, 5)]
