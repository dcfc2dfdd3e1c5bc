"""Who receives a notice: one letter a person, exclusion first, every reason named (D-01, D-06, D-13, E-08)."""

import pytest

import clock
from core.notices import drafts
from core.notices.audience import EXCLUSION_REASONS, resolve_audience
from models import MailingList, Membership, Person
from tests import smarthost


def audience_of(school, lists=(), without=(), persons=(), without_persons=()):
    now = clock.now()
    notice = drafts.create_draft(school.users["守"], now=now)
    drafts.set_recipients(
        notice,
        now=now,
        lists=[school.lists[key].id for key in lists],
        without=[school.lists[key].id for key in without],
        persons=[school.people[key].id for key in persons],
        without_persons=[school.people[key].id for key in without_persons],
    )
    return resolve_audience(notice)


def names(recipients):
    return [one.name for one in recipients]


def reasons(audience):
    return {one.name: one.reason for one in audience.left_out}


@pytest.mark.proves("T-34")
def test_a_list_reaches_its_active_readers_by_kana_and_names_who_is_left_out(school):
    audience = audience_of(school, ["1-1"])
    assert names(audience.receiving) == ["青山 健太", "青山 美咲", "石川 直樹", "鈴木 大輔"]
    assert reasons(audience) == {"和田 幸子": "no_address", "雑音 一": "stopped", "雑音 三": "bounced"}
    assert (audience.letters, audience.households) == (4, 3)
    assert not audience.whole


def test_who_has_left_is_in_no_audience(school):
    audience = audience_of(school, ["1-1", "2-1", "whole"])
    everybody = names(audience.receiving) + names(audience.left_out)
    assert "雑音 二" not in everybody
    assert audience.whole


def test_a_person_in_several_lists_with_several_children_gets_one_letter(school):
    """D-01: 鈴木 大輔 has a child in each class and stands in the whole list, too."""
    audience = audience_of(school, ["2-1", "1-1", "whole"])
    mine = [one for one in audience.receiving if one.name == "鈴木 大輔"]
    assert len(mine) == 1 and len(mine[0].covers) == 4
    assert mine[0].list_id == school.lists["2-1"].id
    assert mine[0].rooms == "2-1, 1-1" and mine[0].child_name == "鈴木 海斗, 鈴木 美月"


def test_the_first_list_in_which_a_reader_is_active_gives_the_letter_its_name(school):
    me = school.people["鈴木 大輔"]
    Membership.update(state="stopped").where(Membership.person == me, Membership.list == school.lists["2-1"]).execute()
    audience = audience_of(school, ["2-1", "1-1"])
    mine = next(one for one in audience.receiving if one.person_id == me.id)
    assert mine.list_id == school.lists["1-1"].id and len(mine.covers) == 1


def test_stopping_one_list_keeps_the_other(school):
    me = school.people["鈴木 大輔"]
    Membership.update(state="stopped").where(Membership.person == me, Membership.list == school.lists["2-1"]).execute()
    assert reasons(audience_of(school, ["2-1"]))["鈴木 大輔"] == "stopped"
    assert "鈴木 大輔" in names(audience_of(school, ["1-1"]).receiving)


# exclusion (D-13)


@pytest.mark.proves("D-13")
def test_an_excluded_list_wins_over_an_included_one(school):
    audience = audience_of(school, ["1-1", "2-1"], without=["2-1"])
    assert "鈴木 大輔" not in names(audience.receiving)
    assert reasons(audience)["鈴木 大輔"] == "excluded"


@pytest.mark.proves("D-13")
def test_an_excluded_person_wins_over_being_named(school):
    audience = audience_of(school, ["1-1"], persons=["石川 直樹"], without_persons=["石川 直樹"])
    assert reasons(audience)["石川 直樹"] == "excluded"
    assert len(audience.receiving) == 3


@pytest.mark.parametrize("state", ["active", "stopped", "pending", "unconfirmed"])
def test_who_belongs_to_an_excluded_list_in_any_way_gets_nothing(school, state):
    officers = MailingList.create(name="役員", address="yakuin")
    school.lists["officers"] = officers
    Membership.create(person=school.people["石川 直樹"], list=officers, state=state)
    assert reasons(audience_of(school, ["1-1"], without=["officers"]))["石川 直樹"] == "excluded"


