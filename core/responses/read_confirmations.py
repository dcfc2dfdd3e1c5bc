"""What readers do on the pages of their letters: open and confirm them (T-44, T-45; design decision 1).

Opening records a visit and changes nobody's state. A press of the button confirms; a script presses it for a reader
who touched the page, but not before the mail scanners' usual hour is over, and what it recorded is taken back if
another link of the same letter is fetched within a minute: people do not open every link of a letter, robots do.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import ModelSelect, ModelUpdate, fn

from core.delivery import lifecycle as letters
from core.notices import html_body, rendering
from database import bulk_insert, db, prepared_query
from mail import merge
from mail.html import links, render_html
from models import Answer, Delivery, Letter, Notice, PageView, Wording

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
    """Return the delivery of a token as it stands in an address, however a phone cut the link (T-44).

    Capitals, spaces around it and punctuation behind it do no harm: 「…です。」 often becomes part of a link.
    """
    cut = _TOKEN.match(raw)
    if cut is None:
        return None
    found = _select_by_token(cut[1].lower())
    return found[0] if found else None


@prepared_query
def _select_by_token(token: str) -> "ModelSelect[Delivery]":
    return Delivery.select(Delivery, Notice).join(Notice).where(Delivery.token == token)


def is_robot_agent(agent: str) -> bool:
    """Say whether a browser's name is that of a known mail scanner or link preview, or is missing."""
    return not agent or is_known_scanner(agent)


def is_known_scanner(agent: str) -> bool:
    """Say whether a name is that of a known scanner: then not even a press counts. Some people's browsers say none."""
    return bool(_ROBOT.search(agent))


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────


def record_visit(
    delivery: Delivery, page: str, *, agent: str, inside: bool, now: datetime, ahead: bool = False
) -> None:
    """Record that page `r`, `u` or `a3` (choice 3) of a letter was fetched; `inside`: from a page of ours; `ahead`:
    by a program that says that it loads before anybody asks.

    If a touch was recorded within the last minute and this is another link, or another agent, it becomes a visit.
    """
    agent = agent[:MAX_AGENT_CHARS]
    with db.atomic():
        if not inside and (touched := _last_touch(delivery, now)) and touched != (page, agent):
            _undo_touch(delivery, now)
        seen = {"delivery": delivery.id, "at": now, "page": page, "inside": inside, "agent": agent}
        bulk_insert(PageView, [{**seen, "automatic": ahead or is_robot_agent(agent)}])


def record_open(delivery: Delivery, *, agent: str, now: datetime, ahead: bool = False) -> None:
    """Note that the picture of a letter was fetched (D-31). It tells nothing about the other links of the letter."""
    agent = agent[:MAX_AGENT_CHARS]
    PageView.create(delivery=delivery, at=now, page="o", agent=agent, automatic=ahead or is_robot_agent(agent))


def _last_touch(delivery: Delivery, now: datetime) -> tuple[str, str] | None:
    """Return link and agent of a touch of the last minute, if there was one."""
    found = _select_touches(delivery.id, now - UNDO_WINDOW)
    return (found[0].page.partition(" ")[2] or "r", found[0].agent) if found else None


@prepared_query
def _select_touches(delivery: int, since: datetime) -> "ModelSelect[PageView]":
    touched = PageView.page.startswith("touch") & (PageView.at >= since)
    return PageView.select().where(PageView.delivery == delivery, touched).order_by(PageView.id.desc()).limit(1)


def _undo_touch(delivery: Delivery, now: datetime) -> bool:
    """Make a provisional read or answer a visit again; a press is never taken back."""
    fresh = (Answer.delivery == delivery) & (Answer.how == "touch") & (Answer.at >= now - UNDO_WINDOW)
    Answer.update(superseded_at=now).where(fresh, Answer.superseded_at.is_null()).execute()
    provisional = (Delivery.read_via == "touch") & (Delivery.read_at >= now - UNDO_WINDOW)
    done = Delivery.update(read_at=None, read_via="").where(Delivery.id == delivery.id, provisional).execute()
    if done:
        delivery.read_at, delivery.read_via = None, ""
    return bool(done)


