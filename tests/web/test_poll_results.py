"""The answers as organizers see them: counted, by name, live, printed, as a file, and entered by telephone (T-52)."""

import csv
import html
import re
from datetime import timedelta
from io import StringIO

import pytest

import clock
from core.notices import questions, workflow
from core.notices.questions import QuestionDraft
from core.responses import answers, read_confirmations
from core.responses.answers import SubmittedAnswer
from models import Answer, AuditLog, MailingList
from tests import cast_notices
from tests.cast_notices import ATTENDANCE, PHONE, ask

HTMX = {"HX-Request": "true"}


@pytest.fixture
def sent(school):
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="授業参観の出欠")
    ask(made, QuestionDraft("出席されますか。", ATTENDANCE, deadline=clock.now() + timedelta(days=3), comment=True))
    return made


def say(sent, name: str, number: int, comment: str = "") -> None:
    delivery = read_confirmations.delivery_by_token(sent.deliveries[name].token)
    question = next(one for one in questions.load_questions(sent.notice) if one.option(number))
    answers.submit_answers(delivery, {question.id: SubmittedAnswer(number, comment)}, agent=PHONE, now=clock.now())


def page(browser, address: str, status: int = 200) -> str:
    answer = browser.get(address)
    assert answer.status_code == status, (address, answer.status_code)
    return html.unescape(answer.get_data(as_text=True))


def bars(text: str) -> list[int]:
    """Return the counts of the first table, as its cells say them."""
    table = re.search(r"<tbody>(.*?)</tbody>", text, re.DOTALL)[1]
    return [int(found) for found in re.findall(r'<td class="n"><b>(\d+)</b>', table)]


def of(sent, more: str = "") -> str:
    return f"/notices/{sent.notice.id}/answers{more}"


@pytest.mark.proves("T-52")
def test_bars_stand_in_their_table_with_those_who_have_not_answered(as_, sent):
    """T-52: five households were asked; both guardians of one count once."""
    say(sent, "青山 健太", 1)
    say(sent, "青山 美咲", 2, "遅れます")
    say(sent, "石川 直樹", 2)
    text = page(as_("花子"), of(sent))
    assert bars(text) == [0, 2, 0]
    assert '<b>5世帯</b>：<span class="nb">回答2</span>・<span class="nb">まだ3</span>' in text
    assert '<rect class="r" width="2" height="10"/>' in text
    assert "和田 幸子さん" in text and "まだ読んでいません" in text and "電話の回答を入れる" in text
    said = page(as_("花子"), of(sent, "?show=said"))
    assert "石川 直樹さん" in said and "欠席する" in said and "「遅れます」" in said and "和田 幸子" not in said


def test_counts_by_household_person_and_child(as_, sent):
    say(sent, "青山 健太", 1)
    hanako = as_("花子")
    assert [bars(page(hanako, of(sent, f"?by={by}")))[0] for by in ("household", "person", "child")] == [1, 2, 1]


@pytest.mark.proves("T-52")
def test_who_has_not_answered_is_shown_by_class(as_, school):
    made = cast_notices.send([school.lists["1-1"], school.lists["2-1"]], by=school.users["守"])
    ask(made)
    text = page(as_("守"), of(made, "?room=2-1"))
    assert "加藤 誠さん" in text and "青山" not in text and "鈴木 大輔さん" in text


def test_a_poll_brings_what_changed_and_else_nothing(as_, sent):
    hanako = as_("花子")
    seen = re.search(r'"seen": "(\w+)"', page(hanako, of(sent)))[1]
    assert hanako.get(of(sent, f"?seen={seen}"), headers=HTMX).status_code == 204
    say(sent, "石川 直樹", 1)
    answer = hanako.get(of(sent, f"?seen={seen}"), headers=HTMX)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200 and bars(text)[0] == 1 and "<html" not in text


def test_a_changed_answer_reaches_the_board_too(as_, sent):
    """Journey b: the answer stands in the cell, and a poll of the board brings a changed one."""
    hanako = as_("花子")
    say(sent, "石川 直樹", 1)
    board = f"/notices/{sent.notice.id}/board"
    text = page(hanako, board)
    assert '<span class="said">出席する</span>' in text
    seen, was = (re.search(rf'"{name}": "(\w+)"', text)[1] for name in ("seen", "was"))
    say(sent, "石川 直樹", 2)
    answer = hanako.get(f"{board}?seen={seen}&was={was}", headers=HTMX)
    assert '<span class="said">欠席する</span>' in answer.get_data(as_text=True)


