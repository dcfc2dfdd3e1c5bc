"""From a confirmed notice to recorded outcomes: start, fill, settle, finish. Claiming: `core.delivery.queue`.

`MOVES` is the one table of what a letter may become. Crash rules: a claim is committed durably with owner and boot
before anything leaves; `handed_over_at` is committed before the content of a letter goes over the network. Whoever can
take the lock of a dead owner settles its letters.
"""

import secrets
from base64 import b32encode
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from peewee import JOIN, SQL, Case, ModelSelect, fn

from core import audit
from core.delivery import suppression
from core.notices import reminders
from core.notices.audience import Audience, Recipient, resolve_audience
from core.notifications.kinds import kinds_with_secrets
from core.reports import digests
from core.responses import tracking
from core.settings import Settings, load_settings
from database import bulk_insert, db, millis
from i18n import N_
from mail import address as addresses
from models import Child, Delivery, DeliveryMembership, Letter, Membership, Notice, Person

TRANSITIONS: dict[str, frozenset[str]] = {
    "waiting": frozenset({"sending", "skipped", "cancelled", "expired"}),
    "deferred": frozenset({"sending", "skipped", "cancelled", "expired"}),
    "sending": frozenset({"accepted", "refused", "deferred", "skipped", "expired", "waiting", "unknown", "cancelled"}),
    "unknown": frozenset({"waiting", "accepted", "bounced"}),
    "accepted": frozenset({"bounced"}),
    "refused": frozenset({"deferred"}),  # only when the carrier guard takes a whole run back
    "skipped": frozenset(),
    "bounced": frozenset(),
    "expired": frozenset(),
    "cancelled": frozenset(),
}
PENDING_STATES = ("waiting", "sending", "deferred")
NEVER_SENT_STATES = ("cancelled", "skipped", "expired")
STATE_LABELS: dict[str, str] = {
    "waiting": N_("Waiting"),
    "sending": N_("Being handed over"),
    "accepted": N_("Sent (whether it was read shows by the stamp)"),
    "deferred": N_("Will be tried again"),
    "refused": N_("Refused"),
    "bounced": N_("Came back"),
    "skipped": N_("Not sent"),
    "unknown": N_("Not known whether it arrived"),
    "expired": N_("Given up, too late to be useful"),
    "cancelled": N_("Stopped before it left"),
}
REASON_LABELS: dict[str, str] = {
    "address": N_("This address cannot be written to; please correct it."),
    "unknown_user": N_("This address does not exist (any more)."),
    "filtered": N_("Probably refused by the phone's mail filter."),
    "full": N_("The mailbox is full; only its owner can make room."),
    "policy": N_("The receiving server does not trust our mail server: the fault is ours."),
    "temporary": N_("The receiving server is busy."),
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
# Written out, since SQLite does not take the small indexes of the queue for a condition with placeholders.
_QUEUED_SQL = SQL("(state IN ('waiting','deferred'))")
_UNSENT_REMINDER_SQL = SQL("(is_current AND round > 1 AND state IN ('cancelled','skipped','expired'))")


# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def start_due_notices(now: datetime) -> list[int]:
    """Begin every held or booked notice whose time has come; return their numbers (T-01, T-02, D-39).

    More than `late_s` late (the server was down): held and asked, never fired (decision 8).
    """
    force = load_settings()
    ready = _due_notices(now).order_by(Notice.urgent.desc(), Notice.send_at, Notice.id)
    return [notice.id for notice in list(ready) if start_or_hold(notice, now, force)]


def _due_notices(now: datetime) -> ModelSelect:
    """Return the notices whose time has come."""
    waits = (Notice.state == "scheduled") | ((Notice.state == "held") & (Notice.hold_reason == "window"))
    return Notice.select().where(waits, Notice.send_at <= now)


def start_or_hold(notice: Notice, now: datetime, force: Settings) -> bool:
    """Begin a notice that is due, or hold it and ask. False also if it was cancelled or moved meanwhile (D-44)."""
    with db.atomic():
        fresh = _due_notices(now).where(Notice.id == notice.id).first()
        if fresh is None:
            return False
        if now - fresh.send_at > timedelta(seconds=force.late_s):
            return hold_notice(fresh, "late", now)
        return _start_sending(fresh, now, force)


def hold_notice(notice: Notice, why: str, now: datetime) -> bool:
    """Hold a notice for a person's decision; return False, since it does not begin."""
    waits = Notice.state.in_(("held", "scheduled", "paused"))
    change = {"state": "held", "hold_reason": why, "updated_at": now, "serial": Notice.serial + 1}
    if Notice.update(**change).where(Notice.id == notice.id, waits).execute():
        audit.log_action(None, f"notice.held_{why}", notice.id)
    return False


def _start_sending(notice: Notice, now: datetime, force: Settings) -> bool:
    """Freeze one row per reader and make the letters. Call inside a transaction.

    Held instead if the number of letters differs from what was confirmed by more than a tenth and more than five.
    """
    audience = resolve_audience(notice, now)
    before, after = ({(person, child) for person, child in part} for part in (notice.expected, audience.expected))
    if audience.waiting or abs(len(after) - len(before)) > max(5, len(before) / 10):
        return hold_notice(notice, "changed", now)
    taken = (
        Notice.update(
            state="sending",
            hold_reason="",
            started_at=now,
            updated_at=now,
            rounds=1,
            practice=force.practice,
            serial=Notice.serial + 1,
            expected=[],  # every page of the notice would carry it along
        )
        .where(Notice.id == notice.id, Notice.state.in_(("held", "scheduled")))
        .execute()
    )
    if not taken:
        return False
    create_deliveries(notice, audience, now)
    tracking.store_links(notice)
    digests.create_digests(notice, now)
    reminders.plan_next_reminder(notice, now)
    reminders.plan_deadline_reminder(notice, now)
    for number in filter(None, (notice.correction_of_id, notice.follow_up_to_id)):
        reminders.cancel_all_reminders(number, now)
    changed = {"letters": audience.letters, "joined": _person_ids(after - before), "gone": _person_ids(before - after)}
    audit.log_action(None, "notice.started", notice.id, detail=changed)
    return True


def _person_ids(letters: set[tuple[int, int]]) -> list[int]:
    """Return the numbers of the people of some letters, each once."""
    return sorted({person for person, _ in letters})


def create_deliveries(notice: Notice, audience: Audience, now: datetime) -> None:
    """Write a row for each reader of an audience, and the letters of those who receive one. Inside a transaction."""
    everybody = (*audience.receiving, *audience.left_out)
    bulk_insert(Delivery, (_delivery_row(notice, one) for one in everybody))
    ids = _delivery_ids(notice)
    bulk_insert(DeliveryMembership, _cover_rows(everybody, ids))
    until = now + timedelta(seconds=notice.useful_s)
    bulk_insert(Letter, (_letter_row(notice, ids[one.key], one, now, until) for one in audience.receiving))


def _delivery_ids(notice: Notice) -> dict[tuple[int, int], int]:
    """Return the number of each delivery by person and child (or 0)."""
    rows = Delivery.select(Delivery.person_id, Delivery.child_id, Delivery.id).where(Delivery.notice == notice)
    return {(person, child or 0): number for person, child, number in rows.tuples()}


def new_token() -> str:
    """Return a reader's token: 128 random bits, lower-case base32."""
    return b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def _delivery_row(notice: Notice, one: Recipient) -> dict:
    return {
        "notice": notice.id,
        "person": one.person_id,
        "child": one.child_id,
        "child_name": one.child_name if one.child_id else "",
        "child_room": one.child_room,
        "siblings": one.siblings,
        "token": new_token(),
        "reason": one.reason,
        "list": one.list_id,
        "name": one.name,
        "kana": one.kana,
        "language": one.language,
        "sender_name": one.signed or notice.signed,
        "in_charge": one.in_charge_id,
        "values": one.values,
    }


def _cover_rows(everybody: tuple[Recipient, ...], ids: dict[tuple[int, int], int]) -> Iterable[dict]:
    owner = {number: ids[one.key] for one in everybody for number in one.covers}
    bare = [one for one in everybody if not one.covers]
    for numbers in _chunks(list(owner), 500):
        rows = (
            Membership.select(
                Membership.id.alias("membership"),
                Membership.list,
                fn.COALESCE(fn.NULLIF(Child.household, ""), Person.household).alias("household"),
                Child.name.alias("child_name"),
                Child.kana.alias("child_kana"),
                Child.grade,
                Child.class_name,
            )
            .join(Child, JOIN.LEFT_OUTER)
            .switch(Membership)
            .join(Person)
            .where(Membership.id.in_(numbers))
            .dicts()
        )
        for row in rows:
            known = {name: value for name, value in row.items() if value is not None}
            yield {"delivery": owner[row["membership"]], **known}
    for one in bare:
        yield {"delivery": ids[one.key], "household": one.household}


def _letter_row(notice: Notice, delivery: int, one: Recipient, now: datetime, until: datetime) -> dict:
    return {
        "notice": notice.id,
        "delivery": delivery,
        "person": one.person_id,
        "address": one.address,
        "domain": addresses.domain_of(one.address or ""),
        "urgent": notice.urgent,
        "language": one.language,
        "made_at": now,
        "next_attempt_at": now,
        "expires_at": until,
    }


def _chunks(rows: Iterable, size: int) -> Iterable[list]:
    chunk: list = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


# ── settling and finishing ───────────────────────────────────────────────────────────────────────────────────────


def recover_orphans(is_dead: Callable[[str], bool], boot: str, now: datetime) -> int:
    """Settle what dead sender processes left: not yet handed over → waiting, else → unknown. Return how many."""
    settled = 0
    owners = [row.owner for row in Letter.select(Letter.owner).where(Letter.state == "sending").distinct()]
    for owner in owners:
        if not is_dead(owner):
            continue
        with db.atomic():
            left = (Letter.owner == owner) & (Letter.state == "sending")
            surely_here = left & Letter.handed_over_at.is_null() & (Letter.boot == boot)
            settled += Letter.update(state="waiting", owner="", next_attempt_at=now).where(surely_here).execute()
            settled += Letter.update(state="unknown", done_at=now).where(left).execute()
            _resend_unknown_urgent(now)
    return settled


def _resend_unknown_urgent(now: datetime) -> None:
    """Send an urgent letter of unknown outcome once more by itself, once; it says so on the page."""
    still = Notice.select(Notice.id).where(Notice.state.in_(("sending", "paused")))
    Letter.update(state="waiting", auto_resent=True, owner="", next_attempt_at=now).where(
        Letter.state == "unknown",
        Letter.is_current == True,
        Letter.urgent == True,
        Letter.auto_resent == False,
        Letter.expires_at > now,
        Letter.notice.in_(still) | Letter.notice.is_null(),
    ).execute()


def mark_unknown(number: int, owner: str, now: datetime) -> None:
    """Record that the connection broke after the content was handed over: nobody knows."""
    with db.atomic():
        Letter.update(state="unknown", done_at=now).where(
            Letter.id == number, Letter.owner == owner, Letter.state == "sending"
        ).execute()
        _resend_unknown_urgent(now)


def accept_unknown_on_read(delivery: Delivery, now: datetime) -> None:
    """A read shows that the letter arrived: unknown → accepted."""
    # Every press comes by here: plain SQL costs a tenth of what building the statement does.
    db.execute_sql(
        "UPDATE letter SET state = 'accepted', done_at = ? WHERE delivery_id = ? AND state = 'unknown'",
        (millis(now), delivery.id),
    )


def expire_letters(now: datetime) -> int:
    """Give up letters that are no longer useful; return how many. Their secret links go with them.

    What servers put off all that time counts at the reader's address.
    """
    late = _QUEUED_SQL & (Letter.expires_at < now)
    if not Letter.select(Letter.id).where(late).exists():
        return 0
    with db.atomic():
        put_off = list(Letter.select().where(late, Letter.person.is_null(False), Letter.code.between(400, 499)))
        Letter.update(payload={}).where(late, Letter.kind.in_(kinds_with_secrets())).execute()
        done = Letter.update(state="expired", reason="expired", done_at=now).where(late).execute()
        suppression.record_expired(put_off, now)
    return done


def finish_notices(now: datetime) -> int:
    """Mark notices as sent of which no letter is waiting, sending or deferred (law 5); return how many."""
    still = Letter.select(Letter.id).where(
        Letter.notice == Notice.id,
        Letter.is_current == True,
        Letter.state.in_(PENDING_STATES),
        Letter.delivery.is_null(False),
    )
    if not (done := [one.id for one in Notice.select(Notice.id).where(Notice.state == "sending", ~fn.EXISTS(still))]):
        return 0
    stopped = Case(None, [(Notice.stopped_at.is_null(), "sent")], "stopped")  # a reminder brings no stopped letter back
    ended = fn.COALESCE(Notice.finished_at, millis(now))
    return (
        Notice.update(state=stopped, finished_at=ended, updated_at=now, serial=Notice.serial + 1)
        .where(Notice.id.in_(done), Notice.state == "sending", ~fn.EXISTS(still))
        .execute()
    )


def cancel_requeued_letters(now: datetime) -> int:
    """Cancel what a sender gave back after its notice (or its reminder) was stopped or withdrawn; return how many."""
    over = Notice.select(Notice.id).where(Notice.state.in_(("stopped", "withdrawn", "sent")))
    of_these = (Letter.notice_id + 0).in_(over)  # the sum keeps SQLite from going through all letters of these notices
    left = Letter.select(Letter.id).where(_QUEUED_SQL, of_these, Letter.delivery.is_null(False))
    if not (numbers := [one.id for one in left]):
        return 0
    still = Letter.id.in_(numbers) & Letter.state.in_(("waiting", "deferred")) & Letter.notice.in_(over)
    return Letter.update(state="cancelled", done_at=now).where(still).execute()


def restore_previous_round() -> int:
    """Let reminders that never left stand back: the letter before each is again the one that its reader has.

    Return how many. Whoever confirmed while the reminder waited counts as "sent to" as before.
    """
    gone = list(Letter.select(Letter.id, Letter.delivery, Letter.round).where(_UNSENT_REMINDER_SQL))
    for one in gone:
        with db.atomic():
            if Letter.update(is_current=False).where(Letter.id == one.id, Letter.is_current == True).execute():
                _mark_previous_current(one)
    return len(gone)


def _mark_previous_current(gone: Letter) -> None:
    """Make the last letter that left before this one (or the first) the newest of its delivery."""
    earlier = Letter.alias()
    left = earlier.state.not_in(NEVER_SENT_STATES) | (earlier.round == 1)
    last = earlier.select(fn.MAX(earlier.round)).where(
        earlier.delivery == gone.delivery_id, earlier.round < gone.round, left
    )
    Letter.update(is_current=True).where(Letter.delivery == gone.delivery_id, Letter.round == last).execute()
