"""A notice to 全校 as who may look at one class sees it: the families of that class, and nothing else (T-33, T-45)."""

import pytest

import clock
from core import permissions, visibility
from core.inbound import replies
from core.reports import summaries
from core.responses import read_confirmations
from models import Delivery, InboundMessage, Letter, Membership, Notice, Person
from tests import cast_notices
from tests.cast_notices import PHONE, fresh, outcome

THEIRS = ("青山", "石川", "和田")
OTHERS = ("加藤", "木村", "海斗", "2年1組", "雑音")


@pytest.fixture
def sent(school):
    """A notice to the whole school; one letter of each class did not arrive, one of each class was read."""
    made = cast_notices.send([school.lists["whole"]], by=school.users["守"], read_confirmation=True)
    outcome(made.deliveries["石川 直樹"], "refused", "unknown_user")
    outcome(made.deliveries["木村 恵"], "refused", "unknown_user")
    for name in ("青山 美咲", "加藤 誠"):
        read_confirmations.confirm_read(
            read_confirmations.delivery_by_token(made.deliveries[name].token), agent=PHONE, now=clock.now()
        )
    return made


def page(browser, address):
    answer = browser.get(address, follow_redirects=True)
    assert answer.status_code == 200, address
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("name", ["見る子", "花子"])
@pytest.mark.parametrize(
    "tail", ["board", "board?by=person", "board?view=table", "phone", "board?view=print", "board.csv", ""]
)
def test_the_board_and_its_files_hold_the_own_class_alone(as_, sent, name, tail):
    """T-45: a teacher finds the unread families of the own class without another one's login."""
    shown = page(as_(name), f"/notices/{sent.notice.id}/{tail}".rstrip("/"))
    assert not [one for one in OTHERS if one in shown]
    assert "石川" in shown
    if tail == "board":
        assert all(one in shown for one in (*THEIRS, "美月"))
        assert '<b>4世帯</b>：<span class="nb">確認1</span>' in shown


@pytest.mark.parametrize("tail", ["phone"])
def test_who_may_only_look_learns_who_may_mark_a_call(as_, sent, tail):
    """N-17: the press 「電話で伝えた」 belongs to who may send to the class; a viewer is told who that is."""
    seen = page(as_("見る子"), f"/notices/{sent.notice.id}/{tail}")
    assert (
        'name="deliveries"' not in seen
        and "電話で伝えたら" in seen
        and "花子さん、送る子さん" in seen
        and "太郎" not in seen
    )
    steered = page(as_("花子"), f"/notices/{sent.notice.id}/{tail}")
    assert 'name="deliveries"' in steered and "電話で伝えたら" not in steered


def test_record_and_first_page_count_the_own_class(as_, sent):
    viewer = as_("見る子")
    record = page(viewer, f"/notices/{sent.notice.id}/record")
    assert '<b>4世帯</b>：<span class="nb">確認1</span>' in record
    assert "石川 直樹" in record and not [one for one in OTHERS if one in record]
    for address in ("/", "/notices", "/history"):
        assert f"/{sent.notice.id}" in page(viewer, address), address


def test_another_list_and_what_has_not_begun_stay_hidden(as_, school, sent):
    other = cast_notices.send([school.lists["2-1"]], by=school.users["太郎"])
    Notice.update(started_at=None, state="scheduled").where(Notice.id == sent.notice.id).execute()
    viewer = as_("見る子")
    for number in (other.notice.id, sent.notice.id):
        for address in (f"/notices/{number}", f"/notices/{number}/board", f"/history/{number}"):
            assert viewer.get(address).status_code == 404
    assert f"/notices/{sent.notice.id}" not in page(viewer, "/notices")


def test_what_another_guardian_of_the_child_read_the_household_has_read(as_, school, sent):
    """The mother is in 全校 alone; her press counts for the class of her child all the same."""
    mother = school.people["青山 美咲"]
    Membership.delete().where(Membership.person == mother, Membership.list == school.lists["1-1"]).execute()
    shown = page(as_("見る子"), f"/notices/{sent.notice.id}/board")
    assert '<b>4世帯</b>：<span class="nb">確認1</span>' in shown


def test_of_a_member_for_no_childs_sake_no_child_is_named(as_, school, sent):
    Membership.create(person=school.people["加藤 誠"], list=school.lists["1-1"])
    shown = page(as_("見る子"), f"/notices/{sent.notice.id}/board?view=table&by=person")
    assert "加藤 誠" in shown and "悠斗" not in shown and "木村" not in shown


def test_who_has_left_the_class_is_no_longer_seen(as_, school, sent):
    Membership.update(state="left").where(
        Membership.person == school.people["石川 直樹"], Membership.list == school.lists["1-1"]
    ).execute()
    seen = page(as_("見る子"), f"/notices/{sent.notice.id}/board")
    assert "青山" in seen and "石川" not in seen


def test_only_families_of_the_own_class_can_be_marked(as_, sent):
    ours, theirs = sent.deliveries["石川 直樹"], sent.deliveries["木村 恵"]
    address = f"/notices/{sent.notice.id}/phone/mark"
    assert as_("見る子").post(address, data={"deliveries": str(ours.id)}).status_code == 403
    as_("送る子").post(address, data={"deliveries": f"{ours.id},{theirs.id}"})
    assert fresh(ours).phoned_at and not fresh(theirs).phoned_at


def test_replies_of_other_families_are_not_read(as_, sent):
    for name, text in (("石川 直樹", "うちのことです"), ("木村 恵", "よその話です")):
        letter = Letter.get(Letter.delivery == sent.deliveries[name])
        InboundMessage.create(
            kind="reply",
            letter=letter,
            notice=sent.notice,
            text=text,
            address="",
            digest=text,
            recipient="r-1",
            at=clock.now(),
        )
    shown = page(as_("見る子"), f"/notices/{sent.notice.id}/board")
    assert "うちのことです" in shown and "よその話です" not in shown
    assert len(replies.list_replies(sent.notice)) == 2


def test_who_steers_a_notice_sees_all_of_it(as_, school, sent):
    """A notice of one's own to a list and to a single person elsewhere: nobody is missing from its figures."""
    made = cast_notices.send([school.lists["1-1"]], by=school.users["守"])
    lone = Person.create(
        name="一人 だけ", kana="ヒトリ ダケ", address="hitori@example.com", address_key="hitori@example.com"
    )
    Delivery.create(notice=made.notice, person=lone, token="x" * 26, name=lone.name, kana=lone.kana)
    hanako, viewer = (permissions.permissions_of(school.users[name]) for name in ("花子", "見る子"))
    assert hanako.visible_lists(made.notice) is None
    assert viewer.visible_lists(made.notice) == [school.lists["1-1"].id]
    assert "一人 だけ" in page(as_("花子"), f"/notices/{made.notice.id}/record")
    assert "一人 だけ" not in page(as_("見る子"), f"/notices/{made.notice.id}/record")


def test_board_and_first_page_agree_for_every_list(school, sent):
    for key, households in (("1-1", 4), ("2-1", 3), ("whole", 6)):
        lists = [school.lists[key].id]
        assert summaries.count_households([sent.notice.id], lists)[sent.notice.id].households == households
        assert Delivery.select().where(Delivery.id.in_(visibility.visible_deliveries(lists))).count()
