"""Inbound messages and their outcomes, for administrators."""

from flask import Response, abort, request

import clock
import tasks
from blueprints.inbound import bp
from core.inbound import dispatch, post_by_mail, replies
from core.inbound.log_view import (
    KIND_LABELS,
    OUTCOME_LABELS,
    REASON_TEXTS,
    VIEW_LABELS,
    list_messages,
    read_raw_message,
)
from i18n import N_
from models import InboundMessage, Notice
from web import (
    _,
    flash_message,
    get_or_404,
    message_page,
    paginate,
    permissions,
    redirect_to,
    render_page,
    requires,
    send_bytes,
)

Answer = Response | tuple[str, int]
bp.app_context_processor(lambda: {"replies_of": _replies_of, "posted_from": post_by_mail.posted_from_address})


def _replies_of(notice: Notice) -> list[replies.ReplyView]:
    return replies.list_replies(notice, lists=permissions().visible_lists(notice))


@bp.get("/incoming")
@requires("admin")
def index() -> Answer:
    """List inbound messages, newest first; those that need attention stand first."""
    view = request.args.get("view", "look")
    if view not in VIEW_LABELS:
        abort(404)
    return render_page(
        "inbound/index.html",
        page=paginate(list_messages(view)),
        view=view,
        views=VIEW_LABELS,
        kinds=KIND_LABELS,
        outcomes=OUTCOME_LABELS,
    )


@bp.get("/incoming/<int:number>")
@requires("admin")
def show(number: int) -> Answer:
    row = get_or_404(InboundMessage, id=number)
    return render_page(
        "inbound/show.html",
        row=row,
        kinds=KIND_LABELS,
        outcomes=OUTCOME_LABELS,
        reason=REASON_TEXTS.get(row.reason, ""),
        kept=read_raw_message(row) is not None,
    )


@bp.get("/incoming/<int:number>/raw")
@requires("admin")
def download_raw(number: int) -> Response:
    """Send the raw mail as a download, never as a page."""
    content = read_raw_message(get_or_404(InboundMessage, id=number))
    if content is None:
        abort(404)
    headers = {"Content-Disposition": f'attachment; filename="mail-{number}.eml"'}
    return Response(content, mimetype="application/octet-stream", headers=headers)


@bp.get("/replies/<int:number>/files/<int:place>")
def download_reply_file(number: int, place: int) -> Answer:
    """Send an attachment of a reply to organizers who may see the reply; only safe file types (T-18)."""
    try:
        file = replies.get_reply_file(number, place, permissions())
    except replies.UnfitFile:
        return message_page(
            _("This file is not handed out"),
            _(
                "It could hold a program, or its name does not say what it is. PDF, photos (JPEG, PNG, WebP) and new Word, "
                "Excel or PowerPoint files can be saved here."
            ),
            _(
                "Please ask the sender for a PDF or a photo. "
                "An administrator finds the whole mail under “Incoming mail” for 30 days."
            ),
            layout="base.html",
            status=415,
        )
    if file is None:
        abort(404)
    return send_bytes(file.content, file.name, file.kind)


@bp.post("/incoming/<int:number>/again")
@requires("admin")
def retry_message(number: int) -> Answer:
    """Retry a quarantined message, for example after an update."""
    if dispatch.retry_quarantined(get_or_404(InboundMessage, id=number), clock.now()):
        flash_message(N_("The mail could be read now."))
        tasks.wake_worker()
    else:
        flash_message(N_("The mail still cannot be read. It stays here."), "wrong")
    return redirect_to("inbound.show", number=number)
