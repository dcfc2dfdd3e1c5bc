"""What a writer keeps of the own notices after the role moved to another list: the text and the sums (decision 8)."""

from types import SimpleNamespace

import pytest

import clock
from core.inbound import replies
from models import Answer, Delivery, Letter, Role
from tests import cast_notices
from tests.web.notice_factory import get_page

FAMILIES = ("青山", "石川", "和田", "鈴木", "陽菜", "000-0000-0001")


@pytest.fixture
def own(school):
    """A notice that 花子 sent to 1年1組; then she became the manager of 2年1組."""
    made = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], read_confirmation=True)
    cast_notices.ask(made)
    Role.update(list_id=school.lists["2-1"].id).where(Role.user == school.users["花子"]).execute()
    return made


PAGES = (
    "notices/{}",
    "notices/{}/board",
    "notices/{}/board?view=table&by=person",
    "notices/{}/phone",
    "notices/{}/board?view=print",
    "notices/{}/board.csv",
    "notices/{}/answers",
    "notices/{}/answers?view=print",
    "notices/{}/answers.csv",
    "notices/{}/text",
    "notices/{}/record",
    "figures/{}",
)


@pytest.mark.parametrize("path", PAGES)
def test_no_page_or_file_of_an_old_notice_names_a_family(as_, own, path):
    answer = as_("花子").get("/" + path.format(own.notice.id), follow_redirects=path == "notices/{}")
    assert answer.status_code == 200
    shown = answer.get_data(as_text=True)
    assert not [name for name in FAMILIES if name in shown]
    seen_by_admin = get_page(as_("守"), "/" + path.format(own.notice.id))
    assert path.startswith("figures") or path == "notices/{}/text" or "石川" in seen_by_admin


def test_the_text_and_the_sums_stay(as_, own):
    browser = as_("花子")
    record = get_page(browser, f"/history/{own.notice.id}")
    assert own.notice.wording.subject in record and f"{len(own.deliveries)}" in record
    assert own.notice.wording.subject in get_page(browser, f"/figures/{own.notice.id}")


@pytest.mark.parametrize("path", ["history/{}/incident", "history/{}/incident.csv", "notices/{}/recipients/all"])
def test_pages_that_consist_of_names_are_closed(as_, own, path):
    assert as_("花子").get("/" + path.format(own.notice.id)).status_code in (403, 404)


def test_nothing_is_done_in_a_familys_name(as_, own):
    browser, delivery = as_("花子"), own.deliveries["石川 直樹"]
    before = Delivery.select().where(Delivery.id == delivery.id).dicts().get()
    assert browser.post(f"/notices/{own.notice.id}/answers/{delivery.id}", data={"q1": "1"}).status_code == 404
    browser.post(f"/notices/{own.notice.id}/phone/mark", data={"deliveries": str(delivery.id)})
    assert browser.post(f"/notices/{own.notice.id}/withdraw").status_code == 403
    assert Delivery.select().where(Delivery.id == delivery.id).dicts().get() == before
    assert not Answer.select().exists()


def test_a_reply_goes_to_a_manager_of_today(school, own):
    delivery = own.deliveries["石川 直樹"]
    mail = SimpleNamespace(subject="返信", text="うちのことです", attachments=0)
    replies._notify_organizer(delivery, mail, clock.now())
    assert not Letter.select().where(Letter.kind == "reply", Letter.address == school.users["花子"].email).exists()
    Role.create(user=school.users["送る子"], list_id=school.lists["2-1"].id, kind="viewer")
    assert [row.address for row in Letter.select().where(Letter.kind == "reply")] == []
    Role.update(kind="manager").where(
        Role.user == school.users["送る子"], Role.list_id == school.lists["1-1"].id
    ).execute()
    replies._notify_organizer(delivery, mail, clock.now())
    assert [row.address for row in Letter.select().where(Letter.kind == "reply")] == [school.users["送る子"].email]
