"""Third screen: preview, warnings, time and the send button (X-04, X-06, D-36, D-41)."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from flask import Response, abort, redirect, render_template, request, url_for
from flask_login import current_user
from wtforms import HiddenField, IntegerField, StringField
from wtforms.validators import Length, Optional

import clock
import i18n
import tasks
import web
from blueprints.notices import attachment_pages, bp
from blueprints.notices.draft_access import (
    audience_of,
    audience_values,
    flash_already_sent,
    get_draft_as_sender,
    is_stale,
    version_of,
)
from core import rate_limits
from core.delivery import throttle
from core.errors import AlreadySent, AttachmentNotOpened, DomainError, MissingFields, TimeInPast, WrongLetterCount
from core.notices import (
    approval,
    author_copy,
    content_checks,
    html_body,
    link_check,
    merge_fields,
    recipients,
    rendering,
    sender_names,
)
from core.notices import audience as audiences
from core.notices.audience import Audience, resolve_audience
from core.notices.content_checks import find_missing
from core.permissions import target_lists
from core.settings import Settings, load_settings
from database import EPOCH, millis
from i18n import N_
from models import Notice, User

PREVIEW_MODES = {"phone": N_("On a phone"), "dark": N_("In the dark"), "text": N_("Text alone")}
_DARK = "@media (prefers-color-scheme:dark)"


class CheckForm(web.Form):
    """Send form: state of the shown page, time, and the number typed to confirm a whole list."""

    seen = HiddenField()
    shown = HiddenField()
    fingerprint = HiddenField()
    at = HiddenField()
    typed = StringField(N_("Number of letters"), [Length(max=20)])
    colleague = IntegerField(N_("Who looks at it"), [Optional()])


def preview_mode(notice: Notice) -> dict[str, Any]:
    """Return the preview modes. Only decorated text has more than one."""
    wanted = request.args.get("look", "phone")
    return {
        "looks": PREVIEW_MODES if notice.wording.decorated else {},
        "look": (wanted if wanted in PREVIEW_MODES else "phone") if notice.wording.decorated else "",
    }


def framed_html(shown: rendering.RenderedLetter) -> Response:
    """Return the HTML part of a letter for a frame; `?look=dark` emulates a dark mail program."""
    if not shown.html:
        abort(404)
    page = html_body.embed_as_data_urls(shown.html)
    if request.args.get("look") == "dark":
        page = page.replace(_DARK, "@media all").replace('content="light dark"', 'content="dark"', 1)
    return web.letter_response(page)


def preview_or_sent(notice: Notice, waiting: Audience | None) -> rendering.RenderedLetter:
    """Return the letter as it was sent, or as the first recipient will get it (T-05).

    waiting: the audience, if sending has not begun and the user may see all recipients.
    """
    if waiting and waiting.receiving:
        return rendering.preview_letter(notice, waiting.receiving[0], load_settings(), clock.now())
    return rendering.render_as_sent(notice, load_settings(), clock.now())


@bp.get("/<int:number>/letter")
def letter_html(number: int) -> Response:
    """Return the HTML of a notice, as sent or as it will be sent, for a frame."""
    notice = web.get_notice_or_404(number)
    waits = notice.started_at is None and web.permissions().visible_lists(notice) is None
    return framed_html(preview_or_sent(notice, resolve_audience(notice) if waits else None))


# ── the screen ─────────────────────────────────────────────────────────────────────────────────────────────────────


SUGGESTED_HOURS = (7, 17)
MIN_LEAD_TIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class SendTime:
    """Time of sending. at: None means now; typed: the field's text; wrong: the error message."""

    at: datetime | None = None
    typed: str = ""
    wrong: str = ""

    @property
    def value(self) -> str:
        """Return the value of a datetime-local field."""
        return clock.to_local(self.at).strftime("%Y-%m-%dT%H:%M") if self.at else self.typed


