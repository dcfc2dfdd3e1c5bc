"""The readers' pages, opened by the token of a letter: no login, no cookie, no script needed (T-18, T-44).

GET never acts but for counting the visit, HEAD and OPTIONS never run (law 3). The token is the authority.
"""

import unicodedata
from collections.abc import Callable
from datetime import datetime
from zlib import crc32

from flask import Response, g, redirect, render_template, request, url_for

import clock
import tasks
from blueprints.public import bp, inline_images
from blueprints.public.confirmed_at import ConfirmedAt
from core import household_reads, rate_limits, settings
from core.display_names import make_stamp
from core.members import unsubscribe
from core.notices import attachments, related_notices
from core.notices.rendering import PLACEHOLDER_TOKEN
from core.responses import answers, misdirected, read_confirmations
from core.retention import expired_links
from database import db
from models import Delivery
from web import parse_row_id

# The token in the address is the authority; there is no session that a foreign page could abuse (RFC 8058 3.1).
bp.record_once(lambda setup: setup.app.extensions["csrf"].exempt(bp))

UNKNOWN_PER_NETWORK = 60
UNKNOWN_WINDOW_S = 600
TOKEN_ENDPOINTS = {
    "public.read_notice",
    "public.confirm_by_touch",
    "public.answer_questions",
    "public.answer_by_touch",
    "public.unsubscribe_page",
    "public.stop_lists",
    "public.resume_lists",
    "public.report_misdirected",
    "public.one_click_unsubscribe",
    "public.open_pixel",
    "public.click_link",
}


@bp.before_request
def _ignore_head_and_options() -> Response | None:
    """Answer what scanners send ahead of a GET without running the page."""
    if request.endpoint in TOKEN_ENDPOINTS and request.method in ("HEAD", "OPTIONS"):
        return Response(status=204)
    return None


# ── the notice ───────────────────────────────────────────────────────────────────────────────────────────────────


@bp.route("/r/<token>", methods=["GET", "POST"], strict_slashes=False)
def read_notice(token: str):
    """Show the notice; take the press of 「見ました」."""
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
    """Return the notice. unsure: the button was pressed, but perhaps not by a person; the page asks for a number."""
    return render_template(
        "public/read.html",
        unsure=human_check_number(delivery) if unsure else "",
        notice=delivery.notice,
        words=inline_images.render_body(delivery),
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
    again = {"done": 1} if first else {}
    return redirect(url_for("public.read_notice", token=delivery.token, p=1, **again), code=303)


@bp.post("/r/<token>/touch")
def confirm_by_touch(token: str):
    """Record the touch that reader.js reports; 204 if it does not count."""
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
    """Return what the place of the stamp shows."""
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


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/u/<token>", strict_slashes=False)
def unsubscribe_page(token: str):
    """Show the lists that can be stopped or resumed here; only a POST acts (decision 2)."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return _expired_unsubscribe(token) or unknown_token_page(token)
    return _unsubscribe_page(delivery)


def _unsubscribe_page(delivery: Delivery) -> str:
    read_confirmations.record_visit(delivery, "u", agent=user_agent(), inside=is_internal_visit(), now=clock.now())
    found = unsubscribe.covered_lists(delivery)
    return render_template(
        "public/unsubscribe.html",
        delivery=delivery,
        active=[one for one in found if one.state == "active"],
        stopped=[one for one in found if one.state == "stopped"],
        over=[one for one in found if one.state == "over"],
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
    """Stop the letter's lists for a mail program's button (RFC 8058): 200 whatever the body, no cookie, repeatable."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return _expired_one_click(token) or unknown_token_page(token)
    if request.method == "GET":
        return _unsubscribe_page(delivery)
    here = url_for("public.unsubscribe_page", token=delivery.token)
    if unsubscribe.handle_one_click(delivery, settings.load_settings().base_url + here, clock.now()):
        tasks.wake_worker()
    return Response("ok\n", mimetype="text/plain")


def _expired_unsubscribe(token: str) -> Response | str | None:
    """Lead on to where the lists of an old letter are stopped (decision 15); None for any other token."""
    found = expired_links.memberships_by_token(token)
    if not found:
        return None
    g.language = found[0][0].language
    ways = expired_links.unsubscribe_urls(found)
    if len(ways) == 1:
        return redirect(ways[0][1])  # type: ignore[return-value]
    return render_template("public/unsubscribe_expired.html", ways=ways)


def _expired_one_click(token: str) -> Response | str | None:
    if request.method == "GET":
        return _expired_unsubscribe(token)
    found = expired_links.memberships_by_token(token)
    if found and expired_links.handle_expired_one_click(found, settings.load_settings().base_url, clock.now()):
        tasks.wake_worker()
    return Response("ok\n", mimetype="text/plain") if found else None


# ── who knocks ───────────────────────────────────────────────────────────────────────────────────────────────────


def delivery_of_token(token: str) -> Delivery | None:
    """Return the delivery of a token, and speak its reader's language from here on."""
    found = read_confirmations.delivery_by_token(token)
    if found is not None:
        g.language = found.language
    return found


def closed_page(delivery: Delivery) -> tuple[str, int]:
    """Say why the page of a letter is closed: its notice was withdrawn, or its school year is over."""
    if delivery.notice.purged_at:
        leave = url_for("public.unsubscribe_page", token=delivery.token, p=1)
        return render_template("public/school_year_over.html", leave=leave), 410
    return render_template("public/withdrawn.html", delivery=delivery), 410


def unknown_token_page(token: str) -> tuple[str, int]:
    """Say kindly that the page does not open; guessing is slowed by network, a valid token never is (T-44)."""
    if token == PLACEHOLDER_TOKEN:  # pressed in an own copy or a preview
        return render_template("public/unknown_token.html", sample=True), 404
    if found := expired_links.memberships_by_token(token):
        g.language = found[0][0].language
        return render_template(
            "public/school_year_over.html", leave=url_for("public.unsubscribe_page", token=token)
        ), 410
    return unknown_page()


def unknown_page() -> tuple[str, int]:
    """Answer an address that opens nothing, and count it for the network."""
    network = rate_limits.client_network(request.remote_addr)
    tries = rate_limits.record_hit(f"unknown token {network}", clock.now(), UNKNOWN_WINDOW_S)
    return render_template("public/unknown_token.html"), 404 if tries <= UNKNOWN_PER_NETWORK else 429


def is_script_press(delivery: Delivery) -> bool:
    """Say whether a script pressed the button: the page's own script saw nothing that a hand does (decision 1).

    Programs that help people press so too (voice control, for one): whoever types the number that the page then shows
    is taken for a person.
    """
    typed = unicodedata.normalize("NFKC", request.form.get("typed", "")).strip()
    return request.form.get("hand") == "0" and typed != human_check_number(delivery)


def human_check_number(delivery: Delivery) -> str:
    """Return two digits that belong to this letter's page."""
    return str(10 + crc32(delivery.token.encode()) % 90)


def user_agent() -> str:
    """Return what the browser calls itself."""
    return request.headers.get("User-Agent", "")


def is_internal_visit() -> bool:
    """Say whether the page was reached from a page of ours."""
    return request.args.get("p") == "1" or request.headers.get("Sec-Fetch-Site") == "same-origin"


# ── for machines ─────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/healthz")
def healthz() -> Response:
    """Say that pages and database answer, and no more."""
    db.execute_sql("SELECT 1").fetchone()
    return Response("ok\n", mimetype="text/plain")


@bp.get("/robots.txt")
def robots() -> Response:
    """Keep search engines out of everything."""
    return Response("User-agent: *\nDisallow: /\n", mimetype="text/plain")
