"""Never another child's value: what a person chosen by name brings along, and whose name stands under it (T-33).

鈴木 大輔 has 美月 in 1年1組, which 花子 manages, and 海斗 in 2年1組, which she does not.
"""

from datetime import timedelta

import pytest

import clock
from core.errors import WrongLetterCount
from core.members import groups, segment_rules
from core.notices import approval, drafts, merge_fields, recipients, rendering, sender_names, start
from core.notices.audience import as_sent_by, resolve_audience, resolve_audience_for
from core.permissions import permissions_of
from core.settings import load_settings
from models import Child, Delivery, DeliveryMembership, MailingList, Membership, Notice, Person, Role

TEXT = "{{保護者氏名}}様、{{児童氏名}}さん（{{学年組}}）の当番は{{当番日}}です。"


@pytest.fixture
def father(school):
    for name, day in (("鈴木 美月", "10/1(木)"), ("鈴木 海斗", "10/2(金)")):
        Child.update(attributes={"当番日": day}).where(Child.id == school.children[name].id).execute()
    return school.people["鈴木 大輔"]


def draft(school, name: str, text: str = TEXT, **targets: object) -> Notice:
    made = drafts.create_draft(school.users[name], now=clock.now())
    drafts.set_recipients(made, now=clock.now(), **targets)
    drafts.save_draft(made, subject="当番", text=text, now=clock.now())
    return made


def confirm(notice: Notice, by) -> Notice:
    found = resolve_audience_for(notice, by)
    return approval.confirm_send(
        notice, by=by, fingerprint=found.fingerprint, typed=str(found.letters), now=clock.now()
    )


def shown(notice: Notice, audience) -> str:
    """Return everything that the previews of all readers say."""
    made = [rendering.preview_letter(notice, one, load_settings(), clock.now()) for one in audience.receiving]
    return "\n".join(f"{one.subject}\n{one.text}\n{one.html}" for one in made)


def test_a_person_chosen_by_name_brings_only_the_children_of_the_senders_lists(school, father):
    """N-13, D-01: in the preview, the values and the rows that are frozen."""
    notice = draft(school, "花子", persons=[father.id])
    found = resolve_audience(notice)
    assert [(one.child_name, one.rooms, one.values["当番日"]) for one in found.receiving] == [
        ("鈴木 美月", "1-1", "10/1(木)")
    ]
    assert "海斗" not in shown(notice, found) and "10/2" not in shown(notice, found)
    confirm(notice, school.users["花子"])
    start.start_due_notices(clock.now() + timedelta(minutes=5))
    assert [one.child_name for one in Delivery.select().where(Delivery.notice == notice)] == ["鈴木 美月"]
    assert {one.list_id for one in DeliveryMembership.select()} == {school.lists["1-1"].id}


def test_a_plain_letter_stamps_no_foreign_child_either(school, father):
    notice = draft(school, "花子", "お知らせ", persons=[father.id])
    (only,) = resolve_audience(notice).receiving
    assert only.child_name == "鈴木 美月" and len(only.covers) == 1


def test_an_administrator_reaches_both_children(school, father):
    notice = draft(school, "守", persons=[father.id])
    assert sorted(one.child_name for one in resolve_audience(notice).receiving) == ["鈴木 海斗", "鈴木 美月"]


def test_a_colleagues_draft_is_looked_at_with_the_own_eyes(school, father):
    """Begun by the administrator for both children, opened and sent by who manages one class."""
    notice = draft(school, "守", persons=[father.id], lists=[school.lists["1-1"].id])
    hanako = school.users["花子"]
    found = resolve_audience_for(notice, hanako)
    assert found.receiving and "海斗" not in shown(as_sent_by(notice, hanako), found)
    assert Notice.get_by_id(notice.id).by == notice.by == school.users["守"]
    Child.update(attributes={"当番日": "10/1"}).execute()
    confirm(Notice.get_by_id(notice.id), hanako)
    kept = Notice.get_by_id(notice.id)
    assert kept.within == [school.lists["1-1"].id]
    assert "海斗" not in shown(kept, resolve_audience(kept))


def test_what_was_confirmed_stays_as_it_was_when_the_role_ends(school, father):
    """A role that ends between booking and sending takes nobody out."""
    notice = confirm(draft(school, "花子", persons=[father.id]), school.users["花子"])
    Role.delete().where(Role.user == school.users["花子"]).execute()
    assert [one.child_name for one in resolve_audience(Notice.get_by_id(notice.id)).receiving] == ["鈴木 美月"]


def test_items_of_foreign_lists_are_not_offered(school, father):
    """D-22 to D-25: the names of the fields to be tapped in."""
    place = Membership.get(Membership.person == father, Membership.list == school.lists["2-1"])
    Membership.update(attributes={"副担任への連絡": "x"}).where(Membership.id == place.id).execute()
    notice = draft(school, "花子", persons=[father.id])
    assert merge_fields.custom_field_names(merge_fields.lists_of_notice(notice)) == ["当番日"]
    assert "副担任への連絡" in merge_fields.custom_field_names(
        merge_fields.lists_of_notice(draft(school, "守", persons=[father.id]))
    )


