"""Who has confirmed none of the last three notices of a list, with telephone and a test letter (field 2.3, 5.1)."""

from datetime import timedelta

import pytest

import clock
from core.reports import non_readers
from core.responses import read_confirmations
from models import Letter, Membership, Notice, Person
from tests import cast_notices
from tests.cast_notices import PHONE
from tests.web.notice_factory import get_page


@pytest.fixture
def three(school):
    """Four notices to 1年1組, a day between them."""
    return [
        cast_notices.send(
            [school.lists["1-1"]], by=school.users["花子"], at=clock.now() - timedelta(days=days), subject=f"{days}日前"
        )
        for days in (4, 3, 2, 1)
    ]


def read(sent, name):
    read_confirmations.confirm_read(
        read_confirmations.delivery_by_token(sent.deliveries[name].token), agent=PHONE, now=clock.now()
    )


def names(school) -> list[str]:
    notices = non_readers.last_confirmable_notices(school.lists["1-1"], clock.now())
    return [one.person.name for one in non_readers.find_non_readers(school.lists["1-1"], notices)]


@pytest.mark.proves("N-09")
def test_names_those_who_confirmed_none_of_three_nor_anybody_at_home(school, three):
    """One confirmation in the household is enough; what is older than the last three does not count."""
    assert names(school) == ["青山 健太", "青山 美咲", "石川 直樹", "鈴木 大輔"]
    read(three[0], "石川 直樹")  # the fourth from the end
    read(three[1], "鈴木 大輔")
    read(three[3], "青山 美咲")
    assert names(school) == ["石川 直樹"]


def test_leaves_out_who_did_not_get_all_three_and_what_is_too_young(school, three):
    Membership.update(state="stopped").where(Membership.person == school.people["鈴木 大輔"]).execute()
    assert names(school) == ["青山 健太", "青山 美咲", "石川 直樹"]
    newcomer = three[3].deliveries["石川 直樹"]
    Letter.delete().where(Letter.delivery == newcomer).execute()
    newcomer.delete_instance(recursive=True)
    assert names(school) == ["青山 健太", "青山 美咲"]
    Notice.update(started_at=clock.now() - timedelta(hours=1)).where(Notice.id >= three[2].notice.id).execute()
    assert non_readers.last_confirmable_notices(school.lists["1-1"], clock.now())[0].id == three[1].notice.id
    assert names(school) == []


def test_the_page_shows_telephone_and_sends_a_test(as_, school, three):
    Person.update(phone="000-0000-0042").where(Person.name == "石川 直樹").execute()
    hanako = as_("花子")
    address = f"/lists/{school.lists['1-1'].id}/silent"
    assert address in get_page(hanako, f"/lists/{school.lists['1-1'].id}")
    text = get_page(hanako, address)
    assert "4人" in text and "tel:000-0000-0042" in text and "1-1 石川 蓮" in text and "2日前" in text
    assert "和田 幸子" not in text and "雑音" not in text and "4日前" not in text
    hanako.post(f"/members/{school.people['石川 直樹'].id}/test")
    assert Letter.get(Letter.kind == "test").address == "naoki@example.jp"


def test_a_viewer_sees_no_test_button_and_strangers_nothing(as_, school, three):
    """T-33."""
    address = f"/lists/{school.lists['1-1'].id}/silent"
    assert "テストメール" not in get_page(as_("見る子"), address).split("<h2")[1].split('<ul class="rows"')[1]
    assert as_("太郎").get(address).status_code == 404


def test_a_young_list_says_that_it_is_too_early(as_, school):
    assert "まだ3通ありません" in get_page(as_("花子"), f"/lists/{school.lists['1-1'].id}/silent")
