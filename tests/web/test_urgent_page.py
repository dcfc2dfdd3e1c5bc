"""The page of the current urgent text, for everybody and without names (field 5.2 no. 10)."""

from datetime import timedelta

import pytest

import clock
from models import Notice, Organization, PageView
from tests import cast_notices


@pytest.fixture
def on(school):
    Organization.update(public_urgent=True).execute()
    return school


def send(school, key: str = "whole", minutes: int = 10, **options):
    at = clock.now() - timedelta(minutes=minutes)
    return cast_notices.send(
        [school.lists[key]], by=school.users["守"], at=at, **{"urgent": True, "practice": True, **options}
    ).notice


def shown(client) -> str:
    answer = client.get("/now")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_there_is_no_such_page_unless_it_is_switched_on(client, school):
    send(school)
    assert client.get("/now").status_code == 404


def test_an_administrator_switches_it_on_and_everybody_sees_the_newest(as_, client, school):
    send(school, minutes=60, subject="6時の知らせ")
    send(school, minutes=5, subject="7時の知らせ")
    as_("守").post("/admin/safety", data={"public_urgent": "1"})
    page = shown(client)
    assert "7時の知らせ" in page and "6時の知らせ" not in page
    assert "臨時休校とします" in page


def test_no_name_and_no_way_to_a_familys_page_stands_there(client, on):
    """T-14, law 2"""
    sent = cast_notices.send([on.lists["whole"]], by=on.users["守"], urgent=True, practice=True)
    page = shown(client)
    assert len(sent.deliveries) > 5 and "臨時休校とします" in page
    for delivery in sent.deliveries.values():
        assert delivery.token not in page and delivery.name not in page
    assert "守" not in page and "Set-Cookie" not in client.get("/now").headers
    assert PageView.select().count() == 0


@pytest.mark.parametrize(
    "options",
    [
        {"urgent": False},
        {"key": "1-1"},
        {"minutes": 13 * 60},
        {"state": "withdrawn"},
        {"text": "{{氏名}}様へ"},
        {"kind": "individual"},
    ],
    ids=["ordinary", "one class", "old", "withdrawn", "merge fields", "to one person"],
)
def test_what_is_not_for_everybody_or_not_current_is_not_there(client, on, options):
    send(on, **options)
    assert "いま、緊急のお知らせはありません" in shown(client)
    assert Notice.select().count() == 1


def test_the_day_and_the_school_are_filled_in_and_the_sender_is_the_school(client, on):
    """N-04: the shipped emergency samples hold such fields, and must stand there."""
    text = "{{今日の日付}}は自宅で待機してください。\n{{学校名}} {{差出人の名前}}"
    send(on, subject="【緊急】{{今日の日付（短）}} 自宅待機", text=text)
    page = shown(client)
    today = clock.to_local(clock.now() - timedelta(minutes=5)).date()
    assert f"{today.month}/{today.day}" in page and "かえで原小学校 かえで原小学校" in page
    assert "{{" not in page and "守" not in page
