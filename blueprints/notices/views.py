"""List of notices, and the page of one notice after it was confirmed."""

import uuid
from collections.abc import Callable
from typing import Any

from flask import Response, abort, redirect, render_template, request, url_for
from flask_login import current_user
from markupsafe import Markup
from wtforms import BooleanField, HiddenField, StringField

import clock
import i18n
import tasks
import web
from blueprints.notices import bp, check, draft_access
from blueprints.notices.draft_access import get_draft_or_redirect
from core.accounts import accounts
from core.delivery import alerts, outage, smtp_results
from core.errors import DomainError, NotADraft, SendingStarted, TimeInPast
from core.notices import audience as audiences
from core.notices import drafts, merge_fields, recipients, related_notices, reminders, workflow
from core.notices.recipients import heading_targets
from core.reports import dashboard, notice_list, progress, summaries
from core.settings import load_settings
from i18n import N_
from models import Notice, NoticeState

LATEST = 10


class NewNoticeForm(web.Form):
    """New notice; `key` makes a double tap idempotent."""

    form_key = HiddenField()
    urgent = BooleanField(false_values=("", "0", "false"))
    practice = BooleanField(false_values=("", "0", "false"))


class TimeForm(web.Form):
    """A time in the organization's time zone."""

    at = StringField(N_("Date and time"))


@bp.get("")
def index() -> str:
    """List notices that wait or need a decision, drafts and the latest notices."""
    rights = web.permissions()
    waiting = notice_list.notice_rows(notice_list.scheduled_notices(rights))
    latest = notice_list.notice_rows(notice_list.finished_notices(rights).limit(LATEST))
    return render_template(
        "notices/index.html",
        asking=[row for row in waiting if row.notice.hold_reason in workflow.DECISION_REASONS],
        waiting=[row for row in waiting if row.notice.hold_reason not in workflow.DECISION_REASONS],
        asked=notice_list.notice_rows(notice_list.notices_in_review(rights)),
        running=notice_list.notice_rows(notice_list.sending_notices(rights)),
        drafts=notice_list.notice_rows(notice_list.editable_drafts(rights).limit(50)),
        latest=latest,
        counts=summaries.count_households([row.notice.id for row in latest], dashboard.countable_lists(rights)),
        form_key=uuid.uuid4().hex,
    )


@bp.get("/booked")
def list_scheduled() -> str:
    """List the scheduled notices with content, rescheduling and cancelling (T-04 to T-07)."""
    return render_template(
        "notices/scheduled.html",
        rows=notice_list.notice_rows(notice_list.scheduled_notices(web.permissions())),
        form_key=uuid.uuid4().hex,
    )


