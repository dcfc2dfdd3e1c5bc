"""Questions on the compose page: ready-made ones, choices added and removed by form posts, kept in the draft (T-48)."""

import html
import re
from datetime import timedelta

import pytest

import clock
from core.notices import drafts, questions
from core.notices.questions import QuestionDraft
from database import millis
from models import MailingList, Notice

HTMX = {"HX-Request": "true"}


@pytest.fixture
def hanako(as_):
    return as_("花子")


@pytest.fixture
def draft(school):
    made = drafts.create_draft(school.users["花子"], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=clock.now())
    drafts.save_draft(made, subject="授業参観", text="授業参観を行います。", now=clock.now())
    return made


def post(browser, draft, verb="", headers=None, **fields):
    """Post the words form as its page would, with a section of questions."""
    words = {
        "subject": "授業参観",
        "text": "授業参観です。",
        "footer": "y",
        "useful_s": "0",
        "remind": "0x1",
        "asks": "1",
    }
    data = {**words, "unit": "household", **fields}
    return browser.post(f"/notices/{draft.id}/words{verb}", data=data, headers=headers)


def page(answer) -> str:
    return html.unescape(answer.get_data(as_text=True))


def written(draft) -> list[QuestionDraft]:
    return questions.question_drafts(draft)


def fields_of(text: str) -> dict[str, list[str]]:
    """Return the fields of the questions as the page's form would send them."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", text):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and name[1].startswith("q"):
            found.setdefault(name[1], []).append(value[1] if value else "")
    return found


@pytest.mark.proves("T-48")
@pytest.mark.parametrize("kind", list(questions.PRESETS))
def test_a_ready_made_question_is_one_press(hanako, draft, kind):
    """T-48: attendance, majority, finding a day, proxy vote, safety check, or one of one's own."""
    answer = post(hanako, draft, f"/questions/add/{kind}")
    assert answer.status_code == 303 and answer.location.endswith("#questions")
    kept = written(draft)[0]
    assert (kept.kind, kept.unit) == (kind, questions.PRESETS[kind].unit)
    assert len(kept.choices) == len(questions.PRESETS[kind].choices)
    text = page(hanako.get(f"/notices/{draft.id}/words"))
    assert 'name="asks"' in text and fields_of(text)["q1-kind"] == [kind]
    if kind == "attendance":
        assert (kept.text, kept.choices) == ("出席されますか。", ("出席する", "欠席する", "まだ分からない"))


def test_choices_come_and_go_by_form_posts(hanako, draft):
    """T-49: without script; what is typed is never lost."""
    one = {"q1-kind": "own", "q1-text": "お弁当", "q1-choice": ["要る", "要らない"]}
    post(hanako, draft, "/questions/1/choices/add", **one)
    sent = fields_of(page(hanako.get(f"/notices/{draft.id}/words")))
    assert sent["q1-choice"] == ["要る", "要らない", ""]
    sent["q1-choice"][2] = "半分"
    post(hanako, draft, "/questions/1/choices/add", **sent)
    assert written(draft)[0].choices == ("要る", "要らない", "半分")
    post(hanako, draft, "/questions/1/choices/0/remove", **fields_of(page(hanako.get(f"/notices/{draft.id}/words"))))
    assert written(draft)[0].choices == ("要らない", "半分")
    post(hanako, draft, "/questions/1/remove", **fields_of(page(hanako.get(f"/notices/{draft.id}/words"))))
    assert written(draft) == []


def test_several_questions_share_deadline_unit_and_remarks(hanako, draft):
    day = clock.today() + timedelta(days=5)
    post(
        hanako,
        draft,
        unit="person",
        comment="y",
        deadline_day=day.isoformat(),
        deadline_time="21:00",
        **{
            "q1-kind": "own",
            "q1-text": "出席",
            "q1-choice": ["はい", "いいえ"],
            "q4-kind": "own",
            "q4-text": "お弁当",
            "q4-choice": ["要る", "要らない"],
        },
    )
    first, second = written(draft)
    assert (first.text, second.text, first.unit, first.comment, second.comment) == (
        "出席",
        "お弁当",
        "person",
        False,
        True,
    )
    assert first.deadline == second.deadline and clock.to_local(first.deadline).hour == 21
    text = page(hanako.get(f"/notices/{draft.id}/words"))
    assert f'value="{day.isoformat()}"' in text and 'value="21:00"' in text


