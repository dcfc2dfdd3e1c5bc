"""The pages of the samples (N-04)."""

import pytest

import clock
from core.writing import notices, samples
from models import Notice, Sample

TYPED = {"name": "遠足", "subject": "遠足", "text": "〔1日〕に行きます", "read_confirmation": "y"}


def test_two_taps_from_home_to_the_typhoon_notice(as_, school):
    """N-04, field 5.2: the button stands on the first page and leads to the recipients."""
    browser = as_("送る子")
    assert "/samples/wait/begin" in browser.get("/").get_data(as_text=True)
    for _ in range(2):
        answer = browser.post("/samples/wait/begin", data={"form_key": "tap"})
    notice = Notice.get()
    assert answer.status_code == 303 and answer.location.endswith(f"/notices/{notice.id}/recipients")
    assert notice.urgent and "自宅で待機" in notice.wording.subject
    notices.choose(notice, lists=[school.lists["1-1"].id], now=clock.now())
    assert "文例のまま" in browser.get(f"/notices/{notice.id}/check").get_data(as_text=True)


def test_a_manager_writes_changes_and_removes_one(as_, school):
    browser, room = as_("花子"), school.lists["1-1"]
    assert browser.post("/samples/new", data={**TYPED, "list": room.id}).status_code == 303
    row = Sample.get()
    assert "遠足" in browser.get("/samples").get_data(as_text=True)
    assert "〔1日〕" in browser.get(f"/samples/{row.id}/edit").get_data(as_text=True)
    browser.post(f"/samples/{row.id}/edit", data={**TYPED, "name": "海", "list": room.id})
    assert Sample.get().name == "海"
    assert "海" in browser.get(f"/samples/own-{row.id}/remove").get_data(as_text=True)
    browser.post(f"/samples/own-{row.id}/remove")
    assert not Sample.select().exists()


@pytest.mark.parametrize("which", ["whole", "2-1"])
def test_nobody_writes_one_for_a_foreign_list(as_, school, which):
    number = 0 if which == "whole" else school.lists[which].id
    answer = as_("花子").post("/samples/new", data={**TYPED, "list": number})
    assert answer.status_code == 422 and "〔1日〕に行きます" in answer.get_data(as_text=True)
    assert not Sample.select().exists()


def test_a_foreign_one_is_not_found_and_one_for_all_not_changed(as_, school):
    said = samples.Words("遠足", "遠足", "行く")
    foreign = samples.add(school.users["太郎"], said, school.lists["2-1"])
    common = samples.add(school.users["守"], said, None)
    browser = as_("花子")
    assert browser.get(f"/samples/{foreign.id}/edit").status_code == 404
    assert browser.post(f"/samples/own-{foreign.id}/begin").status_code == 404
    assert browser.post(f"/samples/own-{foreign.id}/remove").status_code == 404
    assert browser.get(f"/samples/{common.id}/edit").status_code == 403
    assert browser.post("/samples/closed/remove").status_code == 403
    assert as_("見る子").get("/samples").status_code == 403


def test_the_words_of_a_notice_are_kept(as_, school):
    browser = as_("花子")
    browser.post("/samples/stranger/begin")
    page = browser.get(f"/samples/new?notice={Notice.get().id}").get_data(as_text=True)
    assert "不審者情報" in page


def test_a_hidden_shipped_one_comes_back(as_):
    browser = as_("守")
    browser.post("/samples/closed/remove")
    assert "/samples/closed/begin" not in browser.get("/samples").get_data(as_text=True)
    assert as_("花子").post("/samples/show-again").status_code == 403
    browser = as_("守")
    browser.post("/samples/show-again")
    assert "/samples/closed/begin" in browser.get("/samples").get_data(as_text=True)
