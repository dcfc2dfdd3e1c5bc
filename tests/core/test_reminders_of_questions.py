"""Sending again to those who have not answered: by the button, and a day before the deadline (T-52, field 2.3)."""

from datetime import timedelta

import pytest

import clock
from core.notices import questions, reminders, start
from core.notices.questions import QuestionDraft
from core.responses import answers, phone_marks
from core.responses.answers import SubmittedAnswer
from models import Letter, Notice
from tests import smarthost
from tests.cast_notices import PHONE
from tests.core.test_reminders import arrived, at_ten, begin_after, names, of, read, second_round
from tests.smarthost import drained, fresh, later

__all__ = ["at_ten"]


def asking(school, hanako, *asks: QuestionDraft, **options) -> Notice:
    draft = smarthost.written(hanako, [school.lists["1-1"]], questions=list(asks), **options)
    smarthost.confirmed(draft, hanako)
    assert start.start_due_notices(clock.now()) == [draft.id]
    return arrived(fresh(draft))


def say(notice: Notice, name: str, *numbers: int) -> None:
    asked = questions.load_questions(notice.id)
    given = {one.id: SubmittedAnswer(number) for one in asked for number in numbers if one.option(number)}
    answers.submit_answers(of(notice, name), given, agent=PHONE, now=clock.now())


YES_NO = ("出席する", "欠席する")


def test_while_a_question_is_open_it_goes_to_those_who_have_not_answered(school, hanako):
    """T-52: reading is not enough; what one guardian answered the household has answered."""
    at = clock.now() + timedelta(days=3)
    notice = asking(
        school, hanako, QuestionDraft("懇談会に", YES_NO, deadline=at), QuestionDraft("弁当を", ("頼む", "頼まない"))
    )
    read(notice, "石川 直樹")
    phone_marks.mark_phoned(notice, [of(notice, "鈴木 大輔").id], by=hanako, lists=None, now=clock.now())
    say(notice, "青山 健太", 1, 3)
    assert names(notice) == ["石川 直樹", "鈴木 大輔"]
    say(notice, "石川 直樹", 2)
    assert names(notice) == ["石川 直樹", "鈴木 大輔"]  # one of two questions
    assert reminders.request_reminder(notice, hanako, clock.now()).wants == "answer"
    later(seconds=181)
    assert reminders.start_due_reminders(clock.now()) == [notice.id] and len(second_round(notice)) == 2


def test_each_person_is_reminded_where_each_person_is_asked(school, hanako):
    notice = asking(school, hanako, QuestionDraft("役員に", YES_NO, unit="person"))
    say(notice, "青山 健太", 1)
    assert names(notice) == ["石川 直樹", "鈴木 大輔", "青山 美咲"]


def test_after_the_deadline_only_the_confirmation_is_wanted(school, hanako):
    notice = asking(school, hanako, QuestionDraft("懇談会に", YES_NO, deadline=clock.now() + timedelta(hours=1)))
    read(notice, "石川 直樹")
    assert "石川 直樹" in names(notice)
    later(hours=2)
    assert "石川 直樹" not in names(notice) and "鈴木 大輔" in names(notice)


def test_who_answers_before_the_claim_gets_none(school, hanako):
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        notice = asking(school, hanako, QuestionDraft("懇談会に", YES_NO))
        reminders.request_reminder(notice, hanako, clock.now())
        later(seconds=181)
        assert reminders.start_due_reminders(clock.now())
        read(notice, "鈴木 大輔")
        say(notice, "石川 直樹", 1)
        assert drained()
        theirs = sorted(one for one in host.to() if one != hanako.email)
        assert theirs == ["aoyama.k@example.com", "misaki@mobile.example.jp", "suzuki@example.com"]
    assert Letter.get(Letter.state == "skipped").reason == "answer"


@pytest.mark.parametrize(("hour", "expected"), [(17, 17), (23.98, 18), (6.5, 7)])
def test_a_day_before_the_deadline_by_itself_and_once(school, hanako, hour, expected):
    """Field 2.3; at an hour at which families are awake."""
    day = clock.to_local(clock.now()).replace(hour=0, minute=0, second=0) + timedelta(days=4)
    notice = asking(
        school,
        hanako,
        QuestionDraft("懇談会に", YES_NO, deadline=day + timedelta(hours=hour)),
        reminder_rule={"before_deadline": True},
    )
    say(notice, "石川 直樹", 1)
    at = clock.to_local(reminders.reminders_of_notice(notice)[0].send_at)
    assert (at.date(), at.hour) == ((day - timedelta(days=1)).date(), expected)
    clock.set_offset(clock._offset.total_seconds() + (at - clock.now()).total_seconds() - 60)
    assert begin_after(0.5) == [] and begin_after(1) == [notice.id]
    assert [one.delivery.name for one in second_round(notice)] == ["青山 健太", "青山 美咲", "鈴木 大輔"]
    assert begin_after(60 * 20) == []


def test_a_deadline_of_today_has_no_reminder_a_day_before(school, hanako):
    notice = asking(
        school,
        hanako,
        QuestionDraft("懇談会に", YES_NO, deadline=clock.now() + timedelta(hours=20)),
        reminder_rule={"before_deadline": True},
    )
    assert notice.reminder_rule.before_deadline and questions.load_questions(notice)[0].deadline
    assert reminders.reminders_of_notice(notice) == []


def test_each_deadline_has_its_reminder_to_those_who_owe_that_answer(school, hanako):
    """T-52: a day before each of several deadlines, each only to those without an answer to what closes then."""
    noon = clock.to_local(clock.now()).replace(hour=12, minute=0, second=0, microsecond=0)
    soon, late = noon + timedelta(days=3), noon + timedelta(days=6)
    notice = asking(
        school,
        hanako,
        QuestionDraft("弁当を", ("頼む", "頼まない"), deadline=soon),
        QuestionDraft("懇談会に", YES_NO, deadline=late),
        reminder_rule={"before_deadline": True},
    )
    say(notice, "青山 健太", 1)
    say(notice, "石川 直樹", 3)
    planned = reminders.reminders_of_notice(notice)
    assert [clock.to_local(one.send_at) for one in planned] == [soon - timedelta(days=1)]
    assert begin_after((soon - timedelta(days=1) - clock.now()).total_seconds() / 60 + 1) == [notice.id]
    assert sorted(one.delivery.name for one in second_round(notice)) == ["石川 直樹", "鈴木 大輔"]
    arrived(fresh(notice))
    planned = reminders.reminders_of_notice(notice)
    assert [clock.to_local(one.send_at) for one in planned if one.state == "waiting"] == [late - timedelta(days=1)]
    assert begin_after((late - timedelta(days=1) - clock.now()).total_seconds() / 60 + 1) == [notice.id]
    third = Letter.select().where(Letter.notice == notice, Letter.round == 3)
    assert sorted(one.delivery.name for one in third) == ["鈴木 大輔", "青山 健太", "青山 美咲"]
    assert not [one for one in reminders.reminders_of_notice(notice) if one.state == "waiting"]