def test_the_days_of_a_date_finding_are_lines(hanako, draft):
    post(
        hanako,
        draft,
        comment="y",
        **{"q1-kind": "days", "q1-text": "面談", "q1-choice": ["○", "△", "×"], "q1-days": "16日\r\n\r\n 17日\r\n18日"},
    )
    kept = written(draft)
    assert [(one.heading, one.text, one.choices) for one in kept] == [
        ("面談", day, ("○", "△", "×")) for day in ("16日", "17日", "18日")
    ]
    assert [one.comment for one in kept] == [False, False, True]
    assert "16日\n17日\n18日" in page(hanako.get(f"/notices/{draft.id}/words"))


def test_the_draft_saves_itself_with_its_questions(hanako, draft):
    """N-05: a closed tab loses no question."""
    one = {"q1-kind": "attendance", "q1-text": "出席", "q1-choice": ["はい"]}
    answer = post(hanako, draft, "", headers=HTMX, **one)
    assert answer.status_code == 200 and 'id="saved"' in page(answer)
    assert written(draft)[0].choices == ("はい",)


def test_a_button_brings_its_section_with_the_new_mark(hanako, draft):
    answer = post(hanako, draft, "/questions/add/majority", headers=HTMX)
    text = page(answer)
    assert answer.headers["HX-Retarget"] == "#questions" and 'id="q1-text"' in text
    assert f'name="seen" value="{millis(Notice.get_by_id(draft.id).updated_at)}"' in text and "hx-swap-oob" in text


def test_a_form_without_the_section_leaves_the_questions_alone(hanako, draft):
    drafts.save_draft(draft, now=clock.now(), questions=[QuestionDraft("出席", ("はい", "いいえ"))])
    words = {"subject": "新しい件名", "text": "本文", "act": "save", "useful_s": "0", "remind": "0x1"}
    hanako.post(f"/notices/{draft.id}/words", data=words)
    assert Notice.get_by_id(draft.id).wording.subject == "新しい件名" and len(written(draft)) == 1


def test_an_older_window_does_not_overwrite_questions(hanako, draft):
    seen = millis(draft.updated_at)
    clock.set_offset(5)
    drafts.save_draft(draft, now=clock.now(), questions=[QuestionDraft("出席", ("はい", "いいえ"))])
    answer = post(hanako, draft, seen=str(seen), **{"q1-kind": "own", "q1-text": "別の質問", "q1-choice": ["a", "b"]})
    assert answer.status_code == 422 and "別の質問" in page(answer)
    assert written(draft)[0].text == "出席"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"q1-text": "", "q1-choice": ["a", "b"]}, "質問を入力してください。"),
        ({"q1-text": "出席", "q1-choice": ["はい"]}, "選択肢は2つ以上必要です。"),
        ({"q1-text": "出席", "q1-choice": ["はい", "いいえ"], "deadline_day": "2020-01-01"}, "送信より前"),
        ({"q1-text": "出席", "q1-choice": ["はい", "いいえ"], "deadline_day": "soon"}, "2026-11-07 のように"),
        ({"q1-text": "出席", "q1-choice": ["はい", "いいえ"], "deadline_time": "21:00"}, "期限の日も"),
    ],
)
def test_what_is_unfinished_is_named_before_the_check(hanako, draft, fields, sentence):
    answer = post(hanako, draft, "/next", **{"q1-kind": "own", **fields})
    text = page(answer)
    assert answer.status_code == 422 and sentence in text
    assert all(value in text for name, value in fields.items() if isinstance(value, str))


def test_the_check_page_shows_the_letter_with_its_question(hanako, draft):
    """T-49, X-06: exactly what a family gets."""
    answer = post(hanako, draft, "/next", **{"q1-kind": "own", "q1-text": "お弁当", "q1-choice": ["要る", "要らない"]})
    assert answer.location.endswith("/check")
    text = page(hanako.get(answer.location))
    assert "【アンケート】お弁当" in text and "1. 要る" in text and "/a/" in text


