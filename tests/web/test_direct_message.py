"""The page of a letter to one person (D-30): another page, another colour."""

import re

import pytest

from core.notices.audience import resolve_audience
from models import Notice, Person
from tests.web.notice_factory import get_page, reload_state


@pytest.fixture
def hanako(as_):
    return as_("花子")


def begin(browser, person, **fields):
    text = get_page(browser, f"/members/{person.id}/letter")
    key = re.search(r'name="key" value="(\w+)"', text)[1]
    data = {"key": key, "subject": "お電話の件", "text": "お電話ください。", "read_confirmation": "y", **fields}
    return browser.post(f"/members/{person.id}/letter", data=data), data


@pytest.mark.proves("D-30")
def test_from_the_members_page_to_the_window(hanako, school):
    person = school.people["石川 直樹"]
    assert f"/members/{person.id}/letter" in get_page(hanako, f"/members/{person.id}")
    answer, data = begin(hanako, person)
    made = Notice.get()
    assert answer.location.endswith(f"/members/{person.id}/letter/{made.id}")
    text = get_page(hanako, answer.location)
    assert "石川 直樹さんだけに送ります" in text and "naoki@example.jp" in text and "お電話ください。" in text
    mark = re.search(r'name="fingerprint" value="(\w+)"', text)[1]
    assert hanako.post(answer.location, data={"fingerprint": "x"}).status_code == 422 and reload_state(made) == "draft"
    assert hanako.post(answer.location, data={"fingerprint": mark}).location.endswith(f"/notices/{made.id}")
    assert reload_state(made) == "held" and "お一人へのメール" in get_page(hanako, f"/notices/{made.id}")
    assert hanako.post(f"/members/{person.id}/letter", data=data).status_code == 422, "sent once"


def test_what_is_missing_is_said_and_nothing_typed_is_lost(hanako, school):
    answer, _ = begin(hanako, school.people["石川 直樹"], subject="")
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422 and "件名を入力してください" in text and "お電話ください。" in text
    assert Notice.select().count() == 0


def test_a_begun_one_never_becomes_a_notice_to_a_list(hanako, school):
    """field 5.3 no. 2."""
    person = school.people["石川 直樹"]
    begin(hanako, person)
    made = Notice.get()
    for screen in ("recipients", "words", "check"):
        assert hanako.get(f"/notices/{made.id}/{screen}").location.endswith(f"/members/{person.id}/letter/{made.id}")
    assert hanako.post(f"/notices/{made.id}/recipients", data={"lists": [1]}).status_code == 303
    assert "お電話の件" in get_page(hanako, f"/members/{person.id}/letter?of={made.id}")
    assert hanako.post(f"/notices/{made.id}/delete").status_code == 303 and Notice.select().count() == 0


def test_refused_and_marked(hanako, school):
    stopped, dead = school.people["雑音 一"], school.people["雑音 三"]
    assert "配信停止中の方です" in get_page(hanako, f"/members/{stopped.id}/letter")
    text = get_page(hanako, f"/members/{dead.id}/letter")
    assert "もう使われていない" in text and "<textarea" not in text
    Person.update(address_state="refusing").where(Person.id == stopped.id).execute()
    assert "受信拒否" in get_page(hanako, f"/members/{stopped.id}/letter")


def test_only_who_may_send_to_a_list_of_the_person(as_, school):
    person = school.people["石川 直樹"]
    begin(as_("花子"), person)
    made = Notice.get()
    assert as_("太郎").get(f"/members/{person.id}/letter").status_code == 404
    assert as_("見る子").get(f"/members/{person.id}/letter").status_code == 403
    sender = as_("送る子")
    assert sender.get(f"/members/{person.id}/letter").status_code == 200
    assert sender.get(f"/members/{person.id}/letter/{made.id}").status_code == 404, "another's letter"
    other = school.people["青山 健太"]
    assert as_("花子").get(f"/members/{other.id}/letter/{made.id}").status_code == 404


def offered(text: str) -> list[str]:
    """Return the lists that the page offers as sender, the chosen one first."""
    held = re.search(r'<select[^>]*name="out_of".*?</select>', text, re.DOTALL)[0]
    chosen = re.findall(r'<option selected value="\d+">([^<]+)', held)
    return [*chosen, *(name for name in re.findall(r'<option value="\d+">([^<]+)', held) if name not in chosen)]


def test_it_goes_in_the_name_of_the_list_whose_page_the_writer_came_from(as_, school):
    """D-30: else of a class in which the person still gets mail, rather than of the whole school."""
    person, mamoru = school.people["鈴木 大輔"], as_("守")
    rooms = [school.lists[name] for name in ("1-1", "2-1")]
    address = f"/members/{person.id}/letter"
    first = offered(get_page(mamoru, address))[0]
    assert first in {one.name for one in rooms}
    for room in rooms:
        came = get_page(mamoru, f"/lists/{room.id}")
        assert f"/members/{person.id}?list={room.id}" in came
        assert f"{address}?list={room.id}" in get_page(mamoru, f"/members/{person.id}?list={room.id}")
        text = get_page(mamoru, f"{address}?list={room.id}")
        assert re.search(rf'<option selected value="{room.id}"|<option value="{room.id}"', text)
        answer, _ = begin(mamoru, person, out_of=str(room.id))
        made = Notice.select().order_by(Notice.id.desc()).get()
        assert made.out_of == room and resolve_audience(made).receiving[0].list_id == room.id
        assert room.name in get_page(mamoru, answer.location)


def test_nobody_writes_in_the_name_of_a_list_that_is_not_theirs(as_, school):
    """T-33: 太郎 has the other class only, and the form's number is no way around that."""
    person, room = school.people["鈴木 大輔"], school.lists["2-1"]
    answer, _ = begin(as_("太郎"), person, out_of=str(school.lists["1-1"].id))
    assert answer.status_code == 303
    assert Notice.get().out_of == room and resolve_audience(Notice.get()).receiving[0].list_id == room.id


def test_a_placeholder_is_named_at_its_field(hanako, school):
    answer, _ = begin(hanako, school.people["石川 直樹"], text="〔日時〕です。")
    assert answer.status_code == 422 and "まだ埋まっていません：〔日時〕" in answer.get_data(as_text=True)
    assert not Notice.select().exists()
