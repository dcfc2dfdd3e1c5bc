"""The states of a letter and every change that is not part of claiming (`core.delivery.queue`) or of an SMTP reply.

`TRANSITIONS` is the one table of state changes. Crash rules: a claim is committed durably with owner and boot before
anything leaves. The ledger says that a letter is handed over before its content goes over the network. A worker that
can take the lock of a dead owner carries its ledger, then recovers its letters.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from peewee import SQL, Case, ModelSelect, fn

from core import audit
from core.delivery import ledger, suppression
from core.notifications.kinds import kinds_with_secrets
from database import db, millis
from i18n import N_
from models import PENDING_STATES, QUEUED_STATES, Delivery, Letter, LetterState, Notice, NoticeState

TRANSITIONS: dict[LetterState, frozenset[LetterState]] = {
    LetterState.WAITING: frozenset(
        {LetterState.SENDING, LetterState.SKIPPED, LetterState.CANCELLED, LetterState.EXPIRED, LetterState.UNKNOWN}
    ),
    LetterState.DEFERRED: frozenset(
        {LetterState.SENDING, LetterState.SKIPPED, LetterState.CANCELLED, LetterState.EXPIRED, LetterState.UNKNOWN}
    ),
    LetterState.SENDING: frozenset(LetterState) - {LetterState.SENDING, LetterState.BOUNCED},
    LetterState.UNKNOWN: frozenset({LetterState.WAITING, LetterState.ACCEPTED, LetterState.BOUNCED}),
    LetterState.ACCEPTED: frozenset({LetterState.BOUNCED}),
    LetterState.REFUSED: frozenset(
        {LetterState.DEFERRED, LetterState.WAITING}
    ),  # a paused domain, our fault, or a button
    LetterState.SKIPPED: frozenset(),
    LetterState.BOUNCED: frozenset(),
    LetterState.EXPIRED: frozenset({LetterState.WAITING}),  # by a button
    LetterState.CANCELLED: frozenset(),
}
HANDED_OVER_STATES = (LetterState.SENDING, LetterState.ACCEPTED, LetterState.BOUNCED, LetterState.UNKNOWN)
NEVER_SENT_STATES = (LetterState.CANCELLED, LetterState.SKIPPED, LetterState.EXPIRED)
STATE_LABELS: dict[str, str] = {
    LetterState.WAITING: N_("Waiting"),
    LetterState.SENDING: N_("Being handed over"),
    LetterState.ACCEPTED: N_("Sent (whether it was read shows by the stamp)"),
    LetterState.DEFERRED: N_("Will be tried again"),
    LetterState.REFUSED: N_("Refused"),
    LetterState.BOUNCED: N_("Came back"),
    LetterState.SKIPPED: N_("Not sent"),
    LetterState.UNKNOWN: N_("Not known whether it arrived"),
    LetterState.EXPIRED: N_("Given up, too late to be useful"),
    LetterState.CANCELLED: N_("Stopped before it left"),
}
REASON_LABELS: dict[str, str] = {
    "address": N_("This address cannot be written to; please correct it."),
    "unknown_user": N_("This address does not exist (any more)."),
    "filtered": N_("Probably refused by the phone's mail filter."),
    "full": N_("The mailbox is full; only its owner can make room."),
    "policy": N_("The receiving server does not trust our mail server: the fault is ours."),
    "temporary": N_("The mail server asks to try again later."),
    "content": N_("The mail server refused the text of this letter."),
    "broken": N_("The mail server hung up twice at this letter."),
    "other": N_("The receiving server refused it."),
    "stopped": N_("Stopped the mail in the meantime."),
    "left": N_("Has left the list in the meantime."),
    "no_address": N_("Has no address any more."),
    "expired": N_("It came too late to be useful."),
    "bounced": N_("The address does not exist any more."),
    "complained": N_("Reported our mail as spam."),
    "read": N_("Has confirmed in the meantime."),
    "answer": N_("Has answered in the meantime."),
}
# SQLite uses the partial indexes of the queue only for a condition without placeholders.
_QUEUED_SQL = SQL("(state IN ('waiting','deferred'))")
_UNSENT_REMINDER_SQL = SQL("(is_current AND round > 1 AND state IN ('cancelled','skipped','expired'))")


def recover_orphans(
    is_dead: Callable[[str], bool], boot: str, now: datetime, subject_of: Callable[[Notice], str]
) -> int:
    """Recover the letters of dead workers; return how many."""
    claimed = Letter.select(Letter.owner).where(Letter.state == LetterState.SENDING).distinct()
    owners = dict.fromkeys((*(row.owner for row in claimed), *ledger.owners()))
    recovered = 0
    for owner in owners:
        if is_dead(owner):
            recovered += recover_letters_of(owner, boot, now, subject_of)
            ledger.remove(owner)
    return recovered


def recover_letters_of(owner: str, boot: str, now: datetime, subject_of: Callable[[Notice], str]) -> int:
    """Carry the ledger of a worker that sends nothing now. Its other letters: not handed over in this boot → waiting,
    else → unknown. Return how many.
    """
    with db.atomic():
        intact = ledger.replay(owner, subject_of)
        orphans = (Letter.owner == owner) & (Letter.state == LetterState.SENDING)
        unsent = orphans & Letter.handed_over_at.is_null() & (Letter.boot == boot)
        recovered: int = 0
        if intact:
            requeued = Letter.update(state=LetterState.WAITING, owner="", next_attempt_at=now).where(unsent)
            recovered += requeued.execute()
        recovered += Letter.update(state=LetterState.UNKNOWN, done_at=now).where(orphans).execute()
        _resend_unknown_urgent(now)
    return recovered


def _resend_unknown_urgent(now: datetime) -> None:
    """Send urgent letters of unknown outcome a second time, once each. The notice, its board and its record say so."""
    active = Notice.select(Notice.id).where(Notice.state.in_((NoticeState.SENDING, NoticeState.PAUSED)))
    changes = {"state": LetterState.WAITING, "auto_resent": True, "owner": "", "next_attempt_at": now}
    resent = (
        Letter.update(changes)
        .where(
            Letter.state == LetterState.UNKNOWN,
            Letter.is_current == True,
            Letter.urgent == True,
            Letter.auto_resent == False,
            Letter.expires_at > now,
            Letter.notice.in_(active) | Letter.notice.is_null(),
        )
        .returning(Letter.notice)
    )
    counts = Counter(letter.notice_id for letter in resent.execute() if letter.notice_id)
    for notice, count in counts.items():
        audit.log_action(None, "notice.unknown_sent_again", notice, detail={"letters": count})


def letters_possibly_twice(notice: Notice) -> "ModelSelect[Letter]":
    """Select the letters of any round that were sent again after an unknown outcome: their readers may have two."""
    return Letter.select(Letter.delivery).where(
        Letter.notice == notice,
        SQL("auto_resent"),
        Letter.state.in_(HANDED_OVER_STATES),
        Letter.delivery.is_null(False),
    )


def unsent_as(state: LetterState) -> Case:
    """Return the state of a letter that is not sent (again): one of unknown outcome before stays unknown."""
    return Case(None, [(Letter.auto_resent == True, LetterState.UNKNOWN)], state)


def mark_unknown(number: int, owner: str, now: datetime) -> None:
    """Record that the connection broke after the content was handed over: the outcome is unknown."""
    with db.atomic():
        Letter.update(state=LetterState.UNKNOWN, done_at=now).where(
            Letter.id == number, Letter.owner == owner, Letter.state == LetterState.SENDING
        ).execute()
        _resend_unknown_urgent(now)


def accept_unknown_on_read(delivery: Delivery, now: datetime) -> None:
    """Change unknown → accepted: a read shows that the letter arrived."""
    # Every press of the button runs this: plain SQL costs a tenth of a built statement.
    db.execute_sql(
        "UPDATE letter SET state = 'accepted', done_at = ? WHERE delivery_id = ? AND state = 'unknown'",
        (millis(now), delivery.id),
    )


def expire_letters(now: datetime) -> int:
    """Expire letters that are too late to be useful; return how many. Their secret links are cleared.

    A letter that a server deferred until then counts as a failure of the address.
    """
    late = _QUEUED_SQL & (Letter.expires_at < now)
    if not Letter.select(Letter.id).where(late).exists():
        return 0
    with db.atomic():
        deferred = list(Letter.select().where(late, Letter.person.is_null(False), Letter.code.between(400, 499)))
        Letter.update(payload={}).where(late, Letter.kind.in_(kinds_with_secrets())).execute()
        state = unsent_as(LetterState.EXPIRED)
        expired: int = Letter.update(state=state, reason="expired", done_at=now).where(late).execute()
        suppression.record_expired(deferred, now)
    return expired


def finish_notices(now: datetime) -> int:
    """Mark notices without a pending letter as sent (law 5); return how many."""
    pending = Letter.select(Letter.id).where(
        Letter.notice == Notice.id,
        Letter.is_current == True,
        Letter.state.in_(PENDING_STATES),
        Letter.delivery.is_null(False),
    )
    finished = Notice.select(Notice.id).where(Notice.state == NoticeState.SENDING, ~fn.EXISTS(pending))
    if not (numbers := [notice.id for notice in finished]):
        return 0
    state = Case(
        None, [(Notice.stopped_at.is_null(), NoticeState.SENT)], NoticeState.STOPPED
    )  # a reminder leaves a stopped notice stopped
    finished_at = fn.COALESCE(Notice.finished_at, millis(now))
    changed: int = (
        Notice.update(state=state, finished_at=finished_at, updated_at=now, serial=Notice.serial + 1)
        .where(Notice.id.in_(numbers), Notice.state == NoticeState.SENDING, ~fn.EXISTS(pending))
        .execute()
    )
    return changed


def cancel_requeued_letters(now: datetime) -> int:
    """Cancel letters that a worker requeued after their notice or reminder was stopped or withdrawn; return how many."""
    ended = Notice.select(Notice.id).where(
        Notice.state.in_((NoticeState.STOPPED, NoticeState.WITHDRAWN, NoticeState.SENT))
    )
    of_ended = (Letter.notice + 0).in_(ended)  # the sum keeps SQLite from reading all letters of these notices
    requeued = Letter.select(Letter.id).where(_QUEUED_SQL, of_ended, Letter.delivery.is_null(False))
    if not (numbers := [letter.id for letter in requeued]):
        return 0
    queued = Letter.id.in_(numbers) & Letter.state.in_(QUEUED_STATES) & Letter.notice.in_(ended)
    cancelled: int = Letter.update(state=unsent_as(LetterState.CANCELLED), done_at=now).where(queued).execute()
    return cancelled


def restore_previous_round() -> int:
    """Un-mark unsent reminder letters as current and restore the previous round; return how many.

    A reader who confirmed while the reminder waited then counts as "sent to" again.
    """
    unsent = list(Letter.select(Letter.id, Letter.delivery, Letter.round).where(_UNSENT_REMINDER_SQL))
    for letter in unsent:
        with db.atomic():
            if Letter.update(is_current=False).where(Letter.id == letter.id, Letter.is_current == True).execute():
                _mark_previous_current(letter)
    return len(unsent)


def _mark_previous_current(letter: Letter) -> None:
    """Make the last earlier letter of the delivery that was sent (or the first) the current one."""
    earlier = Letter.alias()
    sent = earlier.state.not_in(NEVER_SENT_STATES) | (earlier.round == 1)
    last = earlier.select(fn.MAX(earlier.round)).where(
        earlier.delivery == letter.delivery_id, earlier.round < letter.round, sent
    )
    Letter.update(is_current=True).where(Letter.delivery == letter.delivery_id, Letter.round == last).execute()
