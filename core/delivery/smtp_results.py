"""What a server's answer means for the letter and for its reader (decision 3, D-37, D-38; inbound rules 2).

Only "user unknown" excludes at once. A filter, a full mailbox or distrust of our server never does. A carrier that
refuses more than a fifth of a run is blocking us: it is paused, and nobody is registered because of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import fn

from core import audit
from core.delivery import alerts, suppression, throttle
from core.delivery.queue import QueuedMessage
from mail.bounce.verdict import judge_smtp_reply
from mail.smtp import SmtpReply
from models import Letter, LetterState, Notice, Person

BLOCK_SHARE_DIVISOR = 5  # a fifth
BLOCK_MIN_REFUSALS = 5
BLOCK_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SmtpResult:
    """State and reason of a letter after a server's answer."""

    state: LetterState
    reason: str = ""


def classify_reply(reply: SmtpReply, domain: str) -> SmtpResult:
    """Say what becomes of a letter. A temporary answer, a full mailbox: tried again as long as it is useful."""
    if reply.accepted:
        return SmtpResult(LetterState.ACCEPTED)
    found = judge_smtp_reply(reply, domain)
    if reply.deferred or found.kind == "full":
        return SmtpResult(LetterState.DEFERRED, found.kind)
    return SmtpResult(LetterState.REFUSED, found.kind)


def record_refusal(letter: Letter, reason: str, now: datetime, subject_of: Callable[[Notice], str]) -> bool:
    """Note what a refusal says, already recorded at the letter; call inside the transaction that recorded it.

    True if the carrier refuses so many that it must be blocking us: then it is paused and nobody is registered.
    """
    if is_carrier_blocking(letter, now):
        pause_carrier_and_requeue(letter, now, subject_of)
        return True
    suppression.record_failure(letter, reason, now)
    return False


def record_acceptance(letter: QueuedMessage, bare: bool, now: datetime) -> None:
    """Remember which spelling of an RFC-violating address the server takes, and that a filter is open again."""
    if letter.person_id is None:
        return
    if letter.bare != bare:
        Person.update(bare=bare).where(Person.id == letter.person_id).execute()
    if letter.address_state == "refusing":
        Person.update(
            address_state="fine", address_reason="", address_state_at=now, address_state_notice_id=None
        ).where(
            Person.id == letter.person_id, Person.address == letter.address, Person.address_state == "refusing"
        ).execute()


def is_carrier_blocking(letter: Letter, now: datetime) -> bool:
    """Say whether a carrier has refused more than a fifth (and five) of a notice's letters to it, or is paused so."""
    if letter.notice_id is None or throttle.carrier_domain(letter.domain) is None:
        return False
    if throttle.pause_reason(letter.domain, now) == alerts.CARRIER_BLOCK:
        return True
    refused = fn.SUM(Letter.state.in_((LetterState.REFUSED, LetterState.BOUNCED)).cast("integer"))
    done, no = (
        Letter.select(fn.COUNT(Letter.id), refused)
        .where(
            Letter.notice == letter.notice_id,
            Letter.is_current == True,
            Letter.domain == letter.domain,
            Letter.state.in_((LetterState.ACCEPTED, LetterState.REFUSED, LetterState.BOUNCED)),
        )
        .tuples()
        .get()
    )
    return (no or 0) >= BLOCK_MIN_REFUSALS and (no or 0) * BLOCK_SHARE_DIVISOR > done


def pause_carrier_and_requeue(letter: Letter, now: datetime, subject_of: Callable[[Notice], str]) -> None:
    """Pause the carrier, release whom this notice registered there, and try the refused letters later."""
    until = now + BLOCK_PAUSE
    throttle.pause_bucket(letter.domain, until, alerts.CARRIER_BLOCK, now)
    there = (Letter.notice == letter.notice_id) & (Letter.domain == letter.domain)
    same = (
        there & (Letter.state == LetterState.REFUSED) & (Letter.is_current == True)
    )  # what came back after it was taken stays back
    people = Letter.select(Letter.person).where(there & Letter.state.in_((LetterState.REFUSED, LetterState.BOUNCED)))
    Person.update(address_state="fine", address_reason="", address_state_at=None, address_state_notice_id=None).where(
        Person.id.in_(people), Person.address_state_notice_id == letter.notice_id
    ).execute()
    Letter.update(state=LetterState.DEFERRED, next_attempt_at=until, reason="temporary", owner="").where(same).execute()
    audit.log_action(None, "carrier.paused", letter.notice_id)
    alerts.notify_carrier_blocked(letter, now, subject_of)
