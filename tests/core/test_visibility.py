"""Which results of a notice a list may see: its own members, and in 全校 their children's families (T-33, T-45)."""

import pytest
from peewee import JOIN

import clock
from core import visibility
from models import Child, Delivery, DeliveryMembership, MailingList, Membership, Person
from tests import cast_notices


@pytest.fixture
def first_class(school):
    return [school.lists["1-1"].id]


def seen(sent, lists):
    """Return {(reader, child as shown)} of the cells that may be seen."""
    rows = (
        DeliveryMembership.select(Delivery.name, visibility.child_column(Child.name, lists))
        .join(Delivery)
        .switch(DeliveryMembership)
        .join(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(Delivery.notice == sent.notice, visibility.visible_cells(lists))
    )
    return {(name, shown or "") for name, shown in rows.tuples()}


def to_whole(school):
    return cast_notices.send([school.lists["whole"]], by=school.users["守"])


def test_of_a_family_with_children_in_two_classes_only_the_own_child_is_seen(school, first_class):
    cells = seen(to_whole(school), first_class)
    assert {child for name, child in cells if name == "鈴木 大輔"} == {"鈴木 美月"}
    assert {name for name, _ in cells} == {"青山 健太", "青山 美咲", "石川 直樹", "和田 幸子", "鈴木 大輔"}
    assert ("鈴木 大輔", "鈴木 海斗") in seen(to_whole(school), None)


def test_who_stopped_the_mail_of_the_class_is_still_seen(school, first_class):
    naoki = (Membership.person == school.people["石川 直樹"]) & (Membership.list == school.lists["1-1"])
    Membership.update(state="stopped").where(naoki).execute()
    assert ("石川 直樹", "石川 蓮") in seen(to_whole(school), first_class)
    Membership.update(state="left").where(naoki).execute()
    assert "石川 直樹" not in {name for name, _ in seen(to_whole(school), first_class)}


def test_a_member_of_the_whole_school_without_a_child_is_seen_by_the_class_of_the_child(school, first_class):
    Membership.update(child=None).where(
        Membership.person == school.people["石川 直樹"], Membership.list == school.lists["whole"]
    ).execute()
    assert ("石川 直樹", "") in seen(to_whole(school), first_class)


def test_a_notice_to_another_list_is_not_seen_by_the_class_of_its_children(school, first_class):
    """Only 全校 stands for the classes: a club's notice belongs to the club."""
    club = MailingList.create(name="野球部", address="yakyu", created_at=clock.now())
    for name, child in (("石川 直樹", school.children["石川 蓮"]), ("青山 健太", None)):
        Membership.create(person=school.people[name], list=club, child=child)
    helper = Person.create(name="手伝う人", kana="テツダウヒト", address="h@example.com", address_key="h@example.com")
    for place in (school.lists["1-1"], club):
        Membership.create(person=helper, list=place)
    sent = cast_notices.send([club], by=school.users["守"])
    assert {name for name, _ in seen(sent, [club.id])} == {"石川 直樹", "青山 健太", "手伝う人"}
    assert seen(sent, first_class) == set()
    assert visibility.visible_deliveries(first_class).where(DeliveryMembership.list == club.id).count() == 0
