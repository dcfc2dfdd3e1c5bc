"""Merge fields from the roster, the house and the day, for each letter its own (N-13, D-22 to D-25)."""

import email
import email.policy
from datetime import UTC, datetime

import pytest

import clock
from core.delivery import queue
from core.errors import MissingFields
from core.notices import author_copy, merge_fields, rendering, sender_names, start
from core.notices.audience import resolve_audience
from core.notices.content_checks import SIGNATURE_EMPTY, find_missing
from core.permissions import permissions_of
from core.responses import read_confirmations
from core.settings import load_settings
from models import Child, Delivery, Letter, Membership, Notice, Person, User, Wording
from tests import smarthost
from tests.cast_mail import body


def braced(name: str) -> str:
    return "{{" + name + "}}"


def give(school, guardian, child, **items):
    """Give somebody's place with a child in 1年1組 free items."""
    Membership.update(attributes=items).where(
        Membership.person == school.people[guardian], Membership.child == school.children[child]
    ).execute()


def drafted(school, text, *keys, subject="お知らせ", by="花子", **options) -> Notice:
    keys = keys or ("1-1",)
    return smarthost.written(
        User.get_by_id(school.users[by].id), [school.lists[key] for key in keys], subject=subject, text=text, **options
    )


def shown(notice, name, child="") -> rendering.RenderedLetter:
    one = next(
        one for one in resolve_audience(notice).receiving if one.name == name and (not child or one.child_name == child)
    )
    return rendering.preview_letter(notice, one, load_settings(), clock.now())


def text_of(notice, name, child="") -> str:
    return shown(notice, name, child).text.split("─")[0].strip()


def gaps_of(notice, by=None):
    return find_missing(notice, resolve_audience(notice), by)


# ── values ──


@pytest.mark.proves("N-13")
def test_values_come_from_child_place_person_house_sender_and_day(school, hanako):
    """N-13"""
    give(school, "石川 直樹", "石川 蓮", 当番日="10月20日(月)", 名札="青")
    Child.update(attributes={"地区": "川端"}, kana="イシカワ レン").where(Child.name == "石川 蓮").execute()
    User.update(signature="1年1組担任 山田 花子").where(User.id == hanako.id).execute()
    names = ["保護者氏名", "保護者カナ", "児童氏名", "児童の名", "児童カナ", "学年", "組", "学年組", "続柄", "リスト名"]
    names += ["地区", "当番日", "名札", "差出人の名前"]
    names += ["送信者の署名", "学校名", "学校の連絡先", "学校の住所"]
    notice = drafted(school, "|".join(braced(name) for name in names))
    assert text_of(notice, "石川 直樹").split("|") == [
        "石川 直樹",
        "イシカワ ナオキ",
        "石川 蓮",
        "蓮",
        "イシカワ レン",
        "1",
        "1",
        "1年1組",
        "父",
        "1年1組",
        "川端",
        "10月20日(月)",
        "青",
        "花子",
        "1年1組担任 山田 花子",
        "かえで原小学校",
        "電話 000-0000-0000",
        "〒000-0000 例示県例示市かえで原1-2-3",
    ]


@pytest.mark.parametrize(
    "written", ["児童氏名", " 児童 氏名 ", "child name", "Child_Name", "ＣＨＩＬＤ　ＮＡＭＥ", "児童名"]
)
def test_a_name_may_be_written_in_either_language_and_width(school, written):
    assert text_of(drafted(school, f"{braced(written)}さん ｛｛{written}｝｝"), "石川 直樹") == "石川 蓮さん 石川 蓮"


def test_an_english_reader_gets_english_days_and_classes(school):
    Person.update(language="en").where(Person.name == "石川 直樹").execute()
    notice = drafted(school, "{{学年組}} {{今日の日付}}")
    one = next(
        one
        for one in resolve_audience(notice, datetime(2026, 10, 13, 22, tzinfo=UTC)).receiving
        if one.language == "en"
    )
    assert list(one.values.values()) == ["Class 1-1", "Wed 14 Oct"]


def test_todays_date_is_that_of_sending(school, hanako):
    """The day stands for the moment at which sending begins, on the check page of a booking too."""
    notice = drafted(school, "{{今日の日付}} {{今日の日付（短）}}", subject="{{本日の日付}}のお知らせ")
    at = datetime(2026, 10, 13, 22, tzinfo=UTC)
    assert resolve_audience(notice, at).receiving[0].values["今日の日付"] == "10月14日(水)"
    assert resolve_audience(notice, at).receiving[0].values["今日の日付（短）"] == "10/14(水)"


def test_the_signature_is_the_writers_and_never_expanded_again(school, hanako):
    User.update(signature="{{児童氏名}} より").where(User.id == hanako.id).execute()
    notice = drafted(school, "{{署名}}")
    assert text_of(notice, "石川 直樹") == "{{児童氏名}} より"


def test_a_value_with_braces_stays_what_it_is(school):
    """design.md, decision 10: values are never expanded again."""
    give(school, "石川 直樹", "石川 蓮", 当番日="{{保護者氏名}}")
    assert text_of(drafted(school, "{{当番日}}"), "石川 直樹") == "{{保護者氏名}}"


