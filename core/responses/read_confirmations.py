"""Visits and read confirmations on readers' pages (T-44, T-45; decision 1).

Opening a page records a visit and changes no state. A press confirms. A script confirms for a reader who touched the
page, when mail scanners are done at the earliest. If another link of the letter is fetched within a minute, it was a
scanner. Then the confirmation is undone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.delivery import lifecycle as letters
from core.notices import html_body, rendering
from database import bulk_insert, db, load_rows, millis, optional_write
from mail import merge
from mail.html import links, render_html
from models import Answer, Delivery, Letter, Notice, NoticeState, PageView, Wording

TOUCH_DELAY = timedelta(seconds=180)
UNDO_WINDOW = timedelta(seconds=60)
MAX_AGENT_CHARS = 200

_TOKEN = re.compile(r"\s*([a-z2-7]{26})(?![a-z0-9])", re.IGNORECASE)
_ROBOT = re.compile(
    r"(?<!cu)bot\b|(?<!cu)bot[/_-]|crawl|spider|slurp|preview|unfurl|facebookexternalhit|line-poker|whatsapp/"
    r"|barracuda|proofpoint|mimecast|zscaler|fireeye|trellix|symantec|messagelabs|sophos|trend ?micro|forcepoint"
    r"|safelinks|urldefense|url-?scan|link-?check|virustotal|ironport|fortigate|fortimail|googleimageproxy"
    r"|google-safety|google-read-aloud|google-inspection|feedfetcher|yahoomailproxy|yahoo! ?slurp|ms-?office"
    r"|microsoft office|mediapartners|scanner",
    re.IGNORECASE,
)


def delivery_by_token(raw: str) -> Delivery | None:
    """Return the delivery of a token from a URL (T-44).

    Phones cut links wrongly: capitals, surrounding spaces and trailing punctuation are ignored.
    """
    cut = _TOKEN.match(raw)
    if cut is None:
        return None
    deliveries = load_rows(Delivery, "SELECT * FROM delivery WHERE token = ?", cut[1].lower())
    if not deliveries:
        return None
    deliveries[0].notice = load_rows(Notice, "SELECT * FROM notice WHERE id = ?", deliveries[0].notice_id)[0]
    return deliveries[0]


def is_robot_agent(agent: str) -> bool:
    """Say whether a user agent is empty, a known mail scanner or a link preview."""
    return not agent or is_known_scanner(agent)


def is_known_scanner(agent: str) -> bool:
    """Say whether a user agent is a known scanner, whose presses do not count."""
    return bool(_ROBOT.search(agent))


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────


def record_visit(
    delivery: Delivery, page: str, *, agent: str, inside: bool, now: datetime, ahead: bool = False
) -> None:
    """Record a fetch of page `r`, `u` or `a3` (choice 3). inside: followed from our page; ahead: a prefetch.

    If a touch was recorded within the last minute, a fetch by another link or agent undoes it.
    Dropped while the database cannot be written: the page is shown all the same.
    """
    agent = agent[:MAX_AGENT_CHARS]
    with optional_write(), db.atomic():
        if not inside and (touched := _last_touch(delivery, now)) and touched != (page, agent):
            _undo_touch(delivery, now)
        seen = {"delivery": delivery.id, "at": now, "page": page, "inside": inside, "agent": agent}
        bulk_insert(PageView, [{**seen, "automatic": ahead or is_robot_agent(agent)}])


def record_open(delivery: Delivery, *, agent: str, now: datetime, ahead: bool = False) -> None:
    """Record a fetch of the tracking image (D-31), unless the database cannot be written."""
    agent = agent[:MAX_AGENT_CHARS]
    with optional_write():
        PageView.create(delivery=delivery, at=now, page="o", agent=agent, automatic=ahead or is_robot_agent(agent))


_LAST_TOUCH = """
SELECT page, agent FROM page_view WHERE delivery_id = ? AND page LIKE 'touch%' AND at >= ? ORDER BY id DESC LIMIT 1"""


def _last_touch(delivery: Delivery, now: datetime) -> tuple[str, str] | None:
    """Return link and agent of a touch within the last minute."""
    row = db.execute_sql(_LAST_TOUCH, (delivery.id, millis(now - UNDO_WINDOW))).fetchone()
    return (row[0].partition(" ")[2] or "r", row[1]) if row else None


def _undo_touch(delivery: Delivery, now: datetime) -> bool:
    """Undo a provisional read or answer; a press is never undone."""
    fresh = (Answer.delivery == delivery) & (Answer.how == "touch") & (Answer.at >= now - UNDO_WINDOW)
    Answer.update(superseded_at=now).where(fresh, Answer.superseded_at.is_null()).execute()
    provisional = (Delivery.read_via == "touch") & (Delivery.read_at >= now - UNDO_WINDOW)
    done = Delivery.update(read_at=None, read_via="").where(Delivery.id == delivery.id, provisional).execute()
    if done:
        delivery.read_at, delivery.read_via = None, ""
    return bool(done)


@dataclass(frozen=True, slots=True)
class LetterText:
    """A notice as its reader received it. `about`: the child, if letters differ by child.

    `pieces`: (text, URL or None); `html` replaces them for rich text (X-15).
    """

    language: str
    subject: str
    about: str
    pieces: tuple[tuple[str, str | None], ...]
    html: str = ""


_WORDING = "SELECT * FROM wording WHERE notice_id = ? ORDER BY language = ? DESC, id LIMIT 1"


def letter_text(delivery: Delivery, picture: Callable[[str], str] = str) -> LetterText:
    """Return subject and text of a reader's letter, merge fields filled, URLs marked. picture: image id to URL."""
    (wording,) = load_rows(Wording, _WORDING, delivery.notice_id, delivery.language)
    subject = merge.one_line(merge.fill_fields(wording.subject, delivery.values))
    about = ""
    if delivery.siblings:
        subject = rendering.subject_with_child(delivery.language, subject, delivery.child_name)
        about = rendering.sibling_note(delivery.language, delivery.child_name, delivery.child_room)
    text = merge.clean_text(merge.fill_fields(wording.text, delivery.values)).strip("\n")
    html = html_body.html_of(wording)
    shown = {mark: picture(mark) for mark in html_body.existing_ids(html_body.image_ids(html))}
    page = render_html.render_for_page(html, delivery.values, shown) if html else ""
    return LetterText(wording.language, subject, about, tuple(links.split_at_urls(text)), page)


