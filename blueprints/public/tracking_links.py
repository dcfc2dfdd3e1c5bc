"""The picture that counts openings and the links that count clicks (D-31).

They change nobody's state. A link leads to the address kept for it when the notice was sent, and nowhere else.
"""

from flask import Response, redirect, request

import clock
from blueprints.public import bp
from blueprints.public.views import closed_page, delivery_of_token, unknown_token_page, user_agent
from core.notices import tracking_options
from core.responses import read_confirmations

PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""A transparent GIF of one pixel."""


@bp.get("/o/<token>.gif")
def open_pixel(token: str) -> Response:
    """Give the picture, known or not; note that a letter with counted openings was opened."""
    delivery = delivery_of_token(token)
    if delivery is not None and delivery.notice.tracking.opens:
        read_confirmations.record_open(delivery, agent=user_agent(), now=clock.now(), ahead=_is_prefetch())
    return Response(PIXEL, mimetype="image/gif")


@bp.get("/c/<token>/<int:number>")
def click_link(token: str, number: int):
    """Lead to the kept address of a link and note the click; a withdrawn notice leads nowhere."""
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
    """Say whether a program says that it loads before anybody asks (Fetch standard: Sec-Purpose; older names of it)."""
    said = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"))
    return any(value.lower().startswith(("prefetch", "preview")) for value in said)
