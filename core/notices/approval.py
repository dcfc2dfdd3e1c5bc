"""A second person sees exactly what goes out, and lets it go or sends it back with a word (field 5.4).

asked → held or scheduled (approved), asked → draft (sent back, or taken back by who asked). What was shown is what
goes: the mark covers words, questions, files and audience, and anything that changed since is refused.
"""

import hashlib
import json
from datetime import datetime

from core import audit
from core.errors import AlreadySent, ApprovalRequired, AudienceChanged, DomainError, MissingFields, TimeInPast
from core.notices import sender_names, workflow
from core.notices.audience import Audience, as_sent_by, resolve_audience
from core.notices.content_checks import find_missing
from core.notifications.notify import notify
from core.permissions import Permissions, permissions_of, person_scope_for_user, target_lists
from core.settings import load_settings
from database import db
from i18n import N_
from models import Attachment, Choice, Notice, Organization, Question, User, Wording

MAX_NOTE_CHARS = 1000


class InvalidApprover(DomainError):
    """The chosen colleague may not approve this notice (any more)."""

    message = N_("Please choose a colleague who may send to these lists.")


class SelfApproval(DomainError):
    """Nobody approves the own notice."""

    message = N_("You wrote this notice yourself. Somebody else must look at it.")


class NotInReview(DomainError):
    """It was approved, sent back or taken back meanwhile."""

    message = N_("This notice does not wait for a second person any more.")


def confirm_send(
    notice: Notice,
    *,
    by: User | None,
    fingerprint: str,
    now: datetime,
    at: datetime | None = None,
    typed: str | None = None,
    hold_s: int | None = None,
) -> Notice:
    """Let a checked notice go: into the hold window, or booked for a time `at`.

    Raises what `examined` has against it, and NeedsSecond if a second person must look first (never if urgent).
    """
    audience = workflow.validate_for_sending(notice, by=by, fingerprint=fingerprint, now=now, at=at, typed=typed)
    if must_be_approved(notice, by):
        raise ApprovalRequired()
    sender_names.verify_sender_name(notice, by)
    return workflow.schedule_send(notice, audience, by=by, now=now, at=at, hold_s=hold_s)


# ── who may approve ──


def must_be_approved(notice: Notice, by: User | None) -> bool:
    """Say whether somebody else must approve this notice.

    Only what is written on the pages, never what is urgent (law 7) or practice; nobody is waited for who is not there.
    """
    if by is None or notice.urgent or notice.route != "web" or not is_enabled_for(notice):
        return False
    return bool(eligible_approvers(notice, by))


def is_enabled_for(notice: Notice) -> bool:
    """Say whether the organization or one of the lists wants a second person."""
    lists = target_lists(notice)
    if notice.kind == "individual" or lists and all(one.practice_of_id for one in lists):
        return False
    return Organization.load_row().requires_approval or any(one.requires_approval for one in lists)


def eligible_approvers(notice: Notice, by: User) -> list[User]:
    """Return who may approve: everybody else who may send to all of its lists, and to those of the people in it.

    Who approves sees the letters as they go out, and so the children of everybody who was chosen by name.
    """
    as_sent = as_sent_by(notice, by)
    others = User.select().where(User.id != by.id, User.disabled_at.is_null()).order_by(User.name)
    return [one for one in others if may_approve(permissions_of(one), as_sent)]


def may_approve(rights: Permissions, notice: Notice) -> bool:
    """Say whether a user may let a colleague's notice go: write to all of its lists, and see everybody in it."""
    return rights.may_in_all_lists("send", notice) and rights.may_see_named_recipients(notice)


def content_fingerprint(notice: Notice, audience: Audience) -> str:
    """Return a short mark of everything that goes out: words, questions, options, files, audience."""
    parts = {
        "words": list(Wording.select().where(Wording.notice == notice).order_by(Wording.id).tuples()),
        "questions": list(Question.select().where(Question.notice == notice).order_by(Question.id).tuples()),
        "choices": list(Choice.select().join(Question).where(Question.notice == notice).order_by(Choice.id).tuples()),
        "files": list(
            Attachment.select(Attachment.id, Attachment.name, Attachment.digest)
            .where(Attachment.notice == notice)
            .order_by(Attachment.id)
            .tuples()
        ),
        "options": [notice.read_confirmation, notice.footer, notice.reply_to_user_id, notice.files_inside],
        "audience": audience.fingerprint,
    }
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, default=str).encode()).hexdigest()[:32]


