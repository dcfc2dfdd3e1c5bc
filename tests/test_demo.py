"""The sample school: true to its dates, complete, filled once, never beside real letters or people (E-20)."""

import html
import json
import re
import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner

import clock
import config as ground
from cli.demo import demo
from core import demo as school
from core import settings
from core.accounts import passwords
from core.demo import dates
from core.demo import past_notices as demo_past
from core.errors import DomainError
from core.notices import questions
from core.reports import poll_results
from database import db
from models import (
    AllowedSender,
    Answer,
    AuditLog,
    Child,
    Delivery,
    Letter,
    MailingList,
    Membership,
    Notice,
    Organization,
    Person,
    Question,
    Role,
    User,
)
from tests import smarthost

NOW = datetime(2027, 2, 24, 0, 30, tzinfo=UTC)  # 9:30 at school
DAYS = [date(2026, 12, 25) + timedelta(days=one) for one in range(0, 80, 3)]
DATE = re.compile(r"(?:(\d{1,2})月|(\d{1,2})/)?(\d{1,2})日?\(([月火水木金土日])\)")


@pytest.fixture(scope="module")
def kept():
    """The tables of the sample school, and the passwords of its organizers once they are filled."""
    with closing(sqlite3.connect(":memory:")) as tables:
        yield tables, []


@pytest.fixture
def filled(config, kept):
    """The sample school, filled on a Wednesday in winter; filled once, and a copy for each test."""
    tables, written = kept
    if not written:
        written.append(school.fill_demo(NOW))
        db.connection().backup(tables)
    else:
        tables.backup(db.connection())
    return list(written[0])


# ── dates ────────────────────────────────────────────────────────────────────────────────────────────────────────


def entries():
    return [entry for entry in demo_past.load_notices() if "use" in entry]


def dates_in(text: str, near: date):
    """Read month, day and weekday out of a text, apart from the code that wrote them."""
    month = near.month
    for found in DATE.finditer(text):
        month = int(found[1] or found[2] or month)
        year = min((near.year - 1, near.year, near.year + 1), key=lambda one: abs(date(one, month, 1) - near))
        yield date(year, month, int(found[3])), found[4]


@pytest.mark.parametrize("today", DAYS, ids=str)
def test_no_weekday_is_wrong_and_every_date_is_near(today):
    seen = 0
    for entry in entries():
        written = dates.day_for_weekdays(entry["written"]["on"], entry["use"]["weeks"], today)
        text = dates.fill_dates(entry["subject"] + "\n" + entry["body"], written)
        for day, weekday in dates_in(text, written):
            assert "月火水木金土日"[day.weekday()] == weekday, (entry["id"], day, weekday)
            assert -1 <= (day - written).days <= 31, (entry["id"], day)
            seen += 1
    assert seen >= 15


@pytest.mark.parametrize("entry", demo_past.load_notices(), ids=lambda entry: entry["id"])
def test_no_text_holds_a_date_of_its_own(entry):
    text = json.dumps([entry["subject"], entry["body"], entry.get("poll")], ensure_ascii=False)
    assert not re.search(r"20\d\d|令和\d|\d月|\d/\d+\(|\d日\(", text)
    written = dates.day_for_weekdays(entry["written"]["on"], 0, DAYS[0])
    assert not re.search(r"\{[+>-]", dates.fill_dates(text, written))


@pytest.mark.parametrize(
    ("weeks", "day"), [(-2, "2027-02-12"), (-1, "2027-02-19"), (0, "2027-02-26"), (1, "2027-02-26"), (2, "2027-03-05")]
)
def test_a_weekday_is_found_around_today(weeks, day):
    assert dates.day_for_weekdays("金", weeks, date(2027, 2, 24)) == date.fromisoformat(day)


def test_today_counts_as_the_next_such_day_but_not_as_tomorrow():
    wednesday = date(2027, 2, 24)
    assert dates.day_for_weekdays("水", 0, wednesday) == wednesday
    assert dates.day_for_weekdays("水", 1, wednesday) == wednesday + timedelta(days=7)
    assert dates.day_for_weekdays("水", -1, wednesday) == wednesday - timedelta(days=7)


def test_duty_days_move_to_the_coming_weeks_with_their_weekdays():
    today = date(2027, 2, 24)
    days = [row.attributes["当番日"] for row in school.roster_rows(today) if "当番日" in row.attributes]
    found = [pair for text in days for pair in dates_in(text, today)]
    assert len(found) == len(days) == 37
    assert all("月火水木金土日"[day.weekday()] == weekday for day, weekday in found)
    assert today <= min(day for day, _ in found) < today + timedelta(days=7)


