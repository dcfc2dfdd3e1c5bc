"""Thirty days after the school year's end letters, names and answers go, and the sums stay (design decision 15)."""

from datetime import datetime, timedelta

import pytest

import clock
import tasks
from core import audit, settings
from core.notices import content_checks, drafts, drip, workflow
from core.notices.audience import resolve_audience
from core.permissions import permissions_of
from core.reports import notice_list, poll_results, progress, stats, summaries
from core.responses import answers, phone_marks
from core.responses.answers import SubmittedAnswer
from core.retention import expired_links, purge
from database import db
from models import (
    Answer,
    AuditLog,
    Delivery,
    DeliveryMembership,
    ExpiredLink,
    InboundMessage,
    Letter,
    Membership,
    Notice,
    NoticeStats,
    Organization,
    PageView,
    Person,
    Rollover,
    StepSent,
)
from tests import cast_notices, smarthost
from tests.cast_notices import PHONE, outcome


def at(year: int, month: int, day: int, hour: int = 9) -> datetime:
    """Return a moment of the school's clock."""
    return clock.from_local(datetime(year, month, day, hour))  # noqa: DTZ001


MARCH, TOLD, MAY = at(2027, 3, 10), at(2027, 4, 17), at(2027, 5, 1)


@pytest.fixture(autouse=True)
def real(school):
    """The cast's notices were no practice."""
    smarthost.send_by(1)


@pytest.fixture
def old(school):
    """A notice of March with a question, outcomes, reads, a call and visits."""
    sent = cast_notices.send(
        [school.lists["whole"]], by=school.users["守"], at=MARCH, tracking={"opens": True}, subject="修了式について"
    )
    asked = cast_notices.ask(sent)[0]
    for name, minutes in (("青山 健太", 5), ("加藤 誠", 90)):
        when = MARCH + timedelta(minutes=minutes)
        Delivery.update(read_at=when, read_via="press").where(Delivery.id == sent.deliveries[name].id).execute()
        PageView.create(delivery=sent.deliveries[name], page="o", at=when, agent=PHONE)
    answers.submit_answers(
        sent.deliveries["木村 恵"], {asked.id: SubmittedAnswer(2)}, agent=PHONE, now=MARCH + timedelta(days=40)
    )
    outcome(sent.deliveries["鈴木 大輔"], "bounced")
    phone_marks.mark_phoned(
        sent.notice, [sent.deliveries["和田 幸子"].id], by=school.users["守"], lists=None, now=MARCH
    )
    return sent


def tell_and_sweep(now: datetime = MAY) -> int:
    purge.warn_administrators(TOLD)
    Letter.update(state="accepted").where(Letter.kind == "forgetting").execute()
    return purge.run_purge(now, pause=lambda seconds: None)


def fresh(sent) -> Notice:
    return Notice.get_by_id(sent.notice.id)


def sql(statement: str, *values) -> tuple:
    return db.execute_sql(statement, values).fetchone()


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_administrators_are_told_two_weeks_before_and_once(old):
    assert purge.warn_administrators(TOLD - timedelta(days=1)) == 0
    assert [purge.warn_administrators(TOLD + timedelta(hours=one)) for one in range(3)] == [1, 0, 0]
    letter = Letter.get(Letter.kind == "forgetting")
    assert letter.address == "user0@school.example"  # 守 alone administers
    assert (letter.payload["notices"], letter.payload["day"]) == ("1", "5月1日(土)")
    assert settings.purge_starts_at(TOLD) == MAY


def test_nothing_goes_before_they_were_told_and_two_weeks_have_passed(old):
    """A house that was asleep all April tells in June, and deletes two weeks later."""
    assert purge.run_purge(MAY) == 0 and Delivery.select().exists()
    june = at(2027, 6, 2)
    assert purge.next_purge_date(june) == june + purge.WARN_BEFORE
    purge.warn_administrators(june)
    Letter.update(state="accepted").where(Letter.kind == "forgetting").execute()
    assert purge.run_purge(june + timedelta(days=13)) == 0
    assert purge.run_purge(june + timedelta(days=14)) > 0


def test_a_house_without_anything_old_is_left_in_peace(school):
    cast_notices.send([school.lists["1-1"]], at=at(2027, 4, 9))
    assert purge.warn_administrators(MAY) == 0
    assert purge.next_purge_date(MAY) == at(2028, 5, 1, 0)
    assert not Letter.select().where(Letter.kind == "forgetting").exists()


