"""The pages of the samples (N-04)."""

import pytest

from core.notices import questions, templates
from models import Notice, NoticeTemplate

TYPED = {"name": "遠足", "kind": "school", "subject": "遠足", "text": "〔1日〕に行きます", "read_confirmation": "y"}


def test_an_urgent_template_opens_the_urgent_form(as_):
    """N-04, field 5.2: it is chosen there, and no draft is made before something is chosen."""
    browser = as_("送る子")
    answer = browser.post("/samples/wait/begin", data={"form_key": "tap"})
    assert answer.status_code == 303 and answer.location.endswith("/notices/urgent?what=wait")
    assert not Notice.select().exists()
    assert 'what=wait" aria-current="true"' in browser.get(answer.location).get_data(as_text=True)


def test_an_ordinary_notice_has_everybody_last_and_never_ticked(as_):
    """Decision 11: the recipients of an ordinary notice are chosen anew each time."""
    browser = as_("守")
    page = browser.get(browser.post("/samples/meeting/begin", data={"form_key": "k"}).location).get_data(as_text=True)
    assert "checked" not in page and page.index("全員に送る") > page.index("1年1組")


def test_a_manager_writes_changes_and_removes_one(as_, school):
    browser, room = as_("花子"), school.lists["1-1"]
    assert browser.post("/samples/new", data={**TYPED, "list": room.id}).status_code == 303
    row = NoticeTemplate.get()
    assert "遠足" in browser.get("/samples").get_data(as_text=True)
    assert "〔1日〕" in browser.get(f"/samples/own-{row.id}/edit").get_data(as_text=True)
    browser.post(f"/samples/own-{row.id}/edit", data={**TYPED, "name": "海", "list": room.id})
    assert NoticeTemplate.get().name == "海"
    assert "海" in browser.get(f"/samples/own-{row.id}/remove").get_data(as_text=True)
    browser.post(f"/samples/own-{row.id}/remove")
    assert not NoticeTemplate.select().exists()


@pytest.mark.parametrize("which", ["whole", "2-1"])
def test_nobody_writes_one_for_a_foreign_list(as_, school, which):
    number = 0 if which == "whole" else school.lists[which].id
    answer = as_("花子").post("/samples/new", data={**TYPED, "list": number})
    assert answer.status_code == 422 and "〔1日〕に行きます" in answer.get_data(as_text=True)
    assert not NoticeTemplate.select().exists()


def test_a_foreign_one_is_not_found_and_one_for_all_not_changed(as_, school):
    said = templates.TemplateContent("遠足", "遠足", "行く")
    foreign = templates.add_template(school.users["太郎"], said, school.lists["2-1"])
    common = templates.add_template(school.users["守"], said, None)
    browser = as_("花子")
    assert browser.get(f"/samples/own-{foreign.id}/edit").status_code == 404
    assert browser.post(f"/samples/own-{foreign.id}/begin").status_code == 404
    assert browser.post(f"/samples/own-{foreign.id}/remove").status_code == 404
    assert browser.get(f"/samples/own-{common.id}/edit").status_code == 403
    assert browser.post("/samples/closed/remove").status_code == 403
    assert as_("見る子").get("/samples").status_code == 403


def test_the_words_of_a_notice_are_kept(as_, school):
    browser = as_("花子")
    browser.post("/samples/crime/begin")
    page = browser.get(f"/samples/new?notice={Notice.get().id}").get_data(as_text=True)
    assert "【防犯】" in page


def test_a_hidden_shipped_one_comes_back(as_):
    browser = as_("守")
    browser.post("/samples/closed/remove")
    assert "/samples/closed/begin" not in browser.get("/samples").get_data(as_text=True)
    assert as_("花子").post("/samples/show-again").status_code == 403
    browser = as_("守")
    browser.post("/samples/show-again")
    assert "/samples/closed/begin" in browser.get("/samples").get_data(as_text=True)


ASKED = {
    "q1-kind": "own",
    "q1-text": "来ますか。",
    "q1-choice": "はい\r\nいいえ\r\n",
    "q1-unit": "child",
    "q1-remarks": "yes",
}


