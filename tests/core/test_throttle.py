"""How fast letters leave: all letters, each domain, the carriers (N-10, X-09, field 3.4)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from config import parse_domain_rates
from core.delivery import throttle
from core.settings import load_settings
from mail.server_urls import SmtpServer
from models import ThrottleBucket

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def settings(school):
    return replace(load_settings(), route=SmtpServer("127.0.0.1", 25), rate=300, domain_rate=120)


def letters(count, domain="example.com"):
    return [(number, domain) for number in range(count)]


def gone_in(seconds, settings, wanted):
    """Return how many letters go in so many seconds when somebody takes all he can, ten times a second."""
    left, gone = list(wanted), 0
    for tenth in range(int(seconds * 10) + 1):
        now = NOON + timedelta(seconds=tenth / 10)
        going = set(throttle.take_tokens(left[:50], settings, now))
        left = [one for one in left if one[0] not in going]
        gone += len(going)
    return gone


def test_all_letters_together_keep_the_rate_after_a_short_start(settings):
    wanted = [(number, f"d{number}.example") for number in range(2000)]
    assert gone_in(60, settings, wanted) == pytest.approx(300 + 10, abs=2)


@pytest.mark.proves("N-10")
def test_one_domain_keeps_its_own_rate(settings):
    assert gone_in(60, settings, letters(500)) == pytest.approx(120 + 4, abs=2)


# E-02, E-19
@pytest.mark.proves("N-10", "X-08", "E-02", "E-19")
@pytest.mark.parametrize(
    ("domain", "a_minute"),
    [("docomo.ne.jp", 60), ("ezweb.ne.jp", 30), ("au.com", 30), ("i.softbank.jp", 60), ("t.vodafone.ne.jp", 60)],
)
def test_carriers_are_served_as_slowly_as_they_ask(settings, domain, a_minute):
    assert throttle.rate_for_domain(domain, settings) == a_minute
    assert throttle.rate_for_domain(domain, replace(settings, domain_rate=20)) == 20
    assert gone_in(60, settings, letters(200, domain)) == pytest.approx(a_minute + a_minute / 30, abs=1)


@pytest.mark.proves("N-10")
def test_each_domain_may_have_a_rate_of_its_own(settings):
    """It wins over the carrier's rate and covers subdomains; the longest name counts."""
    rates = parse_domain_rates("docomo.ne.jp=200, Example.com=30 mail.example.com=0")
    own = replace(settings, domain_rates=rates)
    expected = {"docomo.ne.jp": 200, "example.com": 30, "x.example.com": 30, "mail.example.com": 0, "au.com": 30}
    assert {domain: throttle.rate_for_domain(domain, own) for domain in expected} == expected
    assert throttle.rate_for_domain("notexample.com", own) == settings.domain_rate
    assert throttle.rate_for_domain("example.com", replace(own, domain_rate=0)) == 30
    assert gone_in(60, own, letters(200)) == pytest.approx(30 + 1, abs=1)


@pytest.mark.proves("N-10", "X-12")
def test_a_slow_domain_does_not_hold_up_the_others(settings):
    wanted = [*letters(40, "ezweb.ne.jp"), (99, "example.com"), (100, "example.com")]
    assert throttle.take_tokens(wanted, settings, NOON)[-2:] == [99, 100]


def test_a_quiet_hour_is_not_followed_by_a_flood(settings):
    throttle.take_tokens(letters(1), settings, NOON)
    assert len(throttle.take_tokens(letters(200), settings, NOON + timedelta(hours=1))) == 4


def test_a_rate_of_nothing_means_no_limit(settings):
    """KAIRAN_RATE=0: as fast as the server takes them."""
    free = replace(settings, rate=0, domain_rate=0)
    assert len(throttle.take_tokens(letters(5000, "docomo.ne.jp"), free, NOON)) == 5000
    assert throttle.blocked_buckets(free, NOON) == []


def test_practice_has_no_limits(settings):
    assert len(throttle.take_tokens(letters(500, "docomo.ne.jp"), replace(settings, route=None), NOON)) == 500


def test_a_minute_may_hold_less_than_one_letter(settings):
    slow = replace(settings, rate=1)
    assert throttle.take_tokens([(1, "a.example"), (2, "b.example")], slow, NOON) == [1]
    assert throttle.take_tokens([(2, "b.example")], slow, NOON + timedelta(seconds=59)) == []
    assert throttle.take_tokens([(2, "b.example")], slow, NOON + timedelta(seconds=61)) == [2]


