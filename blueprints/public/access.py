"""Tokens in the addresses of readers' pages: find the delivery, slow down guessing, tell scripts from hands.

The token is the authority: no login, no cookie (RFC 8058 3.1). HEAD and OPTIONS never run a page (law 3).
"""

import unicodedata
from zlib import crc32

from flask import Response, g, render_template, request, url_for

import clock
from blueprints.public import bp
from core import rate_limits
from core.notices.rendering import PLACEHOLDER_TOKEN
from core.responses import read_confirmations
from core.retention import expired_links
from models import Delivery

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
    "public.download_file",
    "public.inline_image",
}


@bp.before_request
def _ignore_head_and_options() -> Response | None:
    """Answer what scanners send ahead of a GET without running the page."""
    if request.endpoint in TOKEN_ENDPOINTS and request.method in ("HEAD", "OPTIONS"):
        return Response(status=204)
    return None


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
