"""What an SMTP reply means for the letter and its reader (decision 3, D-37, D-38; inbound rules 2).

`mail.bounce.fault` tells whose fault an answer is: ours closes the route (`core.delivery.outage`), the message's holds
the notice once, the reader's refuses the letter. Only "user unknown" excludes an address at once; a filter, a full
mailbox or distrust of our server never does. If a domain refuses more than a fifth of a notice's letters, it is paused.
If all domains together do, no person is excluded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from peewee import Expression, fn

from core import audit
from core.delivery import alerts, holding, queue, suppression, throttle
from core.delivery.queue import QueuedMessage
from core.notifications.notify import clear_secrets
from database import db, record_result
from mail.bounce.fault import same_words, whose_fault
from mail.bounce.verdict import DEAD_ADDRESS_REASONS, judge_smtp_reply
from mail.smtp import SmtpReply
from models import QUEUED_STATES, AddressState, Letter, LetterState, Notice, NoticeState, Person

BLOCK_PAUSE = timedelta(hours=1)
MIN_CONTENT_REFUSALS = 3
ALONE_FOR = timedelta(minutes=2)
TAKE_BACK_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class SmtpResult:
    """The next state of a letter and its reason."""

    state: LetterState
    reason: str = ""


class AnsweredLetter(NamedTuple):
    """A claimed letter whose reply is being recorded."""

    id: int
    attempts: int
    delivery_id: int | None
    person_id: int | None
    address: str
    domain: str
    address_state: str | None
    bare: bool | None


def classify_reply(reply: SmtpReply, address: str) -> SmtpResult:
    """Return what a reply means. A temporary reply and a full mailbox defer the letter."""
    if reply.accepted:
        return SmtpResult(LetterState.ACCEPTED)
    if whose_fault(reply, address).of == "message":
        return SmtpResult(LetterState.REFUSED, "content")
    verdict = judge_smtp_reply(reply, address.rpartition("@")[2].lower())
    if reply.deferred or verdict.kind == "full":
        return SmtpResult(LetterState.DEFERRED, verdict.kind)
    return SmtpResult(LetterState.REFUSED, verdict.kind)


def record_rejection(
    letter: AnsweredLetter, owner: str, reply: SmtpReply, now: datetime, subject_of: Callable[[Notice], str]
) -> bool:
    """Record a reply that is no acceptance, with its consequences. Call inside a transaction.

    Return True if the carrier is blocking us.
    """
    result = classify_reply(reply, letter.address)
    deferred = result.state == LetterState.DEFERRED
    record_result(
        letter.id,
        owner,
        result.state,
        now=now,
        next_attempt_at=queue.next_retry_at(letter.attempts, now) if deferred else now,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        reason=result.reason,
    )
    blocked = not deferred and record_refusal(Letter.get_by_id(letter.id), result.reason, now, subject_of)
    if letter.delivery_id is None and not deferred:
        clear_secrets(letter.id)
    return blocked


def record_refusal(letter: Letter, reason: str, now: datetime, subject_of: Callable[[Notice], str]) -> bool:
    """Update address, domain and notice after a refused or bounced letter. Call in the transaction that recorded it.

    Return True if the domain is paused: no more letters to it may leave in this batch.
    """
    if reason == "content":
        hold_refused_content(letter, now)
        return False
    if is_domain_blocking(letter, now):
        pause_domain_and_requeue(letter, now, subject_of)
        return True
    if is_run_refused(letter.notice_id):
        forget_exclusions(Letter.notice == letter.notice_id)
    else:
        suppression.record_failure(letter, reason, now)
    return False


def record_acceptance(letter: AnsweredLetter, bare: bool, now: datetime) -> None:
    """Store which spelling of an RFC-violating address the server accepts; a filter that refused is open again."""
    if letter.person_id is None:
        return
    if letter.bare != bare:
        Person.update(bare=bare).where(Person.id == letter.person_id).execute()
    if letter.address_state == AddressState.REFUSING:
        suppression.mark_deliverable(
            (Person.id == letter.person_id)
            & (Person.address == letter.address)
            & (Person.address_state == AddressState.REFUSING),
            now,
        )


def is_domain_blocking(letter: Letter, now: datetime) -> bool:
    """Return whether a domain refused more than a fifth (and five) of a notice's letters, or is paused for that."""
    if letter.notice_id is None:
        return False
    if throttle.pause_reason(letter.domain, now) == alerts.CARRIER_BLOCK:
        return True
    return _exceeds_share(letter.notice_id, Letter.domain == letter.domain)


def is_run_refused(notice: int | None) -> bool:
    """Return whether more than a fifth (and five) of a notice's letters found no mailbox, whatever their domains."""
    return notice is not None and _exceeds_share(notice, kind=Letter.reason.in_(DEAD_ADDRESS_REASONS))


def _exceeds_share(notice: int, scope: Expression | bool = True, kind: Expression | bool = True) -> bool:
    failed = Letter.state.in_((LetterState.REFUSED, LetterState.BOUNCED)) & kind
    done, refusals = (
        Letter.select(fn.COUNT(Letter.id), fn.COALESCE(fn.SUM(failed.cast("integer")), 0))
        .where(
            Letter.notice == notice,
            Letter.is_current == True,
            Letter.state.in_((LetterState.ACCEPTED, LetterState.REFUSED, LetterState.BOUNCED)),
            scope,
        )
        .tuples()
        .get()
    )
    return bool(refusals >= suppression.MIN_SHARE_LETTERS and refusals * suppression.SHARE_DIVISOR > done)


