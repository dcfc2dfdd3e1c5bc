"""The urgent form: from the kind of emergency to the sending on one page (X-15, field 5.2)."""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import time_machine

from core.notices import questions, templates
from models import Notice
from tests.web.notice_factory import get_page

MORNING = datetime(2026, 12, 1, 20, 40, tzinfo=UTC)  # Wednesday 2 December, 5:40 in Tokyo
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def morning():
    with time_machine.travel(MORNING, tick=False):
        yield


@pytest.fixture
def mamoru(as_):
    return as_("守")


def open_form(browser, what="closed"):
    """Return what the page would post."""
    page = get_page(browser, f"/notices/urgent?what={what}")
    fields = {name: re.search(rf'name="{name}" value="([^"]*)"', page)[1] for name in ("form_key",)}
    if day := re.search(r'name="day" value="([\d-]+)" checked', page):
        fields["day"] = day[1]
    return {**fields, "lists": re.findall(r'name="lists" value="(\d+)" checked', page)}


def look(browser, data, what="closed", **headers):
    answer = browser.post(f"/notices/urgent/{what}/look", data=data, **headers)
    return html.unescape(answer.get_data(as_text=True))


def seen(page):
    return re.search(r'name="seen" value="(\w+)"', page)[1]


def wanted(page):
    return re.search(r"よろしければ (\d+) と", page)[1]


@pytest.mark.proves("X-15")
def test_the_whole_school_is_told_in_one_page(mamoru, school):
    """Field 5.2: the kind, the reason and after-school care, the number, send. The day stands there with its weekday."""
    data = open_form(mamoru) | {"f1": "台風の接近", "f2": "お休みです"}
    assert data["day"] == "2026-12-02" and data["lists"] == [str(school.lists["whole"].id)]
    page = look(mamoru, data)
    assert "【緊急】12/2(水)は臨時休校です" in page and "12月2日(水)は、台風の接近のため、臨時休校とします。" in page
    assert "学童保育はお休みです。" in page and "〔" not in page.split("letter")[1].split("</article>")[0]
    answer = mamoru.post("/notices/urgent/closed", data={**data, "seen": seen(page), "typed": wanted(page)})
    made = Notice.get()
    assert answer.status_code == 303 and answer.location.endswith(f"/notices/{made.id}")
    assert (made.state, made.urgent, made.reminder_rule.every_s, made.reminder_rule.times) == ("held", True, 1800, 2)
    assert (made.send_at - MORNING).total_seconds() == 20


@pytest.mark.proves("N-04")
def test_what_is_not_filled_in_is_named_and_nothing_goes(mamoru):
    data = open_form(mamoru)
    page = look(mamoru, data)
    assert "あと、〔理由〕 〔学童〕" in page and 'id="go"' not in page
    answer = mamoru.post("/notices/urgent/closed", data={**data, "seen": seen(page), "typed": "1"})
    assert answer.status_code == 422 and "〔理由〕 〔学童〕" in answer.get_data(as_text=True)
    assert Notice.get().state == "draft"


def test_a_word_of_ones_own_counts_and_a_line_can_be_left_out(mamoru):
    data = open_form(mamoru) | {"f1": "大雪", "f1-typed": "断水", "f2": "-", "remark": "給食費は返します。"}
    page = look(mamoru, data)
    assert "断水のため" in page and "大雪のため" not in page and "学童" not in page.split('id="view"')[1]
    assert "できるだけお控えください。\n\n給食費は返します。\n\n守" in page


def test_in_the_evening_the_school_is_closed_tomorrow(as_):
    with time_machine.travel(datetime(2026, 12, 3, 12, 0, tzinfo=UTC), tick=False):  # Thursday 21:00
        mamoru = as_("守")
        assert open_form(mamoru)["day"] == "2026-12-04"
        assert open_form(mamoru, "pickup")["day"] == "2026-12-03"
    with time_machine.travel(datetime(2026, 12, 4, 12, 0, tzinfo=UTC), tick=False):  # Friday
        assert 'value="2026-12-07"' in get_page(as_("守"), "/notices/urgent?what=closed")


def test_a_day_that_has_passed_since_is_not_filled_in(mamoru):
    data = open_form(mamoru) | {"f1": "大雪", "f2": "-", "day": "2026-12-01"}
    assert "〔日付〕" in look(mamoru, data)


def test_what_was_not_shown_is_not_sent(mamoru, school):
    data = open_form(mamoru) | {"f1": "大雪", "f2": "-"}
    page = look(mamoru, data)
    changed = {**data, "f1": "停電", "seen": seen(page), "typed": wanted(page)}
    answer = mamoru.post("/notices/urgent/closed", data=changed)
    shown = html.unescape(answer.get_data(as_text=True))
    assert answer.status_code == 422 and "もう一度ごらんください" in shown and "停電のため" in shown
    assert mamoru.post("/notices/urgent/closed", data={**changed, "seen": seen(shown)}).status_code == 303
    assert "停電" in Notice.get().wording.text


