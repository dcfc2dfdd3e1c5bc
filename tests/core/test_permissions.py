"""What each role may do, in which lists, and with which notices (T-33, D-08)."""

from datetime import timedelta

import pytest

import clock
from core.accounts import accounts
from core.permissions import permissions_of, target_lists
from models import MailingList, Notice, Role, Target, User


@pytest.fixture
def may(school):
    """Return the permissions of a user of the cast."""
    return lambda name: permissions_of(User.get(User.name == name))


@pytest.fixture
def practice(school):
    """Return the practice lists of 守 and 花子."""
    return {name: accounts.ensure_practice_list(school.users[name], clock.now()) for name in ("守", "花子")}


def notice(by, *lists, **fields):
    made = Notice.create(by=by, by_name=by.name if by else "", **fields)
    for one in lists:
        Target.create(notice=made, kind="list", number=one.id)
    return made


def names(lists):
    return [one.name for one in lists]


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proves("T-33")
@pytest.mark.parametrize(
    ("user", "needs"),
    [
        ("見る子", {"view"}),
        ("送る子", {"view", "send"}),
        ("花子", {"view", "send", "manage"}),
        ("守", {"view", "send", "manage", "admin"}),
        ("太郎", set()),
    ],
)
def test_each_role_includes_the_weaker_ones_in_its_own_list(school, may, user, needs):
    place = school.lists["1-1"]
    assert {need for need in ("view", "send", "manage", "admin") if may(user).may_list(need, place)} == needs
    assert {need for need in ("view", "send", "manage", "admin") if place in may(user).lists(need)} == needs
    anywhere = needs or {"view", "send", "manage"}
    assert {need for need in ("view", "send", "manage", "admin") if may(user).may(need)} == anywhere


def test_a_manager_of_all_lists_is_no_administrator(school, may):
    Role.update(list_id=0).where(Role.user == school.users["花子"]).execute()
    assert may("花子").may_list("manage", school.lists["2-1"])
    assert not may("花子").is_admin and not may("花子").may("admin")
    assert may("守").is_admin


def test_closed_lists_are_nobodys(school, may):
    assert "去年の6年" not in names(may("守").lists("view"))
    Role.create(user=school.users["花子"], kind="manager", list_id=MailingList.get(address="kyonen").id)
    assert names(may("花子").lists("manage")) == ["1年1組"]


def test_a_practice_list_is_its_owners_to_send_to_and_not_to_manage(school, may, practice):
    for need, expected in (("view", True), ("send", True), ("manage", False), ("admin", False)):
        assert may("花子").may_list(need, practice["花子"]) is expected
        assert (practice["花子"] in may("花子").lists(need)) is expected
        assert not may("守").may_list(need, practice["花子"])
        assert practice["花子"] not in may("守").lists(need)
    assert names(may("守").lists("view")) == ["全校", "1年1組", "2年1組", practice["守"].name]


def test_a_role_ends_after_its_last_day_and_with_the_account(school, may):
    hanako = school.users["花子"]
    Role.update(until=clock.today()).where(Role.user == hanako).execute()
    assert may("花子").may("manage")
    assert not permissions_of(hanako, clock.today() + timedelta(days=1)).may("view")
    User.update(disabled_at=clock.now()).where(User.id == school.users["守"].id).execute()
    assert may("守").by_list == {}


# ── notices ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_writer_controls_the_own_notice_with_the_roles_of_today(school, may):
    own = notice(school.users["送る子"], school.lists["1-1"], state="sent", started_at=clock.now())
    assert may("送る子").may_notice("send", own) and may("送る子").visible_lists(own) is None
    named = notice(school.users["送る子"], school.lists["1-1"], state="sent", started_at=clock.now(), within=None)
    Target.create(notice=named, kind="person", number=school.people["鈴木 大輔"].id)
    for name in ("送る子", "花子"):
        assert may(name).visible_lists(named) == [school.lists["1-1"].id], "the person has a child in another class"
    Role.delete().where(Role.user == school.users["送る子"]).execute()
    assert not may("送る子").may_notice("view", own)


def test_a_writer_whose_role_moved_keeps_the_text_and_the_sums(school, may):
    writer, other = school.users["花子"], school.lists["2-1"]
    own = notice(writer, school.lists["1-1"], state="sent", started_at=clock.now())
    draft = notice(writer, school.lists["1-1"], state="draft")
    Role.update(list_id=other.id).where(Role.user == writer).execute()
    assert may("花子").may_notice("view", own) and not may("花子").may_notice("send", own)
    assert may("花子").visible_lists(own) == may("花子").visible_lists(own, "send") == [other.id]
    assert may("花子").summed_lists(own) is None
    assert may("花子").may_notice("send", draft), "a draft holds no results"


def test_others_control_a_notice_only_with_the_right_for_all_of_its_lists(school, may):
    both = notice(school.users["守"], school.lists["1-1"], school.lists["2-1"], state="sent", started_at=clock.now())
    assert may("花子").may_notice("view", both) and not may("花子").may_notice("send", both)
    assert not may("花子").may_in_all_lists("manage", both)
    assert may("花子").visible_lists(both) == [school.lists["1-1"].id]
    one = notice(school.users["守"], school.lists["1-1"], state="sent", started_at=clock.now())
    assert may("花子").may_notice("send", one) and may("花子").visible_lists(one) is None
    assert may("見る子").may_notice("view", one) and not may("見る子").may_notice("send", one)
    assert may("見る子").visible_lists(one) == [school.lists["1-1"].id]


@pytest.mark.parametrize("state", ["draft", "asked"])
def test_what_is_not_confirmed_is_seen_only_by_those_who_may_control_it(school, may, state):
    written = notice(school.users["守"], school.lists["1-1"], state=state)
    assert may("送る子").may_notice("view", written)
    assert not may("見る子").may_notice("view", written)
    assert not may("花子").may_notice("view", notice(school.users["守"], state=state)), "it has no recipients yet"


def test_an_excluded_list_gives_no_right(school, may):
    sent = notice(school.users["守"], school.lists["2-1"], state="sent", started_at=clock.now())
    Target.create(notice=sent, kind="list", number=school.lists["1-1"].id, include=False)
    assert names(target_lists(sent)) == ["2年1組"]
    assert not may("花子").may_notice("view", sent)


def test_a_started_notice_to_the_whole_school_is_seen_by_everyone_with_a_list(school, may, practice):
    whole = notice(school.users["守"], school.lists["whole"], state="scheduled")
    assert not may("見る子").may_notice("view", whole)
    Notice.update(state="sending", started_at=clock.now()).where(Notice.id == whole.id).execute()
    started = Notice.get_by_id(whole.id)
    assert may("見る子").may_notice("view", started) and not may("見る子").may_notice("send", started)
    Role.delete().where(Role.user == school.users["花子"]).execute()
    assert not may("花子").may_notice("view", started), "a practice list alone is no list of members"


def test_practice_of_another_user_is_hidden_from_administrators_too(school, may, practice):
    own = notice(school.users["花子"], practice["花子"], state="sent", started_at=clock.now())
    assert not may("守").may_notice("view", own)
    assert may("花子").may_notice("send", own)


def test_a_right_in_all_lists_needs_a_role_even_for_a_notice_without_lists(school, may, practice):
    empty = notice(school.users["花子"], state="draft")
    assert may("花子").may_in_all_lists("manage", empty) and may("守").may_in_all_lists("manage", empty)
    assert not may("送る子").may_in_all_lists("manage", empty)
    assert may("花子").may_in_all_lists("manage", notice(school.users["花子"], school.lists["1-1"], practice["花子"]))
