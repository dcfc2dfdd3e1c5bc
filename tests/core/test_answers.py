"""What readers answer: numbers, presses, the last one, the deadline, families, touches, many at once (T-49 to T-51)."""

import threading
from datetime import timedelta

import pytest

import clock
from core.notices import audience, drafts, questions, related_notices, workflow
from core.notices.questions import QuestionDraft
from core.reports import poll_results
from core.responses import answers, read_confirmations
from core.responses.answers import SubmittedAnswer
from database import db
from models import Answer, Delivery, Letter, MailingList, PageView
from tests import cast_notices
from tests.cast_notices import ATTENDANCE, OTHER_PHONE, PHONE, SCANNER, ask, fresh


@pytest.fixture
def sent(school):
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"])


def find(sent, name: str) -> Delivery:
    return read_confirmations.delivery_by_token(sent.deliveries[name].token)


def counts(sent) -> list[int]:
    """Return the bars of the first question, as `flask notice show` counts them."""
    return [one["count"] for one in poll_results.poll_document(sent.notice)["questions"][0]["choices"]]


def say(sent, name: str, number: int, comment: str = "", *, now=None) -> int:
    """Press the button on somebody's page."""
    delivery = find(sent, name)
    question = next(one for one in questions.load_questions(sent.notice) if one.option(number))
    return answers.submit_answers(
        delivery, {question.id: SubmittedAnswer(number, comment)}, agent=PHONE, now=now or clock.now()
    )


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_choices_are_numbered_through_all_questions(sent):
    """T-49"""
    asked = ask(sent, QuestionDraft("出席", ("はい", "いいえ")), QuestionDraft("お弁当", ("要る", "要らない", " ")))
    assert [(one.place, [option.number for option in one.options]) for one in asked] == [(1, [1, 2]), (2, [3, 4])]


def test_questions_are_written_with_the_draft_and_freeze_with_it(school):
    """D-46: they come back with a booking that is cancelled, and go along with a correction."""
    now = clock.now().replace(microsecond=0)
    draft = drafts.create_draft(school.users["花子"], now=now)
    asks = [QuestionDraft("出席", ("はい", "いいえ"), unit="person", deadline=now + timedelta(days=3), comment=True)]
    drafts.save_draft(draft, now=now, subject="s", text="t", questions=asks)
    assert questions.question_drafts(draft) == asks
    later = now + timedelta(days=9)
    fresh_one = related_notices.create_correction(draft, school.users["花子"], later)
    assert [(one.text, one.choices, one.deadline) for one in questions.question_drafts(fresh_one)] == [
        ("出席", ("はい", "いいえ"), None)
    ]
    drafts.save_draft(draft, now=now, questions=[])
    assert questions.load_questions(draft) == ()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (QuestionDraft("", ("a", "b")), "Write the question"),
        (QuestionDraft("q", ("a",)), "at least two"),
        (QuestionDraft("q", ("a", "a")), "are the same"),
        (QuestionDraft("{{氏名}}", ("a", "b")), "Double braces"),
        (QuestionDraft("7日", ("a", "b"), kind="days"), "what the days are for"),
        (QuestionDraft("q", ("a", "b"), deadline=clock.now() - timedelta(hours=1)), "before the notice goes out"),
        (QuestionDraft("q", ("a", "b")), ""),
    ],
)
def test_an_unfinished_question_is_named(sent, given, sentence):
    ask(sent, given)
    found = questions.questions_error(sent.notice, clock.now())
    assert sentence in found and bool(found) == bool(sentence)


# ── answering ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-51")
def test_the_last_answer_counts_once(sent):
    """T-51: first A, then B: none for A, one for B; the same again changes nothing."""
    ask(sent)
    assert say(sent, "石川 直樹", 1) == 1
    assert say(sent, "石川 直樹", 2) == 1
    assert say(sent, "石川 直樹", 2) == 0
    assert counts(sent) == [0, 1, 0]
    kept = list(Answer.select().order_by(Answer.id))
    assert [(one.choice.number, one.superseded_at is None) for one in kept] == [(1, False), (2, True)]


def test_an_answer_is_also_a_read(sent):
    ask(sent)
    say(sent, "石川 直樹", 1)
    assert fresh(sent.deliveries["石川 直樹"]).read_via == "answer"


def test_a_choice_of_another_question_is_passed_over(sent):
    first, second = ask(sent, QuestionDraft("出席", ("はい", "いいえ")), QuestionDraft("お弁当", ("要る", "要らない")))
    delivery = find(sent, "石川 直樹")
    given = {first.id: SubmittedAnswer(3), second.id: SubmittedAnswer(4)}
    assert answers.submit_answers(delivery, given, agent=PHONE, now=clock.now()) == 1
    assert [one.chosen.text if one.chosen else None for one in answers.current_answers(delivery)] == [None, "要らない"]


