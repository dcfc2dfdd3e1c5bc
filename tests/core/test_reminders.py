"""Sending again to those who have not confirmed: by a button and by itself, exactly once (T-45, field 2.3)."""

from datetime import datetime, timedelta

import pytest

import clock
from core.delivery import lifecycle
from core.errors import NoRecipientsLeft, NotADraft, ReminderPending, SendingStarted
from core.notices import related_notices, reminders, rendering, start, workflow
from core.notices.reminders import find_recipients
from core.responses import phone_marks, read_confirmations
from core.settings import load_settings
from database import db
from models import AuditLog, Delivery, Letter, Membership, Notice, Person, Reminder
from tests import smarthost
from tests.cast_notices import PHONE
from tests.smarthost import at_once, begun, drained, fresh, later, put, states


@pytest.fixture(autouse=True)
def at_ten():
    """Ten in the morning, whenever the tests run."""
    now = clock.to_local(datetime.now().astimezone())
    clock.set_offset((now.replace(hour=10, minute=0) - now).total_seconds())


@pytest.fixture
def sent(school, hanako):
    """A notice to 1年1組 that every server has taken: 青山 (two guardians), 石川, 鈴木; 和田 has no address."""
    return arrived(begun(hanako, [school.lists["1-1"]]))


def arrived(notice: Notice) -> Notice:
    Letter.update(state="accepted", done_at=clock.now()).where(
        Letter.notice == notice, Letter.state == "waiting"
    ).execute()
    lifecycle.finish_notices(clock.now())
    return fresh(notice)


def of(notice: Notice, name: str) -> Delivery:
    return Delivery.get(Delivery.notice == notice, Delivery.name == name)


def read(notice: Notice, name: str) -> None:
    read_confirmations.confirm_read(
        read_confirmations.delivery_by_token(of(notice, name).token), agent=PHONE, now=clock.now()
    )


def names(notice: Notice) -> list[str]:
    return sorted(one.name for one in find_recipients(notice, clock.now()))


def second_round(notice: Notice) -> list[Letter]:
    return list(Letter.select().where(Letter.notice == notice, Letter.round == 2).order_by(Letter.id))


# ── to whom ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_goes_to_those_who_have_not_confirmed_and_to_nobody_else(school, sent):
    """T-45: never to telephone families, stopped, excluded; what one guardian read the household has read."""
    assert names(sent) == ["石川 直樹", "鈴木 大輔", "青山 健太", "青山 美咲"]
    read(sent, "青山 美咲")
    assert names(sent) == ["石川 直樹", "鈴木 大輔"]
    Membership.update(state="stopped").where(Membership.person == school.people["石川 直樹"]).execute()
    assert names(sent) == ["鈴木 大輔"]
    Person.update(address_state="bounced").where(Person.name == "鈴木 大輔").execute()
    assert names(sent) == []


@pytest.mark.parametrize(
    ("change", "gets_one"),
    [
        ({"state": "deferred"}, False),
        ({"state": "cancelled"}, False),
        ({"state": "unknown"}, True),
        ({"state": "refused"}, True),
        ({"state": "expired"}, True),
    ],
)
def test_not_to_those_whose_letter_is_still_on_its_way_or_was_stopped(school, sent, change, gets_one):
    """A refused letter is tried again only while the address is one that we still write to."""
    Letter.update(**change).where(Letter.delivery == of(sent, "石川 直樹")).execute()
    assert ("石川 直樹" in names(sent)) is gets_one


def test_nobody_who_was_told_by_telephone_or_said_it_is_not_meant_for_them(sent, hanako):
    phone_marks.mark_phoned(sent, [of(sent, "石川 直樹").id], by=hanako, lists=None, now=clock.now())
    Delivery.update(misdirected_at=clock.now()).where(Delivery.id == of(sent, "鈴木 大輔").id).execute()
    assert names(sent) == ["青山 健太", "青山 美咲"]


# ── by the button ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reminder_waits_its_window_and_is_a_new_letter_of_the_same_delivery(sent, hanako):
    """T-45: same links and state, subject marked once, the round counted."""
    read(sent, "青山 健太")
    asked = reminders.request_reminder(sent, hanako, clock.now())
    assert (asked.send_at - asked.made_at).total_seconds() == load_settings().hold_s
    assert reminders.start_due_reminders(clock.now()) == []
    later(seconds=181)
    assert reminders.start_due_reminders(clock.now()) == [sent.id]
    made = second_round(sent)
    assert [one.delivery.name for one in made] == ["石川 直樹", "鈴木 大輔"]
    assert {
        one.delivery_id: one.is_current for one in Letter.select().where(Letter.notice == sent, Letter.round == 1)
    } == {
        of(sent, "青山 健太").id: True,
        of(sent, "青山 美咲").id: True,
        of(sent, "石川 直樹").id: False,
        of(sent, "鈴木 大輔").id: False,
    }
    assert (fresh(sent).state, fresh(sent).rounds, fresh(asked).round, fresh(asked).letters) == ("sending", 2, 2, 2)
    assert fresh(sent).finished_at == sent.finished_at
    arrived(sent)
    assert (fresh(sent).state, fresh(sent).finished_at) == ("sent", sent.finished_at)
    assert AuditLog.select().where(AuditLog.action == "notice.reminded").get().detail["letters"] == 2