@bp.get("/<int:number>/check")
@web.requires("send")
def check_page(number: int) -> Any:
    """`?at=` chooses the time, `?as=` the recipient whose letter is shown."""
    return _render_checked(number, "notices/check.html")


@bp.get("/<int:number>/check/letter")
@web.requires("send")
def reader_preview(number: int) -> Any:
    return _render_checked(number, "notices/_reader_preview.html")


@bp.get("/<int:number>/check/send")
@web.requires("send")
def send_form(number: int) -> Any:
    return _render_checked(number, "notices/_send_form_updated.html")


@bp.get("/<int:number>/check/files")
@web.requires("send")
def reviewed_files(number: int) -> Any:
    """List the files that this user has opened; 204 if `?seen=` still equals their number."""
    notice = get_draft_as_sender(number)
    unchanged = web.no_content_if_seen(len(attachment_pages.reviewed_file_ids(notice)))
    return unchanged or _render_checked(number, "notices/_attachments_review.html")


@bp.get("/<int:number>/check/links")
@web.requires("send")
def unreachable_links(number: int) -> str:
    notice = get_draft_as_sender(number)
    return render_template("notices/_link_check.html", notice=notice, silent=_unreachable_links(notice))


def _render_checked(number: int, template: str) -> Any:
    """Render a template of the page. If something is missing, redirect to the screen where it is entered."""
    notice, when = get_draft_as_sender(number), _parse_send_time(request.args.get("at", ""))
    audience = audience_of(notice, when.at)
    if missing := find_missing(notice, audience, current_user):
        return _redirect_to_missing(notice, missing)
    return render_template(template, **_check_values(notice, audience, when))


@bp.post("/<int:number>/check")
@web.requires("send")
def confirm_send(number: int) -> Any:
    """Send or schedule what the page showed. If anything changed since, refuse and show the changes."""
    notice, form = get_draft_as_sender(number), CheckForm()
    if not recipients.may_still_send(web.permissions(), notice):
        web.forbid("send", [mailing_list.id for mailing_list in target_lists(notice)])
    when = _parse_send_time(form.at.data or "")
    if is_stale(notice, form.seen.data):
        return _check_page_again(notice, form, when, message=_CHANGED)
    if when.wrong:
        return _check_page_again(notice, form, when)
    try:
        _send_off(notice, form, when)
    except DomainError as refusal:
        return _handle_error(notice, form, when, refusal)
    return web.redirect_to("notices.show", number=number)


def _send_off(notice: Notice, form: CheckForm, when: SendTime) -> None:
    """Confirm the notice, or request the chosen colleague's review first."""
    seen = {
        "fingerprint": form.fingerprint.data or "",
        "now": clock.now(),
        "at": when.at,
        "typed": parse_typed_number(form.typed.data or ""),
    }
    if approval.must_be_approved(notice, current_user):
        approval.request_review(notice, current_user, User.get_or_none(User.id == form.colleague.data), **seen)
    else:
        approval.confirm_send(notice, by=current_user, **seen)
        tasks.wake_worker(notice.send_at)
    tasks.wake_worker()  # send the own copy or the review request immediately


_WRONG_COUNT = N_("That is not the number. If everybody is right, type %(number)s.")
_CHANGED = N_("The words were changed in another window since this page was shown. Please check them once more.")


def parse_typed_number(typed: str) -> str:
    """Return a typed number in ASCII digits: ４１２ and "412通" are 412."""
    plain = typed.translate({0xFF10 + digit: str(digit) for digit in range(10)})
    return plain.strip().removesuffix("通").replace(",", "").strip()


def _redirect_to_missing(notice: Notice, missing: dict[str, str]) -> Response:
    for sentence in missing.values():
        web.flash_message(sentence, kind="wrong")
    screen = "notices.edit_recipients" if "targets" in missing else "notices.edit_content"
    return web.redirect_to(screen, number=notice.id) if web.is_htmx() else redirect(url_for(screen, number=notice.id))


