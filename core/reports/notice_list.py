"""Queries for lists of notices: drafts, scheduled, in review, sent, searched (T-04, T-40, T-41)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import JOIN, ModelSelect, fn

from core import visibility
from core.notices import merge_fields
from core.permissions import Permissions, notice_ids_for_lists
from core.reports import poll_results
from models import (
    STARTED_STATES,
    AuditLog,
    Delivery,
    DeliveryMembership,
    Group,
    Letter,
    LetterState,
    MailingList,
    Notice,
    NoticeReview,
    NoticeState,
    Person,
    Target,
    User,
    Wording,
)

WAITING_STATES = (NoticeState.HELD, NoticeState.SCHEDULED)
SENT_STATES = (*STARTED_STATES, NoticeState.WITHDRAWN, NoticeState.STANDING)


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """One notice in a list. `retrying`: letters to be tried again when all others are done.

    `answered`: number of answers; None without questions.
    """

    notice: Notice
    subject: str
    lists: str
    retrying: int = 0
    answered: int | None = None


def visible_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Select the user's own notices, those of visible lists, and those to the whole school.

    Drip messages are for managers of their list.
    """
    own = Notice.by == rights.user_id
    lists = rights.lists("view").select(MailingList.id).order_by()
    if rights.is_admin:
        others = MailingList.select(MailingList.id).where(
            MailingList.practice_of.is_null(False), MailingList.practice_of != rights.user_id
        )
        hidden = notice_ids_for_lists(others)
        return Notice.select().where(own | Notice.id.not_in(hidden))
    found = own | Notice.id.in_(notice_ids_for_lists(lists))
    managed = rights.lists("manage").select(MailingList.id).order_by()
    allowed = (Notice.kind != "step") | Notice.id.in_(notice_ids_for_lists(managed))
    if rights.lists("view").where(MailingList.practice_of.is_null()).exists():
        whole = MailingList.select(MailingList.id).where(MailingList.whole == True)  # noqa: E712
        found |= Notice.started_at.is_null(False) & Notice.id.in_(notice_ids_for_lists(whole))
    return Notice.select().where(found, allowed)


def editable_drafts(rights: Permissions) -> "ModelSelect[Notice]":
    """Select drafts that the user may edit, last changed first; viewers see none."""
    found = visible_notices(rights).where(Notice.state == NoticeState.DRAFT)
    if not rights.is_admin:
        mine = rights.lists("send").select(MailingList.id).order_by()
        others = notice_ids_for_lists(MailingList.select(MailingList.id).where(MailingList.id.not_in(mine)))
        shared = Notice.id.in_(notice_ids_for_lists(mine)) & Notice.id.not_in(others)
        found = found.where((Notice.by == rights.user_id) | shared)
    return found.order_by(Notice.updated_at.desc(), Notice.id.desc())


def nonempty_drafts(rights: Permissions) -> "ModelSelect[Notice]":
    """Select drafts with content; an opened but empty page is no open task."""
    written = Wording.select(Wording.notice).where((Wording.subject != "") | (Wording.text != ""))
    return editable_drafts(rights).where(Notice.id.in_(written))


def scheduled_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Select held and scheduled notices: those awaiting a decision first, then by time (T-04, D-42)."""
    return visible_notices(rights).where(Notice.state.in_(WAITING_STATES)).order_by(Notice.send_at, Notice.id)


def notices_in_review(rights: Permissions) -> "ModelSelect[Notice]":
    """Select notices that wait for a review, oldest first."""
    requested_at = NoticeReview.select(NoticeReview.requested_at).where(NoticeReview.notice == Notice.id)
    found = visible_notices(rights).where(Notice.state == NoticeState.ASKED).order_by(requested_at, Notice.id)
    mine = [one.id for one in found if rights.may_notice("send", one)]
    return found.where(Notice.id.in_(mine))


def sent_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Select sent notices and those in sending, newest first (T-40)."""
    return (
        visible_notices(rights)
        .where(Notice.state.in_(SENT_STATES))
        .order_by(fn.COALESCE(Notice.started_at, Notice.confirmed_at).desc(), Notice.id.desc())
    )


