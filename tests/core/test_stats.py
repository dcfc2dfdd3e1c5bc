"""Figures, each recomputed by plain SQL that knows nothing of the code under test (E-10, E-16, E-17, X-07, X-13)."""

from datetime import timedelta

import pytest

import clock
from core.notices import questions, tracking_options
from core.permissions import permissions_of
from core.reports import stats
from core.responses import answers, phone_marks
from core.responses.answers import SubmittedAnswer
from database import db
from models import Choice, Delivery, Letter, MailingList, Notice, NoticeStats, PageView, Question, Target
from tests import cast_notices, smarthost
from tests.cast_notices import PHONE, SCANNER, outcome


@pytest.fixture(autouse=True)
def no_practice(school):
    """The cast's notices were real; the house of the tests has a mail server."""
    smarthost.send_by(1)


@pytest.fixture
def sent(school):
    at = clock.now() - timedelta(hours=5)
    return cast_notices.send([school.lists["whole"]], by=school.users["守"], at=at)


def read(sent, name, minutes):
    at = sent.notice.started_at + timedelta(minutes=minutes)
    Delivery.update(read_at=at, read_via="press").where(Delivery.id == sent.deliveries[name].id).execute()


def sql(statement: str, *values) -> tuple:
    return db.execute_sql(statement, values).fetchone()


@pytest.mark.proves("E-10")
def test_delivery_rate_as_the_source_has_it():
    """E-10: 200 sent, 3 came back: 98.5 %; nothing sent: ―, not 0 and not 100."""
    assert stats.delivery_rate(200, 3) == 98.5
    assert stats.delivery_rate(0, 0) is None
    assert stats.sent_and_failed({"accepted": 197, "bounced": 2, "refused": 1}) == (200, 3)


@pytest.mark.proves("E-10")
def test_what_never_left_and_who_gets_none_is_no_part_of_sent(sent):
    """E-10: excluded recipients are not in "sent"; what waits, was skipped or cancelled neither."""
    names = ["青山 健太", "青山 美咲", "石川 直樹", "加藤 誠", "木村 恵", "鈴木 大輔"]
    for name, state in zip(names, ("bounced", "refused", "expired", "waiting", "cancelled", "accepted"), strict=True):
        outcome(sent.deliveries[name], state)
    sums = stats.refresh_totals(sent.notice, clock.now())
    counted = sql(
        "SELECT sum(state IN ('accepted','bounced','refused')), sum(state IN ('bounced','refused'))"
        " FROM letter WHERE is_current AND notice_id = ?",
        sent.notice.id,
    )
    assert (sums.sent, sums.failed) == counted == (3, 2)
    assert stats.stats_of_notice(sent.notice, clock.now()).delivered == pytest.approx(100 / 3)


@pytest.mark.proves("E-16")
def test_confirmed_is_counted_by_household_with_its_whole(sent, school):
    """E-16: read by one guardian is read by the household; families without an address are asked too."""
    read(sent, "青山 健太", 5)
    read(sent, "青山 美咲", 2)
    read(sent, "加藤 誠", 90)
    phone_marks.mark_phoned(
        sent.notice, [sent.deliveries["和田 幸子"].id], by=school.users["守"], lists=None, now=clock.now()
    )
    sums = stats.refresh_totals(sent.notice, clock.now())
    asked, done, told = sql(
        "SELECT count(*), sum(r), sum(t AND NOT r) FROM"
        " (SELECT max(d.read_at IS NOT NULL) r, max(d.phoned_at IS NOT NULL) t FROM delivery d"
        " JOIN delivery_membership c ON c.delivery_id = d.id WHERE d.notice_id = ? AND d.reason IN ('', 'no_address')"
        " GROUP BY c.household)",
        sent.notice.id,
    )
    assert (sums.asked, sums.read, sums.told) == (asked, done, told) == (6, 2, 1)
    assert stats.stats_of_notice(sent.notice, clock.now()).read == pytest.approx(100 * 2 / 6)


