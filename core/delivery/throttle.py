"""How fast letters leave: token buckets for all letters and for each recipient domain (N-10, field 3.4).

A bucket refills by its rate and holds at most two seconds' worth, so that a busy minute is not followed by a burst.
A bucket may be paused: after connection trouble (`all`), or when a carrier refuses too many (its domain).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from peewee import fn

from core.settings import Settings
from database import millis
from models import ThrottleBucket

GLOBAL_BUCKET = "all"
BURST_S = 2.0

# Start values for the Japanese carriers, letters a minute; they ask senders to be slow (field 3.4).
CARRIER_RATES: dict[str, int] = {
    "docomo.ne.jp": 60,
    "ezweb.ne.jp": 30,
    "au.com": 30,
    "uqmobile.jp": 30,
    "softbank.ne.jp": 60,
    "i.softbank.jp": 60,
    "vodafone.ne.jp": 60,
    "ymobile.ne.jp": 60,
    "yahoo.ne.jp": 60,
    "ymobile1.ne.jp": 60,
    "rakumail.jp": 60,
}


def carrier_domain(domain: str) -> str | None:
    """Return the carrier's domain that an address's domain belongs to (`x.vodafone.ne.jp` → `vodafone.ne.jp`)."""
    for carrier in CARRIER_RATES:
        if domain == carrier or domain.endswith("." + carrier):
            return carrier
    return None


def rate_for_domain(domain: str, force: Settings) -> int:
    """Return the letters a minute for a domain (0: no limit): the carrier's own start value, else the setting."""
    if force.practice or force.domain_rate == 0:
        return 0
    carrier = carrier_domain(domain)
    return min(CARRIER_RATES[carrier], force.domain_rate) if carrier else force.domain_rate


def _bucket_rate(name: str, force: Settings) -> int:
    """Return the letters a minute of a road (0: no limit)."""
    if name == GLOBAL_BUCKET:
        return 0 if force.practice else force.rate
    return rate_for_domain(name, force)


def take_tokens(wanted: Sequence[tuple[int, str]], force: Settings, now: datetime) -> list[int]:
    """Take tokens for letters (number, domain), in order; return the numbers that may go now.

    Call inside the claiming transaction: the tokens are spent exactly if the letters are claimed.
    """
    names = [GLOBAL_BUCKET, *sorted({domain for _, domain in wanted})]
    limits = {name: _bucket_rate(name, force) for name in names}
    limited = [name for name in names if limits[name]]
    held = _refill(limited, limits, now)
    going: list[int] = []
    room = hourly_allowance(force, now)
    for number, domain in wanted[:room]:
        if all(held[name] >= 1000 for name in (GLOBAL_BUCKET, domain) if name in held):
            for name in (GLOBAL_BUCKET, domain):
                if name in held:
                    held[name] -= 1000
            going.append(number)
    for name, tokens in held.items() if going else ():
        ThrottleBucket.update(tokens=tokens, at=now).where(ThrottleBucket.name == name).execute()
    if going and force.hour_rate:
        _count_hourly(len(going), now)
    return going


# ── what a provider allows in an hour ────────────────────────────────────────────────────────────────────────────

HOUR_PREFIX = "hour:"
SLOT_S, SLOTS = 300, 14
"""Letters are counted in slots of five minutes; fourteen of them hold an hour and the slots that it cuts."""


def hourly_allowance(force: Settings, now: datetime) -> int | None:
    """Return how many letters may go now so that no hour holds more than its limit; None: no limit."""
    if force.practice or not force.hour_rate:
        return None
    since = now - timedelta(seconds=3600 + SLOT_S)
    sent = (
        ThrottleBucket.select(fn.SUM(ThrottleBucket.tokens))
        .where(ThrottleBucket.name.startswith(HOUR_PREFIX), ThrottleBucket.at > since)
        .scalar()
    )
    return max(0, force.hour_rate - (sent or 0))


def _count_hourly(letters: int, now: datetime) -> None:
    started = int(now.timestamp()) // SLOT_S * SLOT_S
    name, at = f"{HOUR_PREFIX}{started // SLOT_S % SLOTS}", datetime.fromtimestamp(started, UTC)
    if (
        ThrottleBucket.update(tokens=ThrottleBucket.tokens + letters)
        .where(ThrottleBucket.name == name, ThrottleBucket.at == at)
        .execute()
    ):
        return
    ThrottleBucket.insert(name=name, at=at, tokens=letters).on_conflict(
        conflict_target=[ThrottleBucket.name], update={ThrottleBucket.tokens: letters, ThrottleBucket.at: at}
    ).execute()


def _refill(names: list[str], limits: dict[str, int], now: datetime) -> dict[str, int]:
    """Return the tokens (thousandths) of each bucket as of now; a new bucket starts full."""
    rows = {row.name: row for row in ThrottleBucket.select().where(ThrottleBucket.name.in_(names))}
    held = {}
    for name in names:
        cap = max(1000, int(limits[name] * 1000 * BURST_S / 60))
        row = rows.get(name)
        if row is None:
            ThrottleBucket.create(name=name, tokens=cap, at=now)
            held[name] = cap
        else:
            since = max(0, millis(now) - millis(row.at))
            held[name] = min(cap, row.tokens + since * limits[name] // 60)
    return held


def blocked_buckets(force: Settings, now: datetime) -> list[str]:
    """Return the roads (domains, `all`) along which nothing may go at this moment: paused, or without a token."""
    blocked = [GLOBAL_BUCKET] if hourly_allowance(force, now) == 0 else []
    for row in ThrottleBucket.select().where(~ThrottleBucket.name.startswith(HOUR_PREFIX)):
        limit = _bucket_rate(row.name, force)
        since = max(0, millis(now) - millis(row.at))
        if _is_paused(row, now) or (limit and row.tokens + since * limit // 60 < 1000):
            blocked.append(row.name)
    return blocked


def _is_paused(row: ThrottleBucket, now: datetime) -> bool:
    return row.paused_until is not None and row.paused_until > now


def paused_buckets(now: datetime) -> list[str]:
    """Return the roads that are paused, which tokens coming in do not open."""
    return [row.name for row in ThrottleBucket.select().where(ThrottleBucket.paused_until > now)]


def pause_bucket(name: str, until: datetime, why: str, now: datetime) -> None:
    """Let nothing go along a road until a moment."""
    ThrottleBucket.insert(name=name, at=now, tokens=0, paused_until=until, why=why).on_conflict(
        conflict_target=[ThrottleBucket.name], update={ThrottleBucket.paused_until: until, ThrottleBucket.why: why}
    ).execute()


def pause_reason(name: str, now: datetime) -> str | None:
    """Return why a road is paused now, or None."""
    row = ThrottleBucket.get_or_none(ThrottleBucket.name == name)
    return (row.why or "paused") if row and _is_paused(row, now) else None


def resume_bucket(name: str) -> None:
    """Open a road again."""
    ThrottleBucket.update(paused_until=None, why="").where(ThrottleBucket.name == name).execute()


def estimate_duration(letters: int, force: Settings) -> timedelta:
    """Return how long so many letters will take at the set rate (X-09); practice and no limit: seconds."""
    a_minute = _bucket_rate(GLOBAL_BUCKET, force)
    quick = timedelta(minutes=letters / a_minute) if a_minute else timedelta(seconds=letters / 200)
    hourly = 0 if force.practice else force.hour_rate
    return max(quick, timedelta(hours=letters / hourly)) if 0 < hourly < letters else quick
