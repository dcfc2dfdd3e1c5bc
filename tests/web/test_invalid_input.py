"""What no page of ours would send: numbers beyond every row, times beyond every plan, odd queries (law 6)."""

import re

import pytest

import clock
from core.notices import drafts
from models import Notice
from tests import cast_notices

TOO_LARGE = ["9223372036854775808", "9" * 40]


def numbered(app, method):
    """Give (address with one number too large, rule) for every number in every route that takes a method."""
    for rule in app.url_map.iter_rules():
        places = re.findall(r"<int:\w+>", rule.rule)
        for place in places if method in rule.methods else ():
            yield re.sub(r"<[^>]+>", "1", rule.rule.replace(place, TOO_LARGE[0]))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_number_beyond_every_row_is_not_found(app, as_, method):
    """T-33: a number that the database cannot hold is answered like any other foreign one."""
    browser = as_("守")
    found = list(numbered(app, method))
    assert len(found) > 20
    for address in found:
        assert browser.open(address, method=method).status_code in (404, 405), address


@pytest.mark.parametrize("number", TOO_LARGE)
def test_number_beyond_every_row_in_a_form_or_query_means_nobody(as_, client, school, number):
    """T-24, T-41, T-45, design decision 2"""
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    browser = as_("花子")
    assert browser.get(f"/history?list={number}").status_code == 200
    members = f"/lists/{school.lists['1-1'].id}/members"
    assert browser.post(f"{members}/stop", data={"m": number}).status_code == 303
    told = f"/notices/{sent.notice.id}/phone/mark"
    assert browser.post(told, data={"deliveries": number}).status_code == 303
    leave = f"/u/{sent.deliveries['石川 直樹'].token}"
    answer = client.post(f"{leave}/stop", data={"list": number}, headers={"User-Agent": "Firefox"})
    assert answer.status_code == 303


@pytest.fixture
def draft(school):
    made = drafts.create_draft(school.users["花子"], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=clock.now())
    drafts.save_draft(made, subject="遠足のお知らせ", text="遠足に行きます。", now=clock.now())
    return made


@pytest.mark.parametrize("at", ["0001-01-01T00:00", "9999-12-31T23:59", "0001-01-01T00:00+14:00"])
def test_time_beyond_every_plan_cannot_be_read(as_, draft, at):
    """T-01, T-06"""
    browser = as_("花子")
    assert browser.get(f"/notices/{draft.id}/check", query_string={"at": at}).status_code == 200
    assert browser.post(f"/notices/{draft.id}/check", data={"at": at}).status_code == 422
    assert Notice.get_by_id(draft.id).state == "draft"
    assert browser.post(f"/notices/{draft.id}/retime", data={"at": at}).status_code == 303


@pytest.mark.parametrize("query", ["number=5", "endpoint=x", "_external=1&_scheme=javascript", "_method=POST", "as=1"])
def test_query_of_the_check_page_leads_the_test_letter_back_to_it(as_, draft, query):
    """D-40"""
    answer = as_("花子").post(f"/notices/{draft.id}/test?{query}")
    assert answer.status_code == 303
    assert answer.location.startswith(f"/notices/{draft.id}/check")
