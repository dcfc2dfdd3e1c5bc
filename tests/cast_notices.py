"""Notices that were sent, written straight into the tables: deliveries, covers and letters without the engine."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from peewee import JOIN

import clock
from core.notices import questions
from core.notices.start import new_token
from database import bulk_insert, db
from models import (
    Child,
    Delivery,
    DeliveryMembership,
    Letter,
    MailingList,
    Membership,
    Notice,
    NoticeTracking,
    Person,
    Target,
    User,
    Wording,
)

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
OTHER_PHONE = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
SCANNER = "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))"
TEXT = "保護者の皆様\n\n10月14日(火)は臨時休校とします。\nくわしくは https://school.example/oshirase?id=7。\n"


ATTENDANCE = ("出席する", "欠席する", "まだ分からない")


@dataclass
class Sent:
    """A sent notice and its deliveries by the name of the person."""

    notice: Notice
    deliveries: dict[str, Delivery] = field(default_factory=dict)


def send(
    lists: list[MailingList],
    *,
    by: User | None = None,
    at: datetime | None = None,
    subject: str = "【緊急】10/14(火)は臨時休校です",
    text: str = TEXT,
    state: str = "sent",
    tracking: dict[str, bool] | None = None,
    **options: object,
) -> Sent:
    """Make a notice as if it had been sent to the lists at a moment (default: ten minutes ago)."""
    at = at or clock.now() - timedelta(minutes=10)
    notice = Notice.create(
        state=state,
        by=by,
        by_name=by.name if by else "",
        created_at=at,
        confirmed_at=at,
        started_at=at,
        finished_at=at + timedelta(minutes=1),
        rounds=1,
        **options,
    )
    Wording.create(notice=notice, language="ja", subject=subject, text=text)
    if tracking:
        NoticeTracking.create(notice=notice, **tracking)
    for one in lists:
        Target.create(notice=notice, kind="list", number=one.id)
    sent = Sent(notice)
    with db.atomic():
        _deliver(sent, lists, at)
    return sent


def _deliver(sent: Sent, lists: list[MailingList], at: datetime) -> None:
    rows = (
        Membership.select(Membership, Person, Child)
        .join(Person)
        .switch(Membership)
        .join(Child, JOIN.LEFT_OUTER)
        .where(Membership.list.in_([one.id for one in lists]), Membership.state.in_(("active", "stopped")))
        .order_by(Membership.list, Membership.id)
    )
    people: dict[int, list[Membership]] = {}
    for row in rows:
        people.setdefault(row.person_id, []).append(row)
    bulk_insert(Delivery, [_delivery(sent.notice, held) for held in people.values()])
    made = {one.person_id: one for one in Delivery.select().where(Delivery.notice == sent.notice)}
    bulk_insert(DeliveryMembership, [_cover(made[row.person_id], row) for held in people.values() for row in held])
    bulk_insert(
        Letter,
        [
            _letter(made[held[0].person_id], held[0].person, at)
            for held in people.values()
            if not made[held[0].person_id].reason
        ],
    )
    sent.deliveries.update((one.name, one) for one in made.values())


def _delivery(notice: Notice, held: list[Membership]) -> dict:
    person = held[0].person
    if all(row.state == "stopped" for row in held):
        reason = "stopped"
    elif not person.address:
        reason = "no_address"
    else:
        reason = "" if person.is_deliverable else person.address_state
    return {
        "notice": notice,
        "person": person,
        "token": new_token(),
        "reason": reason,
        "list": held[0].list_id,
        "name": person.name,
        "kana": person.kana,
        "language": person.language,
    }


def _cover(delivery: Delivery, row: Membership) -> dict:
    child = row.child if row.child_id else None
    return {
        "delivery": delivery,
        "membership": row,
        "list": row.list_id,
        "household": (child.household if child else "") or row.person.household,
        "child_name": child.name if child else "",
        "child_kana": child.kana if child else "",
        "grade": child.grade if child else "",
        "class_name": child.class_name if child else "",
    }


def _letter(delivery: Delivery, person: Person, at: datetime) -> dict:
    return {
        "notice": delivery.notice_id,
        "delivery": delivery,
        "person": person,
        "address": person.address,
        "domain": person.address.rpartition("@")[2],
        "state": "accepted",
        "made_at": at,
        "next_attempt_at": at,
        "done_at": at,
        "expires_at": at + timedelta(hours=6),
    }


def outcome(delivery: Delivery, state: str, reason: str = "", done_at: datetime | None = None) -> None:
    """Give the letter of a delivery another outcome."""
    fields = {"done_at": done_at} if done_at else {}
    Letter.update(state=state, reason=reason, **fields).where(Letter.delivery == delivery).execute()


def fresh(delivery: Delivery) -> Delivery:
    """Return a delivery as the table has it now."""
    return Delivery.get_by_id(delivery.id)


def ask(sent: Sent, *asks: questions.QuestionDraft) -> tuple[questions.StoredQuestion, ...]:
    """Give a sent notice its questions (default: attendance with three choices); return them."""
    with db.atomic():
        questions.save_questions(
            sent.notice, asks or [questions.QuestionDraft("授業参観に出席されますか。", ATTENDANCE)]
        )
    return questions.load_questions(sent.notice)
