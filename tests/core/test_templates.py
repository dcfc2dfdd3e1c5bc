"""Samples: shipped and own ones, for whom, and what a notice begun from one holds (N-04)."""

import re
from dataclasses import replace

import pytest

import clock
from core.notices import content_checks, merge_fields, placeholders, questions, templates
from core.notices.audience import resolve_audience
from core.permissions import permissions_of
from mail import merge
from models import AuditLog, Notice, NoticeTemplate

SAID = templates.TemplateContent(
    "遠足", "遠足について", "〔10月1日〕に行きます。", read_confirmation=False, kind="school"
)


@pytest.mark.proves("N-04")
def test_the_usual_emergencies_are_shipped(school):
    """N-04: strangers, the administration, disasters and crime, in both languages."""
    shipped = {one.code for one in templates.available_templates(permissions_of(school.users["送る子"]))}
    assert {"stranger", "office", "evacuation", "crime", "closed", "wait"} <= shipped
    for one in templates._shipped_entries():
        assert all(one[language][part] for language in ("ja", "en") for part in ("name", "subject", "text"))


@pytest.mark.proves("N-04")
def test_a_notice_begun_has_the_words_and_the_question_but_no_recipients(school):
    """N-04, field 5.2 and 5.3 no. 2."""
    user = school.users["送る子"]
    pickup = templates.get_template(permissions_of(user), "pickup")
    notice = templates.start_notice(pickup, user, clock.now(), "once")
    assert (notice.urgent, notice.read_confirmation) == (True, False)
    rule = notice.reminder_rule
    assert (rule.every_s, rule.times) == (1800, 2)  # field 2.3; without being asked for
    assert notice.wording.text.startswith("保護者の皆様")
    assert [ask.unit for ask in questions.question_drafts(notice)] == ["child"]
    assert resolve_audience(notice).letters == 0
    assert templates.start_notice(pickup, user, clock.now(), "once").id == notice.id
    assert Notice.select().count() == 1
    errors = content_checks.find_missing(notice, resolve_audience(notice), user)
    assert errors["text"].values["places"] == " ".join(placeholders.find_placeholders(pickup.words.text))


def test_no_template_holds_a_fixed_date():
    """A sample date that is sent unchanged closes the school on the wrong day: each date is a placeholder without one."""
    dated = re.compile(r"\d+月\d+日|\d+/\d+|[(（][月火水木金土日][)）]|\d+ (Oct|Nov|Aug)|(Oct|Nov|Aug)\w* \d+")
    assert not dated.findall(templates.SHIPPED_FILE.read_text(encoding="utf-8"))


def test_a_placeholder_is_found_and_a_filled_one_is_not():
    assert placeholders.find_placeholders("〔雨〕のため", "けさ〔6時〕現在、〔雨〕です") == ["〔雨〕", "〔6時〕"]
    assert placeholders.find_placeholders("けさ6時現在〔", "〕") == []


def test_an_own_one_is_seen_by_its_list_alone(school):
    """Written, changed, removed, each in the record."""
    by, room = school.users["花子"], school.lists["1-1"]
    row = templates.add_template(by, SAID, room)
    code = f"own-{row.id}"
    assert templates.get_template(permissions_of(school.users["送る子"]), code).words == SAID
    assert templates.get_template(permissions_of(school.users["太郎"]), code) is None
    templates.update_template(
        templates.get_template(permissions_of(by), code), by, templates.TemplateContent("海", "海へ", "行く"), None
    )
    ready = templates.get_template(permissions_of(school.users["太郎"]), code)
    assert ready.words.name == "海"
    templates.remove_template(ready, by)
    assert not NoticeTemplate.select().exists()
    actions = [
        one.action for one in AuditLog.select().where(AuditLog.action.startswith("sample.")).order_by(AuditLog.id)
    ]
    assert actions == ["sample.added", "sample.changed", "sample.removed"]


def test_the_emergencies_come_first_and_own_urgent_ones_after_them(school):
    row = templates.add_template(school.users["守"], replace(SAID, urgent=True), None)
    found = templates.urgent_templates(permissions_of(school.users["送る子"]))
    assert [one.code for one in found] == [
        "closed",
        "wait",
        "pickup",
        "stranger",
        "quake",
        "practice_off",
        f"own-{row.id}",
    ]
    assert [one.short_name for one in found[:3]] == ["臨時休校", "自宅待機", "引き渡し"]


def test_a_shipped_one_can_be_hidden(school):
    admin = school.users["守"]
    for _ in range(2):
        templates.remove_template(templates.shipped_template("closed"), admin)
    assert templates.get_template(permissions_of(admin), "closed") is None
    assert templates.get_template(permissions_of(admin), "wait")


DAY_WORDS = re.compile(
    "今日|本日|きょう|けさ|今朝|今夜|明日|明朝|あした|昨日|きのう|昨夜|あす[、のはにも〕]|today|tonight|tomorrow|yesterday"
)


def test_no_shipped_sample_says_today_or_tomorrow():
    """X-06, field 4.3: a letter is read on another day than it was written; the date stands there, filled in."""
    for one in templates._shipped_entries():
        for language in ("ja", "en"):
            said = re.sub(r"\{\{.*?\}\}", "", f"{one[language]['subject']} {one[language]['text']}")
            assert not DAY_WORDS.findall(said), (one["key"], language)


def test_every_field_of_a_shipped_sample_is_known():
    """N-13: also the date of the day on which it goes out."""
    for one in templates._shipped_entries():
        for language in ("ja", "en"):
            names = merge.field_names(f"{one[language]['subject']} {one[language]['text']}")
            assert merge_fields.unknown_names(names, ["当番日", "地区", "面談日時"]) == [], one["key"]
    wait = templates.shipped_template("wait")
    assert "〔日付（短）〕" in wait.words.subject


def test_every_shipped_question_can_be_asked(school):
    """T-48: days to choose from too; a sample never brings a question that the check page refuses."""
    for one in templates.available_templates(permissions_of(school.users["守"])):
        assert templates.content_error(one.words) == "", one.code
    days = templates.start_notice(templates.shipped_template("day_finding"), school.users["守"], clock.now())
    (block,) = questions.group_into_blocks(questions.load_questions(days))
    assert block.days and len(block.questions) == 2
