"""One reader one letter, or one for each child where the letter differs by child (D-01; twins and siblings)."""

import email
import email.policy

import pytest

import clock
from core import household_reads
from core.delivery import queue
from core.notices import audience, drafts, reminders, rendering, start
from core.notices.audience import resolve_audience
from core.reports import board, summaries
from core.responses import read_confirmations
from core.settings import load_settings
from models import Child, Delivery, Letter, MailingList, Membership, Notice, Person
from tests import smarthost
from tests.cast_notices import PHONE


@pytest.fixture
def differs(monkeypatch):
    """Every notice is one whose letters differ by child."""
    monkeypatch.setattr(audience, "_CONDITIONS", (lambda notice: True,))


@pytest.fixture
def twins(school) -> Person:
    """石川 直樹 has twins in 1年1組, both with the same two guardians."""
    other = Child.create(name="石川 葵", kana="イシカワ アオイ", grade="1", class_name="1", household="ishikawa")
    school.children["石川 葵"] = other
    for key in ("1-1", "whole"):
        Membership.create(person=school.people["石川 直樹"], list=school.lists[key], child=other)
    return school.people["石川 直樹"]


def chosen(school, *keys, persons=()) -> Notice:
    now = clock.now()
    notice = drafts.create_draft(school.users["守"], now=now)
    drafts.save_draft(notice, now=now, subject="持ち物", text="体操服です。")
    lists = [school.lists[key].id for key in keys]
    drafts.set_recipients(notice, now=now, lists=lists, persons=[school.people[name].id for name in persons])
    return notice


def of(audience, name):
    everybody = (*audience.receiving, *audience.left_out)
    return [(one.child_name, one.reason) for one in everybody if one.name == name]


def begun(school, *keys) -> Notice:
    notice = smarthost.confirmed(chosen(school, *keys), school.users["守"])
    assert start.start_due_notices(clock.now()) == [notice.id]
    return Notice.get_by_id(notice.id)


def mine(notice: Notice, child: str) -> Delivery:
    return Delivery.get(Delivery.notice == notice, Delivery.child_name == child)


# ── recipients ──


def test_twins_share_one_letter_unless_it_differs_by_child(school, twins, monkeypatch):
    """D-01: the ordinary notice is one letter; one that differs by child is one for each."""
    plain = resolve_audience(chosen(school, "1-1"))
    assert of(plain, "石川 直樹") == [("石川 蓮, 石川 葵", "")]
    monkeypatch.setattr(audience, "_CONDITIONS", (lambda notice: True,))
    split = resolve_audience(chosen(school, "1-1"))
    assert of(split, "石川 直樹") == [("石川 蓮", ""), ("石川 葵", "")]
    assert (plain.letters, split.letters) == (4, 5)
    assert plain.households == split.households == 3
    assert plain.fingerprint != split.fingerprint


def test_siblings_in_two_classes_get_one_letter_each_from_the_list_of_each_child(school, differs):
    """D-01: 鈴木 大輔 has 海斗 in 2年1組 and 美月 in 1年1組; the whole list adds no letter."""
    audience = resolve_audience(chosen(school, "2-1", "1-1", "whole"))
    found = {one.child_name: one for one in audience.receiving if one.name == "鈴木 大輔"}
    assert set(found) == {"鈴木 海斗", "鈴木 美月"}
    assert all(one.siblings and len(one.covers) == 2 for one in found.values())
    assert found["鈴木 海斗"].list_id == school.lists["2-1"].id
    assert found["鈴木 美月"].list_id == school.lists["1-1"].id
    assert {one.siblings for one in audience.receiving if one.name != "鈴木 大輔"} == {False}


def test_a_child_of_another_list_is_not_written_about(school, differs):
    audience = resolve_audience(chosen(school, "1-1"))
    assert of(audience, "鈴木 大輔") == [("鈴木 美月", "")]
    assert not next(one for one in audience.receiving if one.name == "鈴木 大輔").siblings


def test_a_single_person_is_written_about_every_child(school, differs):
    audience = resolve_audience(chosen(school, persons=["鈴木 大輔"]))
    assert [name for name, _ in of(audience, "鈴木 大輔")] == ["鈴木 海斗", "鈴木 美月"]


def test_a_place_without_a_child_makes_no_letter_of_its_own(school, differs):
    """An officer whose child is in the class list gets one letter, about the child."""
    school.lists["officers"] = MailingList.create(name="役員", address="yakuin")
    for name in ("石川 直樹", "木村 恵"):
        Membership.create(person=school.people[name], list=school.lists["officers"])
    audience = resolve_audience(chosen(school, "officers", "1-1"))
    naoki = [one for one in audience.receiving if one.name == "石川 直樹"]
    assert [(one.child_name, len(one.covers)) for one in naoki] == [("石川 蓮", 2)]
    assert of(audience, "木村 恵") == [("", "")]


def test_what_is_stopped_for_one_child_is_sent_for_the_other(school, twins, differs):
    Membership.update(state="stopped").where(Membership.child == school.children["石川 葵"]).execute()
    audience = resolve_audience(chosen(school, "1-1"))
    assert of(audience, "石川 直樹") == [("石川 蓮", ""), ("石川 葵", "stopped")]
    assert not next(one for one in audience.receiving if one.name == "石川 直樹").siblings


# ── letters ──


def sent_mail(letter: Letter):
    raw = rendering.RenderCache(load_settings()).render(queue.load_message(letter), False, clock.now())
    return email.message_from_bytes(raw, policy=email.policy.default)


