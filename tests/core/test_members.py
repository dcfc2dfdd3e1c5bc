"""Members: add, edit, stop, resume, leave, correct and release an address, approve (T-24, T-32, T-36, D-30, E-09)."""

import pytest

import clock
from core.errors import DomainError
from core.imports import register
from core.members import households, lists, members
from core.signup import carrier_help
from models import AuditLog, Child, Membership, Person


@pytest.fixture
def kumi(config):
    return lists.add_list(None, "3年2組", "3nen2kumi", now=clock.now())


def add(kumi, **said):
    said = {"name": "鈴木 大輔", "address": "d@example.jp", **said}
    return register.add_member(kumi, by=None, now=clock.now(), **said)


def again(row):
    return type(row).get_by_id(row.id)


def test_a_member_is_added_with_child_and_items(kumi):
    row = add(
        kumi,
        kana="すずき だいすけ",
        relation="父",
        child_name="鈴木 海斗",
        grade="3年",
        class_name="2組",
        phone="９０１２３４５６７８",
        attributes={"地区": "本町", "当番日": "10月1日"},
    )
    assert (row.person.kana, row.person.phone) == ("スズキ ダイスケ", "09012345678")
    assert (row.child.room, row.child.attributes) == ("3-2", {"地区": "本町"})
    assert (row.relation, row.attributes, row.joined_via) == ("父", {"当番日": "10月1日"}, "manager")
    assert row.child.household == row.person.household != ""
    assert AuditLog.get(AuditLog.action == "member.added").detail == {"list": kumi.id}


def test_signs_that_turn_or_hide_text_do_not_get_into_names(kumi):
    """Law 6: a name that turns its neighbours around, or speaks to the terminal of who reads an export."""
    row = add(kumi, name="鈴\u202e木\x1b[31m \x00大輔", child_name="鈴木\u2066 海斗")
    assert (row.person.name, row.child.name) == ("鈴木[31m 大輔", "鈴木 海斗")
    made = lists.add_list(None, "4年\u202e1組\x1b", "4nen1kumi", now=clock.now())
    assert made.name == "4年1組"


def test_a_second_child_of_the_same_address_is_the_same_person(kumi):
    first = add(kumi, child_name="鈴木 海斗", grade="3")
    second = add(kumi, child_name="鈴木 美月", grade="6")
    assert first.person_id == second.person_id
    assert Person.select().count() == 1


def test_a_family_without_address_needs_a_name(kumi):
    assert add(kumi, address="", name="和田 幸子").person.address is None
    with pytest.raises(DomainError) as refused:
        add(kumi, address="", name="")
    assert refused.value.field == "name"


@pytest.mark.parametrize("address", ["bad", "x@mail.school.example", "山@example.jp"])
def test_an_unusable_address_is_refused_on_its_field(kumi, address):
    with pytest.raises(DomainError) as refused:
        add(kumi, address=address)
    assert refused.value.field == "address"
    assert Person.select().count() == 0


def test_somebody_who_is_there_is_not_added_again(kumi):
    row = add(kumi)
    Membership.update(state="stopped", stopped_by="reader").execute()
    with pytest.raises(register.AlreadyMember) as refused:
        add(kumi, address="D@example.jp", phone="000-0000-0001")
    assert refused.value.person.id == row.person_id
    assert "stopped" in refused.value.message
    assert Person.get().phone == ""


def test_editing_changes_person_child_and_items(kumi):
    row = add(kumi)
    members.edit_person(row.person, None, name="鈴木　大介", kana="すずき", phone="", language="en")
    child = {"name": "鈴木 海斗", "kana": "かいと", "grade": "４年", "class_name": "1組"}
    members.edit_membership(row, None, relation="父", items={"地区": "川端", "係": "広報", " ": "x"}, child=child)
    after = again(row)
    assert (after.person.name, after.person.kana, after.person.language) == ("鈴木 大介", "スズキ", "en")
    assert (after.child.room, after.child.kana, after.child.attributes) == ("4-1", "カイト", {"地区": "川端"})
    assert (after.attributes, after.child.household) == ({"係": "広報"}, after.person.household)
    members.edit_membership(after, None, relation="父", items={}, child={**child, "grade": "5"})
    assert again(row).child.grade == "5"
    assert Child.select().count() == 1


def test_a_name_cannot_be_taken_from_a_telephone_family(kumi):
    row = add(kumi, address="", name="和田 幸子")
    with pytest.raises(DomainError):
        members.edit_person(row.person, None, name=" ", kana="", phone="", language="ja")