def test_who_left_an_excluded_list_is_not_excluded(school):
    school.lists["officers"] = MailingList.create(name="役員", address="yakuin")
    Membership.create(person=school.people["石川 直樹"], list=school.lists["officers"], state="left")
    assert "石川 直樹" in names(audience_of(school, ["1-1"], without=["officers"]).receiving)


# reasons


@pytest.mark.parametrize("state", ["pending", "unconfirmed", "stopped"])
def test_a_membership_that_is_not_active_is_named(school, state):
    Membership.update(state=state).where(Membership.person == school.people["石川 直樹"]).execute()
    assert reasons(audience_of(school, ["1-1"]))["石川 直樹"] == state


@pytest.mark.parametrize(("state", "reason"), [("bounced", "bounced"), ("complained", "complained"), ("refusing", "")])
def test_a_dead_or_complaining_address_gets_nothing_a_filter_is_tried_again(school, state, reason):
    Person.update(address_state=state).where(Person.id == school.people["石川 直樹"].id).execute()
    assert reasons(audience_of(school, ["1-1"])).get("石川 直樹", "") == reason


def test_every_reason_has_a_sentence(school):
    assert set(reasons(audience_of(school, ["1-1"], without=["2-1"])).values()) <= set(EXCLUSION_REASONS)


# single persons


def test_a_single_person_is_reached_through_any_list_of_theirs(school):
    audience = audience_of(school, persons=["加藤 誠", "和田 幸子"])
    assert names(audience.receiving) == ["加藤 誠"]
    assert reasons(audience) == {"和田 幸子": "no_address"}
    assert audience.lists == ()


def test_a_single_person_who_stopped_the_chosen_list_is_reached_through_another(school):
    me = school.people["鈴木 大輔"]
    Membership.update(state="stopped").where(Membership.person == me, Membership.list == school.lists["2-1"]).execute()
    audience = audience_of(school, ["2-1"], persons=["鈴木 大輔"])
    mine = next(one for one in audience.receiving if one.person_id == me.id)
    assert mine.list_id != school.lists["2-1"].id


def test_a_closed_list_carries_nobody(school):
    """雑音 一 stopped 1年1組 and is active in last year's closed list only."""
    assert reasons(audience_of(school, persons=["雑音 一", "雑音 二"])) == {"雑音 一": "stopped", "雑音 二": "left"}
    school.lists["gone"] = MailingList.get(MailingList.address == "kyonen")
    audience = audience_of(school, ["gone"])
    assert (audience.receiving, audience.left_out, audience.lists) == ((), (), ())


# fingerprint


def test_the_fingerprint_changes_with_who_receives_at_which_address_and_nothing_else(school):
    first = audience_of(school, ["1-1"]).fingerprint
    assert audience_of(school, ["1-1"]).fingerprint == first
    Person.update(phone="000-0000-0009").where(Person.id == school.people["石川 直樹"].id).execute()
    assert audience_of(school, ["1-1"]).fingerprint == first
    Person.update(address="new@example.jp").where(Person.id == school.people["石川 直樹"].id).execute()
    moved = audience_of(school, ["1-1"]).fingerprint
    assert moved != first
    Membership.update(state="stopped").where(Membership.person == school.people["石川 直樹"]).execute()
    assert audience_of(school, ["1-1"]).fingerprint not in (first, moved)


def test_the_same_number_of_queries_for_ten_and_for_five_hundred(school):
    smarthost.families(school.lists["2-1"], 10)
    now = clock.now()
    notice = drafts.create_draft(school.users["守"], now=now)
    drafts.set_recipients(notice, now=now, lists=[school.lists["2-1"].id], without=[school.lists["1-1"].id])
    with smarthost.queries() as few:
        assert resolve_audience(notice).letters == 12
    smarthost.families(school.lists["2-1"], 490, start=10)
    with smarthost.queries() as many:
        assert resolve_audience(notice).letters == 502
    assert len(few) == len(many) <= 9
