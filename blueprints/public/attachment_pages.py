"""The files of a notice on the reader's page: a press counts who opened what, a GET only gives the bytes (law 3)."""

from typing import Any

from flask import redirect, render_template, request, url_for

import clock
import web
from blueprints.public import bp
from blueprints.public.views import TOKEN_ENDPOINTS, delivery_of_token, unknown_token_page, user_agent
from core.notices import attachments
from core.responses import read_confirmations
from models import Attachment, Delivery

TOKEN_ENDPOINTS.add("public.download_file")


@bp.route("/r/<token>/file/<int:number>", methods=["GET", "POST"])
def download_file(token: str, number: int) -> Any:
    """Count a press and lead on to the file; give it to a GET, by whomever, without counting anybody."""
    delivery = delivery_of_token(token)
    if delivery is None:
        return unknown_token_page(token)
    found = _downloadable(delivery, number)
    if found is None:
        return render_template("public/file_closed.html", delivery=delivery), 410
    if request.method == "POST":
        if not read_confirmations.is_known_scanner(user_agent()):
            attachments.record_view(delivery, found, clock.now())
        return redirect(url_for("public.download_file", token=delivery.token, number=number, p=1), code=303)
    return web.send_stored_file(attachments.existing_path(found), found.name, found.kind)


def _downloadable(delivery: Delivery, number: int) -> Attachment | None:
    """Return a file that stands on this reader's page now."""
    if read_confirmations.is_page_closed(delivery):
        return None
    return next((one for one in attachments.files_for_readers(delivery.notice, clock.now()) if one.id == number), None)
