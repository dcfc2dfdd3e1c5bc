"""A notice beside what was sent before: who is new, who is gone, whether it is unusually large or went out already."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import fn

import words
from core.writing.audience import Audience
from core.writing.other_notices import latest_to_same_list
from core.writing.warnings_text import Warning
from models import Delivery, Notice, Sums, Target, Wording
from words import N_

LOOKED_AT = 20
UNUSUAL = 50
SAME_WITHIN = timedelta(days=7)
NAMED = 5


@dataclass(frozen=True, slots=True)
class Before:
    """The last notice to the same list: when, how many people; who is new and who is gone since, the first names."""

    at: datetime
    count: int
    new: tuple[str, ...]
    gone: tuple[str, ...]
    more: int


def with_the_last(notice: Notice, audience: Audience) -> Before | None:
    """Compare with the last notice to the same list, if this one goes to a single list (X-04, X-06)."""
    last = latest_to_same_list(notice) if len(audience.lists) == 1 and not audience.groups else None
    if last is None or last.started_at is None or last.forgotten_at:  # who got it nobody knows any more
        return None
    got = {person: name for person, name in _receivers(last)}
    now = {one.person_id: one.name for one in audience.receiving}
    new = [name for person, name in now.items() if person not in got]
    gone = [name for person, name in got.items() if person not in now]
    return Before(last.started_at, len(got), tuple(new[:NAMED]), tuple(gone[:NAMED]), len(now) - len(got))


def _receivers(notice: Notice) -> Iterator[tuple[int, str]]:
    rows = Delivery.select(Delivery.person, Delivery.name).where(
        Delivery.notice == notice, Delivery.reason == "", Delivery.person.is_null(False)
    )
    return iter(rows.order_by(Delivery.kana, Delivery.id).tuples())


def of_size(notice: Notice, audience: Audience) -> Iterator[Warning]:
    """Say that this one reaches far more people than anything its writer has sent (X-06, field 5.3 no. 2)."""
    most = _most_until_now(notice)
    if most and audience.letters >= UNUSUAL and audience.letters >= 2 * most:
        sentence = N_("Your notices have reached %(most)s people at most until now; this one goes to %(n)s.")
        yield Warning("size", sentence, {"most": most, "n": audience.letters})


def _most_until_now(notice: Notice) -> int:
    """Return how many letters the largest of the writer's last notices had; 0 if there is none."""
    mine = (
        Notice.select(Notice.id)
        .where(Notice.by == notice.by_id, Notice.started_at.is_null(False), Notice.id != notice.id)
        .order_by(Notice.started_at.desc())
        .limit(LOOKED_AT)
    )
    counts = (
        Delivery.select(fn.COUNT(Delivery.id).alias("n"))
        .where(Delivery.notice.in_(mine), Delivery.reason == "")
        .group_by(Delivery.notice)
    )
    deleted = Sums.select(fn.MAX(Sums.sent)).where(Sums.notice.in_(mine), Sums.kept.is_null(False)).scalar() or 0
    return max((*(row.n for row in counts), deleted))


def of_the_same_again(notice: Notice, audience: Audience, now: datetime, language: str) -> Iterator[Warning]:
    """Say that the same words went to one of these lists within a week (field 5.3 no. 3: double sending)."""
    wording = notice.wording
    found = (
        Notice.select(Notice)
        .join(Wording)
        .switch(Notice)
        .join(Target)
        .where(
            Notice.id != notice.id, Notice.confirmed_at > now - SAME_WITHIN,
            Notice.state.not_in(("draft", "dropped", "withdrawn")),
            Wording.subject == wording.subject, Wording.text == wording.text,
            Target.kind == "list", Target.include == True, Target.number.in_([one.id for one in audience.lists]),
        )
        .order_by(Notice.confirmed_at.desc())
        .first()
    )  # fmt: skip
    if found:
        sentence = N_("The same words were sent to this list before (%(at)s). Is it meant to go out twice?")
        yield Warning("again", sentence, {"at": words.when(language, found.confirmed_at)})