# ── siblings ──


@pytest.mark.parametrize("text", ["{{児童氏名}}", "{{学年}}", "{{当番日}}", "{{続柄}}"])
def test_fields_of_the_child_give_each_child_a_letter_and_never_anothers_value(school, text):
    """D-01, field 5.3.5: 鈴木 大輔 has 海斗 in 2年1組 and 美月 in 1年1組."""
    give(school, "鈴木 大輔", "鈴木 海斗", 当番日="10月20日")
    give(school, "鈴木 大輔", "鈴木 美月", 当番日="10月21日")
    notice = drafted(school, text, "2-1", "1-1", by="守", skip_missing=False)
    mine = [one for one in resolve_audience(notice).receiving if one.name == "鈴木 大輔"]
    expected = {
        "{{児童氏名}}": {"鈴木 海斗", "鈴木 美月"},
        "{{学年}}": {"1", "2"},
        "{{当番日}}": {"10月20日", "10月21日"},
    }
    assert len(mine) == 2
    assert {one.values[text.strip("{}")] for one in mine} == expected.get(text, {"父"})
    assert {one.child_name for one in mine} == {"鈴木 海斗", "鈴木 美月"}


@pytest.mark.parametrize("text", ["{{保護者氏名}}", "{{学校名}}", "{{今日の日付}}", "{{リスト名}}"])
def test_fields_of_the_reader_and_the_house_leave_it_at_one_letter(school, text):
    notice = drafted(school, text, "2-1", "1-1", by="守")
    assert len([one for one in resolve_audience(notice).receiving if one.name == "鈴木 大輔"]) == 1


def test_what_one_child_has_the_sister_does_not_get(school):
    give(school, "鈴木 大輔", "鈴木 美月", 当番日="10月21日")
    audience = resolve_audience(drafted(school, "{{当番日}}", "2-1", "1-1", by="守"))
    mine = {one.child_name: one.missing for one in (*audience.receiving, *audience.left_out) if one.name == "鈴木 大輔"}
    assert mine == {"鈴木 美月": (), "鈴木 海斗": ("当番日",)}


# ── missing values ──


@pytest.mark.proves("D-24")
def test_whom_a_field_is_empty_for_gets_no_letter_and_is_named(school, hanako):
    """D-24: skipped, counted, listed with the field."""
    give(school, "石川 直樹", "石川 蓮", 当番日="10月20日(月)")
    notice = drafted(school, "当番は{{当番日}}です。")
    audience = resolve_audience(notice)
    assert [one.name for one in audience.receiving] == ["石川 直樹"]
    assert audience.missing == {"当番日": 3}
    assert {one.why for one in audience.left_out if one.reason == "missing"} == {"“%(fields)s” is empty"}
    assert {one.name for one in audience.left_out if one.missing} == {"青山 健太", "青山 美咲", "鈴木 大輔"}
    smarthost.confirmed(notice, hanako)
    assert start.start_due_notices(clock.now()) == [notice.id]
    rows = {one.name: one.reason for one in Delivery.select().where(Delivery.notice == notice)}
    assert rows["鈴木 大輔"] == "missing" and rows["和田 幸子"] == "no_address" and rows["石川 直樹"] == ""
    assert Letter.select().where(Letter.notice == notice, Letter.delivery.is_null(False)).count() == 1


@pytest.mark.proves("D-25")
def test_without_skipping_the_place_stays_empty(school, hanako):
    """D-25: sent with that place empty, never with braces."""
    give(school, "石川 直樹", "石川 蓮", 当番日="10月20日(月)")
    notice = drafted(school, "当番は{{当番日}}です。", subject="【{{当番日}}】旗当番", skip_missing=False)
    assert len(resolve_audience(notice).receiving) == 4
    assert text_of(notice, "青山 健太") == "当番はです。" and shown(notice, "青山 健太").subject == "【】旗当番"
    assert text_of(notice, "石川 直樹") == "当番は10月20日(月)です。"


def test_a_field_that_is_empty_for_all_is_named_at_the_text(school, hanako):
    give(school, "和田 幸子", "和田 慎", 当番日="10月20日")  # reached by telephone only
    missing = gaps_of(drafted(school, "{{当番日}}"))
    assert set(missing) == {"text"} and missing["text"].values == {"field": "当番日"}


# ── what is refused ──


@pytest.mark.parametrize(
    ("written", "likely"), [("児童指名", "児童氏名"), ("当番", "当番日"), ("gaurdian name", "guardian name")]
)
def test_an_unknown_field_is_refused_with_the_likeliest_name(school, written, likely):
    """Field 5.3.5: no reader ever sees raw braces."""
    give(school, "石川 直樹", "石川 蓮", 当番日="10月20日(月)")
    for part in ("subject", "text"):
        words = {"subject": "件名", "text": "本文"} | {part: braced(written)}
        wrong = gaps_of(drafted(school, words["text"], subject=words["subject"]))
        assert set(wrong) == {part} and wrong[part].values == {"name": written, "likely": likely}


