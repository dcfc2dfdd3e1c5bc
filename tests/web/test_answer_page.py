"""The page behind the choices of a letter: no login, no script, nothing by opening (T-49 to T-51, T-18, law 3)."""

import html
from datetime import timedelta

import pytest

import clock
from core.notices import questions, rendering, workflow
from core.notices.questions import QuestionDraft
from core.reports import poll_results
from models import Answer, Delivery, MailingList, PageView, Question
from tests import cast_notices
from tests.cast_notices import ATTENDANCE, PHONE, SCANNER, ask, fresh


@pytest.fixture
def sent(school):
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="授業参観の出欠")
    ask(
        made,
        QuestionDraft("授業参観に出席されますか。", ATTENDANCE, deadline=clock.now() + timedelta(days=3), comment=True),
    )
    return made


@pytest.fixture
def hers(sent):
    return sent.deliveries["青山 美咲"]


@pytest.fixture
def reader(app):
    """A parent's phone."""
    browser = app.test_client()
    browser.environ_base["HTTP_USER_AGENT"] = PHONE
    return browser


def page(answer) -> str:
    return html.unescape(answer.get_data(as_text=True))


def counts(sent) -> list[int]:
    return [one["count"] for one in poll_results.poll_document(sent.notice)["questions"][0]["choices"]]


@pytest.mark.proves("T-49")
def test_the_opened_choice_is_preselected_and_nothing_is_recorded(reader, sent, hers):
    """T-49, decision 1"""
    answer = reader.get(f"/a/{hers.token}/2")
    text = page(answer)
    assert answer.status_code == 200
    assert 'value="2" checked' in text and text.count(" checked") == 1 and 'value="3"' in text
    assert "まだ回答していません。「欠席する」でよければ、下のボタンを押してください。" in text
    assert "この内容で回答する" in text and "授業参観の出欠" in text and "臨時休校" in text
    assert counts(sent) == [0, 0, 0] and fresh(hers).read_at is None
    assert PageView.get(PageView.delivery == hers).page == "a2"


@pytest.mark.proves("T-18", "T-50")
def test_a_press_answers_and_can_be_corrected_at_once(reader, sent, hers):
    """T-50, T-51: the stamp lands; another link changes the answer, no double."""
    posted = reader.post(f"/a/{hers.token}/2", data={"q1": "2", "c1": "祖父が倒れました"})
    assert posted.status_code == 303
    text = page(reader.get(posted.location))
    until = questions.deadline_text("ja", questions.load_questions(sent.notice)[0].deadline)
    assert "「欠席する」で受け付けました。" in text and f"{until}までは変えられます。" in text
    assert 'data-s="青山"' in text and "祖父が倒れました" in text
    assert 'value="1" checked' in page(reader.get(f"/a/{hers.token}/1"))
    reader.post(f"/a/{hers.token}/1", data={"q1": "1"})
    assert counts(sent) == [1, 0, 0]
    assert reader.get(f"/r/{hers.token}").status_code == 200
    assert "「出席する」で受け付けました。" in page(reader.get(f"/r/{hers.token}"))


def test_the_family_is_told_what_was_answered_but_not_by_whom(reader, sent, hers):
    """Law 2, X-05: no other guardian's name, words or time."""
    reader.post(f"/a/{hers.token}", data={"q1": "2", "c1": "祖父が倒れました"})
    text = page(reader.get(f"/a/{sent.deliveries['青山 健太'].token}/1"))
    assert "ご家庭からは「欠席する」の回答があります。" in text
    for secret in ("美咲", "祖父", "石川", "陽菜", hers.token):
        assert secret not in text
    assert 'value="1" checked' in text


def test_without_a_choice_the_page_says_what_is_missing_and_keeps_the_words(reader, hers):
    answer = reader.post(f"/a/{hers.token}", data={"c1": "遅れます"})
    assert answer.status_code == 422 and "回答を選んでください。" in page(answer)
    assert not Answer.select().exists()