@dataclass(frozen=True, slots=True)
class LetterText:
    """A notice as its reader got it. `about`: whose letter it is, where there is one for each child.

    `pieces` are stretches of text, each with its web address if it is one; `html` stands for them where the words are
    decorated (X-15).
    """

    language: str
    subject: str
    about: str
    pieces: tuple[tuple[str, str | None], ...]
    html: str = ""


def letter_text(delivery: Delivery, picture: Callable[[str], str] = str) -> LetterText:
    """Return subject and text as they stand in this reader's letter, merge fields filled, addresses found.

    picture: gives the address of a picture by its mark.
    """
    wording = _select_wording(delivery.notice_id, delivery.language)[0]
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


@prepared_query
def _select_wording(notice: int, language: str) -> "ModelSelect[Wording]":
    mine = (Wording.language == language).desc()
    return Wording.select().where(Wording.notice == notice).order_by(mine, Wording.id).limit(1)


def is_page_closed(delivery: Delivery) -> bool:
    """Say whether the page of this letter is closed: the notice was withdrawn, or its year is over (13, 15)."""
    return delivery.notice.state == "withdrawn" or delivery.notice.purged_at is not None


# ── confirming ───────────────────────────────────────────────────────────────────────────────────────────────────


def may_confirm(delivery: Delivery) -> bool:
    """Say whether this letter asks for a confirmation and still takes one (T-42)."""
    return delivery.notice.read_confirmation and not is_page_closed(delivery)


def confirm_read(delivery: Delivery, *, agent: str, now: datetime) -> bool:
    """Record that the reader pressed the button. Return whether this was the first time, which is kept (T-45).

    A provisional touch becomes a press, with the time of the touch.
    """
    if is_known_scanner(agent) or not may_confirm(delivery):
        return False
    with db.atomic():
        first = bool(_update_pressed(delivery.id, now)) and delivery.read_at is None
        if first:
            letters.accept_unknown_on_read(delivery, now)
    return first


@prepared_query
def _update_pressed(delivery: int, now: datetime) -> ModelUpdate:
    unread = Delivery.read_at.is_null() | (Delivery.read_via == "touch")
    first = fn.COALESCE(Delivery.read_at, now)
    return Delivery.update(read_at=first, read_via="press").where(Delivery.id == delivery, unread)


def confirm_by_touch(delivery: Delivery, *, agent: str, now: datetime) -> bool:
    """Record that the page's script pressed the button for a reader who touched the page (decision 1).

    Only later than 180 s after the letter was accepted, and if no other link of it was fetched within a minute.
    """
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
    """Say whether a touch on the page of a link may be a person's: late enough, and no other link was fetched.

    Call inside the transaction that records it, so that no visit comes between.
    """
    begins = touch_valid_from(delivery)
    late = begins is not None and now >= begins
    return late and not is_robot_agent(agent) and not _other_link_fetched(delivery, link, agent[:MAX_AGENT_CHARS], now)


def record_touch(delivery: Delivery, link: str, *, agent: str, now: datetime) -> None:
    """Keep by which link and agent a touch was recorded: for a minute others take it back."""
    page = "touch" if link == "r" else f"touch {link}"
    PageView.create(delivery=delivery, at=now, page=page, inside=True, agent=agent[:MAX_AGENT_CHARS])


def touch_valid_from(delivery: Delivery) -> datetime | None:
    """Return from when on a touch counts: 180 s after the newest accepted letter was taken; None if there is none."""
    newest = _select_accepted(delivery.id)
    return newest[0].done_at + TOUCH_DELAY if newest else None


@prepared_query
def _select_accepted(delivery: int) -> "ModelSelect[Letter]":
    taken = (Letter.delivery == delivery) & (Letter.state == "accepted") & Letter.done_at.is_null(False)
    return Letter.select(Letter.done_at).where(taken).order_by(Letter.round.desc()).limit(1)


def _other_link_fetched(delivery: Delivery, link: str, agent: str, now: datetime) -> bool:
    """Say whether another link of this letter, or the same by another agent, was fetched within the last minute."""
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
