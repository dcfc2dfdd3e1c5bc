"""The pictures among the words of a notice, on the reader's page (X-15): open as long as the page is."""

from dataclasses import replace

from flask import abort, url_for
from markupsafe import Markup

import web
from blueprints.public.routes import BY_TOKEN, bp, delivery_of, unknown
from core.notices import html_body, inline_images
from core.responses import read_confirmations
from models import Delivery

BY_TOKEN.add("public.inside")


@bp.get("/r/<token>/pictures/<mark>")
def inside(token: str, mark: str):
    """Give a picture that stands in this reader's notice; nobody is counted."""
    delivery = delivery_of(token)
    if delivery is None:
        return unknown(token)
    if read_confirmations.is_page_closed(delivery) or mark not in html_body.image_ids_of_notice(delivery.notice):
        abort(404)
    path = inline_images.image_path(mark)
    return web.send_stored_file(path, mark, inline_images.media_type_of(path) if path else "", inline=True)


def words_of(delivery: Delivery) -> read_confirmations.LetterText:
    """Return a reader's words with the addresses of their pictures."""
    words = read_confirmations.letter_text(
        delivery, lambda mark: url_for("public.inside", token=delivery.token, mark=mark)
    )
    # The only HTML that a page takes as it is: `mail.html.sanitizer` wrote each tag, `mail.html.render_html` escaped each value.
    return replace(words, html=Markup(words.html))  # noqa: S704