def test_an_urgent_one_waits_twenty_seconds(school, hanako):
    notice = arrived(begun(hanako, [school.lists["1-1"]], urgent=True))
    asked = reminders.request_reminder(notice, hanako, clock.now())
    assert (asked.send_at - asked.made_at).total_seconds() == 20


def test_what_arrives_is_the_same_letter_with_a_mark_in_its_subject(school, hanako):
    """Same token, same text; 【再送】 stands once, also the third time."""
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        notice = begun(hanako, [school.lists["1-1"]])
        assert drained()
        for _ in range(2):
            reminders.request_reminder(fresh(notice), hanako, clock.now())
            later(seconds=181)
            assert drained()
        theirs = [one for one in host.to() if one != hanako.email]
        assert len(theirs) == 12 and len(host.times()) == len(host.mails) == 14  # and two copies of her own
        mine = [words_of(raw) for _, to, raw, _ in host.mails if to == ["naoki@example.jp"]]
    assert [subject for subject, _ in mine] == ["水筒", "【再送】水筒", "【再送】水筒"]
    assert mine[0][1] == mine[1][1] == mine[2][1] and of(notice, "石川 直樹").token in mine[0][1]
    assert (fresh(notice).state, fresh(notice).rounds, states(notice)) == ("sent", 3, {"accepted": 12})


def words_of(raw: bytes) -> tuple[str, str]:
    from email import message_from_bytes
    from email.policy import default

    mail = message_from_bytes(raw, policy=default)
    return mail["Subject"], mail.get_content()


def test_the_mark_is_put_once_whatever_language_it_is_in():
    assert rendering.reminder_subject("水筒", "ja") == "【再送】水筒"
    assert rendering.reminder_subject("【再送】水筒", "ja") == "【再送】水筒"
    assert rendering.reminder_subject("【再送】水筒", "en") == "【再送】水筒"
    assert rendering.reminder_subject("Water", "en") == "[Sent again] Water"


def test_who_confirms_before_the_claim_gets_none_and_stays_sent(school, hanako):
    """Looked at again at claim time; the first letter is then again the one that counts."""
    with smarthost.running() as (host, port):
        smarthost.send_by(port)
        notice = begun(hanako, [school.lists["1-1"]])
        assert drained()
        reminders.request_reminder(fresh(notice), hanako, clock.now())
        later(seconds=181)
        assert reminders.start_due_reminders(clock.now())
        read(notice, "石川 直樹")
        read(notice, "青山 美咲")  # the other guardian of 青山 陽菜 needs none either
        assert drained()
        assert host.to().count("naoki@example.jp") == host.to().count("aoyama.k@example.com") == 1
        assert host.to().count("suzuki@example.com") == 2
    kept = Letter.select().where(Letter.notice == notice, Letter.round == 2, Letter.state == "skipped")
    assert {(one.reason, one.is_current) for one in kept} == {("read", False)} and kept.count() == 3
    newest = Letter.select().where(Letter.notice == notice, Letter.is_current == True)
    assert [one.state for one in newest] == ["accepted"] * 4
    assert fresh(notice).state == "sent"


def test_asking_twice_at_once_sends_it_once(sent, hanako):
    """Field 5.3.3: a double tap, or two organizers."""
    found = at_once(*[lambda: reminders.request_reminder(sent, hanako, clock.now()).kind] * 2)
    assert sorted(found) == ["ReminderPending", "asked"]
    with pytest.raises(ReminderPending):
        reminders.request_reminder(sent, hanako, clock.now())
    later(seconds=181)
    began = at_once(*[lambda: len(reminders.start_due_reminders(clock.now()))] * 3)
    assert sorted(began) == [0, 0, 1] and len(second_round(sent)) == 4


def test_called_off_within_the_window_nothing_leaves(sent, hanako):
    asked = reminders.request_reminder(sent, hanako, clock.now())
    reminders.cancel_reminder(asked, hanako, clock.now())
    later(seconds=300)
    assert reminders.start_due_reminders(clock.now()) == [] and second_round(sent) == []
    with pytest.raises(SendingStarted):
        reminders.cancel_reminder(fresh(asked), hanako, clock.now())