def _handle_error(notice: Notice, form: CheckForm, when: SendTime, refusal: DomainError) -> Any:
    if isinstance(refusal, AlreadySent):
        flash_already_sent(notice)
        return web.redirect_to("notices.show", number=notice.id)
    if isinstance(refusal, MissingFields):
        return _redirect_to_missing(notice, refusal.fields)
    if isinstance(refusal, WrongLetterCount):
        form.typed.errors = [web._(_WRONG_COUNT, **refusal.values)]
        return _check_page_again(notice, form, when)
    if isinstance(refusal, TimeInPast):
        return _check_page_again(notice, form, SendTime(when.at, when.value, refusal.message))
    if isinstance(
        refusal,
        sender_names.SenderNameForbidden
        | sender_names.SenderNameUnavailable
        | AttachmentNotOpened
        | approval.InvalidApprover,
    ):
        return _check_page_again(notice, form, when, message=web._(refusal.message, **refusal.values))
    names = _changed_recipients(notice, form.shown.data or "")
    return _check_page_again(notice, form, when, message=refusal.message, before=form.typed.data or "", names=names)


def _check_page_again(notice: Notice, form: CheckForm, when: SendTime, message: str = "", **more: Any) -> Any:
    """Render the current state with the values that were posted."""
    notice = audiences.as_sent_by(Notice.get_by_id(notice.id), current_user)
    audience = audience_of(notice, when.at)
    if missing := find_missing(notice, audience, current_user):
        return _redirect_to_missing(notice, missing)
    page = _check_values(notice, audience, when, form)
    return web.render_page("notices/check.html", **{**page, "again": message, **more}, status=422)


def _changed_recipients(notice: Notice, shown: str) -> list[str]:
    """Return the names of people added, removed, unsubscribed or readdressed since the page was shown."""
    if not shown.isdecimal() or len(shown) > 15:
        return []
    return [
        person.name for person in recipients.people_changed_since(notice, EPOCH + timedelta(milliseconds=int(shown)))
    ]


# ── what the page shows ────────────────────────────────────────────────────────────────────────────────────────────
def _parse_send_time(typed: str) -> SendTime:
    typed = typed.strip()
    if not typed:
        return SendTime()
    at = clock.parse_local_time(typed)
    if at is None:
        return SendTime(None, typed, N_("Write the date and the time."))
    if at <= clock.now():
        return SendTime(at, typed, TimeInPast.message)
    return SendTime(at, typed)


def _check_values(notice: Notice, audience: Audience, when: SendTime, form: CheckForm | None = None) -> dict[str, Any]:
    settings, now = load_settings(), clock.now()
    return {
        "notice": notice,
        **audience_values(audience),
        "previous": content_checks.compare_with_previous(notice, audience),
        "linked": link_check.external_urls(notice),
        "warnings": content_checks.collect_warnings(notice, audience, now, when.at, web.language()),
        "form": form or CheckForm(formdata=None),
        "mark": version_of(notice),
        "shown": millis(now),
        "when": when,
        "suggestions": suggested_times(now),
        "colleagues": _colleagues(notice),
        "settings": settings,
        **_duration_estimate(notice, audience, when, settings, now),
        **_reader_preview(notice, audience, settings, now),
    }


def _colleagues(notice: Notice) -> list[User]:
    """Return the users who may review the notice; empty if no review is needed."""
    return approval.eligible_approvers(notice, current_user) if approval.must_be_approved(notice, current_user) else []