def sending_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Select notices in sending or paused."""
    return sent_notices(rights).where(Notice.state.in_((NoticeState.SENDING, NoticeState.PAUSED)))


def finished_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Select sent notices, newest first, without drip messages."""
    return sent_notices(rights).where(
        Notice.state.in_((NoticeState.SENT, NoticeState.STOPPED, NoticeState.WITHDRAWN)), Notice.kind != "step"
    )


def search_notices(rights: Permissions, text: str = "", list_id: int | None = None) -> "ModelSelect[Notice]":
    """Select the history with this text in subject, text or list name."""
    query = sent_notices(rights)
    if text:
        found = Wording.select(Wording.notice).where(Wording.subject.contains(text) | Wording.text.contains(text))
        query = query.where(Notice.id.in_(found))
    if list_id:
        query = query.where(Notice.id.in_(notice_ids_for_lists([list_id])))
    return query


def notice_rows(notices: Iterable[Notice]) -> list[NoticeRow]:
    """Return notices as list rows, in a fixed number of queries."""
    found = list(notices)
    numbers = [one.id for one in found]
    subjects, lists = _subjects(numbers), _list_names(numbers)
    retrying = _count_retrying([one.id for one in found if one.state == NoticeState.SENDING])
    answered = poll_results.answered_counts(numbers) if numbers else {}
    return [
        NoticeRow(
            one,
            merge_fields.display_subject(one, subjects.get(one.id, "")),
            "、".join(lists.get(one.id, ())),
            retrying.get(one.id, 0),
            answered.get(one.id),
        )
        for one in found
    ]


def audit_entries(notice: Notice) -> list[AuditLog]:
    """Return the audit entries of a notice, oldest first."""
    return list(
        AuditLog.select(AuditLog, User)
        .join(User, JOIN.LEFT_OUTER)
        .where(AuditLog.kind == "notice", AuditLog.number == notice.id)
        .order_by(AuditLog.at, AuditLog.id)
    )


def corrections_of(notice: Notice) -> list[Notice]:
    """Return the sent corrections of a notice."""
    return list(
        Notice.select().where(Notice.correction_of == notice, Notice.state.in_(SENT_STATES)).order_by(Notice.id)
    )


def deliveries_of_notice(notice: Notice, lists: Collection[int] | None = None) -> "ModelSelect[Delivery]":
    """Return all intended readers by kana, without those who had left before."""
    found = Delivery.select().where(Delivery.notice == notice, Delivery.reason != "left")
    if lists is not None:
        found = found.where(Delivery.id.in_(visibility.visible_deliveries(lists)))
    return found.order_by(Delivery.kana, Delivery.id)


def sender_name_counts(notice: Notice, lists: Collection[int] | None = None) -> list[tuple[str, int]]:
    """Return sender names with their number of letters: class teachers first."""
    readers: ModelSelect[Any] = deliveries_of_notice(notice, lists).where(Delivery.reason == "").order_by()
    names = readers.select(Delivery.sender_name, Delivery.class_teacher.is_null(), fn.COUNT(Delivery.id))
    rows = names.group_by(Delivery.sender_name, Delivery.class_teacher.is_null()).tuples()
    ordered = sorted(rows, key=lambda row: (row[1], -row[2], row[0]))
    return [(name, count) for name, _, count in ordered]


def current_letters(deliveries: Iterable[int]) -> dict[int, Letter]:
    newest = Letter.is_current == True  # noqa: E712
    return {
        one.delivery_id: one
        for one in Letter.select().where(Letter.delivery.in_(list(deliveries)), newest)
        if one.delivery_id
    }


