"""Reminders (「未確認の方に再送する」): preview, sending and cancelling (field 2.3)."""

from datetime import datetime
from typing import Any

from flask import Response, redirect, request, url_for
from flask_login import current_user

import clock
import tasks
import web
from blueprints.notices import bp
from blueprints.notices.views import run_and_flash
from core.errors import DomainError, WrongLetterCount
from core.notices import merge_fields, reminders, rendering
from core.notices.reminders import find_recipients
from core.permissions import target_lists
from core.reports import notice_list
from core.settings import load_settings
from i18n import N_
from models import Notice, Reminder

BUTTON_LABELS = {
    "read": N_("Send it again to those who have not confirmed"),
    "answer": N_("Send it again to those who have not answered"),
}


@bp.get("/<int:number>/remind")
@web.requires("send")
def show_reminder_form(number: int) -> Any:
    """Show the recipients and exclusions (field 5.4). A GET sends nothing."""
    return _reminder_form_page(web.get_notice_or_404(number, "send"))


def _reminder_form_page(notice: Notice, wrong: str = "") -> Any:
    settings, now = load_settings(), clock.now()
    if not (wants := reminders.available_reminder(notice, now)):
        return redirect(url_for("notices.show", number=notice.id))
    readers = find_recipients(notice, now)
    return web.render_page(
        "notices/reminder_form.html",
        status=422 if wrong else 200,
        wrong=wrong,
        typed=reminders.needs_typed_count(notice, readers),
        whole=[row for row in target_lists(notice) if row.whole],
        notice=notice,
        readers=readers,
        wants=wants,
        offers=BUTTON_LABELS,
        children=notice_list.children_by_delivery(reader.delivery_id for reader in readers),
        subject=rendering.reminder_subject(merge_fields.display_subject(notice), settings.language),
        hold_s=settings.hold_urgent_s if notice.urgent else settings.hold_s,
        morning=next_morning_if_night(now),
        earlier=reminders.reminders_of_notice(notice),
        states=reminders.STATE_LABELS,
        corrections=notice_list.notice_rows(notice_list.corrections_of(notice)),
        newer=reminders.is_superseded(notice),
    )


def next_morning_if_night(now: datetime) -> datetime | None:
    """Return seven o'clock if it is night, so that no phone rings beside a bed (field 4.3 no. 8)."""
    later = reminders.skip_quiet_hours(now)
    return later if later > now else None


@bp.post("/<int:number>/remind", endpoint="send_reminder")
@web.requires("send")
def send_reminder(number: int) -> Any:
    """Send after the usual hold or at seven in the morning. A wrong typed number shows the page again."""
    notice, now = web.get_notice_or_404(number, "send"), clock.now()
    at = next_morning_if_night(now) if request.form.get("at") == "morning" else None
    try:
        reminder = reminders.request_reminder(notice, current_user, now, at, request.form.get("typed", ""))
    except WrongLetterCount as refusal:
        return _reminder_form_page(notice, web._(refusal.message, **refusal.values))
    except DomainError as refusal:
        web.flash_message(refusal.message, kind="wrong", **refusal.values)
        return web.redirect_to("notices.show", number=number)
    tasks.wake_worker()
    tasks.wake_worker(reminder.send_at)
    web.flash_message(N_("The reminder goes out in a moment; you can call it off until then."))
    return web.redirect_to("notices.show", number=number, _anchor="reminders")


@bp.post("/<int:number>/remind/<int:reminder>/off")
@web.requires("send")
def cancel_reminder(number: int, reminder: int) -> Response:
    """Cancel a reminder whose sending has not begun."""
    notice = web.get_notice_or_404(number, "send")
    row = web.get_or_404(Reminder, id=reminder, notice=notice)
    done = N_("Called off: no reminder is sent.")
    return run_and_flash(notice, lambda: reminders.cancel_reminder(row, current_user, clock.now()), done)


@bp.app_template_global("reminders_of")
def reminders_of(notice: Notice) -> list[Reminder]:
    """Template global: the reminders of a notice, newest first."""
    return reminders.reminders_of_notice(notice)


@bp.app_template_global("reminder_button_label")
def reminder_button_label(notice: Notice) -> str:
    """Template global: label of the reminder button; empty if it does not apply or is not permitted."""
    wants = reminders.available_reminder(notice, clock.now()) if web.permissions().may_notice("send", notice) else ""
    return web._(BUTTON_LABELS[wants]) if wants else ""
