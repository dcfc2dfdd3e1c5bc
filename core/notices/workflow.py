"""State changes of a notice: schedule, cancel, reschedule, release, stop, withdraw, resend.

Each change is one conditional UPDATE. If another process changed the state first, the function raises a DomainError.
Starting: `core.notices.start`. Review: `core.notices.approval`.
"""

from datetime import datetime, timedelta
from typing import Any

from peewee import ModelSelect, fn

from core import audit
from core.delivery import ledger, lifecycle
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
from core.notices.drafts import reload_notice
from core.notices.merge_fields import display_subject
from core.permissions import person_scope_for_user
from core.settings import load_settings
from database import checkpoint, db, millis
from i18n import N_
from models import (
    DELIVERABLE_STATES,
    QUEUED_STATES,
    STARTED_STATES,
    Letter,
    LetterState,
    Notice,
    NoticeState,
    Person,
    User,
)

DECISION_REASONS = ("late", "changed", "proof", "content", "clock")
"""Why a held notice waits for a person."""

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


# ── schedule and cancel ───────────────────────────────────────────────────────────────────────────────────────────────────


def validate_for_sending(
    notice: Notice, *, by: User | None, fingerprint: str, now: datetime, at: datetime | None, typed: str | None
) -> Audience:
    """Return the audience of a draft that may be sent as the check page showed it.

    Raises AlreadySent (double tap, reload, second tab: T-01, field 5.3.3), MissingFields, AudienceChanged,
    WrongLetterCount (`typed`), TimeInPast, and AttachmentNotOpened (not if urgent (law 7) or from the terminal).
    """
    if notice.state != NoticeState.DRAFT:
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
    """Raise AttachmentNotOpened if this user has not opened every attachment (X-01)."""
    if unopened := attachments.unpreviewed_files(notice, by):
        raise AttachmentNotOpened(names=", ".join(file.name for file in unopened))


def schedule_send(
    notice: Notice,
    audience: Audience,
    *,
    by: User | None,
    now: datetime,
    at: datetime | None,
    hold_s: int | None = None,
    approved_by: User | None = None,
) -> Notice:
    """Hold a validated notice for the hold window, or schedule it for `at`. approved_by: the second user (field 5.4)."""
    settings = load_settings()
    window = hold_s if hold_s is not None else (settings.hold_urgent_s if notice.urgent else settings.hold_s)
    with db.atomic():
        change_state(
            notice,
            (NoticeState.ASKED,) if approved_by else (NoticeState.DRAFT,),
            AlreadySent(notice),
            state=NoticeState.SCHEDULED if at else NoticeState.HELD,
            hold_reason="" if at else "window",
            booked=at is not None,
            send_at=at or now + timedelta(seconds=window),
            confirmed_at=now,
            updated_at=now,
            by=by,
            by_name=by.name if by else notice.by_name,
            within=notice.within if approved_by else person_scope_for_user(by),
            fingerprint=audience.fingerprint,
            expected=audience.expected,
            practice=settings.practice,
        )
        review = notice.review
        review.reviewed_by = approved_by
        review.store()
        detail = {"letters": audience.letters}
        audit.log_action(approved_by or by, "notice.booked" if at else "notice.confirmed", notice.id, detail=detail)
        if window or at:
            send_author_copy(notice, by, now)
    checkpoint()  # the notice stands in the main file, also if the WAL is lost
    return notice


def cancel_send(notice: Notice, by: User | None, now: datetime) -> None:
    """Make a held or scheduled notice a draft again (T-07, D-43, D-46).

    Raises SendingStarted (D-44), also for a notice that was held after sending had started.
    """
    with db.atomic():
        change_state(
            notice,
            (NoticeState.HELD, NoticeState.SCHEDULED),
            SendingStarted(),
            Notice.started_at.is_null(),
            state=NoticeState.DRAFT,
            hold_reason="",
            send_at=None,
            confirmed_at=None,
            booked=False,
            updated_at=now,
            wizard_step=2,
        )
        cancel_author_copies(notice, now)
        audit.log_action(by, "notice.cancelled", notice.id)