def _duration_estimate(
    notice: Notice, audience: Audience, when: SendTime, settings: Settings, now: datetime
) -> dict[str, Any]:
    """Return the start of sending, its duration and its end (X-09)."""
    hold_s = settings.hold_urgent_s if notice.urgent else settings.hold_s
    begins = when.at or now + timedelta(seconds=hold_s)
    takes = throttle.estimate_duration(audience.letters, settings)
    return {"hold_s": hold_s, "begins": begins, "takes_min": -(-takes // timedelta(minutes=1)), "ends": begins + takes}


def _reader_preview(notice: Notice, audience: Audience, settings: Settings, now: datetime) -> dict[str, Any]:
    place = request.args.get("as", 0, type=int) % len(audience.receiving)
    reader = audience.receiving[place]
    shown = rendering.preview_letter(notice, reader, settings, now)
    return {
        "reader": reader,
        "shown_letter": shown,
        "reader_text": merge_fields.fill_for(notice, reader.values)[1],
        **preview_mode(notice),
        "place": place,
        "previous_place": (place - 1) % len(audience.receiving),
        "next_place": (place + 1) % len(audience.receiving),
    }


LINK_CHECKS = 30
"""Link checks per user within ten minutes."""


def _unreachable_links(notice: Notice) -> list[str]:
    """Return the URLs that do not answer; empty above the rate limit."""
    if rate_limits.record_hit(f"links:{current_user.id}", clock.now(), 600) > LINK_CHECKS:
        return []
    return link_check.dead_links(link_check.external_urls(notice))


@bp.get("/<int:number>/check/buttons")
@web.requires("send")
def preview_html(number: int) -> Response:
    """Return the HTML part of a letter with questions, as one recipient gets it, for a frame."""
    notice = get_draft_as_sender(number)
    audience = audience_of(notice)
    if not audience.receiving:
        abort(404)
    shown = _reader_preview(notice, audience, load_settings(), clock.now())["shown_letter"]
    return framed_html(shown)


def suggested_times(now: datetime) -> list[datetime]:
    """Return the times offered as buttons: today's later ones and tomorrow at seven."""
    today = clock.to_local(now).date()
    moments = [clock.from_local(datetime.combine(today, time(hour))) for hour in SUGGESTED_HOURS]
    moments.append(clock.from_local(datetime.combine(today + timedelta(days=1), time(SUGGESTED_HOURS[0]))))
    return [moment for moment in moments if moment > now + MIN_LEAD_TIME]


@bp.post("/<int:number>/test")
@web.requires("send")
def send_test_email(number: int) -> Response:
    """Send the letter as a test to the current user only."""
    notice = get_draft_as_sender(number)
    audience = audience_of(notice, _parse_send_time(request.args.get("at", "")).at)
    like = audience.receiving[request.args.get("as", 0, type=int) % audience.letters] if audience.letters else None
    letter = author_copy.send_test(notice, current_user, clock.now(), like)
    if letter is None:
        web.flash_message(
            N_("Your account has no e-mail address, so no test can be sent. Enter one under your name first."),
            "test-wrong",
        )
    else:
        tasks.wake_worker()
        web.flash_message(N_("A test has been sent to %(address)s."), "test", address=letter.address)
    shown = {name: request.args[name] for name in ("at", "as") if name in request.args}
    return redirect(url_for("notices.check_page", number=number, _anchor="as", _method="GET", **shown), 303)


def _earliest_field_value() -> str:
    """Return the earliest value of a datetime-local field."""
    return clock.to_local(clock.now() + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")


def relative_time_in(language: str, at: datetime) -> str:
    """Return a time relative to today, such as 「あす 7:00」."""
    days = (clock.to_local(at).date() - clock.today()).days
    names = {0: N_("Today %(time)s"), 1: N_("Tomorrow %(time)s")}
    if days not in names:
        return i18n.format_datetime(language, at)
    return i18n.say(language, names[days], time=i18n.format_time(at))


@bp.app_template_filter("relative_time")
def relative_time(at: datetime) -> str:
    return relative_time_in(web.language(), at)


@bp.app_template_global("earliest")
def earliest() -> str:
    """Template global: the `min` of a datetime-local field."""
    return _earliest_field_value()


@bp.app_template_filter("datetime_local_value")
def datetime_local_value(at: datetime) -> str:
    return clock.to_local(at).strftime("%Y-%m-%dT%H:%M")
