"""The cancel link in the organizer's own copy: opened on the phone, without a login; the mark is the authority."""

from contextlib import suppress
from typing import Any

from flask import render_template
from flask.blueprints import BlueprintSetupState

import clock
import tasks
import web
from blueprints.notices import bp
from core.errors import SendingStarted
from core.notices import author_copy, merge_fields, reminders, workflow
from models import Notice, Reminder


@bp.get("/cancel/<mark>")
@web.public_view
def cancel_by_mail(mark: str) -> Any:
    """Show what would be cancelled, with one button; opening it cancels nothing."""
    return _page(author_copy.notice_by_cancel_token(mark), mark)


@bp.post("/cancel/<mark>")
@web.public_view
def cancel_now(mark: str) -> Any:
    """Cancel what the mark names; pressing twice changes nothing more."""
    notice = author_copy.notice_by_cancel_token(mark)
    if notice is None:
        return _page(None, mark)
    try:
        workflow.cancel_send(notice, None, clock.now())
    except SendingStarted:
        return _page(Notice.get_by_id(notice.id), mark)
    tasks.wake_worker()
    return _page(notice, mark, cancelled=True)


def _page(notice: Notice | None, mark: str, cancelled: bool = False) -> Any:
    waits = notice is not None and notice.state in ("held", "scheduled")
    page = render_template(
        "notices/cancel_by_mail.html",
        notice=notice,
        subject=merge_fields.display_subject(notice) if notice else "",
        letters=len(notice.expected) if notice else 0,
        mark=mark,
        waits=waits,
        cancelled=cancelled,
    )
    return page, 200 if notice else 404


# ── a reminder ───────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/call-off/<mark>")
@web.public_view
def call_off_by_mail(mark: str) -> Any:
    """Show which reminder would be called off, with one button; opening it calls off nothing."""
    return _reminder_page(author_copy.reminder_by_cancel_token(mark))


@bp.post("/call-off/<mark>")
@web.public_view
def call_off_now(mark: str) -> Any:
    """Call off the reminder that the mark names; pressing twice changes nothing more."""
    reminder = author_copy.reminder_by_cancel_token(mark)
    if reminder is None or reminder.state != "waiting":
        return _reminder_page(reminder)
    with suppress(SendingStarted):  # somebody or the clock was faster: the page says how it stands
        reminders.cancel_reminder(reminder, None, clock.now())
    tasks.wake_worker()
    return _reminder_page(Reminder.get_by_id(reminder.id))


def _reminder_page(reminder: Reminder | None) -> Any:
    page = render_template(
        "notices/call_off_by_mail.html", reminder=reminder,
        subject=merge_fields.display_subject(reminder.notice) if reminder else "",
    )  # fmt: skip
    return page, 200 if reminder else 404


def _let_the_phone_in(state: BlueprintSetupState) -> None:
    """Exempt these two POSTs from the CSRF token: nobody is logged in, and who knows the mark may cancel."""
    for view in (cancel_now, call_off_now):
        state.app.extensions["csrf"].exempt(view)


bp.record_once(_let_the_phone_in)
