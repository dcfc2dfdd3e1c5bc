"""The pictures among the words of a notice, on the reader's page (X-15): open as long as the page is."""

from dataclasses import replace

from flask import abort, url_for
from markupsafe import Markup

import web
from blueprints.public import bp
from blueprints.public.views import TOKEN_ENDPOINTS, delivery_of_token, unknown_token_page
from core.notices import html_body
from core.responses import read_confirmations
from models import Delivery

TOKEN_ENDPOINTS.add("public.inline_image")


@bp.get("/r/<token>/pictures/<mark>")
def inline_image(token: str, mark: str):
    """Give a picture that stands in this reader's notice; nobody is counted."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return unknown_token_page(token)
    if read_confirmations.is_page_closed(delivery) or mark not in html_body.image_ids_of_notice(delivery.notice):
        abort(404)
    path = html_body.image_path(mark)
    return web.send_stored_file(path, mark, html_body.media_type_of(path) if path else "", inline=True)


def render_body(delivery: Delivery) -> read_confirmations.LetterText:
    """Return a reader's words with the addresses of their pictures."""
    words = read_confirmations.letter_text(
        delivery, lambda mark: url_for("public.inline_image", token=delivery.token, mark=mark)
    )
    # The only HTML that a page takes as it is: `mail.html.sanitizer` wrote each tag, `mail.html.render_html` escaped each value.
    return replace(words, html=Markup(words.html))  # noqa: S704
