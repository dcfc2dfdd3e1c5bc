"""Pages about letters that do not arrive: slips, a carrier that rests, our own faults, the rate (E-09 to E-12)."""

import html
from datetime import timedelta

import pytest

import clock
from core.delivery import alerts, throttle
from models import Letter, Notice, Person
from tests.web import notice_factory
from tests.web.notice_factory import get_page


def text(answer) -> str:
    return html.unescape(answer.get_data(as_text=True))


def test_slips_for_the_bags_of_those_who_are_not_reached(as_, school):
    """Field 5: a slip about an address that does not work; no address of others, not even the own one whole."""
    person = Person.get(Person.name == "青山 健太")
    Person.update(address_state="fine").execute()
    Person.update(address_state="bounced", address_state_at=clock.now()).where(Person.id == person.id).execute()
    number = school.lists["1-1"].id
    shown = text(as_("花子").get(f"/lists/{number}/bag-slips"))
    assert shown.count('class="slip"') == 1 and "戻ってきます" in shown
    addresses = [one.address for one in Person.select().where(Person.address.is_null(False))]
    assert not [one for one in addresses if one in shown]
    assert f"/lists/{number}/bag-slips" in text(as_("花子").get(f"/lists/{number}?state=undelivered"))
    member = text(as_("花子").get(f"/members/{person.id}"))
    assert f"/lists/{number}/bag-slips?person={person.id}" in member
    assert as_("花子").get(f"/lists/{number}/bag-slips?person={person.id}").status_code == 200
    well = Person.get(Person.address_state == "fine", Person.name == "加藤 誠")
    assert as_("花子").get(f"/lists/{number}/bag-slips?person={well.id}").status_code == 404
    assert as_("太郎").get(f"/lists/{number}/bag-slips").status_code == 404
    assert as_("見る子").get(f"/lists/{number}/bag-slips").status_code in (403, 404)


def test_a_resting_carrier_stands_on_the_first_page_and_is_tried_again(as_, school):
    notice = notice_factory.start_notice(school)
    now = clock.now()
    Letter.update(state="deferred", domain="docomo.ne.jp").where(Letter.notice == notice).execute()
    throttle.pause_bucket("docomo.ne.jp", now + timedelta(hours=1), alerts.CARRIER_BLOCK, now)
    browser = as_("花子")
    assert "docomo.ne.jp に拒否されるメールが多い" in text(browser.get("/"))
    assert "docomo.ne.jp に拒否されるメールが多い" in text(browser.get(f"/notices/{notice.id}/board"))
    assert as_("見る子").post("/notices/carrier", data={"domain": "docomo.ne.jp"}).status_code == 403
    done = as_("花子").post("/notices/carrier", data={"domain": "docomo.ne.jp", "notice": notice.id})
    assert done.status_code == 303 and done.location.endswith(f"/notices/{notice.id}")
    assert not throttle.pause_reason("docomo.ne.jp", now)
    assert as_("花子").post("/notices/carrier", data={"domain": "x" * 5000}).status_code == 303


def test_our_own_fault_stands_on_the_first_page_of_administrators(as_, school):
    notice = notice_factory.start_notice(school)
    said = "550 5.7.1 <script>x</script>"
    Letter.update(state="refused", reason="policy", text=said, done_at=clock.now()).where(
        Letter.notice == notice
    ).execute()
    page = as_("守").get("/")
    assert "学校からのメールを信用していません" in text(page) and "<script>x" not in page.get_data(as_text=True)
    assert "信用していません" not in get_page(as_("花子"), "/")


@pytest.mark.proves("E-11")
def test_the_result_names_the_rate_and_of_how_many(as_, school):
    """E-10, E-11"""
    notice = notice_factory.start_notice(school)
    letters = [one.id for one in Letter.select().where(Letter.notice == notice)]
    Letter.update(state="accepted").where(Letter.id.in_(letters)).execute()
    Letter.update(state="bounced").where(Letter.id == letters[0]).execute()
    Notice.update(state="sent", finished_at=clock.now()).where(Notice.id == notice.id).execute()
    shown = text(as_("花子").get(f"/notices/{notice.id}/record"))
    assert "エラーから計算した到達率" in shown and f"{len(letters)} 通のうち、エラーは 1 通" in shown
    assert "迷惑メールフォルダーに入ったかどうかは分かりません" in shown
