"""The picture and the counted links as mail programs, readers and robots fetch them (D-31, law 3)."""

import re
from datetime import timedelta

import pytest

import clock
from core.notices import tracking_options
from core.responses import read_confirmations, tracking
from models import Delivery, Notice, NoticeTracking, PageView
from tests import cast_notices
from tests.cast_notices import PHONE, SCANNER
from tests.web.notice_factory import get_page

TEXT = "https://school.example/oshirase?id=7 をご覧ください。"


@pytest.fixture
def sent(school):
    made = cast_notices.send(
        [school.lists["1-1"]], by=school.users["花子"], text=TEXT, tracking={"opens": True, "clicks": True}
    )
    tracking_options.store_links(made.notice)
    return made


@pytest.fixture
def hers(sent):
    return sent.deliveries["青山 美咲"]


@pytest.fixture
def reader(app):
    browser = app.test_client()
    browser.environ_base["HTTP_USER_AGENT"] = PHONE
    return browser


@pytest.mark.proves("N-15")
def test_the_picture_counts_and_changes_nobodys_state(reader, hers):
    answer = reader.get(f"/o/{hers.token}.gif")
    assert (answer.status_code, answer.mimetype) == (200, "image/gif")
    assert answer.data.startswith(b"GIF89a") and "no-store" in answer.headers["Cache-Control"]
    assert [one.page for one in PageView.select()] == ["o"]
    assert Delivery.get_by_id(hers.id).read_at is None


def test_an_unknown_picture_looks_the_same(reader, hers):
    known, unknown = reader.get(f"/o/{hers.token}.gif"), reader.get(f"/o/{'a' * 26}.gif")
    assert (known.status_code, known.data) == (unknown.status_code, unknown.data)
    assert PageView.select().count() == 1


def test_the_picture_of_a_notice_that_counts_nothing_counts_nothing(reader, hers, sent):
    NoticeTracking.update(opens=False).where(NoticeTracking.notice == sent.notice.id).execute()
    assert reader.get(f"/o/{hers.token}.gif").status_code == 200
    assert PageView.select().count() == 0


@pytest.mark.proves("N-15")
def test_a_link_leads_to_the_kept_address_and_nowhere_else(reader, hers):
    answer = reader.get(f"/c/{hers.token}/1?next=https://evil.example/&url=https://evil.example/")
    assert (answer.status_code, answer.location) == (302, "https://school.example/oshirase?id=7")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert [one.page for one in PageView.select()] == ["c1"]


@pytest.mark.parametrize("path", ["/c/{token}/2", "/c/{token}/0", "/c/" + "a" * 26 + "/1", "/c/{token}/https:evil"])
def test_what_is_not_kept_leads_nowhere(reader, hers, path):
    answer = reader.get(path.format(token=hers.token))
    assert answer.status_code == 404
    assert answer.location is None


def test_a_withdrawn_notice_leads_nowhere(reader, hers, sent):
    Notice.update(state="withdrawn").where(Notice.id == sent.notice.id).execute()
    assert reader.get(f"/c/{hers.token}/1").status_code == 410


@pytest.mark.parametrize("path", ["/o/{}.gif", "/c/{}/1"])
def test_head_never_runs(reader, hers, path):
    assert reader.head(path.format(hers.token)).status_code == 204
    assert PageView.select().count() == 0


def test_a_robot_is_noted_as_one(reader, hers):
    reader.environ_base["HTTP_USER_AGENT"] = SCANNER
    reader.get(f"/c/{hers.token}/1")
    assert PageView.get().automatic is True


@pytest.mark.parametrize(
    "header", [{"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}, {"X-Moz": "prefetch"}]
)
def test_what_loads_ahead_is_a_machine(reader, hers, sent, header):
    """N-15: prefetchers stand apart, and are led on all the same."""
    assert reader.get(f"/c/{hers.token}/1", headers=header).status_code == 302
    assert reader.get(f"/o/{hers.token}.gif", headers=header).status_code == 200
    assert [one.automatic for one in PageView.select()] == [True, True]
    found = tracking.count_opens_and_clicks(sent.notice)
    assert (found.clicked, found.opened, found.machines) == (0, 0, 1)


def test_a_fetched_picture_takes_no_read_back(reader, hers):
    """A mail program loads it while its owner is on the page."""
    now = clock.now()
    read_confirmations.record_visit(hers, "r", agent=PHONE, inside=False, now=now)
    read_confirmations.record_open(hers, agent="Mozilla/5.0", now=now)
    assert read_confirmations.confirm_by_touch(hers, agent=PHONE, now=now + timedelta(seconds=2)) is True
    read_confirmations.record_open(hers, agent="Mozilla/5.0", now=now + timedelta(seconds=3))
    assert Delivery.get_by_id(hers.id).read_at is not None


@pytest.mark.proves("D-31", "D-32", "D-33", "D-34")
def test_the_switches_stand_on_a_page_of_their_own(as_, school):
    """D-31 to D-33: both off, all timings daily, five choices exactly."""
    browser = as_("花子")
    browser.post("/notices/new", data={})
    number = Notice.select().order_by(Notice.id.desc()).get().id
    page = browser.get(f"/notices/{number}/measure").get_data(as_text=True)
    assert page.count('<option selected value="daily">毎日</option>') == 5
    for timing in ("通知不要", "毎時", "毎日", "毎週", "毎月"):
        assert page.count(f">{timing}</option>") == 5
    for select in re.findall(r"<select.*?</select>", page, re.DOTALL):
        options = re.findall(r'<option[^>]*value="(\w+)"', select)
        assert options == ["none", "hourly", "daily", "weekly", "monthly"]
    assert "checked" not in page
    typed = {
        "track_opens": "y",
        "read": "daily",
        "answer": "daily",
        "open": "none",
        "reopen": "weekly",
        "click": "hourly",
    }
    assert browser.post(f"/notices/{number}/measure", data=typed).status_code == 303
    notice = Notice.get_by_id(number)
    assert (notice.tracking.opens, notice.tracking.clicks) == (True, False)
    assert notice.digest_settings == {"open": "none", "reopen": "weekly", "click": "hourly"}
    assert browser.post(f"/notices/{number}/measure", data={**typed, "read": "at once"}).status_code == 422  # D-34
    assert as_("太郎").get(f"/notices/{number}/measure").status_code == 404


def test_the_history_shows_estimates_only_where_something_was_counted(as_, sent, school):
    browser = as_("花子")
    assert "開封とリンク（目安）" in browser.get(f"/notices/{sent.notice.id}/record").get_data(as_text=True)
    other = cast_notices.send([school.lists["1-1"]], by=school.users["花子"]).notice
    assert "目安" not in get_page(browser, f"/history/{other.id}")