def pause_domain_and_requeue(letter: Letter, now: datetime, subject_of: Callable[[Notice], str]) -> None:
    """Pause the domain, undo the exclusions of this notice there, and retry the refused letters later."""
    until = now + BLOCK_PAUSE
    throttle.pause_bucket(letter.domain, until, alerts.CARRIER_BLOCK, now)
    to_domain = (Letter.notice == letter.notice_id) & (Letter.domain == letter.domain)
    forget_exclusions(to_domain)
    requeue_refused(to_domain, until)
    audit.log_action(None, "carrier.paused", letter.notice_id)
    alerts.notify_carrier_blocked(letter, now, subject_of)


def forget_exclusions(letters: Expression) -> None:
    """Undo what failed letters of a notice registered against their readers."""
    failed = letters & Letter.state.in_((LetterState.REFUSED, LetterState.BOUNCED))
    rows = Letter.select(Letter.person, Letter.notice).where(failed, Letter.person.is_null(False))
    same_notice = Person.address_state_notice_id.in_(rows.select(Letter.notice))
    suppression.mark_deliverable(Person.id.in_(rows.select(Letter.person)) & same_notice, None)


def requeue_refused(letters: Expression, at: datetime) -> int:
    """Try refused letters again at that time; return how many. Letters that bounced were accepted: they stay."""
    refused = letters & (Letter.state == LetterState.REFUSED) & (Letter.is_current == True)
    changes = {"state": LetterState.DEFERRED, "next_attempt_at": at, "reason": "temporary", "owner": ""}
    requeued: int = Letter.update(**changes).where(refused).execute()
    return requeued


def take_back_refusals(letter: QueuedMessage, reply: SmtpReply, now: datetime) -> None:
    """Queue the letters of a notice again that were refused in the same words, and undo what that registered."""
    recent = Letter.select(Letter.id, Letter.code, Letter.text).where(
        Letter.notice == letter.notice_id,
        Letter.is_current == True,
        Letter.state == LetterState.REFUSED,
        Letter.done_at > now - TAKE_BACK_WITHIN,
    )
    words = same_words(reply.code, reply.text)
    numbers = [row.id for row in recent if same_words(row.code or 0, row.text) == words]
    with db.atomic():
        forget_exclusions(Letter.id.in_(numbers))
        changes = {"state": LetterState.WAITING, "reason": "us", "owner": "", "next_attempt_at": now + ALONE_FOR / 2}
        taken_back = Letter.id.in_(numbers) & (Letter.state == LetterState.REFUSED)
        Letter.update(attempts=Letter.attempts - 1, done_at=now, **changes).where(taken_back).execute()


def is_refused_among_few(letter: QueuedMessage) -> bool:
    """Return whether a letter that was taken back is one of less than five, or of a fifth, while others got through."""
    mine = (Letter.notice == letter.notice_id) & (Letter.is_current == True)
    if Letter.get_by_id(letter.id).reason != "us":
        return False
    accepted = Letter.select().where(mine, Letter.state == LetterState.ACCEPTED).count()
    marked = Letter.select().where(mine, Letter.reason == "us").count()
    few = marked < suppression.MIN_SHARE_LETTERS or marked * suppression.SHARE_DIVISOR <= accepted + marked
    return bool(accepted) and few


# ── about the message ──


def hold_refused_content(letter: Letter, now: datetime) -> bool:
    """Hold a notice whose content the server refuses for all: three letters or all of it, and none accepted.

    The refused letters wait again. Return whether the notice is held now.
    """
    notice = letter.notice
    if notice is None:
        return False
    mine = (Letter.notice == notice) & (Letter.is_current == True) & Letter.delivery.is_null(False)
    counts = dict(Letter.select(Letter.state, fn.COUNT(Letter.id)).where(mine).group_by(Letter.state).tuples())
    refused = Letter.select().where(mine, Letter.state == LetterState.REFUSED, Letter.reason == "content").count()
    held = notice.state == NoticeState.HELD and notice.hold_reason == "content"
    few = refused < min(MIN_CONTENT_REFUSALS, sum(counts.values()))
    if not held and (few or counts.get(LetterState.ACCEPTED)):
        return False
    requeue_refused(mine & (Letter.reason == "content"), now)
    holding.hold_notice(notice, "content", now)
    return True


def content_refusal(notice: Notice) -> str:
    """Return what the server last said about the content of a notice."""
    said = (Letter.notice == notice) & Letter.code.between(500, 599)
    row = Letter.select(Letter.code, Letter.text).where(said).order_by(Letter.done_at.desc()).first()
    return f"{row.code} {row.text}" if row else ""


# ── letters that fail alone ──


def fails_alone(letter: QueuedMessage, mark: str, accepted_at: datetime | None, now: datetime) -> bool:
    """Return whether a letter that failed in this way before is at fault itself: other letters got through since.

    accepted_at: when this worker's last letter was accepted. A letter that is the last one of a notice whose other
    letters were accepted counts too.
    """
    row = Letter.get_by_id(letter.id)
    if row.reason != mark or row.done_at is None:
        return False
    accepted = Letter.select().where(
        Letter.notice == letter.notice_id, Letter.is_current == True, Letter.state == LetterState.ACCEPTED
    )
    if (accepted_at and accepted_at > row.done_at) or accepted.where(Letter.done_at > row.done_at).exists():
        return True
    others = Letter.select().where(
        Letter.state.in_((*QUEUED_STATES, LetterState.SENDING)),
        Letter.id != letter.id,
        Letter.next_attempt_at < now + ALONE_FOR,
    )
    return accepted.exists() and not others.exists()