# ── deleting ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("X-02")
def test_everything_about_readers_goes_and_the_new_year_stays(old, school):
    new = cast_notices.send([school.lists["1-1"]], at=at(2027, 4, 9))
    service = Letter.create(
        kind="test", address="a@example.com", domain="example.com", made_at=MARCH, expires_at=MARCH, state="accepted"
    )
    InboundMessage.create(digest="x", recipient="r", at=MARCH, address="a@example.com", text="欠席します")
    assert tell_and_sweep() > 0
    for table in (Delivery, Letter):
        assert {row.notice_id for row in table.select() if row.notice_id} == {new.notice.id}
    assert (
        DeliveryMembership.select().join(Delivery).where(Delivery.notice == new.notice).count()
        == DeliveryMembership.select().count()
    )
    assert not Answer.select().exists() and not PageView.select().exists() and not InboundMessage.select().exists()
    assert not Letter.select().where(Letter.id == service.id).exists()
    assert fresh(old).wording.subject == "修了式について"
    assert tell_and_sweep(MAY + timedelta(hours=1)) == 0


FIGURES = """
SELECT (SELECT count(*) FROM letter WHERE is_current AND notice_id = n AND state IN ('accepted','bounced','refused')),
 (SELECT count(*) FROM letter WHERE is_current AND notice_id = n AND state IN ('bounced','refused')),
 (SELECT count(*) FROM (SELECT max(d.read_at IS NOT NULL) r FROM delivery d JOIN delivery_membership c ON c.delivery_id = d.id
  WHERE d.notice_id = n AND d.reason IN ('','no_address') GROUP BY c.household)),
 (SELECT count(DISTINCT c.household) FROM delivery d JOIN delivery_membership c ON c.delivery_id = d.id
  WHERE d.notice_id = n AND d.read_at IS NOT NULL),
 (SELECT count(*) FROM answer a JOIN question q ON q.id = a.question_id
  WHERE q.notice_id = n AND superseded_at IS NULL),
 (SELECT count(DISTINCT v.delivery_id) FROM page_view v JOIN delivery d ON d.id = v.delivery_id
  WHERE d.notice_id = n AND v.page = 'o')
FROM (SELECT ? AS n)"""
SUMMED = "SELECT sent, failed, asked, read, answered, opened FROM notice_stats WHERE notice_id = ?"


def test_figures_over_time_are_the_same_before_and_after(old, school):
    """E-10, E-16, E-17, X-10: by SQL over the letters before, over the sums after; an answer of April counts."""
    before = sql(FIGURES, old.notice.id)
    stats.finalize_old_totals(MARCH + timedelta(days=31))  # fixed before the answer of the fortieth day
    rights = permissions_of(school.users["守"])
    tell_and_sweep()
    assert not Delivery.select().exists()
    assert sql(SUMMED, old.notice.id) == before == (6, 1, 6, 3, 1, 2)
    year = stats.stats_lines(stats.visible_notices(rights, year=2026), MAY)
    total = stats.sum_lines("", year)
    assert (total.sent, total.failed, total.asked, total.read, total.answered, total.opened) == before
    assert sum(stats.hourly_activity(year).read) == 3 and sum(stats.hourly_activity(year).opened) == 2
    again = stats.stats_lines(stats.visible_notices(rights, year=2026), MAY + timedelta(days=400))[0]
    assert again.sums == year[0].sums and stats.stats_of_notice(fresh(old), MAY).sums == year[0].sums


def test_what_stays_of_a_notice_by_state_class_and_choice(old, school):
    current = settings.load_settings()
    whole = progress.notice_progress(old.notice, current, MAY)
    was = progress.notice_document(old.notice, current, MAY, deliveries=False)
    curve, count = stats.read_curve(old.notice), summaries.count_households([old.notice.id], None)
    tell_and_sweep()
    notice = fresh(old)
    stays = summaries.summary_of_notice(notice)
    assert progress.notice_progress(notice, current, MAY).counts == whole.counts
    assert progress.notice_document(notice, current, MAY, deliveries=False) == was
    assert stats.read_curve(notice) == curve and summaries.count_households([notice.id], None) == count
    rooms = {(one.grade, one.class_name): (one.asked, one.read, one.told) for one in stays.rooms}
    assert rooms == {("1", "1"): (4, 1, 1), ("2", "1"): (3, 2, 0)}
    (result,) = poll_results.stored_results(notice)
    assert [bar.count for bar in result.bars] == [0, 1, 0] and (result.answered, result.asked) == (1, 6)
    assert notice_list.notice_rows([notice])[0].answered == 1


def test_who_sees_one_class_learns_nothing_of_the_others(old, school):
    """T-33"""
    tell_and_sweep()
    one = progress.notice_progress(fresh(old), settings.load_settings(), MAY, {school.lists["1-1"].id})
    whole = progress.notice_progress(fresh(old), settings.load_settings(), MAY, None)
    assert any(whole.counts.values()) and not any(one.counts.values())
    assert summaries.count_households([old.notice.id], {school.lists["1-1"].id}) == {}