def test_how_fast_and_at_what_hour(sent):
    """E-17, X-13: half of six households after the third; the first time of a household counts."""
    for name, minutes in (("青山 健太", 50), ("青山 美咲", 10), ("加藤 誠", 61), ("木村 恵", 130), ("鈴木 大輔", 200)):
        read(sent, name, minutes)
    sums = stats.refresh_totals(sent.notice, clock.now())
    assert (sums.half_s, sums.read_1h) == (130 * 60, 1)
    assert stats.read_curve(sent.notice) == [(10, 1), (30, 1), (60, 1), (180, 3), (720, 4), (1440, 4), (2880, 4)]
    by_sql = dict(
        db.execute_sql(
            "SELECT h, count(*) FROM (SELECT (min(d.read_at) / 3600000 + 9) % 24 h FROM delivery d JOIN delivery_membership c"
            " ON c.delivery_id = d.id WHERE d.notice_id = ? AND d.read_at IS NOT NULL GROUP BY c.household) GROUP BY h",
            (sent.notice.id,),
        ).fetchall()
    )
    assert {hour: n for hour, n in enumerate(sums.hours) if n} == by_sql


def test_until_half_have_confirmed_there_is_no_half(sent):
    read(sent, "加藤 誠", 1)
    assert stats.refresh_totals(sent.notice, clock.now()).half_s is None


def test_answered_of_those_who_could(sent):
    """One answer per household, children and guardians together."""
    row = Question.create(notice=sent.notice, place=1, text="出席？", unit="household")
    for number, text in ((1, "はい"), (2, "いいえ")):
        Choice.create(question=row, number=number, text=text)
    asked = questions.load_questions(sent.notice.id)[0]
    for name in ("青山 健太", "加藤 誠"):
        answers.submit_answers(sent.deliveries[name], {asked.id: SubmittedAnswer(1)}, agent=PHONE, now=clock.now())
    line = stats.stats_of_notice(sent.notice, clock.now())
    assert (line.sums.answered, line.sums.could_answer) == (2, 6)
    assert sql("SELECT count(*) FROM answer WHERE superseded_at IS NULL") == (2,)


COUNTED = """
SELECT sum(o AND NOT p), sum(p), sum(c) FROM (
 SELECT max(v.page = 'o' AND v.agent NOT LIKE '%Proxy%') o, max(v.page = 'o' AND v.agent LIKE '%Proxy%') p,
  max(v.page LIKE 'c%') c FROM page_view v JOIN delivery d ON d.id = v.delivery_id
  JOIN letter l ON l.delivery_id = d.id AND l.state = 'accepted'
 WHERE d.notice_id = ? AND (v.agent LIKE '%Proxy%' OR NOT v.automatic AND v.at >= l.done_at + 60000
  AND v.agent <> 'Mozilla/5.0') GROUP BY d.id)"""


def counted(school, **options):
    """Send a notice of which readers, a proxy, a scanner and a program that loads ahead fetched something."""
    at = clock.now() - timedelta(hours=5)
    made = cast_notices.send([school.lists["whole"]], by=school.users["守"], at=at, **options)
    tracking_options.store_links(made.notice)
    for name, page, minutes, agent in (
        ("青山 健太", "o", 7, PHONE),
        ("青山 健太", "o", 90, PHONE),
        ("青山 健太", "c1", 8, PHONE),
        ("青山 美咲", "o", 0.5, PHONE),
        ("石川 直樹", "o", 61, "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"),
        ("加藤 誠", "o", 70, "Mozilla/5.0"),
        ("加藤 誠", "c1", 70, SCANNER),
        ("木村 恵", "c1", 130, PHONE),
    ):
        PageView.create(
            delivery=made.deliveries[name],
            page=page,
            at=at + timedelta(minutes=minutes),
            agent=agent,
            automatic=agent == SCANNER or "Proxy" in agent,
        )
    return made


