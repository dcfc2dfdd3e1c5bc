"""The outbox page: letters that did not leave this machine, with links that work."""

from flask import Response, abort, request

from blueprints.admin.views import Answer, bp
from core.delivery import dev_outbox
from core.delivery.dev_outbox import RETENTION_DAYS, NoSuchLetter, OutboxFile
from core.notices import html_body
from web import letter_response, render_page, requires

PAGE_SIZE = 30


@bp.get("/outbox", endpoint="list_outbox")
@requires("admin")
def list_outbox() -> Answer:
    """List the caught letters, newest first."""
    kept = dev_outbox.list_messages()
    last = max(1, -(-len(kept) // PAGE_SIZE))
    number = min(max(1, request.args.get("page", 1, type=int)), last)
    return render_page(
        "admin/outbox.html",
        letters=_read_messages(kept[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]),
        total=len(kept),
        number=number,
        last=last,
        days=RETENTION_DAYS,
    )


def _read_messages(kept: list[OutboxFile]) -> list[dev_outbox.CapturedMessage]:
    """Return the letters that are still there."""
    found = []
    for one in kept:
        try:
            found.append(dev_outbox.read_message(one))
        except NoSuchLetter:
            continue
    return found


def _message_or_404(name: str) -> dev_outbox.CapturedMessage:
    try:
        return dev_outbox.get_message(name)
    except NoSuchLetter:
        abort(404)


@bp.get("/outbox/<name>")
@requires("admin")
def show_outbox_message(name: str) -> Answer:
    """Show one letter: text, HTML in a sandbox, source."""
    return render_page("admin/outbox_message.html", letter=_message_or_404(name))


@bp.get("/outbox/<name>/html")
@requires("admin")
def outbox_message_html(name: str) -> Response:
    """Give the HTML part alone, under a policy of its own: no script, nothing loaded, links in a new window."""
    found = _message_or_404(name)
    if not found.html:
        abort(404)
    return letter_response(html_body.embed_as_data_urls(found.html))
