"""Start a notice: freeze its recipients and enqueue their letters, or hold it for a decision of its organizer.

Several processes may call this at once: conditional UPDATEs decide which one starts a notice (law 1).
"""

import secrets
from base64 import b32encode
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from peewee import JOIN, ModelSelect, fn

from core import audit, clock_watch
from core.delivery.holding import hold_notice
from core.delivery.queue import NewLetter, enqueue
from core.notices import reminders, tracking_options
from core.notices.audience import Audience, Recipient, resolve_audience
from core.settings import Settings, load_settings
from database import bulk_insert, db
from models import Child, Delivery, DeliveryMembership, Membership, Notice, NoticeState, Person

WAITS_FOR_START = (Notice.state == NoticeState.SCHEDULED) | (
    (Notice.state == NoticeState.HELD) & (Notice.hold_reason == "window")
)


def start_due_notices(now: datetime) -> list[int]:
    """Start every held or booked notice whose time has come; return their ids (T-01, T-02, D-39).

    A notice more than `late_s` late is held instead: the server was down (decision 8). So is a booking if the clock was
    set forward since.
    """
    settings = load_settings()
    due = _due_notices(now).order_by(Notice.urgent.desc(), Notice.send_at, Notice.id)
    return [notice.id for notice in list(due) if start_or_hold(notice, now, settings)]


def _due_notices(now: datetime) -> "ModelSelect[Notice]":
    return Notice.select().where(WAITS_FOR_START, Notice.send_at <= now)


def start_or_hold(notice: Notice, now: datetime, settings: Settings) -> bool:
    """Start a due notice, or hold it. False also if it was cancelled or rescheduled meanwhile (D-44)."""
    with db.atomic():
        fresh = _due_notices(now).where(Notice.id == notice.id).first()
        if fresh is None:
            return False
        if fresh.state == NoticeState.SCHEDULED and clock_watch.is_too_early(fresh.updated_at):
            hold_notice(fresh, "clock", now)
            return False
        if now - fresh.send_at > timedelta(seconds=settings.late_s):
            hold_notice(fresh, "late", now)
            return False
        return _start_sending(fresh, now, settings)


def _start_sending(notice: Notice, now: datetime, settings: Settings) -> bool:
    """Freeze one delivery per recipient and enqueue the letters. Call inside a transaction.

    The notice is held if the number of letters differs from the confirmed one by more than a tenth and more than five.
    """
    audience = resolve_audience(notice, now)
    before, after = ({(person, child) for person, child in part} for part in (notice.expected, audience.expected))
    if audience.waiting or abs(len(after) - len(before)) > max(5, len(before) / 10):
        hold_notice(notice, "changed", now)
        return False
    started = (
        Notice.update(
            state=NoticeState.SENDING,
            hold_reason="",
            started_at=now,
            updated_at=now,
            rounds=1,
            practice=settings.practice,
            serial=Notice.serial + 1,
            expected=[],  # every page of the notice would load it
        )
        .where(Notice.id == notice.id, Notice.state.in_((NoticeState.HELD, NoticeState.SCHEDULED)))
        .execute()
    )
    if not started:
        return False
    create_deliveries(notice, audience, now)
    tracking_options.store_links(notice)
    tracking_options.create_subscriptions(notice, now)
    reminders.plan_next_reminder(notice, now)
    reminders.plan_deadline_reminder(notice, now)
    for number in filter(None, (notice.correction_of_id, notice.follow_up_to_id)):
        reminders.cancel_all_reminders(number, now)
    changed = {"letters": audience.letters, "joined": _person_ids(after - before), "gone": _person_ids(before - after)}
    audit.log_action(None, "notice.started", notice.id, detail=changed)
    return True


def _person_ids(letters: set[tuple[int, int]]) -> list[int]:
    return sorted({person for person, _ in letters})


def create_deliveries(notice: Notice, audience: Audience, now: datetime) -> None:
    """Write a delivery for each recipient, and a letter for each who receives one. Call inside a transaction."""
    recipients = (*audience.receiving, *audience.left_out)
    bulk_insert(Delivery, (_delivery_row(notice, recipient) for recipient in recipients))
    rows = Delivery.select(Delivery.person_id, Delivery.child_id, Delivery.id).where(Delivery.notice == notice)
    ids = {(person, child or 0): number for person, child, number in rows.tuples()}
    bulk_insert(DeliveryMembership, _membership_rows(recipients, ids))
    letters = (
        NewLetter(ids[recipient.key], recipient.person_id, recipient.address or "", recipient.language)
        for recipient in audience.receiving
    )
    enqueue(notice, letters, now)


def new_token() -> str:
    """Return the token of a delivery's links: 128 random bits, lower-case base32."""
    return b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def _delivery_row(notice: Notice, recipient: Recipient) -> dict[str, object]:
    return {
        "notice": notice.id,
        "person": recipient.person_id,
        "child": recipient.child_id,
        "child_name": recipient.child_name if recipient.child_id else "",
        "child_room": recipient.child_room,
        "siblings": recipient.siblings,
        "token": new_token(),
        "reason": recipient.reason,
        "list": recipient.list_id,
        "name": recipient.name,
        "kana": recipient.kana,
        "language": recipient.language,
        "sender_name": recipient.signed or notice.signed,
        "class_teacher": recipient.class_teacher_id,
        "values": recipient.values,
    }


def _membership_rows(recipients: Collection[Recipient], ids: dict[tuple[int, int], int]) -> Iterator[dict[str, object]]:
    """Yield the memberships that each delivery answers for; a recipient without one gets a row with the household."""
    delivery_ids = {number: ids[recipient.key] for recipient in recipients for number in recipient.covers}
    membership_ids = list(delivery_ids)
    for first in range(0, len(membership_ids), 500):
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
            .where(Membership.id.in_(membership_ids[first : first + 500]))
            .dicts()
        )
        for row in rows:
            known = {name: value for name, value in row.items() if value is not None}
            yield {"delivery": delivery_ids[row["membership"]], **known}
    for recipient in recipients:
        if not recipient.covers:
            yield {"delivery": ids[recipient.key], "household": recipient.household}
