"""What may be looked up of notices, with what stands beside each in a list (T-04, T-40, T-41)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from peewee import JOIN, ModelSelect, fn

from core import visibility
from core.notices import merge_fields
from core.permissions import Permissions, notice_ids_for_lists
from core.reports import poll_results
from models import AuditLog, Delivery, DeliveryMembership, Group, Letter, MailingList, Notice, Target, User, Wording

WAITING_STATES = ("held", "scheduled")
SENT_STATES = ("sending", "paused", "sent", "stopped", "withdrawn", "standing")


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """One notice as a line of a list. `retrying`: letters to be tried again, once nothing else is open.

    `answered`: how many have answered; None if nothing was asked.
    """

    notice: Notice
    subject: str
    lists: str
    retrying: int = 0
    answered: int | None = None


def visible_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Return the notices that a user may see: the own ones, those of the lists in view, and what went to 全校."""
    own = Notice.by == rights.user_id
    lists = rights.lists("view").select(MailingList.id).order_by()
    if rights.is_admin:
        others = MailingList.select(MailingList.id).where(
            MailingList.practice_of.is_null(False), MailingList.practice_of != rights.user_id
        )
        hidden = notice_ids_for_lists(others)
        return Notice.select().where(own | Notice.id.not_in(hidden))
    found = own | Notice.id.in_(notice_ids_for_lists(lists))
    if rights.lists("view").where(MailingList.practice_of.is_null()).exists():
        whole = MailingList.select(MailingList.id).where(MailingList.whole == True)  # noqa: E712
        found |= Notice.started_at.is_null(False) & Notice.id.in_(notice_ids_for_lists(whole))
    return Notice.select().where(found)


def editable_drafts(rights: Permissions) -> "ModelSelect[Notice]":
    """Return the drafts a user may write on, the one touched last first; who may only look sees none."""
    found = visible_notices(rights).where(Notice.state == "draft")
    if not rights.is_admin:
        mine = rights.lists("send").select(MailingList.id).order_by()
        others = notice_ids_for_lists(MailingList.select(MailingList.id).where(MailingList.id.not_in(mine)))
        shared = Notice.id.in_(notice_ids_for_lists(mine)) & Notice.id.not_in(others)
        found = found.where((Notice.by == rights.user_id) | shared)
    return found.order_by(Notice.updated_at.desc(), Notice.id.desc())


def nonempty_drafts(rights: Permissions) -> "ModelSelect[Notice]":
    """Return the drafts in which something is written; a page opened and left again is no work that waits."""
    written = Wording.select(Wording.notice).where((Wording.subject != "") | (Wording.text != ""))
    return editable_drafts(rights).where(Notice.id.in_(written))


def scheduled_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Return what waits to go out, the next first; what asks to be decided before all (T-04, D-42)."""
    return visible_notices(rights).where(Notice.state.in_(WAITING_STATES)).order_by(Notice.send_at, Notice.id)


def notices_in_review(rights: Permissions) -> "ModelSelect[Notice]":
    """Return what waits for a second person, the oldest first: of those the user may send, and the own ones."""
    found = visible_notices(rights).where(Notice.state == "asked").order_by(Notice.asked_at, Notice.id)
    mine = [one.id for one in found if rights.may_notice("send", one)]
    return found.where(Notice.id.in_(mine))


def sent_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Return what was sent or is being sent, newest first (T-40)."""
    return (
        visible_notices(rights)
        .where(Notice.state.in_(SENT_STATES))
        .order_by(fn.COALESCE(Notice.started_at, Notice.confirmed_at).desc(), Notice.id.desc())
    )