def test_a_notice_that_only_asks_has_its_board_of_stamps(as_, school):
    """An answer is also a read, where no other confirmation was asked for."""
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], read_confirmation=False)
    ask(made)
    say(made, "石川 直樹", 1)
    text = page(as_("花子"), f"/notices/{made.notice.id}/board")
    assert 'class="cells"' in text and "石川 蓮 確認済み" in text


def test_an_organizer_enters_what_was_telephoned(as_, sent, school):
    """Decision 1: also after the deadline, marked with who entered it; the family sees what was noted."""
    clock.set_offset(5 * 86400)
    hanako = as_("花子")
    enter = of(sent, f"/{sent.deliveries['和田 幸子'].id}")
    assert "和田 幸子" in page(hanako, enter)
    answer = hanako.post(enter, data={"q1": "2", "c1": "法事のため"})
    assert answer.status_code == 303
    text = page(hanako, of(sent, "?show=said"))
    assert "欠席する" in text and "花子さんが入力" in text and "「法事のため」" in text
    assert (
        AuditLog.select()
        .where(AuditLog.action == "notice.answer_entered", AuditLog.user == school.users["花子"])
        .exists()
    )
    parent = page(as_("花子"), f"/a/{sent.deliveries['和田 幸子'].token}")
    assert "学校で「欠席する」の回答を受け付けています。" in parent and "花子" not in parent


def test_entering_nothing_is_said_and_what_stands_is_not_entered_anew(as_, sent):
    say(sent, "石川 直樹", 1)
    hanako = as_("花子")
    enter = of(sent, f"/{sent.deliveries['石川 直樹'].id}")
    assert hanako.post(enter, data={}).status_code == 422
    assert hanako.post(enter, data={"q1": "1"}).status_code == 422
    assert [one.how for one in Answer.select()] == ["press"]


def test_what_others_may_not_do(as_, sent, school):
    """T-33: a viewer sees and enters nothing; another list's manager finds nothing; strangers' numbers are 404."""
    enter = of(sent, f"/{sent.deliveries['石川 直樹'].id}")
    viewer, taro = as_("見る子"), as_("太郎")
    assert "電話の回答を入れる" not in page(viewer, of(sent))
    assert viewer.post(enter, data={"q1": "1"}).status_code == 403
    for address in (of(sent), enter, of(sent, ".csv")):
        assert taro.get(address).status_code == 404
    assert taro.post(enter, data={"q1": "1"}).status_code == 404
    assert as_("花子").get(of(sent, "/999999")).status_code == 404
    assert not Answer.select().exists()


def test_a_manager_of_one_class_sees_and_enters_for_that_class_alone(as_, school):
    made = cast_notices.send([school.lists["1-1"], school.lists["2-1"]], by=school.users["守"])
    ask(made)
    text = page(as_("太郎"), of(made))
    assert "加藤 誠さん" in text and "石川" not in text
    foreign = of(made, f"/{made.deliveries['石川 直樹'].id}")
    assert as_("太郎").post(foreign, data={"q1": "1"}).status_code == 404


def test_a_withdrawn_notice_takes_nothing_and_keeps_its_figures(as_, sent, school):
    say(sent, "石川 直樹", 1)
    workflow.withdraw_notice(sent.notice, school.users["花子"], clock.now())
    hanako = as_("花子")
    assert bars(page(hanako, of(sent)))[0] == 1
    assert hanako.get(of(sent, f"/{sent.deliveries['石川 直樹'].id}")).status_code == 404


def test_the_file_is_safe_in_a_spreadsheet(as_, sent):
    """T-52: UTF-8 with a mark, everybody in it, and no cell that runs as a formula."""
    say(sent, "石川 直樹", 2, '=HYPERLINK("http://evil.example")')
    answer = as_("花子").get(of(sent, ".csv"))
    assert answer.data.startswith(b"\xef\xbb\xbf") and "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(StringIO(answer.data.decode("utf-8-sig"))))
    assert rows[0][3] == "出席されますか。" and len(rows) == 1 + 5
    mine = next(row for row in rows if row[2] == "石川 直樹")
    assert mine[0] == "1年1組" and mine[3] == "欠席する" and mine[4].startswith("'=")
    assert AuditLog.select().where(AuditLog.action == "notice.answers_exported").exists()