@pytest.mark.parametrize("state", ["draft", "held", "scheduled", "paused", "withdrawn", "dropped"])
def test_nothing_to_remind_of(sent, hanako, state):
    with pytest.raises(NotADraft):
        reminders.request_reminder(put(sent, state=state), hanako, clock.now())


def test_not_while_the_first_letters_wait_and_not_when_all_is_read(school, hanako):
    notice = begun(hanako, [school.lists["1-1"]])
    with pytest.raises(NotADraft):
        reminders.request_reminder(notice, hanako, clock.now())
    arrived(notice)
    for name in ("青山 健太", "石川 直樹", "鈴木 大輔"):
        read(notice, name)
    with pytest.raises(NoRecipientsLeft):
        reminders.request_reminder(fresh(notice), hanako, clock.now())


def test_a_stopped_notice_may_be_sent_again_and_stays_stopped(sent, hanako):
    """States: sent | stopped → sending (a new round); the letters that were stopped do not come back by it."""
    Letter.update(state="cancelled").where(Letter.delivery == of(sent, "石川 直樹")).execute()
    put(sent, state="stopped", stopped_at=clock.now())
    reminders.request_reminder(fresh(sent), hanako, clock.now())
    later(seconds=181)
    assert reminders.start_due_reminders(clock.now()) == [sent.id]
    assert [one.delivery.name for one in second_round(sent)] == ["青山 健太", "青山 美咲", "鈴木 大輔"]
    assert arrived(sent).state == "stopped"


def test_stopping_a_reminder_leaves_the_notice_sent(sent, hanako):
    """The letters of the first round are again those that count; what a sender gives back later is cancelled too."""
    reminders.request_reminder(sent, hanako, clock.now())
    later(seconds=181)
    reminders.start_due_reminders(clock.now())
    held = second_round(sent)[0]
    Letter.update(state="sending", owner="o", handed_over_at=clock.now()).where(Letter.id == held.id).execute()
    assert workflow.stop_sending(fresh(sent), hanako, clock.now()) == 3
    assert (fresh(sent).state, fresh(sent).stopped_at) == ("sent", None)
    Letter.update(state="waiting", owner="").where(Letter.id == held.id).execute()
    assert lifecycle.cancel_requeued_letters(clock.now()) == 1
    lifecycle.restore_previous_round()
    newest = Letter.select().where(Letter.notice == sent, Letter.is_current == True)
    assert {(one.round, one.state) for one in newest} == {(1, "accepted")} and newest.count() == 4


def test_withdrawing_and_stopping_call_off_what_waits(sent, hanako):
    """Decision 13."""
    asked = reminders.request_reminder(sent, hanako, clock.now())
    workflow.withdraw_notice(sent, hanako, clock.now())
    later(seconds=181)
    assert fresh(asked).state == "called_off" and reminders.start_due_reminders(clock.now()) == []


def test_kairan_that_slept_sends_no_late_reminder_and_says_so(sent, hanako):
    """Field 5.3.4."""
    asked = reminders.request_reminder(sent, hanako, clock.now())
    later(hours=2)
    assert reminders.start_due_reminders(clock.now()) == []
    assert fresh(asked).state == "missed" and second_round(sent) == []
    assert AuditLog.select().where(AuditLog.action == "notice.reminder_missed").count() == 1


def test_while_the_mail_server_is_away_it_waits(sent, hanako):
    asked = reminders.request_reminder(sent, hanako, clock.now())
    put(sent, state="paused")
    later(minutes=4)
    assert reminders.start_due_reminders(clock.now()) == [] and fresh(asked).state == "waiting"
    put(sent, state="sent")
    assert reminders.start_due_reminders(clock.now()) == [sent.id]


