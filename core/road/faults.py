"""Faults that are ours: servers that do not trust our mail, and carriers that refuse too many letters at once.

Nobody is excluded because of them (decision 3). The administrators get a letter, the first page a banner, and what
waits for a carrier can be tried again with one press (field 3.4).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import fn

from core import history, limits, service
from core.door import senders
from core.organization import settings
from core.road import pacing
from core.writing import fields
from database import db
from models import Bounce, Bucket, Letter, Notice, User

SHOWN_FOR = timedelta(days=1)
AGAIN_S = 86400
CARRIER = "carrier"
"""Why a road is paused when its carrier refuses too much."""


@dataclass(frozen=True, slots=True)
class Distrust:
    """A domain whose server does not want mail from us: how many letters lately, the latest words."""

    domain: str
    letters: int
    said: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """A carrier that refused too much: until when nothing goes there, and how many letters wait."""

    domain: str
    until: datetime
    letters: int


# ── servers that do not trust us ─────────────────────────────────────────────────────────────────────────────────


def distrusted(now: datetime) -> list[Distrust]:
    """Return the domains that refused us by a rule of theirs within a day, most letters first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for number, domain, said in (*_refused(now), *_came_back(now)):
        found.setdefault(domain, []).append((number, said))
    made = (Distrust(domain, len(set(rows)), max(rows)[1]) for domain, rows in found.items())
    return sorted(made, key=lambda one: (-one.letters, one.domain))


def _refused(now: datetime) -> Iterator[tuple[int, str, str]]:
    rows = Letter.select(Letter.id, Letter.domain, Letter.text).where(
        Letter.state.in_(("refused", "bounced")), Letter.reason == "policy", Letter.done_at > now - SHOWN_FOR
    )
    yield from rows.limit(1000).tuples()


def _came_back(now: datetime) -> Iterator[tuple[int, str, str]]:
    rows = Bounce.select(Letter.id, Letter.domain, Letter.text).join(Letter)
    yield from rows.where(Bounce.kind == "policy", Bounce.at > now - SHOWN_FOR).limit(1000).tuples()


def alarm(letter: Letter, now: datetime) -> None:
    """Write to the administrators that a server distrusts us, once a day for each domain."""
    if limits.hit(f"distrust:{letter.domain}", now, AGAIN_S) > 1:
        return
    said = Letter.select(Letter.text).where(Letter.id == letter.id).scalar() or ""
    values = {"domain": letter.domain, "said": said[:300], "url": f"{settings().base_url}/admin/health"}
    _tell("distrust", senders.administrators(), values, now)


# ── carriers that refuse too much ────────────────────────────────────────────────────────────────────────────────


def blocked(now: datetime, notice: Notice | None = None) -> list[Blocked]:
    """Return the carriers that are paused, with the letters that wait for them (of one notice, or all)."""
    rows = Bucket.select().where(Bucket.why == CARRIER, Bucket.paused_until > now).order_by(Bucket.name)
    waiting = (Letter.state.in_(("waiting", "deferred"))) & Letter.newest
    if notice is not None:
        waiting &= Letter.notice == notice
    counts = dict(
        Letter.select(Letter.domain, fn.COUNT(Letter.id))
        .where(waiting, Letter.domain.in_([row.name for row in rows]))
        .group_by(Letter.domain)
        .tuples()
    )
    found = [Blocked(row.name, row.paused_until, counts.get(row.name, 0)) for row in rows]
    return [one for one in found if one.letters or notice is None]


def try_again(domain: str, by: User, now: datetime) -> int:
    """Send to a carrier again at once; return how many letters go. 0 if it is not paused (any more)."""
    if pacing.paused(domain, now) != CARRIER:
        return 0
    with db.atomic():
        pacing.resume(domain)
        waiting = Letter.state.in_(("waiting", "deferred")) & (Letter.domain == domain)
        going = Letter.update(next_at=now).where(waiting).execute()
        history.log(by, "carrier.resumed", detail={"letters": going})
    return going


def tell_blocked(letter: Letter, until: datetime, now: datetime) -> None:
    """Write to the administrators and to who sent the notice that a carrier is paused; once an hour."""
    if limits.hit(f"blocked:{letter.domain}", now, 3600) > 1:
        return
    notice = letter.notice
    writer = [notice.by] if notice.by and notice.by.is_active else []
    users = {user.id: user for user in (*writer, *senders.administrators())}
    values = {
        "domain": letter.domain,
        "notice": fields.subject_of(notice),
        "url": f"{settings().base_url}/notices/{notice.id}",
    }
    _tell("blocked", list(users.values()), values, now)


def _tell(kind: str, users: list[User], values: dict[str, object], now: datetime) -> None:
    for user in users:
        if user.email:
            service.send(
                kind, address=user.email, language=user.language, values={**values, "to_name": user.name}, now=now,
                useful_s=86400,
            )  # fmt: skip
