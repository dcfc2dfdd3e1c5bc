"""Moving and copying members between lists (T-35): no doubles, wishes go along, history stays."""

import pytest

import clock
from core.members import move_copy
from core.reports import board
from models import AuditLog, Membership
from tests import cast_notices


def places(school, key, state=None):
    rows = Membership.select().where(Membership.list == school.lists[key])
    rows = rows.where(Membership.state == state) if state else rows.where(Membership.is_member)
    return sorted((row.person.name, row.child.name if row.child_id else "") for row in rows)


def do(school, kind, *names, source="1-1", target="2-1"):
    people = [school.people[name].id for name in names]
    return move_copy.move_or_copy(
        kind, school.lists[source], school.lists[target], people, school.users["守"], clock.now()
    )


@pytest.mark.proves("T-35")
def test_moving_leaves_the_one_and_joins_the_other(school):
    """T-35"""
    done = do(school, "move", "青山 健太", "石川 直樹")
    assert (done.new, done.already_members) == (2, 0)
    assert ("青山 健太", "青山 陽菜") in places(school, "2-1") and ("青山 健太", "青山 陽菜") not in places(
        school, "1-1"
    )
    assert ("青山 健太", "青山 陽菜") in places(school, "1-1", "left")
    fresh = Membership.get(Membership.list == school.lists["2-1"], Membership.person == school.people["青山 健太"])
    assert (fresh.joined_via, fresh.relation, fresh.consent["from_list"]) == ("move", "父", school.lists["1-1"].id)
    row = AuditLog.get(AuditLog.action == "member.moved")
    assert (row.user, row.number, row.detail["people"]) == (school.users["守"], school.lists["2-1"].id, 2)


@pytest.mark.proves("T-35")
def test_copying_keeps_both(school):
    """T-35"""
    do(school, "copy", "青山 健太")
    assert ("青山 健太", "青山 陽菜") in places(school, "1-1") and ("青山 健太", "青山 陽菜") in places(school, "2-1")


@pytest.mark.parametrize("kind", ["move", "copy"])
def test_nobody_stands_there_twice(school, kind):
    """T-35: 鈴木 大輔 is in 2年1組 because of 海斗; copying adds the place of 美月, a second time nothing."""
    assert do(school, kind, "鈴木 大輔", "青山 健太").new == 2
    before = places(school, "2-1")
    assert before.count(("鈴木 大輔", "鈴木 海斗")) == before.count(("鈴木 大輔", "鈴木 美月")) == 1
    assert do(school, kind, "鈴木 大輔", "青山 健太").new == 0
    assert places(school, "2-1") == before


def test_what_will_happen_is_said_before(school):
    do(school, "copy", "青山 健太")
    people = [school.people[name].id for name in ("青山 健太", "石川 直樹", "加藤 誠")]
    seen = move_copy.preview_move_copy(school.lists["1-1"], school.lists["2-1"], people)
    assert (seen.new, seen.already_members) == (1, 1), "加藤 誠 is not in 1年1組"


def test_a_stop_goes_along_and_who_left_comes_back(school):
    stopped = (Membership.person == school.people["石川 直樹"]) & (Membership.list == school.lists["1-1"])
    Membership.update(state="stopped", stopped_by="reader", stopped_at=clock.now()).where(stopped).execute()
    do(school, "move", "石川 直樹", "青山 健太")
    assert ("石川 直樹", "石川 蓮") in places(school, "2-1", "stopped")
    do(school, "move", "青山 健太", source="2-1", target="1-1")
    assert ("青山 健太", "青山 陽菜") in places(school, "1-1", "active")
    assert Membership.select().where(Membership.person == school.people["青山 健太"]).count() == 3


def test_the_history_of_the_first_list_stays(school):
    """T-35: a notice sent before keeps its cells."""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    before = [place.full_name for room in board.build_board(sent.notice).rooms for place in room.places]
    do(school, "move", "青山 健太", "青山 美咲")
    assert [place.full_name for room in board.build_board(sent.notice).rooms for place in room.places] == before


def test_a_list_is_not_moved_into_itself(school):
    with pytest.raises(move_copy.SameList):
        do(school, "move", "青山 健太", target="1-1")


def test_a_whole_class_is_moved_in_a_few_statements(school):
    from tests import smarthost

    smarthost.families(school.lists["1-1"], 200)
    people = [row.person_id for row in Membership.select().where(Membership.list == school.lists["1-1"])]
    with smarthost.queries() as asked:
        move_copy.move_or_copy("move", school.lists["1-1"], school.lists["2-1"], people, None, clock.now())
    assert len([one for one in asked if not one.startswith("INSERT")]) < 12 and len(places(school, "2-1")) > 200