def test_nobody_is_found_by_a_foreign_child(school):
    """The search would tell that two children are brother and sister."""
    hanako = permissions_of(school.users["花子"])
    assert recipients.search_people(hanako, "海斗") == []
    assert [one.name for one in recipients.search_people(hanako, "美月")] == ["鈴木 大輔"]
    assert [one.name for one in recipients.search_people(permissions_of(school.users["守"]), "海斗")] == ["鈴木 大輔"]


def test_a_second_person_must_be_allowed_to_see_everybody_in_it(school, father):
    """Field 5.4: who approves sees the letters."""
    both = {"manager": school.lists["1-1"].id, "sender": school.lists["2-1"].id}
    for kind, number in both.items():
        Role.replace(user=school.users["見る子"], list_id=number, kind=kind).execute()
    notice = draft(school, "守", "お知らせ", persons=[father.id])
    assert [one.name for one in approval.eligible_approvers(notice, school.users["守"])] == ["見る子"]


def test_who_steers_a_notice_sees_no_child_of_other_lists_in_it(school, father):
    """Written by the administrator to 1年1組 and, by name, to 鈴木 大輔 with both children."""
    hanako = permissions_of(school.users["花子"])
    notice = draft(school, "守", persons=[father.id], groups=[_class(school).id])
    kept = confirm(notice, school.users["守"])
    assert hanako.may_notice("send", kept) and hanako.visible_lists(kept) == [school.lists["1-1"].id]
    assert permissions_of(school.users["守"]).visible_lists(kept) is None


def _class(school):
    rule = segment_rules.parse_blocks([("and", segment_rules.SegmentRule("grade", "is", "9"))])
    return groups.add_group(school.lists["1-1"], "なし", None, clock.now(), rule)


# ── in whose name ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_class_teacher_of_a_foreign_list_signs_nothing(school, father):
    """D-03, D-21: 美月 also plays in a club whose coach 花子 does not lead; 1年1組 has no class teacher."""
    club = MailingList.create(name="FC", address="fc")
    Role.create(user=school.users["太郎"], list_id=club.id, kind="manager")
    Membership.create(person=father, list=club, child=school.children["鈴木 美月"], class_teacher=school.users["太郎"])
    notice, hanako = draft(school, "花子", "お知らせ", lists=[school.lists["1-1"].id]), school.users["花子"]
    sender_names.set_sender_name(notice, permissions_of(hanako), clock.now(), from_class_teacher=True)
    assert {one.signed for one in resolve_audience(notice).receiving} == {""}
    whole = draft(school, "守", "お知らせ", lists=[school.lists["whole"].id])
    sender_names.set_sender_name(whole, permissions_of(school.users["守"]), clock.now(), from_class_teacher=True)
    assert "太郎" in {one.signed for one in resolve_audience(whole).receiving}
    assert sender_names.teachers_by_reader(notice) == {}


# ── most of the school ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def large(school):
    """Thirty families: twelve in 1年1組, eighteen in 2年1組, all of them in 全校."""
    for number in range(30):
        made = Person.create(
            name=f"森 {number:02}",
            kana=f"モリ {number:02}",
            address=f"m{number}@example.jp",
            address_key=f"m{number}@example.jp",
            household=f"m{number}",
        )
        for key in ("1-1" if number < 12 else "2-1", "whole"):
            Membership.create(person=made, list=school.lists[key])
    return school


@pytest.mark.proves("X-06")
def test_classes_put_together_are_most_of_the_school(large):
    """X-06, decision 7: the number is asked for the share of the audience, not only for the mark of a list."""
    first, second = large.lists["1-1"].id, large.lists["2-1"].id
    assert not resolve_audience(draft(large, "守", "お知らせ", lists=[first])).needs_typed_count
    both = draft(large, "守", "お知らせ", lists=[first, second])
    found = resolve_audience(both)
    assert found.needs_typed_count and found.most and not found.whole
    with pytest.raises(WrongLetterCount):
        approval.confirm_send(both, by=large.users["守"], fingerprint=found.fingerprint, now=clock.now())
    assert confirm(both, large.users["守"]).state == "held"


def test_a_wide_group_is_most_of_the_school_and_one_that_leaves_most_out_is_not(large):
    """X-06, D-13."""
    wide = groups.add_group(
        large.lists["whole"],
        "ほぼ全員",
        None,
        clock.now(),
        segment_rules.parse_blocks([("and", segment_rules.SegmentRule("item:休み", "empty"))]),
    )
    assert resolve_audience(draft(large, "守", "お知らせ", groups=[wide.id])).most
    assert not resolve_audience(
        draft(large, "守", "お知らせ", groups=[wide.id], without=[large.lists["2-1"].id])
    ).needs_typed_count


def test_a_club_with_one_list_types_nothing(large):
    """Where there is one list only, its mark decides: everything is everybody there."""
    MailingList.update(closed_at=clock.now()).where(MailingList.id != large.lists["2-1"].id).execute()
    assert not resolve_audience(draft(large, "守", "お知らせ", lists=[large.lists["2-1"].id])).needs_typed_count
