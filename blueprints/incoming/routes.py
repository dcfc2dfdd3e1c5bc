"""Incoming mail for the administrators: what came, what became of it, and what nobody could read."""

from flask import Blueprint, Response, abort, request

import clock
import tasks
from core.door import inbox, posting, replies
from core.door.arrivals import KINDS, OUTCOMES, REASONS, VIEWS, listed, raw_of
from models import Incoming, Notice
from web import answer, downloaded, go, needs, page_of, rights, told
from words import N_

bp = Blueprint("incoming", __name__)
Answer = Response | tuple[str, int]
bp.app_context_processor(lambda: {"replies_of": _replies_of, "posted_from": posting.posted_from})


def _replies_of(notice: Notice) -> list[replies.Reply]:
    return replies.replies_of(notice, lists=rights().seen(notice))


def _row(number: int) -> Incoming:
    return Incoming.get_or_none(Incoming.id == number) or abort(404)


@bp.get("/incoming")
@needs("admin")
def index() -> Answer:
    """List the mails that came, newest first; first of all those that somebody should look at."""
    view = request.args.get("view", "look")
    if view not in VIEWS:
        abort(404)
    return answer(
        "incoming/index.html", found=page_of(listed(view)), view=view, views=VIEWS,
        kinds=KINDS, outcomes=OUTCOMES,
    )  # fmt: skip


@bp.get("/incoming/<int:number>")
@needs("admin")
def show(number: int) -> Answer:
    """Show one mail, escaped, and what became of it."""
    row = _row(number)
    return answer(
        "incoming/show.html", row=row, kinds=KINDS, outcomes=OUTCOMES, reason=REASONS.get(row.reason, ""),
        kept=raw_of(row) is not None,
    )  # fmt: skip


@bp.get("/incoming/<int:number>/raw")
@needs("admin")
def raw(number: int) -> Response:
    """Hand out the raw mail as a file, never as a page."""
    content = raw_of(_row(number))
    if content is None:
        abort(404)
    headers = {"Content-Disposition": f'attachment; filename="mail-{number}.eml"'}
    return Response(content, mimetype="application/octet-stream", headers=headers)


@bp.get("/replies/<int:number>/files/<int:place>")
def reply_file(number: int, place: int) -> Answer:
    """Hand out a file that came with a reply, to organizers who see the reply; only kinds that cannot act (T-18)."""
    try:
        found = replies.file_of(number, place, rights())
    except replies.UnfitFile:
        return answer("incoming/unfit.html", status=415)
    if found is None:
        abort(404)
    return downloaded(found.content, found.name, found.kind)


@bp.post("/incoming/<int:number>/again")
@needs("admin")
def again(number: int) -> Answer:
    """Try a quarantined mail once more (after an update, say)."""
    if inbox.again(_row(number), clock.now()):
        told(N_("The mail could be read now."))
        tasks.ring()
    else:
        told(N_("The mail still cannot be read. It stays here."), "wrong")
    return go("incoming.show", number=number)


from blueprints.incoming import by_link  # noqa: E402, F401 (registers the pages behind links in letters)