def test_looking_without_taking_changes_nothing(settings):
    slow = replace(settings, rate=1)
    throttle.take_tokens([(1, "a.example")], slow, NOON)
    before = list(ThrottleBucket.select().order_by(ThrottleBucket.id).tuples())
    assert throttle.take_tokens([(2, "a.example")], slow, NOON + timedelta(seconds=1)) == []
    assert list(ThrottleBucket.select().order_by(ThrottleBucket.id).tuples()) == before


def test_a_clock_that_went_back_by_seconds_gives_no_tokens(settings):
    assert len(throttle.take_tokens(letters(9), settings, NOON)) == 4
    assert throttle.take_tokens(letters(9), settings, NOON - timedelta(seconds=59)) == []


def test_exhausted_and_paused_roads_are_named(settings):
    throttle.take_tokens(letters(10), settings, NOON)
    assert throttle.blocked_buckets(settings, NOON) == ["example.com"]
    assert throttle.blocked_buckets(settings, NOON + timedelta(seconds=1)) == []
    throttle.pause_bucket("docomo.ne.jp", NOON + timedelta(hours=1), "carrier", NOON)
    assert throttle.blocked_buckets(settings, NOON + timedelta(minutes=59)) == ["docomo.ne.jp"]
    assert throttle.paused_buckets(NOON) == ["docomo.ne.jp"]
    assert throttle.paused_buckets(NOON + timedelta(hours=1)) == []


def test_a_pause_of_all_roads_says_why_and_ends(settings):
    throttle.pause_bucket(throttle.GLOBAL_BUCKET, NOON + timedelta(seconds=5), "login", NOON)
    assert throttle.pause_reason(throttle.GLOBAL_BUCKET, NOON) == "login"
    assert throttle.GLOBAL_BUCKET in throttle.blocked_buckets(settings, NOON)
    assert throttle.pause_reason(throttle.GLOBAL_BUCKET, NOON + timedelta(seconds=5)) is None
    throttle.pause_bucket(throttle.GLOBAL_BUCKET, NOON + timedelta(hours=5), "connect", NOON)
    throttle.resume_bucket(throttle.GLOBAL_BUCKET)
    assert throttle.pause_reason(throttle.GLOBAL_BUCKET, NOON) is None


@pytest.mark.proves("X-09")
def test_the_time_is_estimated_from_the_rate(settings):
    """X-09: 500 letters, about two minutes."""
    assert throttle.estimate_duration(500, settings) == timedelta(seconds=100)
    assert throttle.estimate_duration(500, replace(settings, rate=0)) < timedelta(seconds=10)
    assert throttle.estimate_duration(500, replace(settings, route=None)) < timedelta(seconds=10)


@pytest.mark.parametrize(
    ("domain", "carrier"),
    [
        ("docomo.ne.jp", "docomo.ne.jp"),
        ("d.vodafone.ne.jp", "vodafone.ne.jp"),
        ("example.com", None),
        ("notdocomo.ne.jp", None),
        ("docomo.ne.jp.example.com", None),
    ],
)
def test_carriers_are_known_by_their_domain(domain, carrier):
    assert throttle.carrier_domain(domain) == carrier


# ── what a provider allows in an hour ────────────────────────────────────────────────────────────────────────────


def test_no_hour_holds_more_letters_than_the_provider_allows(config):
    """N-10: counted over a sliding hour; what does not fit waits, also across the border of two clock hours."""
    settings = replace(load_settings(), route=SmtpServer("127.0.0.1", 2525), rate=0, domain_rate=0, hour_rate=10)
    start = datetime(2026, 11, 22, 8, 58, tzinfo=UTC)
    sent = []
    for minute in range(150):
        now = start + timedelta(minutes=minute)
        sent += [now] * len(throttle.take_tokens([(one, "example.jp") for one in range(3)], settings, now))
        assert minute != 4 or throttle.blocked_buckets(settings, now) == [throttle.GLOBAL_BUCKET]
    assert sent[:10] == [start] * 3 + [start + timedelta(minutes=1)] * 3 + [start + timedelta(minutes=2)] * 3 + [
        start + timedelta(minutes=3)
    ]
    windows = [sum(at <= one < at + timedelta(hours=1) for one in sent) for at in sent]
    assert max(windows) == 10 and len(sent) > 18
    assert throttle.hourly_allowance(settings, start + timedelta(hours=9)) == 10


def test_the_check_page_knows_how_long_an_hourly_limit_takes(config):
    settings = replace(load_settings(), route=SmtpServer("127.0.0.1", 2525), rate=300, hour_rate=500)
    assert throttle.estimate_duration(500, settings) == timedelta(minutes=500 / 300)
    assert throttle.estimate_duration(1500, settings) == timedelta(hours=3)