def test_the_printed_page_holds_both_halves(as_, sent):
    say(sent, "石川 直樹", 1)
    text = page(as_("花子"), of(sent, "?view=print"))
    assert "和田 幸子" in text and "石川 蓮" in text and "hx-get" not in text


@pytest.mark.proves("T-48")
def test_the_days_are_counted_in_one_table(as_, school):
    """T-48: the day that suits most is marked."""
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    ask(made, *[QuestionDraft(day, ("○", "△", "×"), kind="days", heading="面談") for day in ("16日", "17日")])
    say(made, "石川 直樹", 3)
    say(made, "石川 直樹", 4)
    text = page(as_("花子"), of(made))
    assert text.count('id="t1"') == 1 and 'id="t2"' not in text
    assert re.search(r'17日 <span class="tag now">最多', text) and "16日 <span" not in text


def test_lists_of_notices_say_how_many_answered(as_, sent):
    say(sent, "石川 直樹", 1)
    for address in ("/", "/notices", "/history"):
        assert "回答 1件" in page(as_("花子"), address), address


@pytest.mark.parametrize("more", ["?by=x", "?show=x", "?room=%00%27", "?page=-3", "?page=99999", "?view=x"])
def test_a_strange_look_is_the_ordinary_one(as_, sent, more):
    page(as_("花子"), of(sent, more))


def test_a_notice_without_questions_has_no_answers(as_, school):
    plain = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    assert as_("花子").get(of(plain)).status_code == 404
    assert "回答を見る" not in page(as_("花子"), f"/notices/{plain.notice.id}/board")
    assert MailingList.get_by_id(school.lists["1-1"].id).answer_on_open is False


def test_questions_of_different_units_are_counted_each_by_its_own(as_, school):
    """T-52: households for one, persons for the other; a family is done when everybody asked of it has answered."""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="懇談会と役員")
    ask(
        sent,
        QuestionDraft("懇談会に", ("出席", "欠席"), deadline=clock.now() + timedelta(days=5)),
        QuestionDraft("役員を", ("引き受ける", "できない"), unit="person", deadline=clock.now() + timedelta(days=2)),
    )
    say(sent, "青山 健太", 1)
    say(sent, "青山 健太", 4)
    hanako = as_("花子")
    text = page(hanako, of(sent))
    assert "質問ごとの数え方" in text and "世帯 5</b>：回答1・まだ4" in text and "登録者 6</b>：回答1・まだ5" in text
    assert bars(text) == [1, 0] and "まだの質問：役員を" in text and "5世帯" in text
    say(sent, "青山 美咲", 3)
    text = page(hanako, of(sent, "?show=said"))
    assert "青山 健太 <b>できない" in text and "青山 美咲 <b>引き受ける" in text
    assert "まだの質問" not in page(hanako, of(sent))
    rows = list(csv.reader(StringIO(hanako.get(of(sent, ".csv")).get_data().decode("utf-8-sig"))))
    aoyama = next(row for row in rows if "青山" in row[2])
    assert aoyama[3:5] == ["出席", "青山 健太 できない、青山 美咲 引き受ける"]


@pytest.mark.proves("T-52")
def test_a_poll_for_a_day_shows_names_by_days_with_the_best_day_marked(as_, school):
    """Of two days with as many first choices, the one with more second choices is best."""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="役員会の日")
    ask(
        sent,
        *(
            QuestionDraft(day, ("○ 出られる", "△ たぶん", "× 出られない"), kind="days", heading="役員会", unit="person")
            for day in ("12/2(水)", "12/3(木)")
        ),
    )
    for name, first, second in (("青山 健太", 1, 4), ("石川 直樹", 2, 6)):
        say(sent, name, first)
        say(sent, name, second)
    text = page(as_("花子"), of(sent))
    matrix = re.search(r'<div class="matrix".*?</div>', text, re.DOTALL)[0]
    head, *rows = re.findall(r"<tr>(.*?)</tr>", matrix, re.DOTALL)
    assert re.findall(r'<th scope="col" class="best">(\S+)', head) == ["12/2(水)"]
    assert [re.findall(r'<span aria-hidden="true">(.)</span>', row) for row in rows] == [["△", "×"], ["○", "○"]]
    assert text.count(">最多</span>") == 2 and "回答2</span>・<span" in text
    assert re.search(r'<div class="matrix"', page(as_("花子"), of(sent, "?view=print")))