def test_stopping_and_resuming_move_all_places_of_a_person(kumi):
    row = add(kumi, child_name="鈴木 海斗", grade="3")
    add(kumi, child_name="鈴木 美月", grade="6")
    assert members.stop_mail(kumi, [row.person_id], None, clock.now()) == 1
    assert {(one.state, one.stopped_by) for one in Membership.select()} == {("stopped", "manager")}
    assert members.stop_mail(kumi, [row.person_id], None, clock.now()) == 0
    assert members.resume_mail(kumi, [row.person_id], None, clock.now()) == 1
    assert {(one.state, one.stopped_at) for one in Membership.select()} == {("active", None)}


def test_a_list_moves_only_its_own_members(kumi):
    other = lists.add_list(None, "別", "betsu", now=clock.now())
    row = add(kumi)
    add(other)
    members.stop_mail(other, [row.person_id], None, clock.now())
    assert again(row).state == "active"


def test_who_stopped_it_himself_comes_back_on_his_own_wish_only(kumi):
    row, second = add(kumi), add(kumi, name="林", address="h@example.jp")
    Membership.update(state="stopped", stopped_by="reader").where(Membership.id == row.id).execute()
    members.stop_mail(kumi, [second.person_id], None, clock.now())
    both = [row.person_id, second.person_id]
    with pytest.raises(members.StoppedByReader) as refused:
        members.resume_mail(kumi, both, None, clock.now())
    assert refused.value.people == 1
    assert again(second).state == "stopped"
    assert members.resume_mail(kumi, both, None, clock.now(), wished=True) == 2


def test_leaving_keeps_the_row(kumi):
    row = add(kumi)
    assert members.remove_members(kumi, [row.person_id], None, clock.now()) == 1
    after = again(row)
    assert after.state == "left"
    assert after.left_at is not None
    assert members.resume_mail(kumi, [row.person_id], None, clock.now()) == 0


def test_approval_lets_only_waiting_people_in(kumi):
    row = add(kumi)
    Membership.update(state="pending").execute()
    assert members.approve_members(kumi, [row.person_id], None) == 1
    assert again(row).state == "active"
    assert members.approve_members(kumi, [row.person_id], None) == 0


@pytest.mark.parametrize("state", ["bounced", "refusing"])
def test_a_new_address_keeps_the_place_and_is_fine_again(kumi, state):
    row = add(kumi)
    Person.update(address_state=state, bare=True).execute()
    members.change_address(again(row.person), "ｎｅｗ..one@Example.jp", None, clock.now())
    after = again(row).person
    assert (after.address, after.address_key) == ("new..one@example.jp", "new..one@example.jp")
    assert (after.address_state, after.violates_rfc, after.bare) == ("fine", True, False)
    assert again(row).state == "active"


def test_a_complaint_outlives_a_new_address_and_a_release(kumi):
    row = add(kumi)
    Person.update(address_state="complained").execute()
    members.change_address(again(row.person), "n@example.jp", None, clock.now())
    assert not members.clear_suppression(again(row.person), None, clock.now())
    assert again(row.person).address_state == "complained"


def test_an_address_of_somebody_else_is_refused(kumi):
    row, other = add(kumi), add(kumi, name="林", address="h@example.jp")
    with pytest.raises(members.AddressTaken) as refused:
        members.change_address(row.person, "H@example.jp", None, clock.now())
    assert refused.value.person.id == other.person_id
    members.change_address(row.person, "D@example.jp", None, clock.now())  # the own one, written otherwise
    assert again(row.person).address == "D@example.jp"


def test_a_release_is_one_press(kumi):
    row = add(kumi)
    Person.update(address_state="bounced", address_reason="unknown_user").execute()
    assert members.clear_suppression(row.person, None, clock.now())
    assert not members.clear_suppression(row.person, None, clock.now())
    assert again(row.person).address_reason == ""


def test_splitting_a_household_leaves_the_shared_child(kumi):
    father = add(kumi, child_name="林 葵", child_kana="ハヤシ アオイ")
    mother = add(kumi, name="林 直子", address="n@example.jp", child_name="林 葵", child_kana="ハヤシ アオイ")
    own = add(kumi, name="林 直子", address="n@example.jp", child_name="林 桃", child_kana="ハヤシ モモ")
    households.split_household(again(mother.person), None)
    assert again(father.person).household == again(father.child).household
    assert again(mother.person).household == again(own.child).household != again(father.person).household


# T-17
@pytest.mark.proves("T-17")
@pytest.mark.parametrize(
    ("address", "carrier"),
    [
        ("a..b@docomo.ne.jp", carrier_help.DOCOMO),
        ("a@ezweb.ne.jp", carrier_help.AU),
        ("a@i.softbank.jp", carrier_help.SOFTBANK),
        ("a@sub.softbank.ne.jp", carrier_help.SOFTBANK),
        ("a@gmail.com", carrier_help.GMAIL),
        ("a@notdocomo.ne.jp", carrier_help.OTHER_PROVIDER),
    ],
)
def test_guidance_follows_the_carrier(address, carrier):
    assert carrier_help._shipped_guidance_for(address) is carrier