def test_the_subject_ends_with_the_given_name_and_the_letter_says_whose_it_is(school, twins, differs):
    """D-01, field 4.4 no. 7"""
    notice = begun(school, "1-1")
    found = [sent_mail(one) for one in Letter.select().where(Letter.notice == notice, Letter.person == twins)]
    assert sorted(mail["Subject"] for mail in found) == ["持ち物（葵さん）", "持ち物（蓮さん）"]
    ren = next(mail for mail in found if mail["Subject"].endswith("（蓮さん）")).get_content()
    assert ren.startswith("これは 石川 蓮さん（1年1組）の分です。きょうだいの分は別のメールで届きます。")
    assert "体操服です。" in ren and "葵" not in ren
    only = next(Letter.select().where(Letter.notice == notice, Letter.person == school.people["青山 健太"]).iterator())
    assert sent_mail(only)["Subject"] == "持ち物" and "きょうだい" not in sent_mail(only).get_content()


def test_the_preview_and_the_page_say_the_same_as_the_letter(school, twins, differs):
    notice = chosen(school, "1-1")
    one = next(one for one in resolve_audience(notice).receiving if one.child_name == "石川 葵")
    shown = rendering.preview_letter(notice, one, load_settings(), clock.now())
    smarthost.confirmed(notice, school.users["守"])
    start.start_due_notices(clock.now())
    page = read_confirmations.letter_text(mine(notice, "石川 葵"))
    assert shown.subject == page.subject == "持ち物（葵さん）"
    assert shown.text.startswith(page.about) and page.about.startswith("これは 石川 葵さん（1年1組）")


def test_what_was_true_when_it_was_sent_stays_when_the_child_moves_up(school, twins, differs):
    notice = begun(school, "1-1")
    Child.update(name="石川 アオイ", grade="2").where(Child.id == school.children["石川 葵"].id).execute()
    assert "石川 葵さん（1年1組）" in read_confirmations.letter_text(mine(notice, "石川 葵")).about


def test_nothing_starts_if_more_than_a_tenth_of_the_letters_changed(school, twins, monkeypatch):
    """The letters are counted, not the people: the same families may suddenly get two each."""
    smarthost.families(school.lists["1-1"], 30)
    notice = smarthost.confirmed(chosen(school, "1-1"), school.users["守"])
    assert notice.expected == resolve_audience(notice).expected and len(notice.expected) == 34
    second = Child.create(name="雑音 子", household="x")
    rows = Membership.select(Membership.person).where(Membership.list == school.lists["1-1"]).distinct()
    for row in list(rows):
        Membership.create(person=row.person_id, list=school.lists["1-1"], child=second)
    monkeypatch.setattr(audience, "_CONDITIONS", (lambda notice: True,))
    assert start.start_due_notices(clock.now()) == []
    assert Notice.get_by_id(notice.id).hold_reason == "changed"


# ── board ──


def test_each_child_has_a_stamp_of_its_own(school, twins, differs):
    """T-45: both guardians of one child share its stamp; what is read for one child is not read for the other."""
    mother = Person.create(name="石川 恵", address="m@example.jp", address_key="m@example.jp", household="ishikawa")
    for child in ("石川 蓮", "石川 葵"):
        Membership.create(person=mother, list=school.lists["1-1"], child=school.children[child])
    notice = begun(school, "1-1")
    father = Delivery.get(Delivery.notice == notice, Delivery.person == twins, Delivery.child_name == "石川 蓮")
    assert read_confirmations.confirm_read(father, agent=PHONE, now=clock.now())
    drawn = board.build_board(notice)
    cells = {place.full_name: place.state for place in drawn.rooms[0].places}
    assert cells["石川 蓮"] == "read" and cells["石川 葵"] != "read"
    assert drawn.by_child and len([one for one in drawn.units if "石川 直樹" in one.names]) == 2
    hers = {
        one.child_name: one for one in Delivery.select().where(Delivery.notice == notice, Delivery.person == mother)
    }
    assert household_reads.has_another_reader_read(hers["石川 蓮"]) and not household_reads.has_another_reader_read(
        hers["石川 葵"]
    )
    counted = summaries.count_households([notice.id], None)[notice.id]
    assert (counted.households, counted.read) == (len(drawn.units), 1)
    Letter.update(state="accepted").where(Letter.notice == notice).execute()
    reminded = {one.delivery_id for one in reminders.find_recipients(notice, clock.now())}
    of_the_twins = {one.id: one.child_name for one in Delivery.select().where(Delivery.person.in_([twins, mother]))}
    assert [of_the_twins[number] for number in sorted(reminded & of_the_twins.keys())] == ["石川 葵"] * 2


def test_the_pages_count_children(as_, school, twins, differs):
    notice = begun(school, "1-1")
    page = as_("花子").get(f"/notices/{notice.id}/board").text
    assert "6人（お子さん）" in page
    token = mine(notice, "石川 葵").token
    reader = as_("花子").get(f"/r/{token}").text
    assert "これは 石川 葵さん（1年1組）の分です。" in reader and "蓮" not in reader


def test_who_joined_is_named_once(school, twins, differs):
    from core.reports import progress

    notice = smarthost.confirmed(chosen(school, "1-1"), school.users["守"])
    late = Person.create(name="遅刻 望", address="late@example.jp", address_key="late@example.jp", household="late")
    for child in ("石川 蓮", "石川 葵"):
        Membership.create(person=late, list=school.lists["1-1"], child=school.children[child])
    start.start_due_notices(clock.now())
    joined, gone = progress.recipient_changes_at_start(Notice.get_by_id(notice.id))
    assert [one.name for one in joined] == ["遅刻 望"] and gone == []