@pytest.mark.parametrize(
    "verb", ["/add/nothing", "/9/remove", "/1/choices/99/remove", "/9/choices/1/remove", "/9/choices/add"]
)
def test_a_strange_button_changes_nothing(hanako, draft, verb):
    one = {"q1-kind": "own", "q1-text": "お弁当", "q1-choice": ["要る", "要らない"], "q1000-kind": "own"}
    assert post(hanako, draft, f"/questions{verb}", **one).status_code == 303
    assert written(draft) == [QuestionDraft("お弁当", ("要る", "要らない"))]


@pytest.mark.parametrize("verb", ["/add/", "/x/remove", "//remove", "/1/choices/x/remove", "/add/own/1"])
def test_an_address_that_is_no_button_saves_nothing(hanako, draft, verb):
    one = {"q1-kind": "own", "q1-text": "お弁当", "q1-choice": ["要る", "要らない"]}
    assert post(hanako, draft, f"/questions{verb}", **one).status_code in (404, 405, 308)
    assert written(draft) == []


def test_a_foreign_draft_is_not_found(as_, draft):
    """T-33"""
    assert post(as_("太郎"), draft, "/questions/add/own").status_code == 404 and written(draft) == []


def test_the_check_page_shows_the_buttons_in_a_frame_of_their_own(hanako, draft):
    """Decision 10: the HTML part as one reader gets it, under a policy that runs and loads nothing."""
    drafts.save_draft(draft, now=clock.now(), questions=[QuestionDraft("お弁当", ("要る", "<b>要らない</b>"))])
    assert f"/notices/{draft.id}/check/buttons" in page(hanako.get(f"/notices/{draft.id}/check"))
    answer = hanako.get(f"/notices/{draft.id}/check/buttons?as=1")
    text = answer.get_data(as_text=True)
    assert 'class="choice"' in text and "&lt;b&gt;要らない" in text and "<script" not in text
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    drafts.save_draft(draft, now=clock.now(), questions=[])
    assert hanako.get(f"/notices/{draft.id}/check/buttons").status_code == 404


def test_a_list_may_take_an_opened_choice_as_the_answer(as_, school):
    """T-50: off by default, switched on by who manages the list."""
    one = school.lists["1-1"]
    form = {"name": one.name, "purpose": one.purpose, "address": one.address}
    assert not MailingList.get_by_id(one.id).answer_on_open
    assert as_("花子").post(f"/lists/{one.id}/settings", data={**form, "answer_on_open": "y"}).status_code == 303
    assert MailingList.get_by_id(one.id).answer_on_open
    text = page(as_("花子").get(f"/lists/{one.id}/settings"))
    assert "checked" in re.search(r'<input[^>]*name="answer_on_open"[^>]*>', text)[0]


# ── terms of one question ────────────────────────────────────────────────────────────────────────────────────────

TWO = {
    "q1-kind": "own",
    "q1-text": "出席",
    "q1-choice": ["はい", "いいえ"],
    "q2-kind": "own",
    "q2-text": "お弁当",
    "q2-choice": ["要る", "要らない"],
}


def test_a_question_may_have_its_own_deadline_unit_and_remarks(hanako, draft):
    """T-48, T-49: shared by default; what is filled in under a question holds for it alone."""
    day = clock.today() + timedelta(days=9)
    own = {"q2-day": (day - timedelta(days=4)).isoformat(), "q2-hour": "12:30", "q2-unit": "child", "q2-remarks": "no"}
    post(hanako, draft, comment="y", deadline_day=day.isoformat(), **TWO, **own)
    first, second = written(draft)
    assert (first.unit, first.deadline, first.comment) == ("household", questions.end_of_day(day), True)
    assert (second.unit, second.comment) == ("child", False)
    assert clock.to_local(second.deadline).strftime("%m-%d %H:%M") == (day - timedelta(days=4)).strftime("%m-%d 12:30")
    text = page(hanako.get(f"/notices/{draft.id}/words"))
    shown = re.search(r'id="q2-own">\s*<summary>(.*?)</summary>', text, re.DOTALL)[1]
    assert "この質問だけ変える" in shown and "12:30" in shown and "お子さんごと" in shown
    assert 'id="q1-own"' in text and "<b>" not in re.search(r'id="q1-own">\s*<summary>(.*?)</summary>', text, re.S)[1]
    check = page(hanako.get(f"/notices/{draft.id}/check"))
    assert (
        "【アンケート】お弁当" in check
        and "お子さんごとにお答えください。" in check
        and "ご家庭で1つお答えください。" in check
    )
    assert check.count("期限：") == 2