def test_killed_in_the_middle_it_goes_on_and_counts_the_same(old, monkeypatch):
    monkeypatch.setattr(purge, "CHUNK_SIZE", 2)
    before = sql(FIGURES, old.notice.id)

    class Killed(BaseException):
        pass

    moments = iter(range(100))

    def pause(seconds):
        if next(moments) == 1:
            raise Killed

    purge.warn_administrators(TOLD)
    Letter.update(state="accepted").where(Letter.kind == "forgetting").execute()
    with pytest.raises(Killed):
        purge.run_purge(MAY, pause=pause)
    left = Delivery.select().where(Delivery.notice == old.notice).count()
    assert 0 < left < 9 and sql(SUMMED, old.notice.id) == before
    assert purge.run_purge(MAY, pause=pause) > 0
    assert not Delivery.select().exists() and sql(SUMMED, old.notice.id) == before


def test_killed_between_closing_and_counting_it_counts_once_more(old):
    """Readers' pages are closed first, so that nothing comes between counting and deleting."""
    Notice.update(purged_at=MAY).where(Notice.id == old.notice.id).execute()
    assert summaries.summary_of_notice(fresh(old)) is None
    before = sql(FIGURES, old.notice.id)
    tell_and_sweep()
    assert sql(SUMMED, old.notice.id) == before and summaries.summary_of_notice(fresh(old)).reads == 3


def test_letters_that_wait_to_leave_come_first(old, school):
    purge.warn_administrators(TOLD)
    Letter.update(state="accepted").where(Letter.kind == "forgetting").execute()
    urgent = cast_notices.send([school.lists["1-1"]], at=MAY, state="sending")
    Letter.update(state="waiting", next_attempt_at=MAY).where(Letter.notice == urgent.notice).execute()
    assert purge.run_purge(MAY) == 0
    assert fresh(old).purged_at is None
    Letter.update(state="accepted").where(Letter.notice == urgent.notice).execute()
    assert purge.run_purge(MAY, pause=lambda seconds: None) > 0


def test_it_stops_between_two_steps_when_a_sending_begins(old, school, monkeypatch):
    monkeypatch.setattr(purge, "CHUNK_SIZE", 2)
    busy = iter((False, False, False, True))
    monkeypatch.setattr(purge, "is_queue_busy", lambda now: next(busy))
    purge.warn_administrators(TOLD)
    assert purge.run_purge(MAY, pause=lambda seconds: None) == 4
    assert Delivery.select().where(Delivery.notice == old.notice).exists()


def test_a_letter_that_is_still_open_keeps_its_notice(old):
    outcome(old.deliveries["加藤 誠"], "deferred")
    Letter.update(next_attempt_at=MAY + timedelta(hours=1)).where(Letter.state == "deferred").execute()
    tell_and_sweep()
    assert fresh(old).purged_at is None


def test_the_evidence_of_a_leak_stays_until_it_is_reported(old, school):
    """Who looks at a notice as a possible leak has sixty days for the final report (field 3.2)."""
    audit.log_action(school.users["守"], "notice.incident_viewed", old.notice.id)
    AuditLog.update(at=MAY - timedelta(days=20)).where(AuditLog.action == "notice.incident_viewed").execute()
    tell_and_sweep()
    assert fresh(old).purged_at is None and Delivery.select().exists()
    assert tell_and_sweep(MAY + timedelta(days=41)) > 0


def test_the_numbers_of_letters_never_come_again(old):
    """RFC 5322 3.6.4: the number stands in the Message-ID, so SQLite must not give it twice."""
    last = Letter.select().order_by(Letter.id.desc()).get().id
    Organization.update(
        purge_before_year=2027, purge_starts_at=MAY
    ).execute()  # told, but nobody has an address for the letter
    purge.run_purge(MAY, pause=lambda seconds: None)
    assert not Letter.select().where(Letter.id <= last).exists()
    fresh_one = Letter.create(kind="test", address="a@example.com", domain="example.com", expires_at=MAY)
    assert fresh_one.id > last


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_by_an_old_letter_one_can_still_leave_as_long_as_the_membership(old, school):
    """Decision 15; RFC 8058: one click stops every list that the letter covered, and says how to undo it."""
    suzuki, token = school.people["鈴木 大輔"], old.deliveries["鈴木 大輔"].token
    tell_and_sweep()
    found = expired_links.memberships_by_token(f" {token.upper()}。")
    assert [one.name for _, one in found] == ["全校"]
    assert expired_links.handle_expired_one_click(found, "https://kairan.test", MAY) is True
    states = {(row.list.name, row.state) for row in Membership.select().where(Membership.person == suzuki)}
    assert states == {("全校", "stopped"), ("1年1組", "active"), ("2年1組", "active")}
    letter = Letter.get(Letter.kind == "resume")
    assert letter.address == "suzuki@example.com" and "/mail/leave/" in letter.payload["url"]
    assert expired_links.handle_expired_one_click(found, "https://kairan.test", MAY) is False
    Membership.delete().where(Membership.person == suzuki).execute()
    assert expired_links.memberships_by_token(token) == []
    assert token not in str(list(ExpiredLink.select().tuples()))


