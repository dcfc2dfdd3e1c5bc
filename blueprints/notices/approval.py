"""Review by a second user, who opens every file and then approves or returns the notice (field 5.4)."""

from typing import Any

from flask import Response
from flask_login import current_user
from wtforms import HiddenField, TextAreaField
from wtforms.validators import Length

import clock
import tasks
import web
from blueprints.notices import attachment_pages, bp
from blueprints.notices.draft_access import audience_values
from core.accounts import who_can
from core.errors import DomainError, MissingFields
from core.notices import approval, content_checks, rendering
from core.notices import audience as audiences
from core.settings import load_settings
from i18n import N_
from models import Notice, NoticeState


class ReviewForm(web.Form):
    """Review form: mark of the shown notice, and a comment when it is returned."""

    mark = HiddenField()
    word = TextAreaField(N_("A word to the writer"), [Length(max=1000)])


def _notice_under_review(number: int) -> Notice:
    """Return the notice if the user is its author or may approve it. Raises PermissionDenied."""
    notice = web.get_notice_or_404(number, "send")
    if notice.by_id != current_user.id and not approval.may_approve(web.permissions(), notice):
        raise web.PermissionDenied(who_can.holders_for_notice(notice))
    return notice


@bp.get("/<int:number>/second")
@web.requires("send")
def review_page(number: int) -> Any:
    """Show the letters to every user who may approve them."""
    notice = _notice_under_review(number)
    if notice.state != NoticeState.ASKED:
        return web.redirect_to("notices.show", number=number)
    return _review_page(notice, ReviewForm(formdata=None))


@bp.get("/<int:number>/second/files")
@web.requires("send")
def files_under_review(number: int) -> Any:
    """List the files that this user has opened; 204 if `?seen=` still equals their number."""
    notice = _notice_under_review(number)
    if notice.state != NoticeState.ASKED:
        return web.redirect_to("notices.show", number=number)
    unchanged = web.no_content_if_seen(len(attachment_pages.reviewed_file_ids(notice)))
    return unchanged or _review_page(notice, ReviewForm(formdata=None), template="notices/_attachments_review.html")


def _review_page(
    notice: Notice, form: ReviewForm, message: str = "", status: int = 200, template: str = "notices/review.html"
) -> Any:
    now, settings = clock.now(), load_settings()
    audience = audiences.resolve_audience(notice)
    return web.render_page(
        template,
        status=status,
        notice=notice,
        **audience_values(audience),
        form=form,
        again=message,
        previous=content_checks.compare_with_previous(notice, audience),
        sender=rendering.from_display_name(settings.name, notice.signed, web.language()),
        shown_letter=rendering.preview_letter(notice, audience.receiving[0], settings, now)
        if audience.receiving
        else None,
        warnings=content_checks.collect_warnings(notice, audience, now, notice.send_at, web.language()),
        poll_endpoint="notices.files_under_review",
        mark=approval.content_fingerprint(notice, audience),
        own=notice.by_id == current_user.id,
    )


@bp.post("/<int:number>/approve")
@web.requires("send")
def approve_notice(number: int) -> Any:
    """Send what was shown. Refuse if the notice changed since, or if a file was not opened."""
    notice, form = _notice_under_review(number), ReviewForm()
    try:
        approval.approve_notice(notice, current_user, form.mark.data or "", clock.now())
    except approval.NotInReview as refusal:
        web.flash_message(refusal.message, "wrong")
        return web.redirect_to("notices.show", number=number)
    except MissingFields as refusal:
        return _review_page(notice, form, web._(next(iter(refusal.fields.values()))), 422)
    except DomainError as refusal:
        return _review_page(Notice.get_by_id(number), form, web._(refusal.message, **refusal.values), 422)
    tasks.wake_worker()
    tasks.wake_worker(notice.send_at)
    web.flash_message(N_("You have approved it. It goes out as shown."))
    return web.redirect_to("notices.show", number=number)


@bp.post("/<int:number>/send-back")
@web.requires("send")
def return_to_author(number: int) -> Any:
    notice, form = _notice_under_review(number), ReviewForm()
    if not form.validate() or not (form.word.data or "").strip():
        form.word.errors = [*form.word.errors, N_("Write in a few words what should be changed.")]
        return _review_page(notice, form, status=422)
    return _back_to_draft(
        notice,
        lambda: approval.return_to_author(notice, current_user, form.word.data or "", clock.now()),
        N_("Sent back. The writer gets your word and finds the notice among the drafts."),
        "notices.index",
    )


@bp.post("/<int:number>/take-back")
@web.requires("send")
def cancel_review(number: int) -> Response:
    notice = web.get_notice_or_404(number, "send")
    return _back_to_draft(
        notice,
        lambda: approval.cancel_review_request(notice, current_user, clock.now()),
        N_("Cancelled. Nothing was sent; the notice is a draft again."),
        "notices.edit_content",
    )


def _back_to_draft(notice: Notice, verb: Any, done: str, endpoint: str) -> Response:
    try:
        verb()
    except approval.NotInReview as refusal:
        web.flash_message(refusal.message, "wrong")
        return web.redirect_to("notices.show", number=notice.id)
    tasks.wake_worker()
    web.flash_message(done)
    return web.redirect_to(endpoint) if endpoint == "notices.index" else web.redirect_to(endpoint, number=notice.id)
