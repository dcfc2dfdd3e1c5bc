"""The page for moving and copying members: administrators alone have it (T-35, T-33)."""

import pytest

from models import Membership
from tests.web.notice_factory import get_page


def members(school, key):
    rows = Membership.select().where(Membership.list == school.lists[key], Membership.is_member)
    return {row.person.name for row in rows}


def test_an_administrator_chooses_checks_and_moves(as_, school):
    """T-35"""
    admin = as_("守")
    one, two = school.lists["1-1"].id, school.lists["2-1"].id
    person = school.people["石川 直樹"].id
    assert "登録者の移動・コピー" in get_page(admin, f"/lists/{one}")
    assert "石川 直樹" in get_page(admin, f"/lists/{one}/transfer")
    form = {"m": [person], "into": two, "kind": "move"}
    asked = admin.post(f"/lists/{one}/transfer", data=form)
    assert "1人を「1年1組」から「2年1組」へ移動しますか" in asked.text and "石川 直樹" in members(school, "1-1")
    done = admin.post(f"/lists/{one}/transfer/run", data=form)
    assert done.status_code == 303 and done.location.endswith(f"/lists/{two}")
    assert "石川 直樹" not in members(school, "1-1") and "石川 直樹" in members(school, "2-1")


def test_from_the_roster_the_ticks_come_along(as_, school):
    one = school.lists["1-1"].id
    form = {"m": [school.people["石川 直樹"].id]}
    answer = as_("守").post(f"/lists/{one}/transfer/choose", data=form)
    assert answer.status_code == 200 and answer.text.count(" checked") == 2  # the tick and 「移動」


def test_what_is_missing_is_said_and_the_choice_is_kept(as_, school):
    admin, one = as_("守"), school.lists["1-1"].id
    person = school.people["石川 直樹"].id
    for form, sentence in (
        ({"into": school.lists["2-1"].id}, "先に"),
        ({"m": [person]}, "移す先のリストを選んでください。"),
        ({"m": [person], "into": one}, "移す先のリストを選んでください。"),
        ({"m": [person], "into": 999}, "移す先"),
    ):
        for verb in ("transfer", "transfer/run"):
            answer = admin.post(f"/lists/{one}/{verb}", data=form)
            assert answer.status_code == 422 and sentence in answer.text
    assert "石川 直樹" in members(school, "1-1")


@pytest.mark.proves("T-35")
def test_ordinary_managers_lack_the_page(as_, school):
    """T-35: 403 at the own list, 404 at another's; and the roster shows no button."""
    hanako, one = as_("花子"), school.lists["1-1"].id
    assert "transfer" not in get_page(hanako, f"/lists/{one}")
    form = {"m": [school.people["石川 直樹"].id], "into": school.lists["2-1"].id, "kind": "copy"}
    for browser in (hanako, as_("太郎"), as_("見る子")):
        assert browser.get(f"/lists/{one}/transfer").status_code in (403, 404)
        for verb in ("transfer", "transfer/choose", "transfer/run"):
            assert browser.post(f"/lists/{one}/{verb}", data=form).status_code in (403, 404)
    assert "石川 直樹" not in members(school, "2-1")