@pytest.mark.proves("N-15", "X-10")
def test_opened_and_links_opened_are_estimates_of_the_letters_that_count_them(school):
    """X-10, E-16, N-15: readers and their provider's proxy of the letters accepted; scanners and prefetchers not."""
    made = counted(school, tracking={"opens": True, "clicks": True})
    outcome(made.deliveries["鈴木 大輔"], "bounced")
    line = stats.stats_of_notice(made.notice, clock.now())
    sums = line.sums
    assert (sums.opened, sums.proxied, sums.clicked) == sql(COUNTED, made.notice.id) == (1, 1, 2)
    accepted = sql(
        "SELECT count(*) FROM letter WHERE is_current AND state = 'accepted' AND notice_id = ?", made.notice.id
    )
    assert (sums.opens_of, sums.clicks_of) == accepted * 2 == (5, 5)
    assert (line.opened, line.clicked) == (40, 40)


def test_a_switch_that_is_off_has_no_rate(school):
    """D-31: two switches; what was not counted is ―, not 0 %."""
    neither, opens = counted(school), counted(school, tracking={"opens": True})
    assert (
        stats.stats_of_notice(neither.notice, clock.now()).opened,
        stats.stats_of_notice(neither.notice, clock.now()).clicked,
    ) == (None,) * 2
    line = stats.stats_of_notice(opens.notice, clock.now())
    assert line.opened is not None and line.clicked is None
    both = stats.sum_lines("", stats.stats_lines([neither.notice, opens.notice], clock.now()))
    assert both.opens_of == 6 and both.clicks_of == 0 and both.sent == 12


@pytest.mark.proves("X-13")
def test_openings_by_hour_of_the_day_and_by_hour_of_sending(school):
    """X-13: the first opening of each letter; and what came of the notices that left at the same hour."""
    made = counted(school, tracking={"opens": True, "clicks": True})
    line = stats.stats_of_notice(made.notice, clock.now())
    by_sql = dict(
        db.execute_sql(
            "SELECT h, count(*) FROM (SELECT (min(v.at) / 3600000 + 9) % 24 h FROM page_view v JOIN delivery d"
            " ON d.id = v.delivery_id WHERE v.page = 'o' AND d.notice_id = ? AND d.name IN ('青山 健太', '石川 直樹')"
            " GROUP BY d.id) GROUP BY h",
            (made.notice.id,),
        ).fetchall()
    )
    hours = stats.hourly_activity([line])
    assert {hour: n for hour, n in enumerate(hours.opened) if n} == by_sql
    assert sum(hours.clicked) == 2 and [row[0] for row in hours.rows] == sorted(row[0] for row in hours.rows)
    begun = clock.to_local(made.notice.started_at).hour
    assert [(one.name, one.sent, one.opened) for one in stats.totals_by_sending_hour([line])] == [(str(begun), 6, 1)]
    assert stats.most_opened([line]) == [line]


def test_a_notice_that_asked_nothing_has_no_such_rate(school):
    plain = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], read_confirmation=False)
    line = stats.stats_of_notice(plain.notice, clock.now())
    assert (line.read, line.answered, line.delivered) == (None, None, 100)


# ── kept sums ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sums_are_counted_anew_while_young_and_fixed_after_thirty_days(sent):
    """The hourly task fixes them; then letters may be deleted and the figures stay."""
    notices = [sent.notice]
    assert stats.stats_lines(notices, clock.now())[0].sums.read == 0
    read(sent, "加藤 誠", 1)
    assert stats.stats_lines(notices, clock.now())[0].sums.read == 0
    assert stats.stats_lines(notices, clock.now() + timedelta(minutes=2))[0].sums.read == 1
    later = clock.now() + timedelta(days=31)
    assert stats.finalize_old_totals(clock.now()) == 0
    assert stats.finalize_old_totals(later) == 1 and stats.finalize_old_totals(later) == 0
    Letter.delete().where(Letter.notice == sent.notice).execute()
    Delivery.delete().where(Delivery.notice == sent.notice).execute()
    kept = stats.stats_lines([Notice.get_by_id(sent.notice.id)], later)[0]
    assert (kept.sums.read, kept.sums.sent, kept.sums.fixed) == (1, 6, True)
    assert NoticeStats.select().count() == 1