def test_after_the_deadline_only_an_organizer_enters_answers(sent, school):
    """Decision 1"""
    now = clock.now()
    ask(sent, QuestionDraft("出席", ATTENDANCE, deadline=now + timedelta(hours=1)))
    deadline, late = questions.load_questions(sent.notice)[0].deadline, now + timedelta(hours=2)
    assert say(sent, "石川 直樹", 1, now=deadline) == 1, "the deadline itself is in time"
    assert say(sent, "石川 直樹", 2, now=deadline + timedelta(milliseconds=1)) == 0
    assert say(sent, "石川 直樹", 2, now=late) == 0
    assert counts(sent) == [1, 0, 0]
    question = questions.load_questions(sent.notice)[0]
    by = school.users["花子"]
    assert answers.enter_answers(find(sent, "石川 直樹"), {question.id: SubmittedAnswer(2)}, by=by, now=late) == 1
    assert counts(sent) == [0, 1, 0]
    kept = Answer.get(Answer.superseded_at.is_null())
    assert (kept.how, kept.by) == ("organizer", by)


def test_an_answer_by_telephone_tells_the_family_without_a_letter(sent, school):
    question = ask(sent)[0]
    by, wada = school.users["花子"], find(sent, "和田 幸子")
    answers.enter_answers(wada, {question.id: SubmittedAnswer(3)}, by=by, now=clock.now())
    assert (fresh(wada).phoned_by, fresh(wada).read_at) == (by, None)
    assert counts(sent) == [0, 0, 1]


def test_a_withdrawn_notice_takes_no_answer(sent, school):
    """Decision 13"""
    ask(sent)
    assert say(sent, "青山 健太", 1) == 1
    workflow.withdraw_notice(sent.notice, school.users["花子"], clock.now())
    assert say(sent, "石川 直樹", 1) == 0 and Answer.select().count() == 1


@pytest.mark.parametrize(("unit", "rows"), [("household", 1), ("person", 2)])
def test_both_guardians_answer_for_their_unit(sent, unit, rows):
    """Journey b: a household has one answer, whoever gave the last; persons have one each."""
    ask(sent, QuestionDraft("出席", ATTENDANCE, unit=unit))
    say(sent, "青山 健太", 1)
    say(sent, "青山 美咲", 2)
    assert Answer.select().where(Answer.superseded_at.is_null()).count() == rows
    his = answers.current_answers(find(sent, "青山 健太"))[0]
    assert (his.chosen.number, his.mine) == ((2, False) if unit == "household" else (1, True))


def test_siblings_are_answered_one_by_one(sent, school):
    """A letter about one child answers for that child, whoever of the family presses."""
    ask(sent, QuestionDraft("お迎え", ATTENDANCE, unit="child"))
    for name in ("青山 健太", "青山 美咲"):
        Delivery.update(child=school.children["青山 陽菜"]).where(Delivery.id == sent.deliveries[name].id).execute()
    say(sent, "青山 健太", 1)
    say(sent, "青山 美咲", 2)
    kept = Answer.select().where(Answer.superseded_at.is_null())
    assert [one.unit for one in kept] == [f"c{school.children['青山 陽菜'].id}"]


def test_a_comment_is_kept_only_where_it_is_asked_for(sent):
    ask(sent, QuestionDraft("出席", ATTENDANCE, comment=True))
    say(sent, "石川 直樹", 1, "  遅れて行きます ")
    assert Answer.get().comment == "遅れて行きます"
    say(sent, "石川 直樹", 1, "やはり時間どおり")
    assert poll_results.load_poll_results(sent.notice).lines("person")[-1] and Answer.select().count() == 2
    Answer.delete().execute()
    ask(sent, QuestionDraft("出席", ATTENDANCE))
    say(sent, "石川 直樹", 1, "x" * 900)
    assert Answer.get().comment == ""


# ── robots, and recording on opening ─────────────────────────────────────────────────────────────────────────────


def test_a_scanner_that_presses_answers_nothing(sent):
    """T-51, decision 1"""
    question = ask(sent)[0]
    hers, answer = find(sent, "石川 直樹"), {question.id: SubmittedAnswer(1)}
    assert answers.submit_answers(hers, answer, agent=SCANNER, now=clock.now()) == 0
    assert not Answer.select().exists()
    assert answers.submit_answers(hers, answer, agent=PHONE, now=clock.now()) == 1
    assert counts(sent) == [1, 0, 0]


@pytest.fixture
def opening(sent, school):
    """The list records answers on opening too (T-50)."""
    MailingList.update(answer_on_open=True).where(MailingList.id == school.lists["1-1"].id).execute()
    ask(sent)
    return find(sent, "石川 直樹")


def opened(delivery: Delivery, number: int, at, agent: str = PHONE) -> None:
    fresh_one = read_confirmations.delivery_by_token(delivery.token)
    read_confirmations.record_visit(fresh_one, f"a{number}", agent=agent, inside=False, now=at)


@pytest.mark.proves("T-50")
def test_opening_answers_where_the_list_is_set_so(opening, sent):
    """T-50: a touched page answers with the opened choice."""
    now = clock.now()
    opened(opening, 2, now)
    assert answers.answer_by_touch(opening, 2, agent=PHONE, now=now)
    assert counts(sent) == [0, 1, 0] and fresh(opening).read_via == "touch"
    assert not answers.answer_by_touch(opening, 1, agent=PHONE, now=now + timedelta(minutes=2)), (
        "a second needs a press"
    )