# ── what follows joining, and who left ───────────────────────────────────────────────────────────────────────────


def test_a_letter_after_joining_is_not_sent_again_and_keeps_its_figures(school):
    """N-12: a step stands for years; who had it last year does not get it anew."""
    saki = school.people["石川 直樹"]
    mine = Membership.list == school.lists["1-1"]
    Membership.update(joined_at=MARCH - timedelta(days=30)).execute()
    said = drip.StepContent(days=0, minute=0, subject="ようこそ", text="本文", read_confirmation=True)
    step = drip.add_step(school.lists["1-1"], school.users["花子"], said, MARCH - timedelta(days=1))
    Membership.update(joined_at=MARCH).where(mine, Membership.person == saki).execute()
    clock.set_offset((MARCH + timedelta(days=1) - clock.now()).total_seconds() + clock._offset.total_seconds())
    assert drip.send_due_steps(clock.now()) == 1
    Letter.update(state="accepted", made_at=MARCH).execute()
    Delivery.update(read_at=MARCH).execute()
    Organization.update(purge_before_year=2027, purge_starts_at=MAY).execute()
    purge.run_purge(MAY, pause=lambda seconds: None)
    assert not Delivery.select().exists() and StepSent.select().count() == 1
    assert drip.send_due_steps(MAY) == 0
    assert drip.step_stats([step])[step.id] == drip.StepStats(1, 1)


def test_who_left_before_the_year_goes_and_who_stands_in_a_list_stays(old, school):
    gone, stays = school.people["雑音 二"], school.people["雑音 一"]
    Membership.update(left_at=MARCH).where(Membership.person == gone, Membership.state == "left").execute()
    Membership.update(state="left", left_at=MARCH).where(Membership.person == gone).execute()
    Membership.update(state="left", left_at=MARCH).where(
        Membership.person == school.people["木村 恵"], Membership.list == school.lists["2-1"]
    ).execute()
    Rollover.create(state="ended", made_at=MARCH)
    tell_and_sweep()
    assert Person.select().where(Person.id == gone.id).exists()  # its class waits for who was in it
    Rollover.update(state="done").execute()
    purge.run_purge(MAY, pause=lambda seconds: None)
    assert not Person.select().where(Person.id == gone.id).exists()
    assert Person.select().where(Person.id.in_([stays.id, school.people["木村 恵"].id])).count() == 2
    assert not Membership.select().where(Membership.state == "left").exists()


def test_a_withdrawn_notice_goes_too_and_a_held_one_asks_on(old, school):
    Notice.update(state="withdrawn").where(Notice.id == old.notice.id).execute()
    tell_and_sweep()
    assert fresh(old).purged_at and workflow.STATE_LABELS[fresh(old).state]
    assert NoticeStats.get(NoticeStats.notice == old.notice).kept


def test_what_fails_in_the_hour_does_not_keep_the_rest_from_its_turn(old, monkeypatch, caplog):
    """The hourly task is one loop: a resolver that hangs or a full disk must not stop the clock of the year."""

    def broken(now):
        raise OSError("no space left")

    purge.warn_administrators(TOLD)
    Letter.update(state="accepted").where(Letter.kind == "forgetting").execute()
    monkeypatch.setattr(tasks, "HOURLY_JOBS", (broken, purge.run_purge))
    clock.set_offset((MAY - clock.now() + clock._offset).total_seconds())
    tasks._housekeeping()
    assert fresh(old).purged_at and "broken" in caplog.text


def test_the_hour_deletes_after_it_has_written(old):
    assert tasks.HOURLY_JOBS.index(purge.warn_administrators) < tasks.HOURLY_JOBS.index(purge.run_purge)
    assert tasks.HOURLY_JOBS[-1] is purge.run_purge  # the longest comes last


def test_a_notice_of_may_is_compared_with_what_is_still_known(old, school):
    """X-06: nobody is called new because last year's readers are deleted, and what was sent to many stays many."""
    tell_and_sweep()
    fresh_one = drafts.create_draft(school.users["守"], now=MAY)
    drafts.set_recipients(fresh_one, lists=[school.lists["whole"].id], now=MAY)
    audience = resolve_audience(fresh_one)
    assert content_checks.compare_with_previous(fresh_one, audience) is None
    assert content_checks._largest_send(fresh_one) == 6
