"""A notice beside what was sent before: who is new, who is gone, whether it is unusually large or went out already."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import fn

import i18n
from core.notices.audience import Audience
from core.notices.content_checks import SendWarning
from core.notices.related_notices import latest_to_same_list
from i18n import N_
from models import Delivery, Notice, NoticeStats, Target, Wording

NOTICES_COMPARED = 20
UNUSUAL_LETTERS = 50
DUPLICATE_WINDOW = timedelta(days=7)
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class PreviousSend:
    """The last notice to the same list: when, how many people; who is new and who is gone since, the first names."""

    at: datetime
    count: int
    new: tuple[str, ...]
    gone: tuple[str, ...]
    more: int


def compare_with_previous(notice: Notice, audience: Audience) -> PreviousSend | None:
    """Compare with the last notice to the same list, if this one goes to a single list (X-04, X-06)."""
    last = latest_to_same_list(notice) if len(audience.lists) == 1 and not audience.groups else None
    if last is None or last.started_at is None or last.purged_at:  # who got it nobody knows any more
        return None
    got = {person: name for person, name in _receivers(last)}
    now = {one.person_id: one.name for one in audience.receiving}
    new = [name for person, name in now.items() if person not in got]
    gone = [name for person, name in got.items() if person not in now]
    return PreviousSend(
        last.started_at, len(got), tuple(new[:NAMES_SHOWN]), tuple(gone[:NAMES_SHOWN]), len(now) - len(got)
    )


def _receivers(notice: Notice) -> Iterator[tuple[int, str]]:
    rows = Delivery.select(Delivery.person, Delivery.name).where(
        Delivery.notice == notice, Delivery.reason == "", Delivery.person.is_null(False)
    )
    return iter(rows.order_by(Delivery.kana, Delivery.id).tuples())


def check_size(notice: Notice, audience: Audience) -> Iterator[SendWarning]:
    """Say that this one reaches far more people than anything its writer has sent (X-06, field 5.3 no. 2)."""
    most = _largest_send(notice)
    if most and audience.letters >= UNUSUAL_LETTERS and audience.letters >= 2 * most:
        sentence = N_("Your notices have reached %(most)s people at most until now; this one goes to %(n)s.")
        yield SendWarning("size", sentence, {"most": most, "n": audience.letters})


def _largest_send(notice: Notice) -> int:
    """Return how many letters the largest of the writer's last notices had; 0 if there is none."""
    mine = (
        Notice.select(Notice.id)
        .where(Notice.by == notice.by_id, Notice.started_at.is_null(False), Notice.id != notice.id)
        .order_by(Notice.started_at.desc())
        .limit(NOTICES_COMPARED)
    )
    counts = (
        Delivery.select(fn.COUNT(Delivery.id).alias("n"))
        .where(Delivery.notice.in_(mine), Delivery.reason == "")
        .group_by(Delivery.notice)
    )
    deleted = (
        NoticeStats.select(fn.MAX(NoticeStats.sent))
        .where(NoticeStats.notice.in_(mine), NoticeStats.kept.is_null(False))
        .scalar()
        or 0
    )
    return max((*(row.n for row in counts), deleted))


def check_duplicate(notice: Notice, audience: Audience, now: datetime, language: str) -> Iterator[SendWarning]:
    """Say that the same words went to one of these lists within a week (field 5.3 no. 3: double sending)."""
    wording = notice.wording
    found = (
        Notice.select(Notice)
        .join(Wording)
        .switch(Notice)
        .join(Target)
        .where(
            Notice.id != notice.id,
            Notice.confirmed_at > now - DUPLICATE_WINDOW,
            Notice.state.not_in(("draft", "dropped", "withdrawn")),
            Wording.subject == wording.subject,
            Wording.text == wording.text,
            Target.kind == "list",
            Target.include == True,
            Target.number.in_([one.id for one in audience.lists]),
        )
        .order_by(Notice.confirmed_at.desc())
        .first()
    )
    if found:
        sentence = N_("The same words were sent to this list before (%(at)s). Is it meant to go out twice?")
        yield SendWarning("again", sentence, {"at": i18n.format_datetime(language, found.confirmed_at)})
