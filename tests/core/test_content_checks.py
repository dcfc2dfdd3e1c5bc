"""What the words themselves give away before sending (field 4.4 no. 16 and 17, 5.3 no. 2 to 4; N-05, X-04, X-06)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

import clock
import i18n
from core.notices import attachments, audience, content_checks, drafts, questions
from tests import cast_notices, files

NOON = datetime(2026, 10, 13, 3, 0, tzinfo=UTC)  # Tuesday 12:00 in Tokyo


@pytest.fixture(autouse=True)
def noon():
    with time_machine.travel(NOON, tick=False):
        yield


def draft(school, text="遠足です。", subject="お知らせ", lists=("1-1",), by="花子"):
    made = drafts.create_draft(school.users[by], now=NOON)
    drafts.set_recipients(made, lists=[school.lists[key].id for key in lists], now=NOON)
    drafts.save_draft(made, subject=subject, text=text, now=NOON)
    return made


def kinds(made, at=None):
    return [one.kind for one in content_checks.collect_warnings(made, audience.resolve_audience(made), NOON, at)]


@pytest.mark.parametrize(
    "text",
    [
        "しおりを添付します。10月14日(水)です。",
        "PDFをご覧ください。雨の日は中止です。",
        "See the attachment of 14 Oct.",
    ],
)
def test_a_file_that_is_named_and_missing_is_pointed_out(school, text):
    made = draft(school, text)
    assert kinds(made) == ["no_file"]
    attachments.add_file(made, "a.pdf", files.PDF, None, NOON)
    assert kinds(made) == []


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("保護者の皆様\n\nいつもお世話になっております。\n添付をご覧ください。よろしくお願いいたします。", True),
        ("詳細は添付ファイルのとおりです。", True),
        ("10月14日(水)の遠足のしおりを添付します。", False),
        ("添付のとおり、雨の日は遠足を中止して、通常どおりの授業を行いますのでお弁当をお持ちください。", False),
        ("しおりを添付します。\n持ち物は水筒とお弁当、雨具と敷物とごみ袋、帽子とタオルです。", False),
    ],
)
def test_words_that_leave_everything_to_the_file_are_pointed_out(school, text, warned):
    """field 4.4 no. 17."""
    made = draft(school, text)
    attachments.add_file(made, "a.pdf", files.PDF, None, NOON)
    assert ("only_file" in kinds(made)) is warned


@pytest.mark.parametrize(
    ("name", "warned"), [("1年1組名簿.pdf", True), ("緊急連絡網.pdf", True), ("しおり.pdf", False)]
)
def test_a_file_named_like_a_roster_is_pointed_out(school, name, warned):
    """field 5.3 no. 2: 84 children's names went out although a manager had approved."""
    made = draft(school, "10月14日(水)のしおりを添付します。")
    attachments.add_file(made, name, files.PDF, None, NOON)
    assert ("private_file" in kinds(made)) is warned


@pytest.mark.parametrize(
    ("lists", "text", "warned"),
    [
        (("1-1",), "２年１組の皆様へ", True),
        (("1-1",), "3年2組の懇談会", True),
        (("1-1",), "1年1組の懇談会", False),
        (("1-1",), "１年 １組の懇談会", False),
        (("1-1", "2-1"), "1年1組と2年1組", False),
        (("whole",), "2年1組は休みです", False),
        (("1-1",), "21年11組ではない", True),
    ],
)
def test_another_class_in_the_words_is_pointed_out(school, lists, text, warned):
    """field 5.3 no. 2: a notice goes to the wrong class."""
    assert ("class" in kinds(draft(school, text, lists=lists, by="守"))) is warned


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("10月12日(月)に集まります", "10月12日(月)"),
        ("9月30日と10/1(木)", "9月30日(水), 10月1日(木)"),
        ("10月13日(火)です", ""),
        ("来年の1月8日(金)", ""),
        ("3/4の方が", ""),
        ("13月40日", ""),
    ],
)
def test_days_that_have_passed_are_named(school, text, days):
    found = [
        one
        for one in content_checks.collect_warnings(
            draft(school, text), audience.resolve_audience(draft(school, text)), NOON
        )
        if one.kind == "past"
    ]
    assert (found[0].values["days"].replace("、", ", ") if found else "") == days


@pytest.mark.proves("N-04")
def test_a_placeholder_anywhere_keeps_a_notice_from_being_sent(school):
    """N-04: subject, text and questions; each error names all placeholders of its field."""
    made = draft(school, "〔日付〕は、〔理由〕のため休校です。〔学童〕。〔日付〕", "〔日付（短）〕は休校です")
    ask = questions.QuestionDraft("〔何時〕に来られますか", ("〔14時〕", "来られない"))
    drafts.save_draft(made, questions=[ask], now=NOON)
    errors = content_checks.find_missing(made, audience.resolve_audience(made))
    assert {field: error.values["places"] for field, error in errors.items()} == {
        "subject": "〔日付（短）〕",
        "text": "〔日付〕 〔理由〕 〔学童〕",
        "questions": "〔何時〕 〔14時〕",
    }
    assert "〔日付〕 〔理由〕 〔学童〕" in i18n.say("ja", errors["text"])
    drafts.save_draft(made, subject="休校です", text="台風のため休校です。", questions=[], now=NOON)
    assert content_checks.find_missing(made, audience.resolve_audience(made)) == {}