def reschedule(notice: Notice, at: datetime, by: User | None, now: datetime) -> None:
    """Change the start time of a scheduled notice (T-06). Raises TimeInPast, SendingStarted."""
    if at <= now:
        raise TimeInPast()
    with db.atomic():
        change_state(notice, (NoticeState.SCHEDULED,), SendingStarted(), send_at=at, updated_at=now)
        audit.log_action(by, "notice.retimed", notice.id, detail={"at": at.isoformat(timespec="minutes")})


def release_held(notice: Notice, by: User | None, now: datetime) -> None:
    """Send a notice that was held because it was late or its recipients changed. Raises SendingStarted.

    If sending had started, the remaining letters are sent and their expiry time starts anew.
    """
    with db.atomic():
        if notice.started_at:
            changes: dict[str, Any] = {
                "state": NoticeState.SENDING,
                "hold_reason": "",
                "pause_reason": "",
                "paused_at": None,
            }
            until = now + timedelta(seconds=notice.useful_s)
            Letter.update(expires_at=until).where(Letter.notice == notice, Letter.state.in_(QUEUED_STATES)).execute()
        else:
            changes = {"hold_reason": "window", "send_at": now, "expected": resolve_audience(notice).expected}
        _change_held(notice, now, **changes)
        audit.log_action(by, "notice.released", notice.id)


def discard_held(notice: Notice, by: User | None, now: datetime) -> None:
    """Drop a notice that was held because it was late or its recipients changed. Raises SendingStarted."""
    with ledger.all_carried(display_subject):
        _change_held(notice, now, **_stop_changes(notice, now, NoticeState.DROPPED))
        reminders.cancel_all_reminders(notice, now)
        _cancel_letters(notice, now)
        audit.log_action(by, "notice.dropped", notice.id)


def _change_held(notice: Notice, now: datetime, **changes: Any) -> None:
    awaits_decision = Notice.hold_reason.in_(DECISION_REASONS)
    change_state(notice, (NoticeState.HELD,), SendingStarted(), awaits_decision, updated_at=now, **changes)


# ── during and after sending ──────────────────────────────────────────────────────────────────────────────────────


def stop_sending(notice: Notice, by: User | None, now: datetime) -> int:
    """Cancel the letters that were not handed over; return how many. Raises SendingStarted."""
    with ledger.all_carried(display_subject):
        change_state(
            notice,
            (NoticeState.SENDING, NoticeState.PAUSED),
            SendingStarted(),
            updated_at=now,
            **_stop_changes(notice, now),
        )
        reminders.cancel_all_reminders(notice, now)
        cancelled = _cancel_letters(notice, now)
        audit.log_action(by, "notice.stopped", notice.id, detail={"letters": cancelled})
    return cancelled


def _stop_changes(notice: Notice, now: datetime, never_begun: NoticeState | None = None) -> dict[str, Any]:
    """Return the columns to change on a stop. If only a reminder is stopped, the notice itself stays `sent`."""
    if never_begun and not notice.started_at:
        return {"state": never_begun, "finished_at": now}
    if notice.rounds > 1 and notice.finished_at and not notice.stopped_at:
        return {"state": NoticeState.SENT}
    return {
        "state": NoticeState.STOPPED,
        "stopped_at": now,
        "finished_at": fn.COALESCE(Notice.finished_at, millis(now)),
    }


def withdraw_notice(notice: Notice, by: User | None, now: datetime) -> int:
    """Cancel unsent letters and close the readers' page (decision 13); return the number of letters cancelled."""
    with ledger.all_carried(display_subject):
        change_state(
            notice,
            STARTED_STATES,
            SendingStarted(),
            state=NoticeState.WITHDRAWN,
            withdrawn_at=now,
            updated_at=now,
            finished_at=fn.COALESCE(Notice.finished_at, millis(now)),
        )
        reminders.cancel_all_reminders(notice, now)
        cancelled = _cancel_letters(notice, now)
        audit.log_action(by, "notice.withdrawn", notice.id, detail={"letters": cancelled})
    return cancelled


