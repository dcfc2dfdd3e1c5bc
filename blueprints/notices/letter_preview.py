"""The letter of a notice in a frame of its own: on a phone, in the dark, and as a text program shows it (X-15)."""

from typing import Any

from flask import Response, abort, request

import clock
import web
from blueprints.notices import bp
from core.notices import html_body, rendering
from core.notices.audience import Audience, resolve_audience
from core.settings import load_settings
from i18n import N_
from models import Notice

PREVIEW_MODES = {"phone": N_("On a phone"), "dark": N_("In the dark"), "text": N_("Text alone")}
_DARK = "@media (prefers-color-scheme:dark)"


def preview_mode(notice: Notice) -> dict[str, Any]:
    """Return how the letter is looked at; only decorated words have more than one look."""
    wanted = request.args.get("look", "phone")
    return {
        "looks": PREVIEW_MODES if notice.wording.decorated else {},
        "look": (wanted if wanted in PREVIEW_MODES else "phone") if notice.wording.decorated else "",
    }


def framed_html(shown: rendering.RenderedLetter) -> Response:
    """Give the HTML part of a letter for a frame; `?look=dark`: as a mail program in the dark shows it."""
    if not shown.html:
        abort(404)
    page = html_body.embed_as_data_urls(shown.html)
    if request.args.get("look") == "dark":
        page = page.replace(_DARK, "@media all").replace('content="light dark"', 'content="dark"', 1)
    return web.letter_response(page)


def preview_or_sent(notice: Notice, waiting: Audience | None) -> rendering.RenderedLetter:
    """Return the letter as it went out, or as the first reader will get it (T-05).

    waiting: who is to get it, if it has not begun and the user may see everybody.
    """
    if waiting and waiting.receiving:
        return rendering.preview_letter(notice, waiting.receiving[0], load_settings(), clock.now())
    return rendering.render_as_sent(notice, load_settings(), clock.now())


@bp.get("/<int:number>/letter")
def letter_html(number: int) -> Response:
    """Give the HTML of a notice as it was sent, or will be, for a frame of its own."""
    notice = web.get_notice_or_404(number)
    waits = notice.started_at is None and web.permissions().seen(notice) is None
    return framed_html(preview_or_sent(notice, resolve_audience(notice) if waits else None))