def test_an_item_that_no_list_chosen_has_is_unknown(school):
    Membership.update(attributes={"車": "4人"}).where(Membership.list == school.lists["2-1"]).execute()
    assert "text" in gaps_of(drafted(school, "{{車}}"))
    assert gaps_of(drafted(school, "{{車}}", "2-1", by="太郎")) == {}


@pytest.mark.proves("D-22")
def test_the_writer_without_a_signature_is_refused(school, hanako):
    """D-22: the one who is logged in needs a signature, if the words ask for it."""
    notice = drafted(school, "本文\n\n{{送信者の署名}}")
    assert gaps_of(notice, hanako) == {"text": SIGNATURE_EMPTY}
    with pytest.raises(MissingFields):
        smarthost.confirmed(notice, hanako)
    assert gaps_of(drafted(school, "本文"), hanako) == {}
    User.update(signature="花子").where(User.id == hanako.id).execute()
    assert gaps_of(notice, User.get_by_id(hanako.id)) == {}


@pytest.mark.proves("D-22")
def test_in_anothers_name_the_signature_of_the_user_who_sends_counts(school, hanako):
    """D-22 speaks of the user who is logged in, whatever name stands in From."""
    other = school.users["送る子"]
    notice = drafted(school, "本文\n\n{{送信者の署名}}")
    sender_names.set_sender_name(notice, permissions_of(hanako), clock.now(), user=other.id)
    User.update(signature="送る子").where(User.id == other.id).execute()
    assert gaps_of(notice, hanako) == {"text": SIGNATURE_EMPTY}
    User.update(signature="").where(User.id == other.id).execute()
    User.update(signature="花子より").where(User.id == hanako.id).execute()
    assert gaps_of(notice, User.get_by_id(hanako.id)) == {}
    assert "花子より" in text_of(Notice.get_by_id(notice.id), "石川 直樹")


def test_what_the_house_has_not_entered_is_named_to_the_writer(school, hanako):
    from core import settings

    settings.update_organization(None, contact="")
    assert gaps_of(drafted(school, "{{学校の連絡先}}"))["text"].values == {"name": "学校の連絡先"}


# ── what leaves ──


@pytest.mark.proves("T-41", "N-13")
def test_the_letter_carries_the_values_frozen_when_sending_began(school, hanako):
    """D-25, T-41: what was sent stays what it was, whatever the roster says later."""
    give(school, "石川 直樹", "石川 蓮", 当番日="10月20日(月)")
    notice = drafted(school, "{{保護者氏名}} 様\n当番日：{{当番日}}", subject="【旗当番】{{当番日}}")
    smarthost.confirmed(notice, hanako)
    start.start_due_notices(clock.now())
    give(school, "石川 直樹", "石川 蓮", 当番日="変わった")
    letter = Letter.get(Letter.notice == notice, Letter.delivery.is_null(False))
    raw = rendering.RenderCache(load_settings()).render(queue.load_message(letter), False, clock.now())
    subject = email.message_from_bytes(raw, policy=email.policy.default)["Subject"]
    assert subject == "【旗当番】10月20日(月)" and body(raw).startswith("石川 直樹 様\r\n当番日：10月20日(月)")
    assert "{{" not in raw.decode("ascii", "replace")
    page = read_confirmations.letter_text(Delivery.get_by_id(letter.delivery_id))
    assert page.subject == subject


def test_a_copy_that_is_nobodys_shows_places_instead_of_a_familys_values(school, hanako):
    notice = drafted(school, "{{児童氏名}} {{学校名}}")
    notice.by = hanako
    shown_ = rendering.render_author_copy(notice, hanako, load_settings(), clock.now()).text
    assert shown_.startswith("〔児童氏名〕 かえで原小学校")
    one = next(one for one in resolve_audience(notice).receiving if one.name == "石川 直樹")
    test = author_copy.send_test(notice, hanako, clock.now(), one)
    assert test.payload["text"].startswith("石川 蓮 かえで原小学校")


def test_a_mail_that_was_posted_keeps_braces_that_are_no_field(school):
    """Words that came by mail cannot be asked about: {{x}} of an example stays, and makes no second letter."""
    notice = drafted(school, "書き方は {{x}} です。", "2-1", "1-1", by="守")
    assert text_of(notice, "鈴木 大輔") == "書き方は {{x}} です。"
    assert len([one for one in resolve_audience(notice).receiving if one.name == "鈴木 大輔"]) == 1


def test_the_same_number_of_queries_for_ten_and_for_five_hundred(school):
    smarthost.families(school.lists["2-1"], 10)
    notice = drafted(school, "{{保護者氏名}} {{今日の日付}} {{担当者}}", "2-1", by="太郎", skip_missing=False)
    with smarthost.queries() as few:
        resolve_audience(notice)
    smarthost.families(school.lists["2-1"], 490, start=10)
    with smarthost.queries() as many:
        assert resolve_audience(notice).letters == 503
    assert len(few) == len(many) <= 12


def test_every_name_means_one_field(school):
    names = [name for one in merge_fields.MERGE_FIELDS for name in (one.ja, one.en, *one.other)]
    assert len({merge_fields.normalize_name(name) for name in names}) == len(names)
    assert Wording.select().count() == 0
