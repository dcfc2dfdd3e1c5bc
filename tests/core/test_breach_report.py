"""An incident out of the record: who has a letter, what proves that it was seen, and the days of the law (X-02)."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from core.notices import attachments, questions, related_notices, workflow
from core.reports import breach_report
from models import Attachment, Delivery, Notice, PageView, Question
from tests import cast_notices, files

NOW = datetime(2026, 10, 14, 6, 0, tzinfo=UTC)
LEFT = NOW - timedelta(minutes=10)


@pytest.fixture
def sent(school):
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], at=LEFT, subject="個人面談の日程")
    Notice.update(state="draft").where(Notice.id == made.notice.id).execute()
    attachments.add_file(Notice.get_by_id(made.notice.id), "面談.pdf", files.PDF, None, LEFT)
    Notice.update(state="sent").where(Notice.id == made.notice.id).execute()
    made.notice = Notice.get_by_id(made.notice.id)
    return made


def reader(sent, name, now=NOW):
    return next(one for one in breach_report.build_report(sent.notice, now).readers if one.name == name)


def test_who_has_the_letter_and_who_not(sent):
    """Unknown counts as there, and so does what came back after a server took it; no address and refused do not."""
    before = breach_report.build_report(sent.notice, NOW).sums
    cast_notices.outcome(sent.deliveries["青山 健太"], "unknown")
    cast_notices.outcome(sent.deliveries["青山 美咲"], "bounced")
    assert breach_report.build_report(sent.notice, NOW).sums == before
    assert reader(sent, "青山 健太").maybe
    assert reader(sent, "青山 美咲").left == LEFT
    assert not reader(sent, "和田 幸子").has
    cast_notices.outcome(sent.deliveries["石川 直樹"], "refused")
    after = breach_report.build_report(sent.notice, NOW).sums
    assert (after["sent"], after["kept"]) == (before["sent"] - 1, before["kept"] + 1)


def test_a_page_that_a_machine_fetched_is_not_opened(sent):
    """field 5.3 no. 10: a scanner proves nothing, an opened page little, a picture is no page."""
    kenta, misaki, naoki = (sent.deliveries[name] for name in ("青山 健太", "青山 美咲", "石川 直樹"))
    PageView.create(delivery=kenta, at=NOW, page="r", automatic=True)
    PageView.create(delivery=misaki, at=NOW, page="r")
    PageView.create(delivery=naoki, at=NOW, page="o")
    sums = breach_report.build_report(sent.notice, NOW).sums
    assert (sums["page"], sums["seen"]) == (1, 0)
    assert (reader(sent, "青山 健太").page, reader(sent, "青山 健太").machine) == (None, NOW)
    assert reader(sent, "石川 直樹").page is None


def test_a_press_and_an_opened_file_prove_that_it_was_seen(sent):
    (made,) = attachments.files_of_notice(sent.notice)
    attachments.record_view(sent.deliveries["青山 健太"], made, NOW)
    Delivery.update(read_at=NOW).where(Delivery.id == sent.deliveries["青山 美咲"].id).execute()
    Delivery.update(misdirected_at=NOW).where(Delivery.id == sent.deliveries["石川 直樹"].id).execute()
    sums = breach_report.build_report(sent.notice, NOW).sums
    assert (sums["seen"], sums["files"], sums["strange"]) == (3, 1, 1)
    assert reader(sent, "青山 健太").files == (("面談.pdf", NOW),)
    assert [one.name for one in breach_report.misdirected_deliveries([sent.notice.id])] == ["石川 直樹"]


def test_until_somebody_says_otherwise_the_days_count_from_the_withdrawal(sent, school):
    """field 3.2"""
    workflow.withdraw_notice(sent.notice, school.users["花子"], NOW)
    report = breach_report.build_report(Notice.get_by_id(sent.notice.id), NOW + timedelta(days=2))
    assert report.known_at == NOW and "notice.withdrawn" in [one.action for one in report.log]
    days = breach_report.latest_assessment(sent.notice).days(NOW.date())
    assert [(days[name] - NOW.date()).days for name in ("known", "first", "last", "final")] == [0, 3, 5, 30]


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({}, "open"),
        ({"many": "yes"}, "must"),
        (dict.fromkeys(breach_report.REPORTING_CASES, "no"), "free"),
        ({**dict.fromkeys(breach_report.REPORTING_CASES, "no"), "money": "unknown"}, "open"),
        ({"sensitive": "x", "other": "yes"}, "open"),
    ],
)
def test_a_possibility_is_not_ruled_out(sent, school, said, outcome):
    """field 3.2: 「おそれ」 is enough; the last answers count, and who gave them is kept."""
    assert breach_report.latest_assessment(sent.notice).outcome == ""
    breach_report.save_assessment(
        sent.notice, school.users["守"], dict.fromkeys(breach_report.REPORTING_CASES, "yes"), None
    )
    breach_report.save_assessment(sent.notice, school.users["花子"], said, NOW.date())
    judged = breach_report.latest_assessment(sent.notice)
    assert (judged.outcome, judged.by, judged.known_on) == (outcome, "花子", NOW.date())


def test_the_file_is_guarded_against_formulas(sent):
    Delivery.update(name="=1+1").where(Delivery.id == sent.deliveries["青山 健太"].id).execute()
    content = breach_report.report_as_csv(
        breach_report.build_report(sent.notice, NOW), ["保護者"], {"accepted": "送信済み"}
    ).decode("utf-8-sig")
    rows = list(csv.reader(StringIO(content)))
    assert rows[0] == ["保護者"]
    names = [row[0] for row in rows[1:]]
    assert "=1+1" not in names and any(name.endswith("=1+1") for name in names)
    assert ["送信済み", "2026-10-14 14:50:00"] in [row[2:4] for row in rows[1:]]


def test_the_apology_repeats_nothing(sent, school):
    """field 4.3 no. 14."""
    cast_notices.ask(sent)
    fresh = related_notices.create_apology(sent.notice, school.users["花子"], NOW)
    assert fresh.correction_of_id == sent.notice.id and fresh.state == "draft"
    assert questions.load_questions(fresh) == () and not Attachment.select().where(Attachment.notice == fresh).exists()
    assert Question.select().where(Question.notice == sent.notice).exists()
    assert "個人面談" not in fresh.wording.subject + fresh.wording.text
    assert "14:50" in fresh.wording.text
