"""What an SMTP reply means for the letter and its reader (decision 3, D-37, D-38; inbound rules 2).

Only "user unknown" excludes an address at once; a filter, a full mailbox or distrust of our server never does.
If a carrier refuses more than a fifth of a notice's letters, it is blocking us: it is paused and excludes nobody.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from peewee import fn

from core import audit
from core.delivery import alerts, queue, suppression, throttle
from core.notifications.notify import clear_secrets
from database import record_result
from mail.bounce.verdict import judge_smtp_reply
from mail.smtp import SmtpReply
from models import Letter, LetterState, Notice, Person

BLOCK_SHARE_DIVISOR = 5  # a fifth
BLOCK_MIN_REFUSALS = 5
BLOCK_PAUSE = timedelta(hours=1)


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


def classify_reply(reply: SmtpReply, domain: str) -> SmtpResult:
    """Return what a reply means. A temporary reply and a full mailbox defer the letter."""
    if reply.accepted:
        return SmtpResult(LetterState.ACCEPTED)
    verdict = judge_smtp_reply(reply, domain)
    if reply.deferred or verdict.kind == "full":
        return SmtpResult(LetterState.DEFERRED, verdict.kind)
    return SmtpResult(LetterState.REFUSED, verdict.kind)


def record_rejection(
    letter: AnsweredLetter, owner: str, reply: SmtpReply, now: datetime, subject_of: Callable[[Notice], str]
) -> bool:
    """Record a reply that is no acceptance, with its consequences. Call inside a transaction.

    Return True if the carrier is blocking us.
    """
    result = classify_reply(reply, letter.domain)
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
    """Update address and carrier after a refused or bounced letter. Call inside the transaction that recorded it.

    Return True if the carrier is blocking us: then it is paused and no address is excluded.
    """
    if is_carrier_blocking(letter, now):
        pause_carrier_and_requeue(letter, now, subject_of)
        return True
    suppression.record_failure(letter, reason, now)
    return False


def record_acceptance(letter: AnsweredLetter, bare: bool, now: datetime) -> None:
    """Store which spelling of an RFC-violating address the server accepts; a filter that refused is open again."""
    if letter.person_id is None:
        return
    if letter.bare != bare:
        Person.update(bare=bare).where(Person.id == letter.person_id).execute()
    if letter.address_state == "refusing":
        suppression.mark_deliverable(
            (Person.id == letter.person_id) & (Person.address == letter.address) & (Person.address_state == "refusing"),
            now,
        )


def is_carrier_blocking(letter: Letter, now: datetime) -> bool:
    """Return whether a carrier refused more than a fifth (and five) of a notice's letters, or is paused for that."""
    if letter.notice_id is None or throttle.carrier_domain(letter.domain) is None:
        return False
    if throttle.pause_reason(letter.domain, now) == alerts.CARRIER_BLOCK:
        return True
    refused = fn.SUM(Letter.state.in_((LetterState.REFUSED, LetterState.BOUNCED)).cast("integer"))
    done, refusals = (
        Letter.select(fn.COUNT(Letter.id), fn.COALESCE(refused, 0))
        .where(
            Letter.notice == letter.notice_id,
            Letter.is_current == True,
            Letter.domain == letter.domain,
            Letter.state.in_((LetterState.ACCEPTED, LetterState.REFUSED, LetterState.BOUNCED)),
        )
        .tuples()
        .get()
    )
    return bool(refusals >= BLOCK_MIN_REFUSALS and refusals * BLOCK_SHARE_DIVISOR > done)


def pause_carrier_and_requeue(letter: Letter, now: datetime, subject_of: Callable[[Notice], str]) -> None:
    """Pause the carrier, undo the exclusions of this notice there, and retry the refused letters later."""
    until = now + BLOCK_PAUSE
    throttle.pause_bucket(letter.domain, until, alerts.CARRIER_BLOCK, now)
    to_carrier = (Letter.notice == letter.notice_id) & (Letter.domain == letter.domain)
    failed = to_carrier & Letter.state.in_((LetterState.REFUSED, LetterState.BOUNCED))
    suppression.mark_deliverable(
        Person.id.in_(Letter.select(Letter.person).where(failed))
        & (Person.address_state_notice_id == letter.notice_id),
        None,
    )
    # A letter that bounced was accepted first: it is not sent again.
    refused = to_carrier & (Letter.state == LetterState.REFUSED) & (Letter.is_current == True)
    changes = {"state": LetterState.DEFERRED, "next_attempt_at": until, "reason": "temporary", "owner": ""}
    Letter.update(**changes).where(refused).execute()
    audit.log_action(None, "carrier.paused", letter.notice_id)
    alerts.notify_carrier_blocked(letter, now, subject_of)
