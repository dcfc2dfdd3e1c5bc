"""A second person sees exactly what goes out, and lets it go or sends it back with a word (field 5.4).

asked → held or scheduled (approved), asked → draft (sent back, or taken back by who asked). What was shown is what
goes: the mark covers words, questions, files and audience, and anything that changed since is refused.
"""

from datetime import datetime

from core import audit
from core.errors import AlreadySent, AudienceChanged, DomainError, MissingFields, TimeInPast
from core.notices import approval_policy, sender_names, workflow
from core.notices.audience import Audience, resolve_audience
from core.notices.content_checks import find_missing
from core.notifications import service_mail
from core.permissions import person_scope_for_user
from core.settings import load_settings
from database import db
from i18n import N_
from models import Notice, User

MAX_NOTE_CHARS = 1000
REQUEST_LIFETIME_S = 24 * 3600


class InvalidApprover(DomainError):
    """The chosen colleague may not approve this notice (any more)."""

    message = N_("Please choose a colleague who may send to these lists.")


class SelfApproval(DomainError):
    """Nobody approves the own notice."""

    message = N_("You wrote this notice yourself. Somebody else must look at it.")


class NotInReview(DomainError):
    """It was approved, sent back or taken back meanwhile."""

    message = N_("This notice does not wait for a second person any more.")


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
    if colleague is None or colleague.id not in {one.id for one in approval_policy.eligible_approvers(notice, by)}:
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
            asked=colleague,
            asked_at=now,
            asked_mark=approval_policy.content_fingerprint(notice, audience),
            fingerprint=audience.fingerprint,
            word="",
            word_by="",
            updated_at=now,
        )
        audit.log_action(by, "notice.asked", notice.id, detail={"colleague": colleague.id})
        _send_review_mail("second", notice, colleague, by, now)


def _send_review_mail(kind: str, notice: Notice, to: User, by: User, now: datetime, word: str = "") -> None:
    """Send a colleague a letter with the way to the notice; who has no address finds it on the first page."""
    if not to.email:
        return
    url = f"{load_settings().base_url}/notices/{notice.id}/second" if kind == "second" else _compose_url(notice)
    values = {"to_name": to.name, "by": by.name, "subject": notice.wording.subject, "url": url, "word": word}
    service_mail.notify(
        kind, address=to.email, language=to.language, values=values, now=now, useful_s=REQUEST_LIFETIME_S
    )


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
    if not approval_policy.content_fingerprint(notice, audience) == mark == notice.asked_mark:
        raise AudienceChanged()
    if notice.send_at is not None and notice.send_at <= now:
        raise TimeInPast()
    return audience


def return_to_author(notice: Notice, by: User, word: str, now: datetime) -> None:
    """Give a notice back to its writer with a word. Raises NotAsked."""
    with db.atomic():
        _return_to_draft(notice, now, word=word.strip()[:MAX_NOTE_CHARS], word_by=by.name)
        audit.log_action(by, "notice.sent_back", notice.id)
        if notice.by and notice.by_id != by.id:
            _send_review_mail("sent-back", notice, notice.by, by, now, notice.word)


def cancel_review_request(notice: Notice, by: User, now: datetime) -> None:
    """Take the own question back: the notice is a draft again. Raises NotAsked."""
    with db.atomic():
        _return_to_draft(notice, now)
        audit.log_action(by, "notice.cancelled", notice.id)


def _return_to_draft(notice: Notice, now: datetime, **more: object) -> None:
    workflow.change_state(
        notice,
        ("asked",),
        NotInReview(),
        state="draft",
        step=2,
        send_at=None,
        booked=False,
        asked=None,
        asked_at=None,
        asked_mark="",
        updated_at=now,
        **more,
    )