def test_a_question_is_written_with_the_sample_without_script(as_, school):
    """N-04, T-48: a button adds it, nothing typed is lost, and the notice that is begun asks it."""
    browser, room = as_("花子"), school.lists["1-1"]
    typed = {**TYPED, "list": room.id}
    added = browser.post("/samples/new/questions/add/attendance", data=typed)
    shown = added.get_data(as_text=True)
    assert added.status_code == 200 and "〔1日〕に行きます" in shown and 'name="q1-text"' in shown
    assert not NoticeTemplate.select().exists()
    wrong = browser.post("/samples/new", data={**typed, **ASKED, "q1-choice": "はい"})
    assert wrong.status_code == 422 and "選択肢は2つ以上" in wrong.get_data(as_text=True)
    assert browser.post("/samples/new", data={**typed, **ASKED}).status_code == 303
    row = NoticeTemplate.get()
    assert "来ますか。" in browser.get(f"/samples/own-{row.id}/edit").get_data(as_text=True)
    browser.post(f"/samples/own-{row.id}/begin", data={"form_key": "a"})
    (ask,) = questions.question_drafts(Notice.get())
    assert (ask.text, ask.choices, ask.unit, ask.comment) == ("来ますか。", ("はい", "いいえ"), "child", True)


def test_the_questions_of_a_notice_are_kept_with_its_words(as_):
    browser = as_("花子")
    browser.post("/samples/match/begin")
    shown = browser.get(f"/samples/new?notice={Notice.get().id}").get_data(as_text=True)
    assert "練習試合について" in shown and "欠席する" in shown


def test_days_to_choose_from_come_back_as_they_were_written(as_, school):
    browser, room = as_("花子"), school.lists["1-1"]
    days = {"q1-kind": "days", "q1-text": "懇談", "q1-days": "10/1\n10/2", "q1-choice": "○\n×", "q1-unit": "person"}
    browser.post("/samples/new", data={**TYPED, "list": room.id, **days})
    shown = browser.get(f"/samples/own-{NoticeTemplate.get().id}/edit").get_data(as_text=True)
    assert "10/1\n10/2" in shown.replace("\r", "") and "懇談" in shown


def test_a_shipped_one_is_changed_in_place_and_put_back(as_):
    """Its address stays, so that the first page and two taps stay as they are."""
    browser = as_("守")
    assert "自宅で待機" in browser.get("/samples/wait/edit").get_data(as_text=True)
    own = {**TYPED, "name": "待機", "subject": "【緊急】家で待つ", "kind": "emergency", "list": 0, "urgent": "y"}
    assert browser.post("/samples/wait/edit", data=own).status_code == 303
    assert 'what=wait">待機<' in browser.get("/notices/urgent").get_data(as_text=True)
    shown = browser.get("/samples").get_data(as_text=True)
    assert "変更した文例" in shown and "/samples/wait/begin" in shown and "自宅待機（朝の警報）" not in shown
    assert "自宅待機（朝の警報）" in browser.get("/samples/wait/remove").get_data(as_text=True)
    browser.post("/samples/wait/remove")
    assert "自宅待機（朝の警報）" in browser.get("/samples").get_data(as_text=True)
    assert not NoticeTemplate.select().exists()


def test_a_list_has_a_version_of_its_own(as_, school):
    """Per list: a manager changes a shipped one for the own list; others keep the shipped words."""
    browser, room = as_("花子"), school.lists["1-1"]
    own = {**TYPED, "name": "1の1は待機", "list": room.id, "urgent": "y"}
    assert browser.post("/samples/wait/edit", data={**own, "list": 0}).status_code == 422
    assert browser.post("/samples/wait/edit", data=own).status_code == 303
    shown = browser.get("/samples").get_data(as_text=True)
    assert "1の1は待機" in shown and "/samples/wait/begin" not in shown
    other = as_("太郎").get("/samples").get_data(as_text=True)
    assert "/samples/wait/begin" in other and "1の1は待機" not in other
    both = as_("守")
    assert both.post("/samples/wait/edit", data=own).status_code == 422
    assert both.post("/samples/wait/edit", data={**own, "name": "みんな待機", "list": 0}).status_code == 303
    assert (
        as_("太郎").post(f"/samples/own-{NoticeTemplate.get(NoticeTemplate.list == room).id}/remove").status_code == 404
    )
    assert as_("花子").post("/samples/wait/remove").status_code == 404
    assert as_("太郎").post("/samples/wait/remove").status_code == 403
    assert NoticeTemplate.select().count() == 2


def test_samples_stand_under_what_they_are_about_and_are_found_by_a_word(as_):
    """N-04: one heading for each kind."""
    browser = as_("送る子")
    shown = browser.get("/samples").get_data(as_text=True)
    for heading in ("緊急のとき", "災害情報・安否確認", "不審者情報・防犯情報", "行政からのお知らせ"):
        assert f"{heading}</h2>" in shown
    found = browser.get("/samples?q=自転車", headers={"HX-Request": "true"}).get_data(as_text=True)
    assert "/samples/crime/begin" in found and "/samples/wait/begin" not in found and "<html" not in found
    assert "あてはまる文例はありません" in browser.get("/samples?q=zzz").get_data(as_text=True)