def is_page_closed(delivery: Delivery) -> bool:
    """Say whether the page is closed: withdrawn or purged (decisions 13, 15)."""
    return delivery.notice.state == NoticeState.WITHDRAWN or delivery.notice.purged_at is not None


# ── confirming ───────────────────────────────────────────────────────────────────────────────────────────────────


def may_confirm(delivery: Delivery) -> bool:
    """Say whether this letter asks for a confirmation and is still open (T-42)."""
    return delivery.notice.read_confirmation and not is_page_closed(delivery)


_PRESS = """
UPDATE delivery SET read_at = COALESCE(read_at, ?), read_via = 'press'
WHERE id = ? AND (read_at IS NULL OR read_via = 'touch')"""


def confirm_read(delivery: Delivery, *, agent: str, now: datetime) -> bool:
    """Record a press of the button. Return True for the first read, whose time is kept (T-45).

    A provisional touch becomes a press and keeps its time.
    """
    if is_known_scanner(agent) or not may_confirm(delivery):
        return False
    with db.atomic():
        first = bool(db.execute_sql(_PRESS, (millis(now), delivery.id)).rowcount) and delivery.read_at is None
        if first:
            letters.accept_unknown_on_read(delivery, now)
    return first


def confirm_by_touch(delivery: Delivery, *, agent: str, now: datetime) -> bool:
    """Record the script's press after a trusted touch: 180 s after acceptance, and no other link within a minute."""
    if not may_confirm(delivery):
        return False
    with db.atomic():
        if not is_touch_valid(delivery, "r", agent=agent, now=now):
            return False
        done = (
            Delivery.update(read_at=now, read_via="touch")
            .where(Delivery.id == delivery.id, Delivery.read_at.is_null())
            .execute()
        )
        if done:
            record_touch(delivery, "r", agent=agent, now=now)
    return bool(done)


def is_touch_valid(delivery: Delivery, link: str, *, agent: str, now: datetime) -> bool:
    """Say whether a touch may be a person's. Call inside the transaction that records it."""
    begins = touch_valid_from(delivery)
    late = begins is not None and now >= begins
    return late and not is_robot_agent(agent) and not _other_link_fetched(delivery, link, agent[:MAX_AGENT_CHARS], now)


def record_touch(delivery: Delivery, link: str, *, agent: str, now: datetime) -> None:
    """Keep link and agent of a touch; fetches within a minute may undo it."""
    page = "touch" if link == "r" else f"touch {link}"
    PageView.create(delivery=delivery, at=now, page=page, inside=True, agent=agent[:MAX_AGENT_CHARS])


_LAST_ACCEPTED = """
SELECT done_at FROM letter WHERE delivery_id = ? AND state = 'accepted' AND done_at IS NOT NULL
ORDER BY round DESC LIMIT 1"""


def touch_valid_from(delivery: Delivery) -> datetime | None:
    """Return when touches begin to count: 180 s after the current letter was accepted; None if none was."""
    letters = load_rows(Letter, _LAST_ACCEPTED, delivery.id)
    return letters[0].done_at + TOUCH_DELAY if letters else None


def _other_link_fetched(delivery: Delivery, link: str, agent: str, now: datetime) -> bool:
    """Say whether another link or agent fetched this letter within the last minute."""
    return (
        PageView.select()
        .where(
            PageView.delivery == delivery,
            PageView.at >= now - UNDO_WINDOW,
            PageView.inside == False,
            PageView.page != "o",  # people's mail programs fetch the picture themselves
            (PageView.page != link) | (PageView.agent != agent),
        )
        .exists()
    )
