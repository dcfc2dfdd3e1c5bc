"""Readers' pages: notice, unsubscribing, files, images, tracking, public urgent page.

The package docstring states the rules for tokens and methods.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from babel.dates import format_date
from flask import Response, abort, g, redirect, render_template, request, url_for
from markupsafe import Markup

import clock
import tasks
import web
from blueprints.public import bp
from blueprints.public.access import (
    LAYOUT,
    closed_page,
    delivery_of_token,
    human_check_number,
    is_internal_visit,
    is_script_press,
    unknown_token_page,
    user_agent,
)
from core import household_reads, settings
from core.display_names import make_stamp
from core.members import unsubscribe
from core.notices import attachments, html_body, public_page, related_notices, tracking_options
from core.responses import answers, misdirected, read_confirmations
from core.retention import expired_links
from database import db
from i18n import format_time
from models import Attachment, Delivery, MembershipState
from web import parse_row_id


# ── the notice ─────────────────────────────────────────────────────────────────────────────────────────────────────
@bp.route("/r/<token>", methods=["GET", "POST"], strict_slashes=False)
def read_notice(token: str):
    """Show the notice; a POST records the press of 「見ました」."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return unknown_token_page(token)
    if request.method == "POST":
        return _confirm_read(delivery)
    read_confirmations.record_visit(delivery, "r", agent=user_agent(), inside=is_internal_visit(), now=clock.now())
    if read_confirmations.is_page_closed(delivery):
        return closed_page(delivery)
    return _read_page(delivery)


def _read_page(delivery: Delivery, unsure: bool = False) -> str:
    """Render the notice. unsure: the press may be automatic, so the page asks for a number."""
    return render_template(
        "public/read.html",
        unsure=human_check_number(delivery) if unsure else "",
        notice=delivery.notice,
        words=render_body(delivery),
        newer=related_notices.newer_exists(delivery.notice),
        standings=answers.current_answers(delivery),
        files=attachments.files_for_readers(delivery.notice, clock.now()),
        **_stamp_values(delivery, landed=request.args.get("done") == "1"),
    )


def _confirm_read(delivery: Delivery):
    now = clock.now()
    if is_script_press(delivery) and delivery.read_at is None and read_confirmations.may_confirm(delivery):
        read_confirmations.record_visit(delivery, "r", agent=user_agent(), inside=True, now=now)
        return _read_page(delivery, unsure=True)
    first = not is_script_press(delivery) and read_confirmations.confirm_read(delivery, agent=user_agent(), now=now)
    if request.headers.get("HX-Request") == "true":
        return _stamp_fragment(delivery, first)
    # The script's press for the same keystroke may have come first; the reader is thanked all the same.
    thanks = {"done": 1} if first or delivery.read_via == "touch" else {}
    return redirect(url_for("public.read_notice", token=delivery.token, p=1, **thanks), code=303)


@bp.post("/r/<token>/touch")
def confirm_by_touch(token: str):
    """Record the touch reported by reader.js; 204 if it is not valid."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return unknown_token_page(token)
    if not read_confirmations.confirm_by_touch(delivery, agent=user_agent(), now=clock.now()):
        return Response(status=204)
    return _stamp_fragment(delivery, first=True)


def _stamp_fragment(delivery: Delivery, first: bool) -> str:
    fresh = read_confirmations.delivery_by_token(delivery.token)
    return render_template("public/_stamp_status.html", **_stamp_values(fresh or delivery, landed=first))


def _stamp_values(delivery: Delivery, landed: bool) -> dict:
    read = delivery.read_at is not None
    asks = read_confirmations.may_confirm(delivery)
    return {
        "delivery": delivery,
        "asks": asks,
        "stamp": make_stamp(delivery.name),
        "landed": landed and read,
        "answered": ConfirmedAt(delivery.language, delivery.read_at) if delivery.read_at else None,
        "family": asks and not read and household_reads.has_another_reader_read(delivery),
        "touch_from": read_confirmations.touch_valid_from(delivery) if asks and not read else None,
    }


# ── unsubscribing ──────────────────────────────────────────────────────────────────────────────────────────────────
@bp.get("/u/<token>", strict_slashes=False)
def unsubscribe_page(token: str):
    """Show the lists that the reader can stop or resume. Only a POST acts (decision 2)."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return _expired_unsubscribe(token) or unknown_token_page(token)
    return _unsubscribe_page(delivery)