# ── what is there ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("E-20")
def test_the_school_has_its_lists_members_and_organizers(filled):
    house = Organization.load_row()
    assert (house.name, settings.is_set_up()) == ("かえで原小学校", True)
    names = {one.name: one for one in MailingList.open_lists()}
    assert {"全校", "1年1組", "6年2組", "PTA役員", "かえで原FC"} <= set(names)
    assert names["全校"].whole and len(names) == 15
    assert Membership.select().where(Membership.list == names["全校"]).count() >= 40
    assert {(role.user.name, role.kind) for role in Role.select()} == {
        ("小川 守", "admin"),
        ("長谷川 小百合", "manager"),
        ("森 雄一", "manager"),
        ("北村 光代", "viewer"),
    }
    assert MailingList.select().where(MailingList.practice_of.is_null(False)).count() == 3
    assert {(one.list.name, one.name) for one in AllowedSender.select()} == {
        ("全校", "小川 守"),
        ("かえで原FC", "森 雄一"),
    }


def test_a_family_stands_in_the_list_of_its_class_as_in_the_whole_school(filled):
    rooms = Membership.select(MailingList.name, Child.name).join(MailingList).switch(Membership).join(Child).tuples()
    at = {}
    for list_name, child in rooms:
        at.setdefault(child, set()).add(list_name)
    assert at["鈴木 海斗"] == {"全校", "3年2組", "かえで原FC"}
    assert at["鈴木 美月"] >= {"全校", "6年2組"}
    assert at["原田 朝陽"] == {"全校"}, "without a class"


def test_a_family_without_an_address_can_be_telephoned(filled):
    (family,) = Person.select().where(Person.address.is_null())
    assert family.name == "和田 幸子" and family.phone


def test_the_past_is_behind_us_and_its_reads_lie_between_sending_and_now(filled):
    sent = list(Notice.select().where(Notice.state.in_(("sent", "withdrawn"))))
    assert len(sent) == 13 and all(one.practice and one.started_at < NOW for one in sent)
    for one in sent:
        reads = [
            row.read_at for row in Delivery.select().where(Delivery.notice == one, Delivery.read_at.is_null(False))
        ]
        assert all(one.started_at < at < NOW and 6 <= clock.to_local(at).hour < 23 for at in reads)
    whole = [one for one in sent if one.wording.subject.startswith("【重要】明日の運動会")][0]
    readers = Delivery.select().where(Delivery.notice == whole, Delivery.reason == "")
    assert readers.where(Delivery.read_at.is_null(False)).count() > 0.8 * readers.count()


def test_one_notice_had_its_troubles(filled):
    notice = next(one for one in Notice.select() if "不審者" in one.wording.subject)
    letters = Letter.select(Letter.state, Letter.reason).where(Letter.notice == notice, Letter.state != "accepted")
    assert set(letters.tuples()) == {("refused", "unknown_user"), ("refused", "filtered"), ("expired", "full")}
    told = Delivery.get(Delivery.notice == notice, Delivery.reason == "no_address")
    assert told.phoned_at > notice.started_at and told.phoned_by.name == "小川 守"
    states = {one.name: one.address_state for one in Person.select().where(Person.address_state != "fine")}
    assert states == {"江口 翔": "bounced", "藤井 智子": "refusing", "関口 由美": "bounced"}


def test_one_is_booked_for_tomorrow_and_three_wait_as_drafts(filled):
    (booked,) = Notice.select().where(Notice.state == "scheduled")
    assert clock.to_local(booked.send_at).isoformat() == "2027-02-25T07:00:00+09:00"
    drafts = {one.wording.subject: one for one in Notice.select().where(Notice.state == "draft")}
    typhoon = next(one for subject, one in drafts.items() if "臨時休校" in subject)
    assert len(drafts) == 3 and typhoon.urgent
    assert Notice.select().where(Notice.state.not_in(("sent", "withdrawn", "scheduled", "draft"))).count() == 0


def test_a_withdrawn_notice_is_followed_by_its_correction(filled):
    wrong = Notice.get(Notice.state == "withdrawn")
    right = Notice.get(Notice.correction_of == wrong)
    assert right.state == "sent" and wrong.withdrawn_at < right.started_at


def test_the_record_is_told_in_the_order_of_time(filled):
    moments = [row.at for row in AuditLog.select().where(AuditLog.action.startswith("notice.")).order_by(AuditLog.id)]
    assert moments == sorted(moments) and moments[0] < NOW - timedelta(days=28) and moments[-1] <= NOW


def test_every_address_lies_in_a_reserved_domain():
    rows = school.roster_rows(NOW.date()) + school.family_rows(300)
    typed = [unicodedata.normalize("NFKC", row.address).lower() for row in rows if row.address]
    domains = {one.rpartition("@")[2] for one in typed} - {"ｓｃｈｏｏｌ．ｅｘａｍｐｌｅ．ｊｐ"}
    reserved = re.compile(r"(.+\.)?example(\.(com|net|org|jp))?$")
    assert len(domains) >= 5 and all(reserved.fullmatch(one) or "＠" in one for one in domains), domains


# ── larger, once, nowhere else ───────────────────────────────────────────────────────────────────────────────────


def test_a_larger_school_is_the_same_each_time():
    assert school.family_rows(40) == school.family_rows(40)
    rows = school.family_rows(344)
    assert len({(row.child_name, row.grade, row.class_name) for row in rows}) == len({row.child_name for row in rows})
    sizes = [sum((row.grade, row.class_name) == (str(g), str(c)) for row in rows) for g in range(1, 7) for c in (1, 2)]
    assert min(sizes) > 25, sizes


