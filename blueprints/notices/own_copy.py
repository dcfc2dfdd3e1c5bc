"""The cancel link in the organizer's own copy: opened on the phone, without a login; the mark is the authority."""

from typing import Any

from flask import render_template
from flask.blueprints import BlueprintSetupState

import clock
import tasks
import web
from blueprints.notices import bp
from core.writing import notices, own_copy
from models import Notice


@bp.get("/cancel/<mark>")
@web.public
def cancel_by_mail(mark: str) -> Any:
    """Show what would be cancelled, with one button; opening it cancels nothing."""
    return _page(own_copy.notice_of_cancel_mark(mark), mark)


@bp.post("/cancel/<mark>")
@web.public
def cancel_now(mark: str) -> Any:
    """Cancel what the mark names; pressing twice changes nothing more."""
    notice = own_copy.notice_of_cancel_mark(mark)
    if notice is None:
        return _page(None, mark)
    try:
        notices.cancel(notice, None, clock.now())
    except notices.TooLate:
        return _page(Notice.get_by_id(notice.id), mark)
    tasks.ring()
    return _page(notice, mark, cancelled=True)


def _page(notice: Notice | None, mark: str, cancelled: bool = False) -> Any:
    waits = notice is not None and notice.state in ("held", "scheduled")
    page = render_template(
        "notices/cancel_by_mail.html",
        notice=notice,
        subject=notice.wording.subject if notice else "",
        letters=len(notice.expected) if notice else 0,
        mark=mark,
        waits=waits,
        cancelled=cancelled,
    )
    return page, 200 if notice else 404


def _let_the_phone_in(state: BlueprintSetupState) -> None:
    """Exempt this one POST from the CSRF token: nobody is logged in, and who knows the mark may cancel."""
    state.app.extensions["csrf"].exempt(cancel_now)


bp.record_once(_let_the_phone_in)