def test_one_question_may_stay_open_without_a_deadline(hanako, draft):
    day = clock.today() + timedelta(days=9)
    post(hanako, draft, deadline_day=day.isoformat(), **TWO, **{"q2-endless": "1"})
    assert [one.deadline for one in written(draft)] == [questions.end_of_day(day), None]
    assert re.search(r'name="q2-endless" value="1" checked', page(hanako.get(f"/notices/{draft.id}/words")))


def test_what_the_page_shows_again_is_what_was_written(hanako, draft):
    """Nothing changes by saving the page as it stands."""
    day = clock.today() + timedelta(days=9)
    own = {"q1-day": (day - timedelta(days=2)).isoformat(), "q1-unit": "person", "q1-remarks": "yes"}
    three = {**TWO, "q3-kind": "own", "q3-text": "靴", "q3-choice": ["上履き", "下履き"]}
    post(hanako, draft, comment="y", deadline_day=day.isoformat(), **three, **own)
    before = written(draft)
    assert [one.comment for one in before] == [True, False, True]
    text = page(hanako.get(f"/notices/{draft.id}/words"))
    sent = fields_of(text) | {
        select: re.findall(r'<option value="(\w*)" selected', body)
        for select, body in re.findall(r'<select[^>]* name="(q\d-\w+)">(.*?)</select>', text)
    }
    sent = {name: value for name, value in sent.items() if not name.endswith("endless")}
    post(hanako, draft, comment="y", deadline_day=day.isoformat(), **sent)
    assert written(draft) == before


def test_a_second_ready_made_question_brings_its_own_unit(hanako, draft):
    """T-48: a safety check is asked for each child, also beside a question for the household."""
    post(hanako, draft, "/questions/add/majority")
    post(hanako, draft, "/questions/add/safety", **fields_of(page(hanako.get(f"/notices/{draft.id}/words"))))
    assert [one.unit for one in written(draft)] == ["household", "child"]


def test_a_deadline_of_one_question_that_cannot_be_read_is_named_there(hanako, draft):
    answer = post(hanako, draft, "/next", **TWO, **{"q2-hour": "21:00"})
    text = page(answer)
    assert answer.status_code == 422 and "期限の日も" in text and 'id="q2-own" open' in text and 'value="21:00"' in text


def test_a_date_in_the_text_becomes_the_deadline(hanako, draft):
    """The first question takes it; another one is offered as a button, also without script."""
    today = clock.to_local(clock.now()).date()
    first, second = today + timedelta(days=5), today + timedelta(days=9)
    text = f"{first.month}月{first.day}日までに、または{second.month}/{second.day}までにお知らせください。"
    post(hanako, draft, "/questions/add/attendance", text=text)
    (ask,) = written(draft)
    assert clock.to_local(ask.deadline).date() == first
    shown = page(hanako.get(f"/notices/{draft.id}/words"))
    assert f'/words/questions/deadline/{second.isoformat()}"' in shown
    asked = {"q1-kind": "attendance", "q1-text": ask.text, "q1-choice": list(ask.choices)}
    post(hanako, draft, f"/questions/deadline/{second.isoformat()}", text=text, **asked)
    (ask,) = written(draft)
    assert clock.to_local(ask.deadline).date() == second


def test_days_of_a_poll_are_tapped_in_a_calendar(hanako, draft):
    post(hanako, draft, "/questions/add/days")
    shown = page(hanako.get(f"/notices/{draft.id}/words"))
    day = clock.to_local(clock.now()).date() + timedelta(days=8)
    assert f'name="q1-pick" value="{day.isoformat()}"' in shown
    asked = {"q1-kind": "days", "q1-text": "会", "q1-choice": ["○", "×"], "q1-pick": day.isoformat()}
    post(hanako, draft, **asked)
    (ask,) = written(draft)
    assert ask.text == questions.short_day("ja", day)
