"""A text that is too long is refused with the limit in words; nothing is cut, and what was typed stays on the page."""

import html
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clock
from core.notices import drafts, question_fields, questions
from core.notices.question_fields import SharedTerms
from core.notices.questions import QuestionDraft
from models import Answer, Notice, Organization, Question
from tests import cast_notices
from tests.cast_notices import ATTENDANCE, ask

TEMPLATES = Path(__file__).parents[2] / "templates"
DAYS = [f"候補{number}" for number in range(1, 46)]


def page(answer) -> str:
    return html.unescape(answer.get_data(as_text=True))


@pytest.fixture
def draft(school) -> Notice:
    return drafts.create_draft(school.users["花子"], now=clock.now())


def post_questions(browser, draft: Notice, **fields: str):
    data = {
        "subject": "日程",
        "text": "本文",
        "useful_s": "0",
        "remind": "0x1",
        "asks": "1",
        "q1-kind": "own",
        "q1-text": "題",
        **fields,
    }
    return browser.post(f"/notices/{draft.id}/words/next", data=data)


def test_45_days_are_refused_and_all_of_them_stay(as_, draft):
    answer = post_questions(as_("花子"), draft, **{"q1-kind": "days", "q1-days": "\r\n".join(DAYS), "q1-choice": "○"})
    text = page(answer)
    assert answer.status_code == 422 and "40日まで" in text and "45" in text
    assert "\n".join(DAYS) in text.replace("\r\n", "\n")
    assert Question.select().count() == 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"q1-text": "あ" * 700}, "700文字"),
        ({"q1-choice": "い" * 201}, "201文字"),
        ({"q1-choice": "\n".join(f"選択肢{number}" for number in range(21))}, "選択肢は20まで"),
        ({"q1-kind": "days", "q1-days": "う" * 300}, "300文字"),
    ],
)
def test_an_over_long_question_is_refused_with_its_words(as_, draft, fields, sentence):
    answer = post_questions(as_("花子"), draft, **fields)
    text = page(answer)
    assert answer.status_code == 422 and sentence in text
    assert all(
        line in text for value in fields.values() for line in value.split("\n") if value not in questions.PRESETS
    )
    assert Question.select().count() == 0


def test_a_long_remark_of_a_reader_is_refused_and_shown(app, school):
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    ask(sent, QuestionDraft("出席されますか。", ATTENDANCE, comment=True))
    token, remark = sent.deliveries["青山 美咲"].token, "え" * 501
    answer = app.test_client().post(f"/a/{token}", data={"q1": "1", "c1": remark})
    assert answer.status_code == 422
    assert "500文字まで" in page(answer) and remark in page(answer)
    assert Answer.select().count() == 0


def test_a_long_note_for_the_successor_is_refused_and_shown(as_confirmed):
    note = "お" * 4001
    answer = as_confirmed("守").post("/rollover/hand-over", data={"note": note})
    assert answer.status_code == 422 and "4000文字まで" in page(answer) and note in page(answer)
    assert Organization.load_row().handover == ""


def test_no_field_cuts_what_is_pasted(as_, draft):
    assert [path.name for path in TEMPLATES.rglob("*.html") if 'maxlength="' in path.read_text("utf-8")] == []
    text = page(as_("花子").get(f"/notices/{draft.id}/words"))
    assert re.search(r'<input[^>]*data-most="200"[^>]*name="subject"', text)
    assert "maxlength" not in text


@given(st.lists(st.integers(1, 250), min_size=1, max_size=50))
def test_questions_are_kept_whole_or_refused(lengths):
    posted: dict[str, list[str]] = {}
    texts = ["あ" * length for length in lengths]
    for place, text in enumerate(texts, 1):
        posted |= {f"q{place}-kind": ["own"], f"q{place}-text": [text]}
    made = question_fields.drafts_of_fields(question_fields.parse_fields(posted).values(), SharedTerms())
    assert [draft.text for draft in made] == texts
    fits = len(made) <= questions.MAX_QUESTIONS and all(len(one.text) <= questions.MAX_TEXT_CHARS for one in made)
    assert (questions.limit_error(made) == "") == fits
