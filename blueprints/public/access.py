"""Token lookup for the readers' pages, rate limit on guessing, detection of automatic button presses.

The token is the authority: no login, no cookie (RFC 8058 3.1). HEAD and OPTIONS run no view (law 3).
"""

import unicodedata
from zlib import crc32

from flask import Response, g, request, url_for

import clock
from blueprints.public import bp
from core import rate_limits
from core.notices.rendering import PLACEHOLDER_TOKEN
from core.responses import read_confirmations
from core.retention import expired_links
from database import optional_write
from models import Delivery
from web import _, message_page

LAYOUT = "public/base.html"

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
    """Answer requests of link scanners without running a view."""
    if request.endpoint in TOKEN_ENDPOINTS and request.method in ("HEAD", "OPTIONS"):
        return Response(status=204)
    return None


def delivery_of_token(token: str) -> Delivery | None:
    """Return the delivery of a token and set the page language to its reader's."""
    delivery = read_confirmations.delivery_by_token(token)
    if delivery is not None:
        g.language = delivery.language
    return delivery


def closed_page(delivery: Delivery) -> tuple[str, int]:
    """Explain why the page is closed: the notice was withdrawn, or its school year is over."""
    leave = url_for("public.unsubscribe_page", token=delivery.token, p=1)
    if delivery.notice.purged_at:
        return _school_year_over_page(leave)
    return message_page(
        _("This notice was withdrawn"),
        _("The notice that stood here is no longer valid. Please do not act on it, and wait for the next letter."),
        foot=(leave, _("Stop the mail, or not meant for you?")),
        layout=LAYOUT,
        status=410,
    )


def unknown_token_page(token: str) -> tuple[str, int]:
    """Explain that the page does not open. Only unknown tokens are rate-limited, by network (T-44)."""
    if token == PLACEHOLDER_TOKEN:  # link of an own copy or a preview
        return message_page(
            _("This is a sample"),
            _(
                "Here stands, in the letter of each family, a link of its own. It is in the letters that have really been sent."
            ),
            layout=LAYOUT,
            status=404,
        )
    if memberships := expired_links.memberships_by_token(token):
        g.language = memberships[0][0].language
        return _school_year_over_page(url_for("public.unsubscribe_page", token=token))
    return unknown_page()


def unknown_page() -> tuple[str, int]:
    """Answer an unknown URL and count it against the network."""
    return message_page(
        _("This page could not be opened"),
        _("Please check whether the address from the letter was cut off. Pages of old notices are closed."),
        layout=LAYOUT,
        status=429 if guesses_tokens() else 404,
    )


def guesses_tokens() -> bool:
    """Count an unknown token against its network; say whether there were too many."""
    network = rate_limits.client_network(request.remote_addr)
    with optional_write():
        return rate_limits.record_hit(f"unknown token:{network}", clock.now(), UNKNOWN_WINDOW_S) > UNKNOWN_PER_NETWORK
    return False


def _school_year_over_page(unsubscribe_url: str) -> tuple[str, int]:
    return message_page(
        _("This notice is from an earlier school year"),
        _(
            "Its page has been closed, and what was answered to it has been deleted. The letter itself stays with you. "
            "If you still need something of it, please ask the school."
        ),
        foot=(unsubscribe_url, _("Stop the mail")),
        layout=LAYOUT,
        status=410,
    )


def is_script_press(delivery: Delivery) -> bool:
    """Return whether a script pressed the button: hand.js saw no trusted input event (decision 1).

    Assistive programs such as voice control also press by script. A reader who types the number shown next counts as
    a person.
    """
    typed = unicodedata.normalize("NFKC", request.form.get("typed", "")).strip()
    return request.form.get("hand") == "0" and typed != human_check_number(delivery)


def human_check_number(delivery: Delivery) -> str:
    """Return two digits derived from the letter."""
    return str(10 + crc32(delivery.token.encode()) % 90)


def user_agent() -> str:
    return request.headers.get("User-Agent", "")


def is_internal_visit() -> bool:
    """Return whether the visit came from another page of this site."""
    return request.args.get("p") == "1" or request.headers.get("Sec-Fetch-Site") == "same-origin"