def _cancel_letters(notice: Notice, now: datetime) -> int:
    """Cancel waiting, deferred and claimed letters that no mail server has. Call inside `ledger.all_carried`."""
    cancelled: int = (
        Letter.update(state=lifecycle.unsent_as(LetterState.CANCELLED), done_at=now)
        .where(_unsent_letters(notice))
        .execute()
    )
    lifecycle.restore_previous_round()
    return cancelled


def _unsent_letters(notice: Notice) -> Any:
    unsent = Letter.state.in_(QUEUED_STATES) | ((Letter.state == LetterState.SENDING) & Letter.handed_over_at.is_null())
    return (Letter.notice == notice) & Letter.delivery.is_null(False) & unsent


def count_unsent(notice: Notice) -> int:
    """Return how many letters `stop_sending` would cancel now, claimed ones included."""
    count: int = Letter.select().where(_unsent_letters(notice)).count()
    return count


def failed_letters(notice: Notice) -> "ModelSelect[Letter]":
    """Select the letters that can be sent again: refused or expired, to a reader whose address is not excluded."""
    deliverable = Person.select(Person.id).where(Person.address_state.in_(DELIVERABLE_STATES))
    return Letter.select(Letter.id).where(
        Letter.notice == notice,
        Letter.is_current == True,  # noqa: E712
        Letter.delivery.is_null(False),
        Letter.state.in_((LetterState.REFUSED, LetterState.EXPIRED)),
        Letter.person.in_(deliverable),
    )


def resend_failed(notice: Notice, by: User | None, now: datetime) -> int:
    """Queue the letters anew that servers refused or that expired; return how many. Raises NotADraft."""
    changes = {"state": LetterState.WAITING, "attempts": 0, "reason": "", "owner": "", "next_attempt_at": now}
    return _resend(notice, failed_letters(notice), changes, "notice.failed_sent_again", by, now)


def resend_unknown(notice: Notice, by: User | None, now: datetime) -> int:
    """Requeue the letters with an unknown outcome; return how many. Some may arrive twice. Raises NotADraft."""
    unknown = Letter.select(Letter.id).where(
        Letter.notice == notice,
        Letter.is_current == True,  # noqa: E712
        Letter.state == LetterState.UNKNOWN,
    )
    changes = {"state": LetterState.WAITING, "auto_resent": True, "owner": "", "next_attempt_at": now}
    return _resend(notice, unknown, changes, "notice.unknown_sent_again", by, now)


def _resend(
    notice: Notice, letters: "ModelSelect[Letter]", changes: dict[str, Any], action: str, by: User | None, now: datetime
) -> int:
    with db.atomic():
        change_state(notice, STARTED_STATES, NotADraft(), updated_at=now)
        numbers = [letter.id for letter in letters]
        until = now + timedelta(seconds=notice.useful_s)
        count: int = Letter.update(expires_at=until, **changes).where(Letter.id.in_(numbers)).execute()
        if count:
            Notice.update(state=NoticeState.SENDING, finished_at=None).where(
                Notice.id == notice.id, Notice.state.in_((NoticeState.SENT, NoticeState.STOPPED))
            ).execute()
            audit.log_action(by, action, notice.id, detail={"letters": count})
    return count


def change_state(notice: Notice, before: tuple[str, ...], error: DomainError, *where: Any, **fields: Any) -> None:
    """Change a notice that is in one of the states `before`; raise `error` if another process was first."""
    fields["serial"] = Notice.serial + 1
    if not Notice.update(**fields).where(Notice.id == notice.id, Notice.state.in_(before), *where).execute():
        raise error
    reload_notice(notice)