def sending_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Return what is being sent now, or stands still for our own reasons."""
    return sent_notices(rights).where(Notice.state.in_(("sending", "paused")))


def finished_notices(rights: Permissions) -> "ModelSelect[Notice]":
    """Return what organizers sent, newest first; not what follows joining by itself."""
    return sent_notices(rights).where(Notice.state.in_(("sent", "stopped", "withdrawn")), Notice.kind != "step")


def search_notices(rights: Permissions, text: str = "", list_id: int | None = None) -> "ModelSelect[Notice]":
    """Return the history that holds a piece of text in subject or text, or went to a list."""
    query = sent_notices(rights)
    if text:
        found = Wording.select(Wording.notice).where(Wording.subject.contains(text) | Wording.text.contains(text))
        query = query.where(Notice.id.in_(found))
    if list_id:
        query = query.where(Notice.id.in_(notice_ids_for_lists([list_id])))
    return query


def notice_rows(notices: Iterable[Notice]) -> list[NoticeRow]:
    """Return notices as lines of a list; a few queries, however many there are."""
    found = list(notices)
    numbers = [one.id for one in found]
    subjects, lists = _subjects(numbers), _list_names(numbers)
    retrying = _count_retrying([one.id for one in found if one.state == "sending"])
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
    """Return what was done to a notice, by whom and when, oldest first."""
    return list(
        AuditLog.select(AuditLog, User)
        .join(User, JOIN.LEFT_OUTER)
        .where(AuditLog.kind == "notice", AuditLog.number == notice.id)
        .order_by(AuditLog.at, AuditLog.id)
    )


def corrections_of(notice: Notice) -> list[Notice]:
    """Return the corrections that were made of a notice and are no drafts any more."""
    return list(
        Notice.select().where(Notice.correction_of == notice, Notice.state.in_(SENT_STATES)).order_by(Notice.id)
    )


def deliveries_of_notice(notice: Notice, lists: Collection[int] | None = None) -> "ModelSelect[Delivery]":
    """Return everybody the notice was meant for, by kana; not those who had left a list long before."""
    found = Delivery.select().where(Delivery.notice == notice, Delivery.reason != "left")
    if lists is not None:
        found = found.where(Delivery.id.in_(visibility.visible_deliveries(lists)))
    return found.order_by(Delivery.kana, Delivery.id)


def sender_name_counts(notice: Notice, lists: Collection[int] | None = None) -> list[tuple[str, int]]:
    """Return in whose names letters went out, and how many in each: the persons in charge, then the rest."""
    readers = deliveries_of_notice(notice, lists).where(Delivery.reason == "").order_by()
    names = readers.select(Delivery.sender_name, Delivery.in_charge.is_null(), fn.COUNT(Delivery.id))
    rows = names.group_by(Delivery.sender_name, Delivery.in_charge.is_null()).tuples()
    return [(name, count) for name, _, count in sorted(rows, key=lambda one: (one[1], -one[2], one[0]))]


def current_letters(deliveries: Iterable[int]) -> dict[int, Letter]:
    """Return the newest letter of each delivery that has one."""
    newest = Letter.is_current == True  # noqa: E712
    return {one.delivery_id: one for one in Letter.select().where(Letter.delivery.in_(list(deliveries)), newest)}


def children_by_delivery(deliveries: Iterable[int], lists: Collection[int] | None = None) -> dict[int, str]:
    """Return the children of each reader with their class, as they were: 「5年1組 藤井 澪」 in short."""
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
    """Return how many letters wait for another try, of notices of which nothing else is open any more."""
    if not numbers:
        return {}
    fresh = fn.SUM(Letter.state.in_(("waiting", "sending")).cast("integer"))
    later = fn.SUM((Letter.state == "deferred").cast("integer"))
    rows = (
        Letter.select(Letter.notice, fresh, later)
        .where(Letter.notice.in_(numbers), Letter.is_current == True, Letter.delivery.is_null(False))  # noqa: E712
        .group_by(Letter.notice)
        .tuples()
    )
    return {notice: deferred for notice, open_lists, deferred in rows if not open_lists}


def _subjects(numbers: list[int]) -> dict[int, str]:
    query = (
        Wording.select(Wording.notice, Wording.subject).where(Wording.notice.in_(numbers)).order_by(Wording.id.desc())
    )
    return dict(query.tuples())


def _list_names(numbers: list[int]) -> dict[int, list[str]]:
    """Return the names of the lists and groups of each notice."""
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
