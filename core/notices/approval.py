"""Confirm a notice: directly, or by the review of a second user (field 5.4; decision 11: never if urgent).

States: draft → held or scheduled (confirmed); draft → asked (review requested); asked → held or scheduled (approved);
asked → draft (returned, or cancelled by the author). A fingerprint covers words, questions, files and audience, so the
reviewer approves exactly what is sent.
"""

import hashlib
import json
from datetime import datetime

from core import audit
from core.errors import (
    AlreadySent,
    ApprovalRequired,
    AudienceChanged,
    DomainError,
    MissingFields,
    TimeInPast,
    require_length,
)
from core.notices import sender_names, workflow
from core.notices.audience import Audience, as_sent_by, resolve_audience
from core.notices.content_checks import find_missing
from core.notifications.letter_limits import Caused, allows_letter
from core.notifications.notify import notify
from core.permissions import Permissions, permissions_of, person_scope_for_user, target_lists
from core.settings import load_settings
from database import db
from i18n import N_
from models import Attachment, Choice, Notice, NoticeState, Organization, Question, User, Wording

MAX_NOTE_CHARS = 1000


class InvalidApprover(DomainError):
    message = N_("Please choose a colleague who may send to these lists.")


class SelfApproval(DomainError):
    message = N_("You wrote this notice yourself. Somebody else must look at it.")


class NotInReview(DomainError):
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
    """Hold a draft for the hold window, or schedule it for `at`.

    Raises ApprovalRequired, the errors of `validate_for_sending`, and those of `verify_sender_name`.
    """
    audience = workflow.validate_for_sending(notice, by=by, fingerprint=fingerprint, now=now, at=at, typed=typed)
    if must_be_approved(notice, by):
        raise ApprovalRequired()
    sender_names.verify_sender_name(notice, by)
    return workflow.schedule_send(notice, audience, by=by, now=now, at=at, hold_s=hold_s)


# ── who may approve ──────────────────────────────────────────────────────────────────────────────────────────────


def must_be_approved(notice: Notice, by: User | None) -> bool:
    """Say whether a second user must approve this notice.

    Never for urgent notices (law 7), practice lists, or notices by mail and terminal; nor without an eligible approver.
    """
    if by is None or notice.urgent or notice.route != "web" or not is_enabled_for(notice):
        return False
    return bool(eligible_approvers(notice, by))


def is_enabled_for(notice: Notice) -> bool:
    """Say whether the organization or one of the lists requires approval."""
    lists = target_lists(notice)
    if notice.kind == "individual" or lists and all(mailing_list.practice_of_id for mailing_list in lists):
        return False
    return Organization.load_row().requires_approval or any(mailing_list.requires_approval for mailing_list in lists)


def eligible_approvers(notice: Notice, by: User) -> list[User]:
    """Return the other users who may approve this notice of `by`, by name."""
    as_sent = as_sent_by(notice, by)
    others = User.select().where(User.id != by.id, User.disabled_at.is_null()).order_by(User.name)
    return [user for user in others if may_approve(permissions_of(user), as_sent)]


def may_approve(rights: Permissions, notice: Notice) -> bool:
    """Say whether a user may approve: send to all of its lists and see each recipient, since the letters show them."""
    return rights.may_in_all_lists("send", notice) and rights.may_see_named_recipients(notice)


def content_fingerprint(notice: Notice, audience: Audience) -> str:
    """Return a hash of everything that is sent: words, questions, options, files, audience."""
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


# ── review ───────────────────────────────────────────────────────────────────────────────────────────────────────


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
    """Ask a colleague to review a draft. Raises InvalidApprover and the errors of `confirm_send`."""
    if colleague is None or colleague.id not in {user.id for user in eligible_approvers(notice, by)}:
        raise InvalidApprover()
    audience = workflow.validate_for_sending(notice, by=by, fingerprint=fingerprint, now=now, at=at, typed=typed)
    sender_names.verify_sender_name(notice, by)
    with db.atomic():
        workflow.change_state(
            notice,
            (NoticeState.DRAFT,),
            AlreadySent(notice),
            state=NoticeState.ASKED,
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


def _send_review_mail(kind: str, notice: Notice, to: User, by: User, now: datetime, note: str = "") -> None:
    """Send a link to the notice. A user without an address finds the notice on the home page."""
    if to.email and allows_letter(Caused.REVIEW, by, to.email, now):
        url = f"{load_settings().base_url}/notices/{notice.id}/{'second' if kind == 'second' else 'words'}"
        notify(kind, to, now, by=by.name, subject=notice.wording.subject, url=url, word=note)


def approve_notice(notice: Notice, by: User, fingerprint: str, now: datetime) -> Notice:
    """Approve the notice of a colleague. fingerprint: of the content that the reviewer saw.

    Raises NotInReview, SelfApproval, AttachmentNotOpened, MissingFields, AudienceChanged (also for changed content),
    TimeInPast.
    """
    if notice.state != NoticeState.ASKED:
        raise NotInReview()
    if notice.by_id == by.id:
        raise SelfApproval()
    workflow.require_files_previewed(notice, by)
    audience = _unchanged_audience(notice, fingerprint, now)
    audit.log_action(by, "notice.approved", notice.id)
    return workflow.schedule_send(notice, audience, by=notice.by, now=now, at=notice.send_at, approved_by=by)


def _unchanged_audience(notice: Notice, fingerprint: str, now: datetime) -> Audience:
    """Return the audience if the content is the same as requested and as shown."""
    audience = resolve_audience(notice)
    if missing := find_missing(notice, audience, notice.by, notice.send_at or now):
        raise MissingFields(missing)
    if not content_fingerprint(notice, audience) == fingerprint == notice.review.fingerprint:
        raise AudienceChanged()
    if notice.send_at is not None and notice.send_at <= now:
        raise TimeInPast()
    return audience


def return_to_author(notice: Notice, by: User, note: str, now: datetime) -> None:
    """Return a notice to its author with a note. Raises NotInReview."""
    with db.atomic():
        note = require_length(note, MAX_NOTE_CHARS, "word")
        _return_to_draft(notice, now, note=note, note_by=by.name)
        audit.log_action(by, "notice.sent_back", notice.id)
        if notice.by and notice.by_id != by.id:
            _send_review_mail("sent-back", notice, notice.by, by, now, note)


def cancel_review_request(notice: Notice, by: User, now: datetime) -> None:
    """Make the notice a draft again. Raises NotInReview."""
    with db.atomic():
        _return_to_draft(notice, now)
        audit.log_action(by, "notice.cancelled", notice.id)


def _return_to_draft(notice: Notice, now: datetime, note: str = "", note_by: str = "") -> None:
    workflow.change_state(
        notice,
        (NoticeState.ASKED,),
        NotInReview(),
        state=NoticeState.DRAFT,
        wizard_step=2,
        send_at=None,
        booked=False,
        updated_at=now,
    )
    review = notice.review
    review.requested_from = review.requested_at = None
    review.fingerprint, review.note, review.note_by = "", note, note_by
    review.store()