def test_the_hourly_task_counts_ahead_so_that_no_page_has_to(sent, school, monkeypatch):
    """X-12: at 10,000 members a page of the year would count for seconds, the first one in the hour."""
    later = clock.now() + timedelta(days=3)
    assert stats.refresh_recent_totals(later) == 1 and stats.refresh_recent_totals(later) == 0
    monkeypatch.setattr(stats, "refresh_totals", lambda notice, now: pytest.fail("a page counted"))
    assert stats.stats_lines([sent.notice], later + timedelta(minutes=70))[0].sums.sent == 6


# ── over time ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("E-17")
def test_over_time_is_the_sum_of_its_notices(sent, school):
    """E-17: by notice, by list, the fastest first; the sums by plain SQL over the letters."""
    second = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], at=clock.now() - timedelta(hours=1))
    for name in ("加藤 誠", "木村 恵", "鈴木 大輔"):
        read(sent, name, 30)
    for name in ("石川 直樹", "青山 健太", "鈴木 大輔"):
        read(second, name, 3)
    outcome(second.deliveries["石川 直樹"], "bounced")
    found = stats.stats_lines(stats.visible_notices(permissions_of(school.users["守"])), clock.now())
    everything = stats.sum_lines("", found)
    assert (everything.sent, everything.failed) == sql(
        "SELECT count(*), sum(state = 'bounced') FROM letter WHERE is_current"
    )
    assert [one.notice.id for one in stats.fastest_read(found)] == [second.notice.id, sent.notice.id]
    totals = {one.name: (one.notices, one.sent, one.read) for one in stats.totals_by_list(found)}
    assert totals == {"全校": (1, 6, 3), "1年1組": (1, 4, 3)}
    assert sum(stats.hourly_activity(found).read) == 6


def test_each_sees_the_figures_of_the_own_lists_alone(sent, school):
    """T-33: a notice to 全校 belongs to nobody's class alone; practice and other people's lists stay out."""
    mine = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    both = cast_notices.send([school.lists["1-1"], school.lists["2-1"]], by=school.users["守"])
    cast_notices.send([school.lists["1-1"]], by=school.users["花子"], practice=True)
    own = MailingList.create(name="練習", address="renshu", practice_of=school.users["花子"])
    practice = Notice.create(state="sent", started_at=clock.now(), by=school.users["花子"])
    Target.create(notice=practice, kind="list", number=own.id)

    def seen(name, **options):
        return [one.id for one in stats.visible_notices(permissions_of(school.users[name]), **options)]

    assert seen("花子") == [mine.notice.id] and seen("見る子") == [mine.notice.id] and seen("太郎") == []
    assert set(seen("守")) == {sent.notice.id, mine.notice.id, both.notice.id}
    assert seen("守", list_id=school.lists["2-1"].id) == [both.notice.id]


def test_a_school_year_runs_from_april_to_march(school):
    rights = permissions_of(school.users["守"])
    for year, month, day in ((2025, 3, 31), (2025, 4, 1), (2026, 3, 31)):
        at = clock.now().replace(year=year, month=month, day=day, hour=3)
        cast_notices.send([school.lists["1-1"]], by=school.users["花子"], at=at)
    now = clock.now().replace(year=2026, month=2, day=1)
    assert stats.school_years(rights, now) == [2025, 2024]
    assert [len(list(stats.visible_notices(rights, year=year))) for year in (2024, 2025, 2026)] == [1, 2, 0]
