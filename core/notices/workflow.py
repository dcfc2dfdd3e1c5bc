"""A notice from draft to history: write, choose, confirm, hold, book, cancel, stop, withdraw.

Every change of state is one conditional UPDATE whose count is looked at; whoever comes second is refused with a
sentence. What sending does with it: `core.delivery.lifecycle`.
"""

from datetime import datetime, timedelta
from typing import Any

from peewee import fn

from core import audit
from core.delivery import lifecycle
from core.errors import (
    AlreadySent,
    AttachmentNotOpened,
    AudienceChanged,
    DomainError,
    MissingFields,
    NotADraft,
    SendingStarted,
    TimeInPast,
    WrongLetterCount,
)
from core.notices import attachments, reminders
from core.notices.audience import Audience, as_sent_by, resolve_audience
from core.notices.author_copy import cancel_author_copies, send_author_copy
from core.notices.content_checks import find_missing
from core.permissions import person_scope_for_user
from core.settings import load_settings
from database import db, millis
from i18n import N_
from models import Letter, Notice, User

STATE_LABELS: dict[str, str] = {
    "draft": N_("Draft"),
    "asked": N_("Waits for a second person"),
    "held": N_("Waiting to be sent"),
    "scheduled": N_("Booked"),
    "sending": N_("Being sent"),
    "paused": N_("Interrupted"),
    "sent": N_("Sent"),
    "stopped": N_("Stopped"),
    "withdrawn": N_("Withdrawn"),
    "dropped": N_("Not sent"),
}


# ── confirming ───────────────────────────────────────────────────────────────────────────────────────────────────


def validate_for_sending(
    notice: Notice, *, by: User | None, fingerprint: str, now: datetime, at: datetime | None, typed: str | None
) -> Audience:
    """Return the audience of a draft that may go as the check page showed it.

    Raises Incomplete (gaps), WrongNumber (everybody, or most of all: the number of letters is typed), PastTime,
    AudienceChanged (since the check page), AlreadySent (double tap, reload, second tab: T-01, field 5.3.3), NotLooked
    (a file was not opened; an urgent notice never waits for that (law 7), nor does one from the terminal).
    """
    if notice.state != "draft":
        raise AlreadySent(notice)
    as_sent = as_sent_by(notice, by)
    audience = resolve_audience(as_sent)
    if missing := find_missing(as_sent, audience, by, at or now):
        raise MissingFields(missing)
    if audience.fingerprint != fingerprint:
        raise AudienceChanged()
    if audience.needs_typed_count and (typed or "").strip() != str(audience.letters):
        raise WrongLetterCount(number=audience.letters)
    if at is not None and at <= now:
        raise TimeInPast()
    if by and notice.route == "web" and not notice.urgent:
        require_files_previewed(notice, by)
    return audience


def require_files_previewed(notice: Notice, by: User) -> None:
    """Raise NotLooked if there is a file that this organizer has not opened (X-01)."""
    if unseen := attachments.unpreviewed_files(notice, by):
        raise AttachmentNotOpened(names=", ".join(one.name for one in unseen))


def schedule_send(
    notice: Notice,
    audience: Audience,
    *,
    by: User | None,
    now: datetime,
    at: datetime | None,
    hold_s: int | None = None,
    second: User | None = None,
) -> Notice:
    """Put an examined notice into the hold window or the bookings; `second`: who approved it for its writer."""
    force = load_settings()
    window = hold_s if hold_s is not None else (force.hold_urgent_s if notice.urgent else force.hold_s)
    with db.atomic():
        change_state(
            notice,
            ("asked",) if second else ("draft",),
            AlreadySent(notice),
            state="scheduled" if at else "held",
            hold_reason="" if at else "window",
            booked=at is not None,
            send_at=at or now + timedelta(seconds=window),
            confirmed_at=now,
            updated_at=now,
            by=by,
            by_name=by.name if by else notice.by_name,
            within=notice.within if second else person_scope_for_user(by),
            fingerprint=audience.fingerprint,
            expected=audience.expected,
            practice=force.practice,
        )
        review = notice.review
        review.reviewed_by = second
        review.store()
        detail = {"letters": audience.letters}
        audit.log_action(second or by, "notice.booked" if at else "notice.confirmed", notice.id, detail=detail)
        if window or at:
            send_author_copy(notice, by, now)
    return notice


def cancel_send(notice: Notice, by: User | None, now: datetime) -> None:
    """Take a held or booked notice back into the drafts, everything kept (T-07, D-43, D-46).

    Raises TooLate once sending has begun (D-44), also if it stood still since and now waits for a decision.
    """
    with db.atomic():
        change_state(
            notice,
            ("held", "scheduled"),
            SendingStarted(),
            Notice.started_at.is_null(),
            state="draft",
            hold_reason="",
            send_at=None,
            confirmed_at=None,
            booked=False,
            updated_at=now,
            step=2,
        )
        cancel_author_copies(notice, now)
        audit.log_action(by, "notice.cancelled", notice.id)


def reschedule(notice: Notice, at: datetime, by: User | None, now: datetime) -> None:
    """Change the time of a booked notice in place (T-06). Raises PastTime, TooLate."""
    if at <= now:
        raise TimeInPast()
    with db.atomic():
        change_state(notice, ("scheduled",), SendingStarted(), send_at=at, updated_at=now)
        audit.log_action(by, "notice.retimed", notice.id, detail={"at": at.isoformat(timespec="minutes")})


