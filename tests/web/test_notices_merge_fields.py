"""Merge fields on the screens of writing: tapped in, stepped through, refused kindly (N-13, D-22, D-24, D-25)."""

import pytest

import clock
from core.notices import drafts
from models import Letter, Membership, Notice, User
from tests.web.notice_factory import get_page


@pytest.fixture
def hanako(as_):
    """花子 manages 1年1組."""
    return as_("花子")


@pytest.fixture
def draft(school) -> Notice:
    Membership.update(attributes={"当番日": "10月20日(月)"}).where(
        Membership.person.in_([school.people["石川 直樹"], school.people["青山 美咲"]])
    ).execute()
    made = drafts.create_draft(school.users["花子"], now=clock.now())
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=clock.now())
    drafts.save_draft(made, subject="【旗当番】{{当番日}}", text="{{保護者氏名}} 様\n{{当番日}}です。", now=clock.now())
    return made


def write(browser, notice, **fields):
    return browser.post(f"/notices/{notice.id}/words/next", data={"footer": "y", "useful_s": "0", **fields})


def test_the_screen_offers_the_fields_of_the_chosen_list(hanako, draft):
    """N-13"""
    shown = get_page(hanako, f"/notices/{draft.id}/words")
    for name in ("保護者氏名", "児童氏名", "当番日", "今日の日付", "送信者の署名"):
        assert f'data-insert="{{{{{name}}}}}"' in shown
    assert "手で書くときは {{保護者氏名}} のように書きます。" in shown


def test_an_english_page_offers_english_names(hanako, draft, school):
    User.update(language="en").where(User.id == school.users["花子"].id).execute()
    shown = get_page(hanako, f"/notices/{draft.id}/words")
    assert 'data-insert="{{guardian name}}"' in shown and 'data-insert="{{当番日}}"' in shown


def test_an_unknown_field_stands_at_its_place_and_nothing_is_lost(hanako, draft):
    answer = write(hanako, draft, subject="件名", text="{{当番}}です。", skip_missing="y")
    assert answer.status_code == 422
    assert "「当番」という差し込み項目はありません。「当番日」のまちがいではありませんか。" in answer.text
    assert "{{当番}}です。" in answer.text and Notice.get_by_id(draft.id).wording.text == "{{当番}}です。"


@pytest.mark.proves("D-24")
def test_the_check_page_steps_through_the_readers_and_names_whom_it_skips(hanako, draft):
    """D-24: 「当番日」が空の2人には送りません。"""
    first = get_page(hanako, f"/notices/{draft.id}/check")
    assert "「当番日」が空の2人には送りません。" in first and "2通を送信する" in first
    assert "【旗当番】10月20日(月)" in first and "青山 美咲 様" in first and "1／2通目" in first
    assert "石川 直樹 様" in get_page(hanako, f"/notices/{draft.id}/check?as=1")
    who = get_page(hanako, f"/notices/{draft.id}/recipients/all")
    assert "「当番日」が空です" in who and "青山 健太" in who


@pytest.mark.proves("D-25")
def test_unticked_everybody_gets_it_with_the_place_empty(hanako, draft):
    """D-25"""
    assert write(hanako, draft, subject="【旗当番】{{当番日}}", text="{{当番日}}です。").status_code == 303
    shown = get_page(hanako, f"/notices/{draft.id}/check")
    assert "4通を送信する" in shown and "空の" not in shown and "{{" not in shown
    assert Notice.get_by_id(draft.id).skip_missing is False


def test_without_a_signature_the_way_to_enter_it_is_shown(hanako, draft, school):
    """D-22"""
    answer = write(hanako, draft, subject="件名", text="本文\n{{送信者の署名}}", skip_missing="y")
    assert answer.status_code == 422
    assert "あなたの署名がまだ登録されていないので、送信できません。" in answer.text and "署名を登録する" in answer.text
    assert hanako.get(f"/notices/{draft.id}/check").location.endswith(f"/notices/{draft.id}/words")
    form = {"name": "花子", "language": "ja", "signature": "1年1組 花子"}
    assert hanako.post("/account", data=form).status_code == 303
    assert write(hanako, draft, subject="件名", text="本文\n{{送信者の署名}}", skip_missing="y").status_code == 303
    assert "1年1組 花子" in get_page(hanako, f"/notices/{draft.id}/check")


@pytest.mark.proves("D-22")
def test_a_signature_removed_in_another_window_stops_the_button(hanako, draft, school):
    """D-22: the server looks again when the button is pressed."""
    drafts.save_draft(draft, text="{{送信者の署名}}", now=clock.now())
    answer = hanako.post(f"/notices/{draft.id}/check", data={"fingerprint": "x"})
    assert answer.location.endswith("/words") and Notice.get_by_id(draft.id).state == "draft"


def test_the_test_letter_shows_the_reader_who_stands_on_the_page(hanako, draft):
    hanako.post(f"/notices/{draft.id}/test?as=1")
    letter = Letter.get(Letter.kind == "trial")
    assert letter.payload["text"].startswith("石川 直樹 様\n10月20日(月)です。")