def test_a_date_with_a_wrong_weekday_in_the_past_is_told_twice(school):
    assert kinds(draft(school, "10月12日(火)は、台風のため休校です。")) == ["weekday", "past"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("11月4日(水)までにお答えください。", ["deadline"]),
        ("締切は11/4(水) 17時まで。", ["deadline"]),
        ("11月4日(水)に行います。", []),
        ("10月2日(金)までのことです。", ["past"]),
    ],
)
def test_a_deadline_that_only_the_text_knows_is_pointed_out(school, text, told):
    made = draft(school, text)
    assert "deadline" not in kinds(made)
    ask = questions.QuestionDraft("出席されますか。", ("はい", "いいえ"))
    drafts.save_draft(made, questions=[ask], now=NOON)
    assert kinds(made) == told
    drafts.save_draft(made, questions=[replace(ask, deadline=NOON + timedelta(days=9))], now=NOON)
    assert "deadline" not in kinds(made)


def test_the_days_of_a_poll_are_checked_like_the_text(school):
    made = draft(school)
    days = [questions.QuestionDraft("12/26(日)", ("○", "×"), "days", heading="懇談の日")]
    drafts.save_draft(made, questions=days, now=NOON)
    assert kinds(made) == ["weekday"]


def test_an_urgent_notice_is_not_kept_from_the_night(school):
    """At 5:40 a closed school wakes people on purpose; an ordinary notice may wait until seven."""
    night = NOON.replace(hour=20, minute=40)  # 5:40 in Tokyo
    made = draft(school)
    found = audience.resolve_audience(made)
    assert [one.kind for one in content_checks.collect_warnings(made, found, night)] == ["night"]
    drafts.save_draft(made, urgent=True, now=NOON)
    assert content_checks.collect_warnings(made, found, night) == []


def test_a_day_word_in_the_subject_is_pointed_out_even_today(school):
    """field 4.3: 「本日」 in a subject → 「10/14(火)」."""
    made = draft(school, subject="明日は休校です")
    (one,) = content_checks.collect_warnings(made, audience.resolve_audience(made), NOON)
    assert (one.kind, one.values["day"]) == ("subject_day", "10月14日(水)")


@pytest.mark.proves("N-11")
@pytest.mark.parametrize(("hour", "morning"), [(23, "10月15日(木) 7:00"), (2, "10月14日(水) 7:00")])
def test_the_night_offers_the_next_morning(school, hour, morning):
    """N-11, field 4.3 no. 8."""
    at = datetime(2026, 10, 14, hour, tzinfo=clock.ZONE)
    made = draft(school)
    (one,) = content_checks.collect_warnings(made, audience.resolve_audience(made), NOON, at)
    assert one.kind == "night" and i18n.format_datetime("ja", one.at) == morning


# ── beside the others ────────────────────────────────────────────────────────────────────────────────────────────


def test_who_is_new_and_who_is_gone_since_the_last_one(school):
    """X-04, X-06."""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], at=NOON - timedelta(days=1))
    gone, new = sent.deliveries["青山 健太"], sent.deliveries["石川 直樹"]
    made = draft(school)
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], without_persons=[gone.person_id], now=NOON)
    new.delete_instance()
    found = content_checks.compare_with_previous(made, audience.resolve_audience(made))
    assert (found.new, found.gone, found.count, found.more) == (("石川 直樹",), ("青山 健太",), 3, 0)


def test_the_comparison_names_no_family_of_another_list(school):
    """T-33: the last notice also went to a class that the sender may not see."""
    cast_notices.send([school.lists["1-1"], school.lists["2-1"]], by=school.users["守"], at=NOON - timedelta(days=1))
    made = draft(school)
    found = content_checks.compare_with_previous(made, audience.resolve_audience(made))
    assert found is not None and (found.count, found.gone, found.more) == (4, (), 0)


def test_the_same_words_twice_are_pointed_out(school):
    """field 5.3 no. 3."""
    cast_notices.send([school.lists["1-1"]], subject="お知らせ", text="遠足です。", at=NOON - timedelta(days=2))
    assert kinds(draft(school)) == ["again"]
    assert kinds(draft(school, "ちがう文面です。")) == []


def test_an_unusual_size_is_pointed_out(school, monkeypatch):
    """X-06, field 5.3 no. 2: to 228 addresses instead of one family."""
    monkeypatch.setattr(content_checks, "UNUSUAL_LETTERS", 5)
    cast_notices.send([school.lists["1-1"]], by=school.users["守"], at=NOON - timedelta(days=9), text="前の文")
    assert kinds(draft(school, lists=("1-1",), by="守")) == []
    monkeypatch.setattr(content_checks, "_largest_send", lambda notice: 3)
    assert kinds(draft(school, lists=("whole",), by="守")) == ["size"]


@pytest.mark.parametrize(
    "text",
    [
        "{氏名}様",
        "｛氏名｝様",
        "{{氏名}様",
        "{{氏名｝様",
        "{ 氏名 }様",
        "{{氏名様",
        "｛｛氏名｝様",
        "{{氏名}}さんと{学年}年",
    ],
)
def test_braces_that_are_no_merge_field_are_pointed_out(school, text):
    assert "braces" in kinds(draft(school, text))


@pytest.mark.parametrize("text", ["{{氏名}}様", "｛｛氏名｝｝様", "{{氏名｝｝様", "遠足です（雨天中止）"])
def test_merge_fields_and_other_brackets_are_not_pointed_out(school, text):
    assert "braces" not in kinds(draft(school, text))
