"""Cancel link in the author's copy. It needs no login: the signed mark is the authority."""

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
from models import Notice, NoticeState, Reminder, ReminderState


@bp.get("/cancel/<mark>")
@web.public_view
def show_cancel_link(mark: str) -> Any:
    """Ask for confirmation. A GET cancels nothing."""
    return _cancel_page(author_copy.notice_by_cancel_token(mark), mark)


@bp.post("/cancel/<mark>")
@web.public_view
def cancel_by_link(mark: str) -> Any:
    """Cancel the notice that the mark names. Idempotent."""
    notice = author_copy.notice_by_cancel_token(mark)
    if notice is None:
        return _cancel_page(None, mark)
    try:
        workflow.cancel_send(notice, None, clock.now())
    except SendingStarted:
        return _cancel_page(Notice.get_by_id(notice.id), mark)
    tasks.wake_worker()
    return _cancel_page(notice, mark, cancelled=True)


def _cancel_page(notice: Notice | None, mark: str, cancelled: bool = False) -> Any:
    waits = notice is not None and notice.state in (NoticeState.HELD, NoticeState.SCHEDULED)
    page = render_template(
        "notices/cancel_link.html",
        notice=notice,
        subject=merge_fields.display_subject(notice) if notice else "",
        letters=len(notice.expected) if notice else 0,
        mark=mark,
        waits=waits,
        cancelled=cancelled,
    )
    return page, 200 if notice else 404


# ── a reminder ─────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/call-off/<mark>")
@web.public_view
def show_reminder_cancel_link(mark: str) -> Any:
    """Ask for confirmation. A GET cancels nothing."""
    return _reminder_cancel_page(author_copy.reminder_by_cancel_token(mark))


@bp.post("/call-off/<mark>")
@web.public_view
def cancel_reminder_by_link(mark: str) -> Any:
    """Cancel the reminder that the mark names. Idempotent."""
    reminder = author_copy.reminder_by_cancel_token(mark)
    if reminder is None or reminder.state != ReminderState.WAITING:
        return _reminder_cancel_page(reminder)
    with suppress(SendingStarted):  # cancelled or begun meanwhile: the page shows the state
        reminders.cancel_reminder(reminder, None, clock.now())
    tasks.wake_worker()
    return _reminder_cancel_page(Reminder.get_by_id(reminder.id))


def _reminder_cancel_page(reminder: Reminder | None) -> Any:
    page = render_template(
        "notices/cancel_reminder_link.html",
        reminder=reminder,
        subject=merge_fields.display_subject(reminder.notice) if reminder else "",
    )
    return page, 200 if reminder else 404


def _exempt_from_csrf(state: BlueprintSetupState) -> None:
    """Exempt both POSTs from the CSRF token: there is no session, and the mark is the authority."""
    for view in (cancel_by_link, cancel_reminder_by_link):
        state.app.extensions["csrf"].exempt(view)


bp.record_once(_exempt_from_csrf)
