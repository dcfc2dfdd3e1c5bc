"""What is pointed out before sending (D-28, D-29, field 4.3 no. 8, 4.4 no. 16)."""

from datetime import UTC, datetime

import pytest
import time_machine

from core import settings
from core.notices import audience, content_checks, drafts

NOON = datetime(2026, 10, 13, 3, 0, tzinfo=UTC)  # Tuesday 12:00 in Tokyo


@pytest.fixture(autouse=True)
def noon():
    with time_machine.travel(NOON, tick=False):
        yield


def found(school, text="遠足です。", at=None, now=NOON, **fields):
    """Return the kinds and sentences of the warnings of a notice."""
    made = drafts.create_draft(school.users["花子"], now=now)
    drafts.set_recipients(made, lists=[school.lists["1-1"].id], now=now)
    drafts.save_draft(made, subject="お知らせ", text=text, now=now, **fields)
    return content_checks.collect_warnings(made, audience.resolve_audience(made), now, at)


@pytest.mark.proves("D-29")
def test_an_ordinary_notice_at_noon_is_left_in_peace(school):
    assert found(school) == []


# N-11
@pytest.mark.proves("N-11")
@pytest.mark.parametrize(("hour", "warned"), [(5, True), (6, False), (21, False), (22, True)])
def test_the_night_is_named(school, hour, warned):
    at = datetime(2026, 10, 14, hour, 0, tzinfo=UTC).replace(tzinfo=content_checks.clock.ZONE)
    assert ([one.kind for one in found(school, at=at)] == ["night"]) is warned


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("明日は休校です", "10月16日(金)"),
        ("本日は", "10月15日(木)"),
        ("あす、", "10月16日(金)"),
        ("明後日まで", "10月17日(土)"),
    ],
)
def test_day_words_are_read_on_the_day_of_sending(school, text, read_as):
    """field 4.4 no. 16."""
    at = datetime(2026, 10, 15, 7, 0, tzinfo=content_checks.clock.ZONE)
    (one,) = found(school, text, at=at)
    assert one.kind == "day"
    assert one.values["read"] == read_as


@pytest.mark.parametrize("text", ["話すことはあすか先生", "なすこと", "平常どおり"])
def test_other_words_are_no_day_words(school, text):
    assert found(school, text, at=datetime(2026, 10, 15, 7, 0, tzinfo=content_checks.clock.ZONE)) == []


@pytest.mark.parametrize(
    ("text", "day"), [("10月14日(火)", "10月14日(水)"), ("10/14(火)", "10月14日(水)"), ("1月8日（木）", "1月8日(金)")]
)
def test_a_wrong_day_of_the_week_is_named(school, text, day):
    """The nearest such date counts: in October, 8 January is next year's."""
    (one,) = found(school, text)
    assert (one.kind, one.values["day"]) == ("weekday", day)


@pytest.mark.parametrize("text", ["10月14日(水)", "10/14（水）", "2月30日(月)", "1月8日(金)", "13月1日(月)"])
def test_a_right_day_of_the_week_is_left_in_peace(school, text):
    assert found(school, text) == []


@pytest.mark.proves("D-29")
def test_a_footer_switched_off_is_named(school):
    """D-29."""
    assert [one.kind for one in found(school, footer=False)] == ["footer"]


@pytest.mark.proves("D-28")
def test_a_missing_postal_address_is_named(school):
    """D-28."""
    settings.update_organization(None, postal="")
    assert [one.kind for one in found(school)] == ["postal"]
