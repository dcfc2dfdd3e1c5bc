"""Openings and clicks: off by default, estimates, machines apart, and no way but to the kept address (D-31)."""

from datetime import timedelta

import pytest

import clock
from cli.work import open_worker
from core.notices import approval, drafts, rendering, tracking_options
from core.notices.audience import resolve_audience
from core.notices.start import start_due_notices
from core.responses import tracking
from core.settings import load_settings
from mail.compose import LetterRecipient, LetterRenderer
from models import Letter, Notice, PageView, TrackedLink
from tests import cast_notices
from tests.cast_notices import PHONE, SCANNER

TEXT = "くわしくは https://school.example/oshirase?id=7 と\nhttps://city.example.jp/bosai をご覧ください。"


@pytest.fixture
def sent(school):
    """A notice sent ten minutes ago that counts both."""
    made = cast_notices.send(
        [school.lists["1-1"]], by=school.users["花子"], text=TEXT, tracking={"opens": True, "clicks": True}
    )
    tracking_options.store_links(made.notice)
    return made


def html_of(notice: Notice) -> tuple[str, str]:
    form = rendering.notice_form(notice, None, "ja", load_settings())
    reader = LetterRecipient(
        number=7, address="a@example.com", bare=False, name="青山", token="k" * 26, values={}, at=clock.now()
    )
    made = LetterRenderer(form)
    return made.html(reader), made.text(reader)


def visit(delivery, page: str, after_s: float, agent: str = PHONE) -> None:
    accepted = Letter.get(Letter.delivery == delivery).done_at
    automatic = agent == SCANNER
    at = accepted + timedelta(seconds=after_s)
    PageView.create(delivery=delivery, page=page, at=at, agent=agent, automatic=automatic)


@pytest.mark.proves("D-31")
def test_off_by_default_no_letter_holds_picture_or_counter(school):
    """D-31"""
    notice = cast_notices.send([school.lists["1-1"]], text=TEXT).notice
    html, text = html_of(notice)
    assert html == ""
    assert "https://school.example/oshirase?id=7" in text and "/r/" in text
    assert "/o/" not in text and "/c/" not in text


@pytest.mark.proves("D-31")
@pytest.mark.parametrize(("opens", "clicks"), [(True, False), (False, True)])
def test_two_independent_switches(school, opens, clicks):
    """D-31"""
    notice = cast_notices.send([school.lists["1-1"]], text=TEXT, tracking={"opens": opens, "clicks": clicks}).notice
    html, _ = html_of(notice)
    assert (f"/o/{'k' * 26}.gif" in html) is opens
    assert (f"/c/{'k' * 26}/1" in html) is clicks


def test_the_text_keeps_the_address_and_the_html_shows_no_other_host_than_it_leads_to(sent):
    """Decision 9: a filter takes "shown here, leads there" for phishing."""
    html, text = html_of(sent.notice)
    assert "https://school.example/oshirase?id=7" in text
    assert "/c/" not in text
    assert "school.example" not in html and "city.example.jp" not in html
    assert "リンク1を開く" in html and "リンク2を開く" in html


def test_addresses_are_kept_at_sending(school):
    """X-05: what an organizer changes later changes no link that is out."""
    notice = drafts.create_draft(school.users["花子"], now=clock.now())
    drafts.save_draft(notice, now=clock.now(), subject="件名", text=TEXT, tracking={"clicks": True})
    drafts.set_recipients(notice, lists=[school.lists["1-1"].id], now=clock.now())
    mark = resolve_audience(notice).fingerprint
    approval.confirm_send(notice, by=school.users["花子"], fingerprint=mark, now=clock.now(), hold_s=0)
    start_due_notices(clock.now())
    assert [one.url for one in TrackedLink.select().order_by(TrackedLink.number)] == [
        "https://school.example/oshirase?id=7",
        "https://city.example.jp/bosai",
    ]
    sender = open_worker()
    try:
        assert sender.drain()
    finally:
        sender.close()
    assert Notice.get_by_id(notice.id).state == "sent"


def test_an_address_made_of_a_merge_field_is_a_readers_own(school):
    assert tracking_options.urls_in_text("https://a.example/{{氏名}} https://b.example/x https://b.example/x") == (
        "https://a.example/",
        "https://b.example/x",
    )


def test_openings_are_counted_by_letters_and_machines_stand_apart(sent):
    """N-15, X-10: the first within a minute are scanners; a provider's proxy mostly opens for somebody."""
    hers, his, other = (sent.deliveries[name] for name in ("青山 美咲", "青山 健太", "石川 直樹"))
    visit(hers, "o", 300)
    visit(hers, "o", 9000)
    visit(his, "o", 20)
    visit(his, "o", 400, agent=SCANNER)
    visit(other, "o", 30, agent="Mozilla/5.0 (via ggpht.com GoogleImageProxy)")
    visit(sent.deliveries["鈴木 大輔"], "o", 7200, agent="Mozilla/5.0")
    found = tracking.count_opens_and_clicks(sent.notice)
    assert (found.opened, found.machines, found.proxied) == (1, 2, 1)
    assert found.letters == 4


def test_all_links_at_once_are_a_machine(sent):
    """N-15: nobody opens every link of a letter within seconds."""
    hers, his = sent.deliveries["青山 美咲"], sent.deliveries["青山 健太"]
    visit(hers, "c1", 300)
    visit(hers, "c2", 302)
    visit(his, "c1", 300)
    visit(his, "c2", 360)
    found = tracking.count_opens_and_clicks(sent.notice)
    assert found.clicked == 1
    assert [(one.readers, one.machines) for one in found.links] == [(1, 1), (1, 1)]


def test_after_ninety_days_only_the_sums_are_left(sent):
    """Decision 15"""
    visit(sent.deliveries["青山 美咲"], "o", 300)
    visit(sent.deliveries["青山 美咲"], "c1", 300)
    before = tracking.count_opens_and_clicks(sent.notice)
    assert tracking.delete_old_visits(clock.now() + timedelta(days=89)) == 0
    assert tracking.delete_old_visits(clock.now() + timedelta(days=91)) == 2
    assert PageView.select().count() == 0
    assert tracking.count_opens_and_clicks(Notice.get_by_id(sent.notice.id)) == before
    assert sum(before.open_hours) == sum(before.click_hours) == 1
