"""The front page of notices: what waits, what asks, drafts, latest; beginning and throwing away a draft."""

import uuid

from flask import Response, render_template, request
from flask_login import current_user

import clock
import web
from blueprints.notices import bp, confirm_page
from blueprints.notices.draft_access import get_draft_or_redirect
from blueprints.notices.forms import NewNoticeForm
from core.accounts import accounts
from core.errors import NotADraft
from core.notices import drafts, recipients
from core.reports import dashboard, notice_list
from i18n import N_

LATEST = 10


@bp.get("")
def index() -> str:
    """Show what waits or asks to be decided, the drafts, and the latest notices."""
    rights = web.permissions()
    waiting = notice_list.notice_rows(notice_list.scheduled_notices(rights))
    latest = notice_list.notice_rows(notice_list.finished_notices(rights).limit(LATEST))
    return render_template(
        "notices/index.html",
        asking=[row for row in waiting if row.notice.hold_reason in ("late", "changed", "proof")],
        waiting=[row for row in waiting if row.notice.hold_reason not in ("late", "changed", "proof")],
        asked=notice_list.notice_rows(notice_list.notices_in_review(rights)),
        running=notice_list.notice_rows(notice_list.sending_notices(rights)),
        drafts=notice_list.notice_rows(notice_list.editable_drafts(rights).limit(50)),
        latest=latest,
        counts=dashboard.count_households([row.notice.id for row in latest], dashboard.countable_lists(rights)),
        form_key=uuid.uuid4().hex,
    )


@bp.get("/booked")
def list_scheduled() -> str:
    """List every booking with its content, its time to change, and its way back into the drafts (T-04 to T-07)."""
    return render_template(
        "notices/scheduled.html",
        rows=notice_list.notice_rows(notice_list.scheduled_notices(web.permissions())),
        form_key=uuid.uuid4().hex,
    )


@bp.post("/new")
@web.requires("send")
def create_draft() -> Response:
    """Begin a notice; a double tap finds the same draft again. Practice goes to the writer's own list."""
    form, now = NewNoticeForm(), clock.now()
    notice = drafts.create_draft(
        current_user, form_key=(form.form_key.data or "")[:64] or None, urgent=bool(form.urgent.data), now=now
    )
    web.get_notice_or_404(notice.id, "send")
    if (
        form.practice.data
        and not recipients.target_ids(notice)
        and (mine := accounts.ensure_practice_list(current_user, now))
    ):
        drafts.set_recipients(notice, lists=[mine.id], now=now)
    return web.redirect_to("notices.edit_recipients", number=notice.id)


@bp.route("/<int:number>/delete", methods=["GET", "POST"])
@web.requires("send")
def delete_draft(number: int) -> str | Response:
    """Ask, then delete a draft for good."""
    notice = get_draft_or_redirect(number)
    if request.method == "GET":
        return confirm_page.render_confirmation(
            notice,
            title=N_("Delete this draft?"),
            sentences=[web._("The draft is deleted for good. Nothing has been sent from it.")],
            button=web._("Delete the draft"),
            way_back="notices.index",
        )
    try:
        drafts.delete_draft(notice, current_user)
    except NotADraft as refusal:
        web.flash_message(refusal.message, kind="wrong", **refusal.values)
        return web.redirect_to("notices.show", number=number)
    web.flash_message(N_("The draft was deleted."))
    return web.redirect_to("notices.index")