def release_held(notice: Notice, by: User | None, now: datetime) -> None:
    """Send a notice after all that was held because it was late or its recipients changed.

    One whose sending had begun goes on with the letters that are left; they become useful anew.
    """
    with db.atomic():
        if notice.started_at:
            change: dict[str, Any] = {"state": "sending", "hold_reason": "", "pause_reason": "", "paused_at": None}
            until = now + timedelta(seconds=notice.useful_s)
            Letter.update(expires_at=until).where(
                Letter.notice == notice, Letter.state.in_(("waiting", "deferred"))
            ).execute()
        else:
            change = {"hold_reason": "window", "send_at": now, "expected": resolve_audience(notice).expected}
        change_state(
            notice,
            ("held",),
            SendingStarted(),
            Notice.hold_reason.in_(("late", "changed", "proof")),
            updated_at=now,
            **change,
        )
        audit.log_action(by, "notice.released", notice.id)


def discard_held(notice: Notice, by: User | None, now: datetime) -> None:
    """Give up a notice that was held because it was late or its recipients changed."""
    with db.atomic():
        change_state(
            notice,
            ("held",),
            SendingStarted(),
            Notice.hold_reason.in_(("late", "changed", "proof")),
            updated_at=now,
            **_stop_changes(notice, now, "dropped"),
        )
        reminders.cancel_all_reminders(notice, now)
        _cancel_letters(notice, now)
        audit.log_action(by, "notice.dropped", notice.id)


# ── while and after sending ──────────────────────────────────────────────────────────────────────────────────────


def stop_sending(notice: Notice, by: User | None, now: datetime) -> int:
    """Stop the rest: letters not yet handed over are cancelled. Return how many."""
    with db.atomic():
        change_state(notice, ("sending", "paused"), SendingStarted(), updated_at=now, **_stop_changes(notice, now))
        reminders.cancel_all_reminders(notice, now)
        cancelled = _cancel_letters(notice, now)
        audit.log_action(by, "notice.stopped", notice.id, detail={"letters": cancelled})
    return cancelled


def _stop_changes(notice: Notice, now: datetime, never_begun: str = "") -> dict[str, Any]:
    """Return what changes when the rest is stopped. A stopped reminder leaves the notice as sent as it was."""
    if never_begun and not notice.started_at:
        return {"state": never_begun, "finished_at": now}
    if notice.rounds > 1 and notice.finished_at and not notice.stopped_at:
        return {"state": "sent"}
    return {"state": "stopped", "stopped_at": now, "finished_at": fn.COALESCE(Notice.finished_at, millis(now))}


def withdraw_notice(notice: Notice, by: User | None, now: datetime) -> int:
    """Withdraw a notice: what has not left stays here, its page closes (decision 13). Return the letters cancelled."""
    with db.atomic():
        change_state(
            notice,
            ("sending", "paused", "sent", "stopped"),
            SendingStarted(),
            state="withdrawn",
            withdrawn_at=now,
            updated_at=now,
            finished_at=fn.COALESCE(Notice.finished_at, millis(now)),
        )
        reminders.cancel_all_reminders(notice, now)
        cancelled = _cancel_letters(notice, now)
        audit.log_action(by, "notice.withdrawn", notice.id, detail={"letters": cancelled})
    return cancelled


def _cancel_letters(notice: Notice, now: datetime) -> int:
    """Cancel what no server has: waiting, to be tried again, or claimed and not yet handed over."""
    here = Letter.state.in_(("waiting", "deferred")) | ((Letter.state == "sending") & Letter.handed_over_at.is_null())
    cancelled = (
        Letter.update(state="cancelled", done_at=now)
        .where(Letter.notice == notice, Letter.delivery.is_null(False), here)
        .execute()
    )
    lifecycle.restore_previous_round()
    return cancelled


def resend_unknown(notice: Notice, by: User | None, now: datetime) -> int:
    """Send the letters whose outcome is unknown once more, knowing that some may arrive twice. Return how many.

    Raises NotNow if the notice has been withdrawn or held meanwhile.
    """
    with db.atomic():
        change_state(notice, ("sending", "paused", "sent", "stopped"), NotADraft(), updated_at=now)
        count = (
            Letter.update(
                state="waiting",
                auto_resent=True,
                owner="",
                next_attempt_at=now,
                expires_at=now + timedelta(seconds=notice.useful_s),
            )
            .where(Letter.notice == notice, Letter.is_current == True, Letter.state == "unknown")
            .execute()
        )
        if count:
            Notice.update(state="sending", finished_at=None).where(
                Notice.id == notice.id, Notice.state.in_(("sent", "stopped"))
            ).execute()
            audit.log_action(by, "notice.unknown_sent_again", notice.id, detail={"letters": count})
    return count


def change_state(notice: Notice, before: tuple[str, ...], refusal: DomainError, *where: Any, **fields: Any) -> None:
    """Change a notice that stands in one of some states; raise the refusal if somebody was faster."""
    fields["serial"] = Notice.serial + 1
    if not Notice.update(**fields).where(Notice.id == notice.id, Notice.state.in_(before), *where).execute():
        raise refusal
    notice.__data__.update(Notice.get_by_id(notice.id).__data__)
    notice.__rel__.clear()  # the sender may be another user now