def _unsubscribe_page(delivery: Delivery) -> str:
    read_confirmations.record_visit(delivery, "u", agent=user_agent(), inside=is_internal_visit(), now=clock.now())
    lists = unsubscribe.covered_lists(delivery)
    return render_template(
        "public/unsubscribe.html",
        delivery=delivery,
        active=[row for row in lists if row.state == MembershipState.ACTIVE],
        stopped=[row for row in lists if row.state == MembershipState.STOPPED],
        over=[row for row in lists if row.state == "over"],
    )


@bp.post("/u/<token>/stop")
def stop_lists(token: str):
    return _apply_unsubscribe(token, lambda delivery: unsubscribe.unsubscribe_lists(delivery, *_lists_and_time()))


@bp.post("/u/<token>/resume")
def resume_lists(token: str):
    return _apply_unsubscribe(token, lambda delivery: unsubscribe.resubscribe_lists(delivery, *_lists_and_time()))


@bp.post("/u/<token>/misdirected")
def report_misdirected(token: str):
    return _apply_unsubscribe(token, lambda delivery: misdirected.report_misdirected(delivery, clock.now()))


def _lists_and_time() -> tuple[list[int], datetime]:
    return request.form.getlist("list", type=parse_row_id), clock.now()


def _apply_unsubscribe(token: str, change: Callable[[Delivery], object]):
    """Apply one change and show the page again. A known scanner changes nothing."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return _expired_unsubscribe(token) or unknown_token_page(token)
    if not read_confirmations.is_known_scanner(user_agent()):
        change(delivery)
        tasks.wake_worker()
    return redirect(url_for("public.unsubscribe_page", token=delivery.token, p=1), code=303)


@bp.route("/u/<token>/one-click", methods=["GET", "POST"])
def one_click_unsubscribe(token: str):
    """One-click unsubscribe (RFC 8058): 200 for any body, no cookie, idempotent."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return _expired_one_click(token) or unknown_token_page(token)
    if request.method == "GET":
        return _unsubscribe_page(delivery)
    path = url_for("public.unsubscribe_page", token=delivery.token)
    if unsubscribe.handle_one_click(delivery, settings.load_settings().base_url + path, clock.now()):
        tasks.wake_worker()
    return Response("ok\n", mimetype="text/plain")


def _expired_unsubscribe(token: str) -> Response | str | None:
    """Redirect an old letter to the unsubscribe pages of its lists (decision 15); None for an unknown token."""
    memberships = expired_links.memberships_by_token(token)
    if not memberships:
        return None
    g.language = memberships[0][0].language
    ways = expired_links.unsubscribe_urls(memberships)
    if len(ways) == 1:
        return redirect(ways[0][1])  # type: ignore[return-value]
    return render_template("public/unsubscribe_expired.html", ways=ways)


def _expired_one_click(token: str) -> Response | str | None:
    if request.method == "GET":
        return _expired_unsubscribe(token)
    memberships = expired_links.memberships_by_token(token)
    base_url = settings.load_settings().base_url
    if memberships and expired_links.handle_expired_one_click(memberships, base_url, clock.now()):
        tasks.wake_worker()
    return Response("ok\n", mimetype="text/plain") if memberships else None


# ── health check, robots ───────────────────────────────────────────────────────────────────────────────────────────
@bp.get("/healthz")
def healthz() -> Response:
    """Health check: web server and database answer."""
    db.execute_sql("SELECT 1").fetchone()
    return Response("ok\n", mimetype="text/plain")


@bp.get("/robots.txt")
def robots() -> Response:
    return Response("User-agent: *\nDisallow: /\n", mimetype="text/plain")


# ── times ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ConfirmedAt:
    """Time of a confirmation, with day and time formatted for a sentence."""

    language: str
    at: datetime

    @property
    def day(self) -> str:
        on = clock.to_local(self.at).date()
        return f"{on.month}月{on.day}日" if self.language == "ja" else format_date(on, "d MMMM", locale="en")

    @property
    def time(self) -> str:
        return format_time(self.at)


# ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.route("/r/<token>/file/<int:number>", methods=["GET", "POST"])
def download_file(token: str, number: int) -> Any:
    """A POST counts the view and redirects to the file; a GET returns it without counting."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return unknown_token_page(token)
    attachment = _downloadable(delivery, number)
    if attachment is None:
        return web.message_page(
            web._("This file is closed"),
            web._("The school has withdrawn it, or its time is over. If you still need it, please ask the school."),
            link=(url_for("public.read_notice", token=delivery.token, p=1), web._("Back to the notice")),
            layout=LAYOUT,
            status=410,
        )
    if request.method == "POST":
        if not read_confirmations.is_known_scanner(user_agent()):
            attachments.record_view(delivery, attachment, clock.now())
        return redirect(url_for("public.download_file", token=delivery.token, number=number, p=1), code=303)
    return web.send_stored_file(attachments.existing_path(attachment), attachment.name, attachment.kind)


def _downloadable(delivery: Delivery, number: int) -> Attachment | None:
    """Return a file that this reader may download now."""
    if read_confirmations.is_page_closed(delivery):
        return None
    files = attachments.files_for_readers(delivery.notice, clock.now())
    return next((file for file in files if file.id == number), None)


# ── images ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/r/<token>/pictures/<mark>")
def inline_image(token: str, mark: str):
    """Return an image of this reader's notice. Nothing is recorded."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return unknown_token_page(token)
    if read_confirmations.is_page_closed(delivery) or mark not in html_body.image_ids_of_notice(delivery.notice):
        abort(404)
    path = html_body.image_path(mark)
    return web.send_stored_file(path, mark, html_body.media_type_of(path) if path else "", inline=True)


def render_body(delivery: Delivery) -> read_confirmations.LetterText:
    """Return the text of a letter with the URLs of its images."""
    words = read_confirmations.letter_text(
        delivery, lambda mark: url_for("public.inline_image", token=delivery.token, mark=mark)
    )
    # Safe: `mail.html.sanitizer` wrote each tag and `mail.html.render_html` escaped each value.
    return replace(words, html=Markup(words.html))  # noqa: S704


# ── open and click tracking ────────────────────────────────────────────────────────────────────────────────────────


PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""A transparent GIF of one pixel."""


@bp.get("/o/<token>.gif")
def open_pixel(token: str) -> Response:
    """Return the pixel for any token; record the open if the notice tracks opens."""
    delivery = delivery_of_token(token)
    if delivery is not None and delivery.notice.tracking.opens:
        read_confirmations.record_open(delivery, agent=user_agent(), now=clock.now(), ahead=_is_prefetch())
    return Response(PIXEL, mimetype="image/gif")


@bp.get("/c/<token>/<int:number>")
def click_link(token: str, number: int):
    """Record the click and redirect to the stored URL. A withdrawn notice redirects nowhere."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return unknown_token_page(token)
    if read_confirmations.is_page_closed(delivery):
        return closed_page(delivery)
    url = tracking_options.url_of_link(delivery.notice_id, number)
    if url is None:
        return unknown_token_page(token)
    read_confirmations.record_visit(
        delivery, f"c{number}", agent=user_agent(), inside=False, now=clock.now(), ahead=_is_prefetch()
    )
    return redirect(url, 302)


def _is_prefetch() -> bool:
    """Return whether the request is a prefetch (Fetch standard: Sec-Purpose; older header names)."""
    values = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"))
    return any(value.lower().startswith(("prefetch", "preview")) for value in values)


# ── urgent page ────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/now")
def show_urgent():
    """Show the current urgent text, if any; 404 while the page is disabled."""
    if not public_page.is_enabled():
        abort(404)
    notice = public_page.current_notice(clock.now())
    wording = notice.wording if notice else None
    subject, pieces = public_page.public_wording(notice) if notice else ("", ())
    return render_template("public/urgent.html", notice=notice, wording=wording, subject=subject, pieces=pieces)
