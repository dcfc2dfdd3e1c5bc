"""The words of a notice with decoration (X-15): switched on and off on the words screen, pictures put among them."""

from typing import Any

from flask import Response, abort, request
from werkzeug.datastructures import FileStorage

import clock
import web
from blueprints.notices import bp
from blueprints.notices.draft_access import get_draft_or_redirect
from blueprints.notices.forms import ContentForm
from core.notices import drafts, html_body
from core.notices.file_types import UnfitFile
from i18n import N_
from models import Notice


def is_rich_text_posted(form: ContentForm) -> bool:
    """Say whether a form was posted from a page with decorated words."""
    return "html" in request.form if request.method == "POST" else False


def posted_body(form: ContentForm) -> dict[str, str]:
    """Return the body as it was posted, for `notices.save`."""
    if is_rich_text_posted(form):
        return {"html": form.html.data or ""}
    return {"text": (form.text.data or "").replace("\r\n", "\n")}


def body_field(part: str) -> str:
    """Return the field of the words screen where a part of the words stands."""
    return "html" if part == "text" and "html" in request.form else part


def add_length_error(notice: Notice, form: ContentForm) -> bool:
    """Say on the field that decorated words are longer than a letter may be."""
    if not is_rich_text_posted(form) or not html_body.is_too_long(form.html.data or "", notice.wording.language):
        return False
    form.html.errors = [*form.html.errors, html_body.TEXT_TOO_LONG]
    return True


def body_differs(notice: Notice, form: ContentForm) -> bool:
    """Say whether the body that was posted is another one than what is saved."""
    wording, posted = notice.wording, posted_body(form)
    if wording.decorated != is_rich_text_posted(form):
        return True
    if not is_rich_text_posted(form):
        return wording.text != posted["text"]
    return wording.html != html_body.clean_html(posted["html"], wording.language)["html"]


def template_values(notice: Notice, form: ContentForm) -> dict[str, Any]:
    """Return what the words screen needs: which of the two fields, and its name among the errors."""
    on = is_rich_text_posted(form) if request.method == "POST" else notice.wording.decorated
    return {"decorated": on, "body": "html" if on else "text", "most_picture": html_body.MAX_IMAGE_BYTES}


def decorate(notice: Notice) -> None:
    """Switch decoration on; nothing if it is on."""
    wording = notice.wording
    if not wording.decorated:
        drafts.save_draft(notice, now=clock.now(), html=html_body.initial_html(wording, wording.language))


def remove_decoration(notice: Notice) -> None:
    """Switch decoration off; nothing if it is off."""
    if notice.wording.decorated:
        drafts.save_draft(notice, now=clock.now(), text=notice.wording.text)
        web.flash_message(
            N_("Decoration and pictures are gone, the words are kept. Switched on again now, they come back.")
        )


def append_posted_image(notice: Notice) -> None:
    """Put the posted picture behind the words; flash why if it cannot be stored."""
    mark, wrong = _store_image(request.files.get("picture"))
    if wrong:
        web.flash_message(wrong, "wrong")
    elif mark:
        alt = request.form.get("alt", "")
        drafts.save_draft(notice, now=clock.now(), html=html_body.append_image(notice.wording, mark, alt))


def _store_image(chosen: FileStorage | None) -> tuple[str, str]:
    """Keep a picture; return its mark, and else the sentence that says why not."""
    if chosen is None or not chosen.filename:
        return "", web._(N_("Choose a picture first."))
    try:
        return html_body.add_image(chosen.filename, chosen.stream.read(html_body.MAX_UPLOAD_BYTES)), ""
    except UnfitFile as unfit:
        return "", web._(unfit.message, **unfit.values)


@bp.post("/<int:number>/pictures")
@web.requires("send")
def upload_image(number: int) -> Any:
    """Take a picture for the words of a draft; the editor puts it where the writer is."""
    get_draft_or_redirect(number)
    mark, wrong = _store_image(request.files.get("picture"))
    if wrong:
        return {"wrong": wrong}, 422
    return {"mark": mark, "url": f"/notices/{number}/pictures/{mark}"}


@bp.get("/<int:number>/pictures/<mark>")
def show_image(number: int, mark: str) -> Response:
    """Give a picture to who may see the notice: one that stands in it, or that a writer has just put there."""
    notice = web.get_notice_or_404(number)
    if notice.state != "draft" and mark not in html_body.image_ids_of_notice(notice):
        abort(404)
    path = html_body.image_path(mark)
    return web.send_stored_file(path, mark, html_body.media_type_of(path) if path else "", inline=True)