def test_a_wrong_number_is_told_beside_the_button(mamoru):
    data = open_form(mamoru) | {"f1": "大雪", "f2": "-"}
    page = look(mamoru, data)
    answer = mamoru.post("/notices/urgent/closed", data={**data, "seen": seen(page), "typed": "1"})
    shown = html.unescape(answer.get_data(as_text=True))
    assert answer.status_code == 422 and shown.index("数が違います") < shown.index('id="go"')


def test_a_second_press_sends_nothing_twice(mamoru):
    data = open_form(mamoru) | {"f1": "大雪", "f2": "-"}
    page = look(mamoru, data)
    sent = {**data, "seen": seen(page), "typed": wanted(page)}
    for _ in range(2):
        assert mamoru.post("/notices/urgent/closed", data=sent).status_code == 303
    assert Notice.select().count() == 1
    assert "すでに送信" in get_page(mamoru, f"/notices/{Notice.get().id}")


def test_an_unchanged_view_is_not_sent_again(mamoru):
    data = open_form(mamoru) | {"f1": "大雪", "f2": "-"}
    page = look(mamoru, data, headers=HTMX)
    assert "<html" not in page and 'id="go"' in page
    answer = mamoru.post("/notices/urgent/closed/look", data={**data, "seen": seen(page)}, headers=HTMX)
    assert answer.status_code == 204


def test_a_class_teacher_sends_to_the_own_class(as_, school):
    """Who has one list finds it ticked; who has several chooses."""
    browser = as_("花子")
    assert open_form(browser)["lists"] == [str(school.lists["1-1"].id)]
    foreign = open_form(browser) | {"lists": [str(school.lists["whole"].id)], "f1": "大雪", "f2": "-"}
    assert browser.post("/notices/urgent/closed/look", data=foreign).status_code == 404
    assert as_("見る子").get("/notices/urgent").status_code == 403


def test_ones_own_words_are_checked_alike(mamoru):
    data = open_form(mamoru, "own") | {"subject": "【緊急】〔何〕", "text": "いま止まっています。"}
    assert "〔何〕" in look(mamoru, data, "own") and 'id="go"' not in look(mamoru, data, "own")
    page = look(mamoru, data | {"subject": "【緊急】電車が止まっています"}, "own")
    assert 'id="go"' in page and "電車が止まっています" in page


def test_the_choices_of_a_question_are_seen(mamoru):
    filled = {"f1": "大雪", "f2": "給食", "f3": "13時30分", "f4": "体育館", "f5": "-", "f6": "-"}
    page = look(mamoru, open_form(mamoru, "pickup") | filled, "pickup")
    assert "1時間以内に迎えに行く" in page and 'id="go"' in page
    assert [ask.unit for ask in questions.question_drafts(Notice.get())] == ["child"]


def test_an_own_template_becomes_a_form_of_its_placeholders(mamoru, school):
    content = templates.TemplateContent("断水（市）", "〔日付（短）〕断水", "〔地区〕が断水です。", urgent=True)
    row = templates.add_template(school.users["守"], content, None)
    page = get_page(mamoru, f"/notices/urgent?what=own-{row.id}")
    assert ">断水</a>" in page and '<label for="f1">地区</label>' in page
    shown = look(mamoru, open_form(mamoru, f"own-{row.id}") | {"f1-typed": "川端"}, f"own-{row.id}")
    assert "12/2(水)断水" in shown and "川端が断水です。" in shown
    decorated = replace(content, html="<p>〔地区〕が<strong>断水</strong>です。</p>")
    row = templates.add_template(school.users["守"], decorated, None)
    look(mamoru, open_form(mamoru, f"own-{row.id}") | {"f1-typed": "<b>川端"}, f"own-{row.id}")
    assert "&lt;b&gt;川端が<strong>断水</strong>です。" in Notice.select().order_by(Notice.id.desc()).get().wording.html


def test_a_kind_that_is_none_is_not_found(mamoru):
    assert mamoru.get("/notices/urgent?what=meeting").status_code == 404


@pytest.mark.parametrize(("field", "most"), [("f1-typed", 200), ("remark", 2000)])
def test_a_text_over_its_limit_is_refused_and_shown(mamoru, field, most):
    data = {**open_form(mamoru), field: "あ" * (most + 1)}
    for headers in ({}, HTMX):
        answer = mamoru.post("/notices/urgent/closed/look", data=data, headers=headers)
        assert answer.status_code == 422 and f"{most}" in answer.text and 'role="alert"' in answer.text
    assert "あ" * (most + 1) in mamoru.post("/notices/urgent/closed/look", data=data).text
    assert Notice.select().count() == 0
