"""「漏えいかもしれない時」: only for who may steer the notice, filled out of the record, and itself recorded (X-02)."""

import html

import pytest

import clock
from models import Delivery, Log, Notice
from tests import cast_notices


@pytest.fixture
def hanako(as_):
    return as_("花子")


@pytest.fixture
def sent(school):
    return cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="個人面談の日程")


def page(browser, address, status=200):
    answer = browser.get(address)
    assert answer.status_code == status, (address, answer.status_code)
    return html.unescape(answer.get_data(as_text=True))


def logged(action):
    return [(one.user.name, one.number) for one in Log.select().where(Log.action == action)]


def test_the_page_names_who_has_it_and_what_the_law_asks(hanako, sent):
    Delivery.update(read_at=clock.now()).where(Delivery.id == sent.deliveries["青山 健太"].id).execute()
    text = page(hanako, f"/history/{sent.notice.id}/incident")
    for word in (
        "漏えいかもしれない時",
        "青山 健太",
        "和田 幸子",
        "確かに見た",
        "個人情報保護委員会",
        "速報",
        "30日以内",
    ):
        assert word in text
    assert "お知らせを取り下げる" in text


def test_every_look_and_every_file_is_recorded(hanako, as_, sent):
    """field 3.2: who viewed and exported."""
    page(hanako, f"/history/{sent.notice.id}/incident")
    answer = hanako.get(f"/history/{sent.notice.id}/incident.csv")
    assert answer.mimetype == "text/csv" and "青山 健太" in answer.get_data().decode("utf-8-sig")
    assert logged("notice.incident_viewed") == logged("notice.incident_exported") == [("花子", sent.notice.id)]
    assert "「漏えいかもしれない時」をファイルに書き出しました" in page(as_("守"), "/admin/record")
    assert "「漏えいかもしれない時」を見ました" in page(hanako, f"/history/{sent.notice.id}")


@pytest.mark.parametrize("tail", ["incident", "incident.csv"])
@pytest.mark.parametrize(("name", "status"), [("太郎", 404), ("見る子", 403)])
def test_only_who_may_steer_it(as_, sent, tail, name, status):
    """A foreign notice is not there; who may only look learns whom to ask."""
    assert as_(name).get(f"/history/{sent.notice.id}/{tail}").status_code == status
    assert logged("notice.incident_viewed") == logged("notice.incident_exported") == []


def test_what_has_not_begun_is_no_incident(hanako, sent):
    Notice.update(started_at=None, state="scheduled").where(Notice.id == sent.notice.id).execute()
    page(hanako, f"/history/{sent.notice.id}/incident", 404)


def test_the_list_offers_the_own_notices_and_the_alarms(hanako, as_, sent, school):
    """A notice to 全校 may be seen by a class teacher, not steered: it is not offered."""
    whole = cast_notices.send([school.lists["whole"]], by=school.users["守"], subject="全校のもの")
    Delivery.update(strange_at=clock.now()).where(Delivery.id == sent.deliveries["石川 直樹"].id).execute()
    Delivery.update(strange_at=clock.now()).where(Delivery.id == whole.deliveries["加藤 誠"].id).execute()
    text = page(hanako, "/history/incident")
    assert "個人面談の日程" in text and "石川 直樹" in text
    assert "全校のもの" not in text and "加藤 誠" not in text
    assert "全校のもの" in page(as_("守"), "/history/incident")
    page(as_("見る子"), "/history/incident", 403)


def test_it_is_found_where_somebody_looks(hanako, as_, sent):
    for browser, address in (
        (hanako, "/history"),
        (hanako, f"/notices/{sent.notice.id}"),
        (as_("守"), "/admin/safety"),
    ):
        assert "漏えいかもしれない時" in page(browser, address)
    assert "漏えいかもしれない時" not in page(as_("見る子"), "/history")
