"""The cancel link in the organizer's own copy, pressed on a phone that is not logged in (journey a, law 3, D-44)."""

from datetime import timedelta

import pytest

import clock
from core.notices import approval, author_copy, start, workflow
from core.notices import audience as audiences
from core.settings import load_settings
from models import Notice
from tests.web.notice_factory import confirm_notice, datetime_local_value, get_page, reload_state


@pytest.fixture
def held(school):
    return confirm_notice(school)


@pytest.fixture
def booked(school):
    return confirm_notice(school, at=clock.now() + timedelta(days=1))


def link(notice):
    return f"/notices/cancel/{author_copy.notice_cancel_token(Notice.get_by_id(notice.id), load_settings())}"


def test_the_link_shows_and_its_button_cancels_without_a_login(client, held):
    """Journey a: from the phone's mail; opening the link cancels nothing (law 3)."""
    text = get_page(client, link(held))
    assert "送信を取り消す" in text
    assert reload_state(held) == "held"
    address = link(held)
    answer = client.post(address)
    assert answer.status_code == 200
    assert "取り消しました" in answer.get_data(as_text=True)
    assert reload_state(held) == "draft"
    assert client.post(address).status_code == 404


def test_the_link_needs_no_form_token(app, held):
    """A phone's mail program has no cookie of ours: the mark is the authority."""
    app.config["WTF_CSRF_ENABLED"] = True
    assert app.test_client().post(link(held)).status_code == 200
    assert app.test_client().post(f"/notices/{held.id}/cancel").status_code in (302, 403)
    assert reload_state(held) == "draft"


def test_the_link_survives_a_changed_time(client, as_, booked):
    address = link(booked)
    as_("花子").post(f"/notices/{booked.id}/retime", data={"at": datetime_local_value(clock.now() + timedelta(days=2))})
    assert "送信を取り消す" in get_page(client, address)


def test_an_old_link_does_not_cancel_a_new_confirmation(client, held):
    address = link(held)
    workflow.cancel_send(held, held.by, clock.now())
    later = clock.now() + timedelta(minutes=1)
    approval.confirm_send(held, by=held.by, fingerprint=audiences.resolve_audience(held).fingerprint, now=later)
    assert client.post(address).status_code == 404
    assert reload_state(held) == "held"


def test_too_late_for_the_link(client, held):
    address = link(held)
    Notice.update(send_at=clock.now()).where(Notice.id == held.id).execute()
    start.start_due_notices(clock.now())
    assert "取り消しに間に合いませんでした" in get_page(client, address)
    assert "取り消しに間に合いませんでした" in client.post(address).get_data(as_text=True)
    assert reload_state(held) == "sending"


@pytest.mark.parametrize("mark", ["x", "WzEsMF0.abc", "%00"])
def test_a_forged_mark_opens_nothing(client, held, mark):
    assert client.get(f"/notices/cancel/{mark}").status_code == 404
    assert client.post(f"/notices/cancel/{mark}").status_code == 404
    assert reload_state(held) == "held"
