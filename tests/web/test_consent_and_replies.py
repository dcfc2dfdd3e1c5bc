"""On a member's page and in the roster file: the consent record, and replies by mail (T-18, T-36; field.md 3.1)."""

import csv
import io

import pytest

import clock
from core.imports import columns, jobs
from core.imports import export as roster_export
from core.inbound import dispatch
from core.settings import load_settings
from core.signup import signup
from core.signup.quotas import SignupRequest
from mail.address import reply_address
from models import Letter, Membership, Person
from tests import cast_notices
from tests.cast_mail import DOMAIN, dns, mail
from tests.web.notice_factory import get_page

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def joined(school) -> Person:
    wish = SignupRequest(
        school.lists["1-1"],
        "haha@example.jp",
        "link",
        "child",
        school.children["石川 蓮"],
        "letter",
        {"network": "192.0.2.0/24"},
    )
    return signup.join_list(wish, clock.now())[0]


def test_a_manager_sees_how_somebody_consented_and_to_which_words(as_, joined):
    url = f"/members/{joined.id}"
    shown = as_("花子").get(url).get_data(as_text=True)
    for held in ("登録の記録", "登録ページで登録", "お子さんの登録票のコード", "192.0.2.0/24", "学校からのお知らせ"):
        assert held in shown
    assert "192.0.2.0/24" not in get_page(as_("見る子"), url)


def test_the_record_is_in_the_roster_file_and_is_not_read_back(school, joined):
    """A file cannot say that somebody consented."""
    content = roster_export.export_csv(school.lists["1-1"], "ja")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    (mine,) = [row for row in rows if row["メールアドレス"] == "haha@example.jp"]
    assert "192.0.2.0/24" in mine["登録の記録"] and "登録ページで登録" in mine["登録の記録"]
    sheet = jobs.read_sheet(content, "roster.csv")
    mapping = dict(zip(sheet.columns, columns.guess_mapping(sheet), strict=True))
    assert mapping["登録の記録"] == "" and mapping["メールアドレス"] == "address"


def test_a_reply_stands_on_the_members_page_for_who_may_see_the_notice(as_, school, monkeypatch):
    """T-18: at the letter, on the board, on the member's page; told to the sender; escaped."""
    monkeypatch.setattr(dispatch, "txt_lookup", dns())
    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"], subject="運動会")
    letter = Letter.get(Letter.delivery == sent.deliveries["石川 直樹"])
    to = reply_address(letter.id, load_settings().secret, DOMAIN)
    dispatch.handle_message(
        mail("naoki@example.jp", to, "Re: 運動会", f"行けません{EVIL}"), "naoki@example.jp", to, clock.now()
    )
    for url in (f"/members/{letter.person_id}", f"/notices/{sent.notice.id}/board"):
        shown = as_("花子").get(url).get_data(as_text=True)
        assert "行けません" in shown and "返信" in shown and EVIL not in shown
    assert Letter.get(Letter.kind == "reply").address == "user1@school.example"
    Membership.create(person=letter.person, list=school.lists["2-1"])
    assert "行けません" not in get_page(as_("太郎"), f"/members/{letter.person_id}")


def test_the_leave_address_stands_in_the_letter_where_mail_comes_in(school, monkeypatch):
    """Design 3: leaving by mail beside one click (RFC 2369); not offered where no mail can be taken."""
    from dataclasses import replace

    from core.notices.rendering import notice_form

    sent = cast_notices.send([school.lists["1-1"]], by=school.users["花子"])
    settings = load_settings()
    form = notice_form(sent.notice, school.lists["1-1"], "ja", settings)
    assert form.leave_address == ("1nen1kumi-leave@mail.school.example" if settings.accepts_inbound else "")
    assert "1nen1kumi-leave" not in notice_form(sent.notice, None, "ja", replace(settings)).leave_address