def children_by_delivery(deliveries: Iterable[int], lists: Collection[int] | None = None) -> dict[int, str]:
    """Return the children of each delivery with their class then: 「5年1組 藤井 澪」."""
    seen = [] if lists is None else [visibility.visible_with_child(lists)]
    rows = (
        DeliveryMembership.select(
            DeliveryMembership.delivery,
            DeliveryMembership.grade,
            DeliveryMembership.class_name,
            DeliveryMembership.child_name,
        )
        .where(DeliveryMembership.delivery.in_(list(deliveries)), DeliveryMembership.child_name != "", *seen)
        .order_by(DeliveryMembership.id)
        .tuples()
    )
    names: dict[int, dict[str, None]] = {}
    for delivery, grade, class_name, child in rows:
        room = "-".join(part for part in (grade, class_name) if part)
        names.setdefault(delivery, {})[f"{room} {child}".strip()] = None
    return {delivery: "、".join(children) for delivery, children in names.items()}


def _count_retrying(numbers: list[int]) -> dict[int, int]:
    """Count deferred letters of notices that are sent but for these."""
    if not numbers:
        return {}
    fresh = fn.SUM(Letter.state.in_((LetterState.WAITING, LetterState.SENDING)).cast("integer"))
    later = fn.SUM((Letter.state == LetterState.DEFERRED).cast("integer"))
    sent = fn.SUM((Letter.state == LetterState.ACCEPTED).cast("integer"))
    rows = (
        Letter.select(Letter.notice, fresh, later, sent)
        .where(Letter.notice.in_(numbers), Letter.is_current == True, Letter.delivery.is_null(False))  # noqa: E712
        .group_by(Letter.notice)
        .tuples()
    )
    return {notice: deferred for notice, pending, deferred, accepted in rows if accepted and not pending}


def _subjects(numbers: list[int]) -> dict[int, str]:
    query = (
        Wording.select(Wording.notice, Wording.subject).where(Wording.notice.in_(numbers)).order_by(Wording.id.desc())
    )
    return dict(query.tuples())


def _list_names(numbers: list[int]) -> dict[int, list[str]]:
    """Return the names of lists and groups by notice."""
    query = (
        Target.select(Target.notice, fn.COALESCE(MailingList.name, Group.name))
        .join(MailingList, JOIN.LEFT_OUTER, on=(Target.kind == "list") & (Target.number == MailingList.id))
        .switch(Target)
        .join(Group, JOIN.LEFT_OUTER, on=(Target.kind == "group") & (Target.number == Group.id))
        .where(Target.notice.in_(numbers), Target.kind.in_(("list", "group")), Target.include == True)
        .order_by(Target.id)
        .tuples()
    )
    names: dict[int, list[str]] = {}
    for notice, name in query:
        if name:
            names.setdefault(notice, []).append(name)
    return names


# ── what one person was sent ──


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A notice and its letter to one person."""

    at: datetime
    notice: Notice
    subject: str
    delivery: Delivery
    letter: Letter | None


def deliveries_to(person: Person, rights: Permissions) -> "ModelSelect[Delivery]":
    """Select the deliveries to a person, sent or not, of the notices that this user may see, newest first."""
    visible = visible_notices(rights).select(Notice.id)
    mine = (Delivery.person == person) & Delivery.notice.in_(visible)
    return Delivery.select(Delivery, Notice).join(Notice).where(mine).order_by(Delivery.id.desc())


def delivery_views(found: list[Delivery]) -> list[DeliveryView]:
    """Return deliveries with their subjects, in two queries."""
    newest = {
        one.delivery_id: one for one in Letter.select().where(Letter.delivery.in_(found), Letter.is_current == True)
    }
    notices = {one.notice_id for one in found}
    subjects: dict[int, str] = {}
    for wording in Wording.select().where(Wording.notice.in_(notices)).order_by(Wording.id.desc()):
        subjects[wording.notice_id] = wording.subject
    made = []
    for one in found:
        letter = newest.get(one.id)
        at = (letter.done_at or letter.made_at) if letter else (one.notice.started_at or one.notice.created_at)
        made.append(
            DeliveryView(
                at, one.notice, merge_fields.display_subject(one.notice, subjects.get(one.notice_id, "")), one, letter
            )
        )
    return made


def service_letters(person: Person, limit: int = 10) -> list[Letter]:
    """Return the latest letters of Kairan itself (tests, links) to a person, newest first."""
    return list(
        Letter.select()
        .where(Letter.person == person, Letter.delivery.is_null())
        .order_by(Letter.id.desc())
        .limit(limit)
    )