@bp.post("/new")
@web.requires("send")
def create_draft() -> Response:
    """Create a draft; the form key makes a double tap idempotent. A practice notice uses the author's own list."""
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
    """Ask for confirmation, then delete a draft."""
    notice = get_draft_or_redirect(number)
    if request.method == "GET":
        return draft_access.render_confirmation(
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


# ── one notice ─────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/<int:number>")
def show(number: int) -> Any:
    """Show a notice that has not left; a draft and a sent notice have pages of their own.

    A poll gets 204 if nothing changed, and stops when sending is done.
    """
    notice = web.get_notice_or_404(number)
    if notice.state == NoticeState.DRAFT:
        return _redirect_to_draft(notice)
    if notice.started_at and (not web.is_htmx() or "unsent" in request.args):
        target = url_for("responses.show_board", number=number)
        return web.redirect_to("responses.show_board", number=number) if web.is_htmx() else redirect(target)
    seen = _progress_of(notice)
    if web.is_htmx() and (same := web.no_content_if_seen(seen.serial)):
        return same
    template = "notices/_sending.html" if notice.started_at else "notices/_state.html"
    return web.render_page("notices/show.html", template, **_state_values(notice, seen))


@bp.app_template_global("sending_state")
def sending_state(notice: Notice) -> Markup:
    """Template global: what stands above the board while letters leave, or when their sending needs a decision."""
    return Markup(render_template("notices/_sending.html", **_state_values(notice, _progress_of(notice))))  # noqa: S704


def _redirect_to_draft(notice: Notice) -> Any:
    """Redirect to the screen that was open last. A poll makes the browser load the whole page."""
    screen = "notices.edit_content" if notice.wizard_step > 1 else "notices.edit_recipients"
    return web.redirect_to(screen, number=notice.id) if web.is_htmx() else redirect(url_for(screen, number=notice.id))


def _progress_of(notice: Notice) -> progress.Progress:
    return progress.notice_progress(notice, load_settings(), clock.now(), web.permissions().summed_lists(notice))


def _state_values(notice: Notice, seen: progress.Progress) -> dict[str, Any]:
    begun = notice.started_at is not None
    audience = None if begun else audiences.resolve_audience(notice)
    lists = web.permissions().visible_lists(notice)
    joined, gone = progress.recipient_changes_at_start(notice) if begun and lists is None else ([], [])
    return {
        "notice": notice,
        "wording": notice.wording,
        "subject_and_text": merge_fields.fill_shared(notice, load_settings(), notice.started_at or clock.now()),
        "lists": heading_targets(notice),
        "seen": seen,
        "states": workflow.STATE_LABELS,
        "joined": joined,
        "gone": gone,
        "audience": audience,
        "sees_all": lists is None,
        "own_copy": bool(notice.by and notice.by.email),
        "may_send": web.permissions().may_notice("send", notice),
        "shown_letter": None if begun else check.preview_or_sent(notice, audience if lists is None else None),
        "form": TimeForm(formdata=None),
        "blocked": alerts.blocked_carriers(clock.now(), notice)
        if notice.state in (NoticeState.SENDING, NoticeState.PAUSED)
        else [],
        "outage": outage.current_outage(notice),
        "refused_content": smtp_results.content_refusal(notice) if notice.hold_reason == "content" else "",
        "run_refused": begun and smtp_results.is_run_refused(notice.id),
        "failed": workflow.failed_letters(notice).count() if begun else 0,
        "reminders": reminders.reminders_of_notice(notice),
        "reminder_states": reminders.STATE_LABELS,
    }


# ── held and scheduled ─────────────────────────────────────────────────────────────────────────────────────────────
def run_and_flash(notice: Notice, action: Callable[[], Any], done: str, endpoint: str = "notices.show") -> Response:
    """Run an action and flash its result or its error."""
    try:
        result = action()
    except DomainError as refusal:
        web.flash_message(refusal.message, kind="wrong", **refusal.values)
        return web.redirect_to("notices.show", number=notice.id)
    web.flash_message(done, **({"n": result} if isinstance(result, int) else {}))
    tasks.wake_worker()
    return web.redirect_to(endpoint, number=notice.id)


@bp.post("/carrier")
@web.requires("send")
def retry_carrier() -> Response:
    """Retry immediately at a carrier that was deferred after too many refusals."""
    number = request.form.get("notice", 0, type=web.parse_row_id)
    if number:
        web.get_notice_or_404(number)
    going = alerts.resume_carrier(request.form.get("domain", ""), current_user, clock.now())
    if going:
        web.flash_message(N_("%(n)s letters are being tried again."), n=going)
        tasks.wake_worker()
    else:
        web.flash_message(N_("Nothing waits there any more."))
    return web.redirect_to("notices.show", number=number) if number else web.redirect_to("home.index")


@bp.post("/<int:number>/cancel")
@web.requires("send")
def cancel_sending(number: int) -> Response:
    """Return a held or scheduled notice to draft (T-07, D-43 to D-46)."""
    notice = web.get_notice_or_404(number, "send")
    done = N_("Cancelled. Nothing was sent; the notice is a draft again.")
    return run_and_flash(
        notice, lambda: workflow.cancel_send(notice, current_user, clock.now()), done, "notices.edit_content"
    )


@bp.post("/<int:number>/retime")
@web.requires("send")
def reschedule(number: int) -> Any:
    """Change the time of a scheduled notice (T-06)."""
    notice, form = web.get_notice_or_404(number, "send"), TimeForm()
    at = clock.parse_local_time(form.at.data or "")
    if at is None:
        return _invalid_time_page(notice, form, N_("Write the date and the time."))
    try:
        workflow.reschedule(notice, at, current_user, clock.now())
    except TimeInPast as refusal:
        return _invalid_time_page(notice, form, refusal.message)
    except DomainError as refusal:
        web.flash_message(refusal.message, kind="wrong", **refusal.values)
        return web.redirect_to("notices.show", number=number)
    tasks.wake_worker(at)
    web.flash_message(N_("The time was changed: it goes out on %(at)s."), at=i18n.format_datetime(web.language(), at))
    return web.redirect_to("notices.show", number=number)


def _invalid_time_page(notice: Notice, form: TimeForm, sentence: str) -> Any:
    form.at.errors = [sentence]
    if notice.state != NoticeState.SCHEDULED:
        web.flash_message(SendingStarted.message, kind="wrong")
        return web.redirect_to("notices.show", number=notice.id)
    return web.render_page(
        "notices/show.html", status=422, **{**_state_values(notice, _progress_of(notice)), "form": form}
    )


@bp.post("/<int:number>/release")
@web.requires("send")
def send_held(number: int) -> Response:
    """Send a notice that was held because it was late or its recipients changed (decision 8)."""
    notice = web.get_notice_or_404(number, "send")
    return run_and_flash(
        notice, lambda: workflow.release_held(notice, current_user, clock.now()), N_("It is being sent now.")
    )


@bp.route("/<int:number>/drop", methods=["GET", "POST"])
@web.requires("send")
def discard_held(number: int) -> str | Response:
    """Ask for confirmation, then discard a held notice."""
    notice = web.get_notice_or_404(number, "send")
    if request.method == "POST":
        done = N_("It will not be sent.")
        return run_and_flash(notice, lambda: workflow.discard_held(notice, current_user, clock.now()), done)
    return draft_access.render_confirmation(
        notice,
        title=web._("Do not send this notice?"),
        sentences=[web._("Nobody else receives it. The text stays here to be copied.")],
        button=web._("Do not send it"),
    )


# ── sending and sent ───────────────────────────────────────────────────────────────────────────────────────────────
@bp.route("/<int:number>/stop", methods=["GET", "POST"])
@web.requires("send")
def stop_sending(number: int) -> str | Response:
    """Ask for confirmation, then stop the letters that are not sent yet."""
    notice = web.get_notice_or_404(number, "send")
    if request.method == "POST":
        done = N_("Stopped: %(n)s letters did not leave.")
        return run_and_flash(notice, lambda: workflow.stop_sending(notice, current_user, clock.now()), done)
    if notice.state not in (NoticeState.SENDING, NoticeState.PAUSED):
        return redirect(url_for("notices.show", number=number))  # type: ignore[return-value]
    seen, unsent = _progress_of(notice), workflow.count_unsent(notice)
    return draft_access.render_confirmation(
        notice,
        title=web._("Stop the rest?"),
        sentences=[
            web._("%(n)s letters have not left yet; they will not be sent.", n=unsent),
            web._("%(n)s letters have left and will arrive.", n=seen.counts["accepted"]),
        ],
        button=web._("Stop %(n)s letters", n=unsent),
    )


@bp.route("/<int:number>/withdraw", methods=["GET", "POST"])
@web.requires("send")
def withdraw_notice(number: int) -> str | Response:
    """Ask for confirmation, then withdraw (decision 13)."""
    notice = web.get_notice_or_404(number, "send")
    if request.method == "POST":
        done = N_("Withdrawn. If families should know what is right, send a correction.")
        return run_and_flash(notice, lambda: workflow.withdraw_notice(notice, current_user, clock.now()), done)
    return draft_access.render_confirmation(
        notice,
        title=web._("Withdraw this notice?"),
        sentences=[
            web._("Letters that have not left are stopped, and the page behind the link is closed."),
            web._("Letters that have arrived stay in the mailboxes. This cannot be undone."),
        ],
        button=web._("Withdraw the notice"),
    )


@bp.get("/<int:number>/correct")
@web.requires("send")
def start_correction(number: int) -> str:
    """Explain corrections and offer both kinds."""
    return render_template("notices/correct.html", notice=_started_notice(number))


@bp.post("/<int:number>/correct")
@web.requires("send")
def create_correction(number: int) -> Response:
    """Create a draft to the same recipients, marked 【訂正】."""
    return _open_correction(related_notices.create_correction(_started_notice(number), current_user, clock.now()))


@bp.post("/<int:number>/correct/apology")
@web.requires("send")
def withdraw_and_apologise(number: int) -> Response:
    """Withdraw the notice, then create a draft that repeats none of its content."""
    notice, now = _started_notice(number), clock.now()
    if notice.state != NoticeState.WITHDRAWN:
        try:
            workflow.withdraw_notice(notice, current_user, now)
        except DomainError as refusal:
            web.flash_message(refusal.message, kind="wrong", **refusal.values)
            return web.redirect_to("notices.show", number=notice.id)
        tasks.wake_worker()
    return _open_correction(related_notices.create_apology(notice, current_user, now))


def _started_notice(number: int) -> Notice:
    notice = web.get_notice_or_404(number, "send")
    return abort(404) if notice.started_at is None else notice


def _open_correction(draft: Notice) -> Response:
    web.flash_message(N_("A draft of the correction was made. Nothing has been sent yet."))
    return web.redirect_to("notices.edit_content", number=draft.id)


@bp.route("/<int:number>/update", methods=["GET", "POST"])
@web.requires("send")
def start_follow_up(number: int) -> str | Response:
    """Ask for confirmation, then create a draft to the same recipients with the time in its subject."""
    notice = web.get_notice_or_404(number, "send")
    if notice.started_at is None:
        abort(404)
    if request.method == "POST":
        fresh = related_notices.create_update(notice, current_user, clock.now())
        web.flash_message(N_("A draft of the update was made. Nothing has been sent yet."))
        return web.redirect_to("notices.edit_content", number=fresh.id)
    return draft_access.render_confirmation(
        notice,
        title=web._("Send the latest news?"),
        sentences=[
            web._("A new draft is made to the same recipients; the time stands before its subject."),
            web._(
                "The page of the earlier notice says that there is a newer one; it is no longer sent again by itself."
            ),
        ],
        button=web._("Write the latest news"),
        red=False,
    )


@bp.post("/<int:number>/again")
@web.requires("send")
def resend_unknown(number: int) -> Response:
    """Resend the letters whose delivery is unknown."""
    notice = web.get_notice_or_404(number, "send")
    done = N_("%(n)s letters are being sent once more.")
    return run_and_flash(notice, lambda: workflow.resend_unknown(notice, current_user, clock.now()), done)


@bp.post("/<int:number>/again/failed")
@web.requires("send")
def resend_failed(number: int) -> Response:
    """Resend the letters that servers refused or that expired."""
    notice = web.get_notice_or_404(number, "send")
    done = N_("%(n)s letters are being sent once more.")
    return run_and_flash(notice, lambda: workflow.resend_failed(notice, current_user, clock.now()), done)
