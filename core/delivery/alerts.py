"""Faults that are ours: servers that do not trust our mail, and carriers that refuse too many letters at once.

Nobody is excluded because of them (decision 3). The administrators get a letter, the first page a banner, and what
waits for a carrier can be tried again with one press (field 3.4).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import fn

from core import audit, rate_limits
from core.accounts import who_can
from core.delivery import throttle
from core.notifications.notify import notify_users
from core.settings import load_settings
from database import db
from models import Bounce, Letter, LetterState, Notice, ThrottleBucket, User

ALERT_VISIBLE_FOR = timedelta(days=1)
ALERT_INTERVAL_S = 86400
CARRIER_BLOCK = "carrier"
"""Why a road is paused when its carrier refuses too much."""


@dataclass(frozen=True, slots=True)
class PolicyRejection:
    """A domain whose server does not want mail from us: how many letters lately, the latest words."""

    domain: str
    letters: int
    said: str


@dataclass(frozen=True, slots=True)
class BlockedCarrier:
    """A carrier that refused too much: until when nothing goes there, and how many letters wait."""

    domain: str
    until: datetime
    letters: int


# ── servers that do not trust us ─────────────────────────────────────────────────────────────────────────────────


def policy_rejections(now: datetime) -> list[PolicyRejection]:
    """Return the domains that refused us by a rule of theirs within a day, most letters first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for number, domain, said in (*_policy_refusals(now), *_policy_bounces(now)):
        found.setdefault(domain, []).append((number, said))
    made = (PolicyRejection(domain, len(set(rows)), max(rows)[1]) for domain, rows in found.items())
    return sorted(made, key=lambda one: (-one.letters, one.domain))


def _policy_refusals(now: datetime) -> Iterator[tuple[int, str, str]]:
    rows = Letter.select(Letter.id, Letter.domain, Letter.text).where(
        Letter.state.in_((LetterState.REFUSED, LetterState.BOUNCED)),
        Letter.reason == "policy",
        Letter.done_at > now - ALERT_VISIBLE_FOR,
    )
    yield from rows.limit(1000).tuples()


def _policy_bounces(now: datetime) -> Iterator[tuple[int, str, str]]:
    rows = Bounce.select(Letter.id, Letter.domain, Letter.text).join(Letter)
    yield from rows.where(Bounce.kind == "policy", Bounce.at > now - ALERT_VISIBLE_FOR).limit(1000).tuples()


def notify_policy_rejection(letter: Letter, now: datetime) -> None:
    """Write to the administrators that a server distrusts us, once a day for each domain."""
    if rate_limits.record_hit(f"distrust:{letter.domain}", now, ALERT_INTERVAL_S) > 1:
        return
    said = Letter.select(Letter.text).where(Letter.id == letter.id).scalar() or ""
    url = f"{load_settings().base_url}/admin/health"
    notify_users("distrust", who_can.administrators(), now, domain=letter.domain, said=said[:300], url=url)


# ── carriers that refuse too much ────────────────────────────────────────────────────────────────────────────────


def blocked_carriers(now: datetime, notice: Notice | None = None) -> list[BlockedCarrier]:
    """Return the carriers that are paused, with the letters that wait for them (of one notice, or all)."""
    rows = (
        ThrottleBucket.select()
        .where(ThrottleBucket.why == CARRIER_BLOCK, ThrottleBucket.paused_until > now)
        .order_by(ThrottleBucket.name)
    )
    waiting = (Letter.state.in_((LetterState.WAITING, LetterState.DEFERRED))) & Letter.is_current
    if notice is not None:
        waiting &= Letter.notice == notice
    counts = dict(
        Letter.select(Letter.domain, fn.COUNT(Letter.id))
        .where(waiting, Letter.domain.in_([row.name for row in rows]))
        .group_by(Letter.domain)
        .tuples()
    )
    found = [BlockedCarrier(row.name, row.paused_until, counts.get(row.name, 0)) for row in rows]
    return [one for one in found if one.letters or notice is None]


def resume_carrier(domain: str, by: User, now: datetime) -> int:
    """Send to a carrier again at once; return how many letters go. 0 if it is not paused (any more)."""
    if throttle.pause_reason(domain, now) != CARRIER_BLOCK:
        return 0
    with db.atomic():
        throttle.resume_bucket(domain)
        waiting = Letter.state.in_((LetterState.WAITING, LetterState.DEFERRED)) & (Letter.domain == domain)
        going = Letter.update(next_attempt_at=now).where(waiting).execute()
        audit.log_action(by, "carrier.resumed", detail={"letters": going})
    return going


def notify_carrier_blocked(letter: Letter, now: datetime, subject_of: Callable[[Notice], str]) -> None:
    """E-mail the administrators and the sender of the notice that a carrier is paused; once an hour."""
    if rate_limits.record_hit(f"blocked:{letter.domain}", now, 3600) > 1:
        return
    notice = letter.notice
    writer = [notice.by] if notice.by and notice.by.is_active else []
    users = dict.fromkeys((*writer, *who_can.administrators()))
    subject, url = subject_of(notice), f"{load_settings().base_url}/notices/{notice.id}"
    notify_users("blocked", users, now, domain=letter.domain, notice=subject, url=url)