@pytest.mark.parametrize("said", ["7", "x", "-1", "2 or 1", "９", "1" * 40])
def test_a_choice_that_there_is_not_changes_nothing(reader, hers, said):
    assert reader.post(f"/a/{hers.token}", data={"q1": said}).status_code in (303, 422)
    assert all(one.choice.number == 2 for one in Answer.select())


@pytest.mark.parametrize("end", ["", "/", "/2。", "/02", "/99", "/x", "/２"])
def test_a_link_that_a_phone_has_cut_still_opens_the_page(reader, hers, end):
    """T-44: as for the other links of the letter."""
    answer = reader.get(f"/a/{hers.token.upper()}{end}")
    assert answer.status_code == 200 and "授業参観に出席されますか。" in page(answer)


def test_an_unknown_token_is_told_kindly_and_records_nothing(reader, sent):
    assert reader.get(f"/a/{'a' * 26}/1").status_code == 404
    assert reader.post(f"/a/{'a' * 26}/1", data={"q1": "1"}).status_code == 404
    assert "見本" in page(reader.get(f"/a/{rendering.PLACEHOLDER_TOKEN}/1"))
    assert not Answer.select().exists() and not PageView.select().exists()


def test_a_notice_without_questions_leads_to_its_page(reader, school):
    plain = cast_notices.send([school.lists["1-1"]]).deliveries["石川 直樹"]
    assert f"/r/{plain.token}" in reader.get(f"/a/{plain.token}/1").location


def test_after_the_deadline_the_page_says_so(reader, sent, hers):
    reader.post(f"/a/{hers.token}", data={"q1": "1"})
    clock.set_offset(4 * 86400)
    answer = reader.get(f"/a/{hers.token}/2")
    text = page(answer)
    assert answer.status_code == 200 and "回答の受け付けは終了しました。変更は学校へご連絡ください。" in text
    assert "回答：「出席する」" in text and "data-send" not in text
    late = reader.post(f"/a/{hers.token}/2", data={"q1": "2"})
    assert late.status_code == 409 and "受け付けは終了しました" in page(late)
    assert counts(sent) == [1, 0, 0]


def test_a_withdrawn_notice_is_gone(reader, sent, hers, school):
    workflow.withdraw_notice(sent.notice, school.users["花子"], clock.now())
    assert reader.get(f"/a/{hers.token}/1").status_code == 410
    assert reader.post(f"/a/{hers.token}/1", data={"q1": "1"}).status_code == 410
    assert not Answer.select().exists()


def test_several_questions_stand_on_one_page(reader, sent, hers):
    ask(sent, QuestionDraft("出席", ("はい", "いいえ")), QuestionDraft("お弁当", ("要る", "要らない")))
    text = page(reader.get(f"/a/{hers.token}/4"))
    assert 'name="q1" value="1"' in text and 'name="q2" value="4" checked' in text
    reader.post(f"/a/{hers.token}", data={"q1": "1", "q2": "3"})
    assert [one.choice.number for one in Answer.select().order_by(Answer.id)] == [1, 3]


def test_days_are_chosen_on_one_page(reader, sent, hers):
    """T-48: yes, maybe or no for each of many days."""
    days = [QuestionDraft(f"11月{day}日", ("○", "△", "×"), kind="days", heading="面談") for day in range(16, 21)]
    ask(sent, *days)
    text = page(reader.get(f"/a/{hers.token}"))
    assert text.count("<fieldset>") == 5 and text.count(">面談</h2>") == 1
    reader.post(f"/a/{hers.token}", data={f"q{place}": str(3 * place) for place in range(1, 6)})
    assert [one.choice.text for one in Answer.select()] == ["×"] * 5


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_what_scanners_send_ahead_runs_nothing(reader, hers, method):
    """Law 3"""
    assert reader.open(f"/a/{hers.token}/2", method=method).status_code == 204
    assert not PageView.select().exists()


def test_a_scanners_press_is_no_answer(app, sent, hers):
    browser = app.test_client()
    browser.environ_base["HTTP_USER_AGENT"] = SCANNER
    browser.post(f"/a/{hers.token}/2", data={"q1": "2"})
    assert counts(sent) == [0, 0, 0] and fresh(hers).read_at is None