def test_a_crash_while_it_begins_leaves_it_waiting_whole(sent, hanako, monkeypatch):
    """Law 1 and 4: the row is closed in the transaction that makes the letters, or not at all."""
    asked = reminders.request_reminder(sent, hanako, clock.now())
    later(seconds=181)

    def pull_the_plug(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(reminders, "enqueue", pull_the_plug)
        with pytest.raises(KeyboardInterrupt):
            reminders.start_due_reminders(clock.now())
    db.close()
    assert (fresh(asked).state, fresh(sent).state, fresh(sent).rounds) == ("waiting", "sent", 1)
    assert Letter.select().where(Letter.notice == sent, Letter.is_current == True).count() == 4
    assert reminders.start_due_reminders(clock.now()) == [sent.id] and len(second_round(sent)) == 4


# ── by itself ────────────────────────────────────────────────────────────────────────────────────────────────────


def by_itself(school, hanako, minutes=30, times=2, **options) -> Notice:
    notice = begun(hanako, [school.lists["1-1"]], reminder_rule={"every_s": minutes * 60, "times": times}, **options)
    return arrived(notice)


def begin_after(minutes: float) -> list[int]:
    later(minutes=minutes)
    found = reminders.start_due_reminders(clock.now())
    Letter.update(state="accepted").where(Letter.state == "waiting").execute()
    lifecycle.finish_notices(clock.now())
    return found


def test_goes_by_itself_as_often_as_asked_to_those_left(school, hanako):
    notice = by_itself(school, hanako, urgent=True)
    assert begin_after(29) == []
    read(notice, "石川 直樹")
    assert begin_after(1.1) == [notice.id]
    assert begin_after(29) == [] and begin_after(1.1) == [notice.id]
    assert begin_after(300) == []
    assert [one.letters for one in reminders.reminders_of_notice(notice)] == [3, 3]


def test_stops_when_everybody_has_confirmed(school, hanako):
    notice = by_itself(school, hanako)
    for name in ("青山 健太", "石川 直樹", "鈴木 大輔"):
        read(notice, name)
    assert begin_after(31) == []
    assert [(one.state, one.letters) for one in reminders.reminders_of_notice(notice)] == [
        ("waiting", 0),
        ("nobody", 0),
    ]
    assert fresh(notice).rounds == 1


@pytest.mark.parametrize("verb", [workflow.withdraw_notice, workflow.stop_sending])
def test_stops_with_the_notice(school, hanako, verb):
    notice = by_itself(school, hanako)
    verb(put(notice, state="sending"), hanako, clock.now())
    assert begin_after(31) == [] and fresh(notice).rounds == 1
    assert reminders.reminders_of_notice(notice)[0].state == "called_off"


@pytest.mark.parametrize("verb", [related_notices.create_correction, related_notices.create_update])
def test_a_correction_or_newer_news_calls_off_reminders_of_what_was_wrong(school, hanako, verb):
    notice = by_itself(school, hanako)
    better = verb(notice, hanako, clock.now())
    assert reminders.reminders_of_notice(notice)[0].state == "waiting"
    smarthost.confirmed(better, hanako)
    start.start_due_notices(clock.now())
    assert (
        reminders.reminders_of_notice(notice)[0].state == "called_off"
        and reminders.reminders_of_notice(better)[0].state == "waiting"
    )


def test_an_urgent_notice_rests_when_a_newer_urgent_one_is_out(school, hanako):
    """Field 5.2.7: the second decision must not be confused with the first."""
    first = by_itself(school, hanako, urgent=True)
    later(minutes=10)
    second = by_itself(school, hanako, urgent=True)
    assert begin_after(21) == [] and reminders.reminders_of_notice(first)[0].state == "called_off"
    assert begin_after(10) == [second.id]


def test_one_sent_by_hand_puts_off_the_next_by_itself(school, hanako):
    notice = by_itself(school, hanako)
    later(minutes=25)
    reminders.request_reminder(notice, hanako, clock.now())
    assert begin_after(4) == [notice.id]
    assert begin_after(20) == [] and begin_after(11) == [notice.id]


@pytest.mark.parametrize(
    ("hour", "urgent", "expected"), [(21.4, False, 22), (21.6, False, 31), (5, False, 7), (21.6, True, 22)]
)
def test_in_the_quiet_hours_ordinary_ones_wait_until_seven(school, hanako, hour, urgent, expected):
    """Field 4.3 no. 8: nobody is woken by what can wait."""
    later(hours=hour - 10)
    notice = by_itself(school, hanako, urgent=urgent)
    at = clock.to_local(reminders.reminders_of_notice(notice)[0].send_at)
    begun_day = clock.to_local(notice.started_at).date()
    assert (at.date() - begun_day).days * 24 + at.hour == (22 if urgent else {22: 21}.get(expected, expected))


def test_one_that_was_put_off_into_the_night_waits_for_the_morning(school, hanako):
    later(hours=11.2)  # 21:12
    notice = by_itself(school, hanako)
    Reminder.update(send_at=clock.now() + timedelta(minutes=45)).execute()
    put(notice, state="paused")
    assert begin_after(48) == []
    put(notice, state="sent")
    at = clock.to_local(fresh(reminders.reminders_of_notice(notice)[0]).send_at)
    assert (at.hour, at.minute) == (7, 0)
    later(hours=9)
    assert reminders.start_due_reminders(clock.now()) == [notice.id]


def test_the_sweep_finds_what_is_due_without_any_bell(sent, hanako):
    """Law 1."""
    import tasks

    reminders.request_reminder(sent, hanako, clock.now())
    later(seconds=181)
    tasks._run_due_jobs()
    assert len(second_round(sent)) == 4
