"""A reader reports that a letter was meant for another family (decision 2)."""

from collections.abc import Collection
from datetime import datetime

import i18n
from core import audit, rate_limits
from core.accounts import who_can
from core.members.unsubscribe import membership_states, unreachable_children
from core.notices import merge_fields
from core.notifications.notify import notify_users
from core.permissions import permissions_of
from core.settings import load_settings
from core.visibility import may_see_delivery
from database import db
from i18n import N_
from models import Child, Delivery, MailingList, Membership, MembershipState, Notice, User

DAY_S = 86400


def report_misdirected(delivery: Delivery, now: datetime) -> None:
    """Stop all mail to this address at once and tell the managers: the letter was meant for another family."""
    with db.atomic():
        stopped = _unsubscribe_everywhere(delivery, now)
        first = Delivery.update(misdirected_at=now).where(Delivery.id == delivery.id, Delivery.misdirected_at.is_null())
        if first.execute():
            audit.log_action(None, "delivery.strange", delivery.id, detail={"notice": delivery.notice_id})
            Notice.update(serial=Notice.serial + 1).where(Notice.id == delivery.notice_id).execute()
            if delivery.person_id:
                _alert_managers(
                    delivery,
                    stopped or list(membership_states(delivery)),
                    _unreachable_children_of_reader(delivery),
                    now,
                )


def _unsubscribe_everywhere(delivery: Delivery, now: datetime) -> list[int]:
    """Stop all mail to the person behind the letter, of lists that it does not cover too; return the lists."""
    mine = (Membership.person == delivery.person_id) & (Membership.state == MembershipState.ACTIVE)
    lists = [number for (number,) in Membership.select(Membership.list).where(mine).distinct().tuples()]
    Membership.update(state=MembershipState.STOPPED, stopped_by="reader", stopped_at=now).where(mine).execute()
    if lists:
        audit.log_action(None, "member.stopped", delivery.person_id, detail={"lists": lists, "delivery": delivery.id})
    return lists


def _unreachable_children_of_reader(delivery: Delivery) -> set[int]:
    rows = Membership.select(Membership.child).where(
        Membership.person == delivery.person_id, Membership.child.is_null(False), Membership.is_member
    )
    return unreachable_children({child for (child,) in rows.tuples()})


def _alert_managers(delivery: Delivery, lists: Collection[int], alone: Collection[int], now: datetime) -> None:
    """Tell the managers of these lists that a letter reached another family, at most once a day for each person.

    `alone`: children whom no letter reaches any more.
    """
    if rate_limits.record_hit(f"strange:{delivery.person_id}", now, DAY_S) > 1:
        return
    children = [child.name for child in Child.select().where(Child.id.in_(list(alone))).order_by(Child.id)]
    notify_users(
        "strange",
        _alert_recipients(delivery, lists),
        now,
        reader=delivery.name,
        notice=merge_fields.display_subject(delivery.notice),
        alone=lambda language: _unreached_children_line(language, children),
        url=f"{load_settings().base_url}/members/{delivery.person_id}",
    )


def _alert_recipients(delivery: Delivery, lists: Collection[int]) -> list[User]:
    """Return the managers of the lists and the writer of the notice, each once; administrators where there is none."""
    users: dict[int, User] = {}
    for row in MailingList.select().where(MailingList.id.in_(list(lists))):
        users.update((user.id, user) for user in who_can.managers_of(row) or who_can.administrators())
    writer = delivery.notice.by
    if writer and may_see_delivery(permissions_of(writer), delivery):
        users[writer.id] = writer
    return list(users.values())


def _unreached_children_line(language: str, children: list[str]) -> str:
    if not children:
        return ""
    named = i18n.say(language, N_(", ")).join(children)
    return "\n" + i18n.say(language, N_("Nobody else gets mail for %(children)s."), children=named)