def test_the_script_presses_only_where_the_list_is_set_so(reader, sent, hers, school):
    """T-50: off by default; then only for the choice that was opened."""
    assert "data-press-after" not in page(reader.get(f"/a/{hers.token}/2"))
    assert reader.post(f"/a/{hers.token}/2/touch", data={"q1": "2"}).status_code == 204
    MailingList.update(answer_on_open=True).where(MailingList.id == school.lists["1-1"].id).execute()
    assert "data-press-after" in page(reader.get(f"/a/{hers.token}/2"))
    assert reader.post(f"/a/{hers.token}/2/touch", data={"q1": "1"}).status_code == 204
    assert counts(sent) == [0, 0, 0]
    answer = reader.post(f"/a/{hers.token}/2/touch", data={"q1": "2"})
    assert answer.status_code == 200 and 'id="seal"' in page(answer) and counts(sent) == [0, 1, 0]


def test_speaks_the_language_of_the_reader(reader, hers):
    Delivery.update(language="en").where(Delivery.id == hers.id).execute()
    text = page(reader.get(f"/a/{hers.token}/2"))
    assert "Not answered yet. If “欠席する” is right, press the button below." in text


def test_no_cookie_is_set_and_nothing_is_kept(reader, hers):
    """T-18"""
    for answer in (reader.get(f"/a/{hers.token}/2"), reader.post(f"/a/{hers.token}/2", data={"q1": "2"})):
        assert "Set-Cookie" not in answer.headers and "no-store" in answer.headers["Cache-Control"]


def test_a_press_that_only_a_script_made_is_no_answer(reader, sent, hers):
    """Decision 1"""
    answer = reader.post(f"/a/{hers.token}/2", data={"q1": "2", "hand": "0"})
    assert answer.status_code == 200 and counts(sent) == [0, 0, 0] and fresh(hers).read_at is None
    reader.post(f"/a/{hers.token}/2", data={"q1": "2", "hand": "1"})
    assert counts(sent) == [0, 1, 0]


def test_an_answer_to_some_of_the_questions_says_what_is_still_to_come(reader, sent, hers):
    """T-51: each question has its own deadline, and the page says so; who answers what is said where it differs."""
    soon, late = clock.now() + timedelta(days=2), clock.now() + timedelta(days=5)
    Answer.delete().execute()
    Question.delete().execute()
    ask(
        sent,
        QuestionDraft("懇談会に", ("出席", "欠席"), deadline=late),
        QuestionDraft("役員を", ("はい", "いいえ"), unit="person", deadline=soon),
    )
    text = page(reader.get(f"/a/{hers.token}/1"))
    assert all(questions.deadline_text("ja", end) in text for end in (soon, late))
    assert "ご家庭で1つお答えください。" in text and "このメールを受け取った方が、それぞれお答えください。" in text
    posted = reader.post(f"/a/{hers.token}/1", data={"q1": "1"})
    assert "ここまでの回答を受け付けました。まだの質問：役員を" in page(reader.get(posted.location))
    posted = reader.post(f"/a/{hers.token}/1", data={"q1": "1", "q2": "3"})
    assert "それぞれの期限までは、何度でも変えられます。" in page(reader.get(posted.location))


def test_the_notice_names_the_days_under_their_heading_beside_other_questions(reader, sent, hers):
    """T-48: what is asked, and what was said to it, stands on the page of the notice too."""
    days = [QuestionDraft(day, ("○", "△", "×"), "days", heading="面談のご都合") for day in ("16日", "17日")]
    Answer.delete().execute()
    Question.delete().execute()
    ask(sent, QuestionDraft("懇談会に", ("出席", "欠席")), *days)
    reader.post(f"/a/{hers.token}/3", data={"q1": "1", "q2": "3"})
    text = page(reader.get(f"/r/{hers.token}"))
    assert text.count("面談のご都合") == 1 and "16日：<b>○</b>" in text and "17日" not in text
    text = page(reader.get(f"/a/{hers.token}/6"))
    assert 'value="6" checked' in text and 'value="3" checked' in text and 'value="1" checked' in text