# ── review ──


def request_review(
    notice: Notice,
    by: User,
    colleague: User | None,
    *,
    fingerprint: str,
    now: datetime,
    at: datetime | None = None,
    typed: str | None = None,
) -> None:
    """Ask a colleague to look at a checked notice. Raises NoColleague and what `notices.examined` has against it."""
    if colleague is None or colleague.id not in {one.id for one in eligible_approvers(notice, by)}:
        raise InvalidApprover()
    audience = workflow.validate_for_sending(notice, by=by, fingerprint=fingerprint, now=now, at=at, typed=typed)
    sender_names.verify_sender_name(notice, by)
    with db.atomic():
        workflow.change_state(
            notice,
            ("draft",),
            AlreadySent(notice),
            state="asked",
            send_at=at,
            booked=at is not None,
            by=by,
            by_name=by.name,
            within=person_scope_for_user(by),
            fingerprint=audience.fingerprint,
            updated_at=now,
        )
        review = notice.review
        review.requested_from, review.requested_at = colleague, now
        review.fingerprint = content_fingerprint(notice, audience)
        review.note = review.note_by = ""
        review.store()
        audit.log_action(by, "notice.asked", notice.id, detail={"colleague": colleague.id})
        _send_review_mail("second", notice, colleague, by, now)


def _send_review_mail(kind: str, notice: Notice, to: User, by: User, now: datetime, word: str = "") -> None:
    """Send a colleague a letter with the way to the notice; who has no address finds it on the first page."""
    if not to.email:
        return
    url = f"{load_settings().base_url}/notices/{notice.id}/second" if kind == "second" else _compose_url(notice)
    notify(kind, to, now, by=by.name, subject=notice.wording.subject, url=url, word=word)


def _compose_url(notice: Notice) -> str:
    return f"{load_settings().base_url}/notices/{notice.id}/words"


def approve_notice(notice: Notice, by: User, mark: str, now: datetime) -> Notice:
    """Let a notice go that a colleague wrote.

    Raises NotAsked, OwnNotice, NotLooked (a file that this person has not opened), AudienceChanged (anything of what
    was asked about is another now), Incomplete, PastTime.
    """
    if notice.state != "asked":
        raise NotInReview()
    if notice.by_id == by.id:
        raise SelfApproval()
    workflow.require_files_previewed(notice, by)
    audience = _unchanged_audience(notice, mark, now)
    audit.log_action(by, "notice.approved", notice.id)
    return workflow.schedule_send(notice, audience, by=notice.by, now=now, at=notice.send_at, second=by)


def _unchanged_audience(notice: Notice, mark: str, now: datetime) -> Audience:
    """Return the audience if everything is as it was asked about and shown."""
    audience = resolve_audience(notice)
    if missing := find_missing(notice, audience, notice.by, notice.send_at or now):
        raise MissingFields(missing)
    if not content_fingerprint(notice, audience) == mark == notice.review.fingerprint:
        raise AudienceChanged()
    if notice.send_at is not None and notice.send_at <= now:
        raise TimeInPast()
    return audience


def return_to_author(notice: Notice, by: User, word: str, now: datetime) -> None:
    """Give a notice back to its writer with a word. Raises NotAsked."""
    with db.atomic():
        note = word.strip()[:MAX_NOTE_CHARS]
        _return_to_draft(notice, now, note=note, note_by=by.name)
        audit.log_action(by, "notice.sent_back", notice.id)
        if notice.by and notice.by_id != by.id:
            _send_review_mail("sent-back", notice, notice.by, by, now, note)


def cancel_review_request(notice: Notice, by: User, now: datetime) -> None:
    """Take the own question back: the notice is a draft again. Raises NotAsked."""
    with db.atomic():
        _return_to_draft(notice, now)
        audit.log_action(by, "notice.cancelled", notice.id)


def _return_to_draft(notice: Notice, now: datetime, note: str = "", note_by: str = "") -> None:
    workflow.change_state(
        notice, ("asked",), NotInReview(), state="draft", step=2, send_at=None, booked=False, updated_at=now
    )
    review = notice.review
    review.requested_from = review.requested_at = None
    review.fingerprint, review.note, review.note_by = "", note, note_by
    review.store()
