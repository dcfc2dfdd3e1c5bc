"""Estimated openings and clicks of a notice, if an organizer asked for them (D-31, X-10, N-15; decision 9).

Off by default; read confirmations are exact. Mail programs omit, prefetch or proxy the image, so machines are counted
apart.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from peewee import fn

import clock
from core.notices import tracking_options
from models import Delivery, Letter, LetterState, Notice, NoticeTracking, PageView

VISIT_RETENTION = timedelta(days=90)
SCANNER_WINDOW = timedelta(seconds=60)
"""What comes sooner after a server took the letter is a scanner, most of the time (defences 2)."""
BURST_WINDOW = timedelta(seconds=5)
_PROXY_AGENT = re.compile(r"googleimageproxy|yahoomailproxy|ymailnorrisproxy", re.IGNORECASE)
_PREFETCH_AGENT = re.compile(r"Mozilla/5\.0\s*")
"""All that a mail program says of itself which loads every picture ahead, whether the letter is opened or not."""


@dataclass(frozen=True, slots=True)
class LinkClicks:
    """A link with its number of readers, and of machines only."""

    url: str
    readers: int
    machines: int


@dataclass(frozen=True, slots=True)
class TrackingStats:
    """Counts by accepted letter. `opened`: by readers; `proxied`: by a provider's proxy only, mostly a real opening;
    `machines`: by scanners and prefetchers only. `open_hours`, `click_hours`: first event of each letter by local hour.
    """

    letters: int
    opened: int
    proxied: int
    machines: int
    clicked: int
    links: tuple[LinkClicks, ...]
    open_hours: tuple[int, ...] = ()
    click_hours: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackingEvent:
    """One fetch, classified as reader, proxy or machine."""

    delivery: int
    page: str
    at: datetime
    by: str


def load_events(notices: Iterable[int], since: datetime | None = None) -> dict[int, list[TrackingEvent]]:
    """Return the fetches by notice, in order of time."""
    taken = (
        Letter.select(Letter.delivery, fn.MIN(Letter.done_at).alias("at"))
        .where(Letter.state == LetterState.ACCEPTED, Letter.notice.in_(list(notices)))
        .group_by(Letter.delivery)
        .alias("taken")
    )
    tracked = (PageView.page == "o") | PageView.page.startswith("c")
    rows = (
        PageView.select(
            Delivery.notice,
            PageView.delivery,
            PageView.page,
            PageView.at,
            PageView.agent,
            PageView.automatic,
            taken.c.at,
        )
        .join(Delivery)
        .switch(PageView)
        .left_outer_join(taken, on=(taken.c.delivery_id == PageView.delivery))
        .where(Delivery.notice.in_(list(notices)), tracked, *([PageView.at > since] if since else []))
        .order_by(PageView.at, PageView.id)
        .tuples()
    )
    found: dict[int, list[TrackingEvent]] = defaultdict(list)
    raw = [(*row[:6], PageView.at.python_value(row[6]) if isinstance(row[6], int) else row[6]) for row in rows]
    bursts = _find_bursts(raw)
    for notice, delivery, page, at, agent, automatic, accepted in raw:
        soon = accepted is not None and at < accepted + SCANNER_WINDOW
        machine = automatic or soon or (delivery, at) in bursts or bool(_PREFETCH_AGENT.fullmatch(agent))
        by = "proxy" if _PROXY_AGENT.search(agent) else "machine" if machine else "reader"
        found[notice].append(TrackingEvent(delivery, page, at, by))
    return found


def _find_bursts(rows: list[tuple]) -> set[tuple[int, datetime]]:
    """Return times at which two links of a letter were fetched within seconds, as only machines do."""
    last: dict[int, tuple[str, datetime]] = {}
    found = set()
    for _, delivery, page, at, *_rest in rows:
        if page == "o":
            continue
        before = last.get(delivery)
        if before and before[0] != page and at - before[1] <= BURST_WINDOW:
            found |= {(delivery, before[1]), (delivery, at)}
        last[delivery] = (page, at)
    return found


def count_opens_and_clicks(notice: Notice) -> TrackingStats:
    """Count openings and clicks by letter; for purged visits return the stored totals."""
    if totals := notice.tracking.totals:
        return _from_stored(totals)
    seen: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    happened = load_events([notice.id]).get(notice.id, [])
    for event in happened:
        seen[event.page][event.delivery].add(event.by)
    pictures = list(seen.pop("o", {}).values())
    urls = tracking_options.tracked_urls(notice)
    clicks = tuple(_link_clicks(url, seen.get(f"c{number}", {})) for number, url in enumerate(urls, 1))
    people = {one for page in seen.values() for one, by in page.items() if "reader" in by}
    taken = (Letter.notice == notice) & (Letter.is_current == True) & (Letter.state == LetterState.ACCEPTED)
    return TrackingStats(
        letters=Letter.select().where(taken, Letter.delivery.is_null(False)).count(),
        opened=sum("reader" in by for by in pictures),
        proxied=sum("proxy" in by and "reader" not in by for by in pictures),
        machines=sum(by == {"machine"} for by in pictures),
        clicked=len(people),
        links=clicks,
        open_hours=_first_events_by_hour(one for one in happened if one.page == "o" and one.by != "machine"),
        click_hours=_first_events_by_hour(one for one in happened if one.page != "o" and one.by == "reader"),
    )


def _from_stored(kept: dict) -> TrackingStats:
    hours = {name: tuple(kept.get(name, ())) for name in ("open_hours", "click_hours")}
    return TrackingStats(**{**kept, **hours, "links": tuple(LinkClicks(**one) for one in kept["links"])})


def _first_events_by_hour(some: Iterable[TrackingEvent]) -> tuple[int, ...]:
    """Count the first event of each letter by local hour."""
    first: dict[int, datetime] = {}
    for event in some:
        first.setdefault(event.delivery, event.at)
    found = [0] * 24
    for at in first.values():
        found[clock.to_local(at).hour] += 1
    return tuple(found)


def delete_old_visits(now: datetime) -> int:
    """Delete visits after 90 days, storing totals first (decision 15). Return how many."""
    counts = (NoticeTracking.opens == True) | (NoticeTracking.clicks == True)
    for notice in list(
        Notice.select()
        .join(NoticeTracking)
        .where(Notice.started_at < now - VISIT_RETENTION, counts, NoticeTracking.totals.is_null())
    ):
        store_totals(notice)
    return PageView.delete().where(PageView.at < now - VISIT_RETENTION).execute()


def store_totals(notice: Notice) -> None:
    """Store the totals of a notice once, before its visits are deleted."""
    tracking = notice.tracking
    if tracking.is_on and not tracking.totals:
        NoticeTracking.update(totals=asdict(count_opens_and_clicks(notice))).where(
            NoticeTracking.id == tracking.id, NoticeTracking.totals.is_null()
        ).execute()


def _link_clicks(url: str, by_delivery: dict[int, set[str]]) -> LinkClicks:
    readers = sum("reader" in by for by in by_delivery.values())
    return LinkClicks(url, readers, len(by_delivery) - readers)
