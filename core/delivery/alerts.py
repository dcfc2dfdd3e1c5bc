"""Alerts about delivery problems of the sender: servers that reject our mail by policy, and carriers that block us.

Neither excludes an address (decision 3). Administrators get an e-mail, and the home page shows a banner. One button
sends letters to a blocking carrier again (field 3.4).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import fn

from core import audit, rate_limits
from core.accounts import who_can
from core.delivery import throttle
from core.notifications.notify import notify_users
from core.settings import load_settings
from database import db
from models import QUEUED_STATES, Bounce, Letter, LetterState, Notice, ThrottleBucket, User

ALERT_VISIBLE_FOR = timedelta(days=1)
POLICY_EMAIL_INTERVAL_S = 86400
POLICY_AUDIT_INTERVAL_S = 3600
CARRIER_EMAIL_INTERVAL_S = 3600
MAX_LETTERS_READ = 1000
CARRIER_BLOCK = "carrier"
"""Pause reason of a bucket whose carrier refuses too many letters."""


@dataclass(frozen=True, slots=True)
class PolicyRejection:
    """A domain that rejects our mail by policy: the number of recent letters and the latest reply."""

    domain: str
    letters: int
    said: str


@dataclass(frozen=True, slots=True)
class BlockedCarrier:
    """A paused carrier, the end of the pause, and the number of queued letters."""

    domain: str
    until: datetime
    letters: int


# ── policy rejections ──


def policy_rejections(now: datetime) -> list[PolicyRejection]:
    """Return the domains that rejected letters by policy within a day, most letters first."""
    since = now - ALERT_VISIBLE_FOR
    columns = (Letter.id, Letter.domain, Letter.text)
    refused = Letter.select(*columns).where(
        Letter.state.in_((LetterState.REFUSED, LetterState.BOUNCED)), Letter.reason == "policy", Letter.done_at > since
    )
    bounced = Bounce.select(*columns).join(Letter).where(Bounce.kind == "policy", Bounce.at > since)
    by_domain: dict[str, dict[int, str]] = {}
    for rows in (refused, bounced):
        for number, domain, text in rows.limit(MAX_LETTERS_READ).tuples():
            by_domain.setdefault(domain, {})[number] = text
    rejections = [PolicyRejection(domain, len(replies), replies[max(replies)]) for domain, replies in by_domain.items()]
    return sorted(rejections, key=lambda rejection: (-rejection.letters, rejection.domain))


def alert_policy_rejection(letter: Letter, now: datetime) -> None:
    """E-mail the administrators once a day per domain, and write an audit entry once an hour per domain."""
    if rate_limits.record_hit(f"distrust:{letter.domain}", now, POLICY_EMAIL_INTERVAL_S) == 1:
        text = Letter.select(Letter.text).where(Letter.id == letter.id).scalar() or ""
        url = f"{load_settings().base_url}/admin/health"
        notify_users("distrust", who_can.administrators(), now, domain=letter.domain, said=text[:300], url=url)
    if rate_limits.record_hit(f"policy:{letter.domain}", now, POLICY_AUDIT_INTERVAL_S) == 1:
        audit.log_action(None, "mail.policy_alarm", letter.notice_id, detail={"letter": letter.id})


# ── blocking carriers ──


def blocked_carriers(now: datetime, notice: Notice | None = None) -> list[BlockedCarrier]:
    """Return the paused carriers with their queued letters (of one notice, or of all)."""
    buckets = list(
        ThrottleBucket.select()
        .where(ThrottleBucket.why == CARRIER_BLOCK, ThrottleBucket.paused_until > now)
        .order_by(ThrottleBucket.name)
    )
    queued = Letter.state.in_(QUEUED_STATES) & Letter.is_current
    if notice is not None:
        queued &= Letter.notice == notice
    counts = dict(
        Letter.select(Letter.domain, fn.COUNT(Letter.id))
        .where(queued, Letter.domain.in_([bucket.name for bucket in buckets]))
        .group_by(Letter.domain)
        .tuples()
    )
    carriers = [BlockedCarrier(bucket.name, bucket.paused_until, counts.get(bucket.name, 0)) for bucket in buckets]
    return [carrier for carrier in carriers if carrier.letters or notice is None]


def resume_carrier(domain: str, by: User, now: datetime) -> int:
    """End the pause of a carrier; return how many letters become due. 0 if the carrier is not paused."""
    if throttle.pause_reason(domain, now) != CARRIER_BLOCK:
        return 0
    with db.atomic():
        throttle.resume_bucket(domain)
        queued = Letter.state.in_(QUEUED_STATES) & (Letter.domain == domain)
        due: int = Letter.update(next_attempt_at=now).where(queued).execute()
        audit.log_action(by, "carrier.resumed", detail={"letters": due})
    return due


def notify_carrier_blocked(letter: Letter, now: datetime, subject_of: Callable[[Notice], str]) -> None:
    """E-mail the administrators and the sender of the notice that a carrier is paused; once an hour."""
    notice = letter.notice
    if notice is None or rate_limits.record_hit(f"blocked:{letter.domain}", now, CARRIER_EMAIL_INTERVAL_S) > 1:
        return
    sender = [notice.by] if notice.by and notice.by.is_active else []
    users = dict.fromkeys((*sender, *who_can.administrators()))
    url = f"{load_settings().base_url}/notices/{notice.id}"
    notify_users("blocked", users, now, domain=letter.domain, notice=subject_of(notice), url=url)