@pytest.mark.proves("T-50")
def test_no_opening_answers_by_itself_elsewhere(sent):
    """T-50, decision 1: off by default."""
    ask(sent)
    hers = find(sent, "石川 直樹")
    opened(hers, 2, clock.now())
    assert not answers.answer_by_touch(hers, 2, agent=PHONE, now=clock.now())
    assert counts(sent) == [0, 0, 0]
    MailingList.update(answer_on_open=True).where(MailingList.id == hers.list_id).execute()
    assert answers.answer_by_touch(find(sent, "石川 直樹"), 2, agent=PHONE, now=clock.now())


@pytest.mark.parametrize("after_s", [10, 43, 179])
def test_no_touch_answers_while_scanners_are_about(opening, sent, after_s):
    accepted = clock.now()
    Letter.update(done_at=accepted).where(Letter.delivery == opening).execute()
    now = accepted + timedelta(seconds=after_s)
    opened(opening, 1, now)
    assert not answers.answer_by_touch(opening, 1, agent=PHONE, now=now)
    assert answers.answer_by_touch(opening, 1, agent=PHONE, now=accepted + timedelta(seconds=180))


def test_another_link_within_a_minute_takes_an_opened_answer_back(opening, sent):
    """Decision 1: who opens every link is no person; what stood before by a press stays untouched."""
    now = clock.now()
    opened(opening, 1, now)
    assert answers.answer_by_touch(opening, 1, agent=PHONE, now=now)
    opened(opening, 2, now + timedelta(seconds=30))
    assert counts(sent) == [0, 0, 0] and fresh(opening).read_at is None
    assert not answers.answer_by_touch(opening, 2, agent=PHONE, now=now + timedelta(seconds=31))
    say(sent, "石川 直樹", 3)
    opened(opening, 1, now + timedelta(seconds=40))
    assert counts(sent) == [0, 0, 1]


@pytest.mark.parametrize("after", [10, 43, 240, 3600])
@pytest.mark.parametrize("agent", [SCANNER, OTHER_PHONE, ""])
def test_all_links_opened_at_once_are_visits_whenever_it_happens(sent, after, agent):
    """Decision 1: a robot that fetches every link of the letter leaves no answer and no read."""
    ask(sent)
    accepted = clock.now()
    Letter.update(done_at=accepted).execute()
    hers, now = find(sent, "石川 直樹"), accepted + timedelta(seconds=after)
    for page in ("r", "a1", "a2", "a3", "u"):
        read_confirmations.record_visit(
            read_confirmations.delivery_by_token(hers.token), page, agent=agent, inside=False, now=now
        )
        assert (
            not read_confirmations.confirm_by_touch(
                read_confirmations.delivery_by_token(hers.token), agent=agent, now=now
            )
            or page == "r"
        )
    assert fresh(hers).read_at is None and not Answer.select().exists()
    assert PageView.select().where(PageView.page != "touch").count() == 5


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-51")
def test_answers_that_come_at_the_same_time_are_all_kept(sent):
    """T-51: two guardians and their changes from many threads: one answer counts, every press has its row."""
    ask(
        sent,
        QuestionDraft("出席", ATTENDANCE, unit="household"),
        QuestionDraft("お弁当", ("要る", "要らない"), unit="person"),
    )
    names = ["青山 健太", "青山 美咲", "石川 直樹", "鈴木 大輔"]
    readers = [find(sent, name) for name in names]
    first, second = questions.load_questions(sent.notice)
    faults: list[Exception] = []

    def presses(place: int) -> None:
        try:
            for turn in range(6):
                given = {first.id: SubmittedAnswer(1 + (place + turn) % 3), second.id: SubmittedAnswer(4 + turn % 2)}
                answers.submit_answers(readers[place], given, agent=PHONE, now=clock.now())
        except Exception as fault:  # told to the test below
            faults.append(fault)
        finally:
            db.close()

    threads = [threading.Thread(target=presses, args=(place,)) for place in range(len(readers))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert faults == []
    current = Answer.select().where(Answer.superseded_at.is_null())
    assert current.where(Answer.question == first.id).count() == 3
    assert current.where(Answer.question == second.id).count() == 4
    assert Answer.select().where(Answer.question == second.id).count() == 4 * 6, "each press changed it"


def test_a_question_for_each_child_makes_a_letter_for_each_child(school):
    """D-01: two children, two letters, each answered for its own child."""
    made = drafts.create_draft(school.users["守"], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id, school.lists["2-1"].id], now=clock.now())
    suzuki = school.people["鈴木 大輔"].id
    letters = [one for one in audience.resolve_audience(made).receiving if one.person_id == suzuki]
    assert len(letters) == 1
    drafts.save_draft(made, now=clock.now(), questions=[QuestionDraft("お迎え", ATTENDANCE, unit="child")])
    letters = [one for one in audience.resolve_audience(made).receiving if one.person_id == suzuki]
    assert len(letters) == 2