def test_a_larger_school_has_so_many_households(config):
    school.fill_demo(NOW, families=90)
    households = Child.select(Child.household).where(Child.household != "").distinct().count()
    assert households == 90


def test_the_command_prints_the_passwords_once_and_they_open_the_door(config):
    run = CliRunner(env={"KAIRAN_DATA": str(config.data)})
    first = run.invoke(demo, [])
    assert first.exit_code == 0 and first.stdout == ""
    password = re.search(r"小川 守  (\S+)", first.stderr)[1]

    assert passwords.verify_password(User.get(User.name == "小川 守").password, password)
    count = Notice.select().count()
    second = run.invoke(demo, [])
    assert second.exit_code == 0 and "already" in second.stderr and "user reset" in second.stderr
    assert not re.search(r"\w{5}-\w{5}-\w{5}", second.stderr)
    assert Notice.select().count() == count


@pytest.mark.proves("E-20")
def test_it_refuses_beside_an_outside_mail_server(config):
    ground.set_current_config(replace(config, smtp="smtp+starttls://mail.school.example:587"))
    with pytest.raises(DomainError, match="mail server"):
        school.fill_demo(NOW)
    ground.set_current_config(replace(config, smtp="smtp://127.0.0.1:2525"))
    assert school.fill_demo(NOW)


def test_it_refuses_beside_an_outside_mail_server_set_on_a_page(config):
    settings.update_organization(None, smtp="smtps://mail.school.example")
    with pytest.raises(DomainError, match="mail server"):
        school.fill_demo(NOW)
    assert not MailingList.select().exists()


def test_it_refuses_in_a_house_in_use(school):
    from core import demo as sample

    with pytest.raises(DomainError, match="in use"):
        sample.fill_demo(NOW)


def test_a_fill_that_fails_leaves_nothing(config, monkeypatch):
    def broken(past):
        raise RuntimeError("no power")

    monkeypatch.setattr(school, "create_past_notices", broken)
    with pytest.raises(RuntimeError):
        school.fill_demo(NOW)
    assert not MailingList.select().exists() and not User.select().exists() and not settings.is_set_up()


# ── its pages ────────────────────────────────────────────────────────────────────────────────────────────────────


def crawl(browser, start: str, most: int) -> dict[str, int]:
    """Follow the links of the pages from one address; return {address: status}."""
    seen: dict[str, int] = {}
    queue = [start]
    while queue and len(seen) < most:
        url = queue.pop(0)
        if url in seen:
            continue
        got = browser.get(url)
        seen[url] = got.status_code
        if got.mimetype == "text/html":
            found = re.findall(r'href="(/[^"#]*)', got.get_data(as_text=True))
            queue += [html.unescape(one) for one in found if not one.startswith("/static/")]
    return seen


@pytest.mark.parametrize("who", ["小川 守", "長谷川 小百合", "森 雄一", "北村 光代"])
def test_no_link_of_the_sample_school_is_broken(config, who):
    from app import create_app

    passwords_of = dict(school.fill_demo(clock.now()))
    app = create_app(config)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    browser = app.test_client()
    assert browser.post("/login", data={"name": who, "password": passwords_of[who]}).status_code == 303
    seen = crawl(browser, "/", 90)
    assert {url: status for url, status in seen.items() if status not in (200, 302, 303)} == {}
    assert len(seen) > 12
    front = browser.get("/").get_data(as_text=True)
    assert "かえで原小学校" in front and "練習" in front


@pytest.mark.proves("T-48")
def test_each_kind_of_question_was_asked_and_answered(filled):
    """T-48: attendance, vote, days, proxy, safety; one family each telephoned, some have not answered."""
    asked = {one.kind: one for one in Question.select()}
    assert set(asked) == set(questions.PRESETS) - {"own"}
    for kind, question in asked.items():
        counted = poll_results.poll_document(question.notice)["questions"][0]
        assert 0 < counted["answered"] < counted["asked"], kind
        assert NOW - timedelta(weeks=6) < question.deadline < NOW + timedelta(weeks=3)
    kept = Answer.select()
    assert all(one.delivery.notice.started_at < one.at < NOW for one in kept)
    assert all(one.at <= one.question.deadline for one in kept if one.how == "press")
    assert {one.how for one in kept} == {"press", "organizer"}
    letters = Delivery.select().where(Delivery.notice == asked["attendance"].notice, Delivery.siblings == True)
    assert letters.exists(), "brothers and sisters have a letter each"


@pytest.mark.proves("E-20")
def test_a_notice_of_the_sample_school_leaves_nothing_but_files_in_the_outbox(filled, config):
    by = User.get(User.name == "小川 守")
    before = len(list((config.data / "outbox").glob("*")))
    notice = smarthost.begun(by, [MailingList.get(MailingList.whole == True)])
    assert smarthost.drained()
    sent = Letter.select().where(Letter.notice == notice, Letter.state == "accepted").count()
    assert sent > 20 and smarthost.fresh(notice).practice
    assert len(list((config.data / "outbox").glob("*"))) - before >= sent
