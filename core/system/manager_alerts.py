"""What managers learn by mail at once, because it cannot wait until they look at a page (decision 2)."""

from collections.abc import Collection
from datetime import datetime

import i18n
from core import rate_limits
from core.accounts import who_can
from core.notices import merge_fields
from core.notifications.notify import notify_users
from core.settings import load_settings
from i18n import N_
from models import Child, Delivery, MailingList, User

DAY_S = 86400


def alert_misdirected(delivery: Delivery, lists: Collection[int], alone: Collection[int], now: datetime) -> None:
    """Tell who manages these lists that a letter reached another family; `alone`: children whom nobody is left to hear.

    Once a day for each person, however often the button is pressed.
    """
    if rate_limits.record_hit(f"strange:{delivery.person_id}", now, DAY_S) > 1:
        return
    children = [one.name for one in Child.select().where(Child.id.in_(list(alone))).order_by(Child.id)]
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
    found: dict[int, User] = {}
    for one in MailingList.select().where(MailingList.id.in_(list(lists))):
        found.update((user.id, user) for user in who_can.managers_of(one) or who_can.administrators())
    writer = delivery.notice.by
    if writer and writer.is_active:
        found[writer.id] = writer
    return list(found.values())


def _unreached_children_line(language: str, children: list[str]) -> str:
    if not children:
        return ""
    named = i18n.say(language, N_(", ")).join(children)
    return "\n" + i18n.say(language, N_("Nobody else gets mail for %(children)s."), children=named)
