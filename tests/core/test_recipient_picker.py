"""Choosing recipients: sizes of lists, people by name, and what may be chosen at all (D-01, D-11, T-33, X-04)."""

import pytest

import clock
from core.notices import drafts, recipients
from core.permissions import permissions_of
from database import db
from models import Membership, Person


@pytest.fixture
def hanako(school):
    return permissions_of(school.users["花子"])


def queries_of(call):
    """Return how many statements a call sends to the database."""
    counted = []
    real = db.obj.execute_sql
    db.obj.execute_sql = lambda *args, **kwargs: counted.append(args[0]) or real(*args, **kwargs)
    try:
        call()
    finally:
        del db.obj.execute_sql
    return len(counted)


def test_sizes_count_people_whom_letters_reach(school):
    """Stopped, left, bounced and addressless ones do not count."""
    sizes = recipients.count_reachable(school.lists.values())
    assert sizes[school.lists["1-1"].id] == 4
    assert sizes[school.lists["2-1"].id] == 3


@pytest.mark.parametrize("piece", ["青山 健", "青山健太", "あおやま　けん", "アオヤマ", "陽菜", "健太"])
def test_people_are_found_by_any_piece_of_a_name(hanako, piece):
    assert "青山 健太" in [one.name for one in recipients.search_people(hanako, piece)]


def test_children_stand_beside_the_name(hanako):
    (found,) = recipients.search_people(hanako, "石川")
    assert found.children_text == "石川 蓮 1-1"


def test_children_of_other_lists_are_not_shown(hanako):
    """T-33: 鈴木 大輔 has a child in each class; 花子 manages one of them."""
    (found,) = recipients.search_people(hanako, "鈴木")
    assert "美月" in found.children_text and "海斗" not in found.children_text


@pytest.mark.parametrize("piece", ["加藤", "雑音 二", "", " ", "%", "_"])
def test_others_are_not_found(hanako, piece):
    """T-33: other lists, those who left; signs of SQL are signs."""
    assert [one.name for one in recipients.search_people(hanako, "石川")] == ["石川 直樹"]
    assert recipients.search_people(hanako, piece) == []


def test_only_own_lists_and_people_may_be_chosen(school, hanako):
    own, other = school.lists["1-1"].id, school.lists["2-1"].id
    mine, foreign = school.people["青山 健太"].id, school.people["加藤 誠"].id
    assert recipients.may_send_to_all(hanako, [own], [mine])
    assert not recipients.may_send_to_all(hanako, [own, other], [])
    assert not recipients.may_send_to_all(hanako, [], [mine, foreign])
    assert not recipients.may_send_to_all(hanako, [999_999], [])


def test_a_draft_is_allowed_as_long_as_its_lists_are(school):
    made = drafts.create_draft(school.users["花子"], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=clock.now())
    assert recipients.may_still_send(permissions_of(school.users["花子"]), made)
    assert not recipients.may_still_send(permissions_of(school.users["太郎"]), made)


def test_a_thousand_members_cost_no_more_queries(school, hanako):
    """No query inside a loop over people."""
    few = queries_of(lambda: recipients.search_people(hanako, "ア"))
    with db.atomic():
        for number in range(200):
            one = Person.create(name=f"安藤 {number}", kana=f"アンドウ {number}", address=f"a{number}@example.com")
            Membership.create(person=one, list=school.lists["1-1"])
    assert queries_of(lambda: recipients.search_people(hanako, "ア")) == few
    assert queries_of(lambda: recipients.count_reachable(school.lists.values())) == 1
