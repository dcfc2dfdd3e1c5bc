"""Token buckets that limit the sending rate: one for all letters, one per recipient domain (N-10, field 3.4).

A bucket refills at its rate and holds at most the tokens of two seconds, which prevents bursts. A bucket can be paused:
`all` after a connection failure, a domain when its carrier refuses too many letters.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from peewee import fn

from core.settings import Settings
from database import millis
from models import ThrottleBucket

GLOBAL_BUCKET = "all"
SLOW_SERVER = "status:slow"
"""Row that says when a worker last waited long for the mail server; no bucket."""
BURST_S = 2.0
TOKEN = 1000
"""Tokens are stored in thousandths."""
CLOCK_TOLERANCE = timedelta(minutes=1)
"""If a bucket was used later than this after now, the clock was set back: the bucket starts anew, a pause is over."""

# Letters per minute to the Japanese carriers, which ask senders to be slow (field 3.4).
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


def rate_for_domain(domain: str, settings: Settings) -> int:
    """Return the letters per minute for a domain (0: no limit): its own setting, the carrier's rate, else the setting.

    A setting for a domain covers its subdomains; the longest name counts.
    """
    if settings.practice:
        return 0
    own = [name for name in settings.domain_rates if domain == name or domain.endswith("." + name)]
    if own:
        return settings.domain_rates[max(own, key=len)]
    if settings.domain_rate == 0:
        return 0
    carrier = carrier_domain(domain)
    return min(CARRIER_RATES[carrier], settings.domain_rate) if carrier else settings.domain_rate


def _bucket_rate(name: str, settings: Settings) -> int:
    """Return the letters per minute of a bucket (0: no limit)."""
    if name == GLOBAL_BUCKET:
        return 0 if settings.practice else settings.rate
    return rate_for_domain(name, settings)


def take_tokens(wanted: Sequence[tuple[int, str]], settings: Settings, now: datetime) -> list[int]:
    """Take tokens for letters (id, domain), in order; return the ids that may be sent now.

    Call inside the claiming transaction, so that tokens are spent if and only if the letters are claimed.
    """
    names = [GLOBAL_BUCKET, *sorted({domain for _, domain in wanted})]
    limits = {name: _bucket_rate(name, settings) for name in names}
    tokens = _refill([name for name in names if limits[name]], limits, now)
    granted: list[int] = []
    for number, domain in wanted[: hourly_allowance(settings, now)]:
        limited = [name for name in (GLOBAL_BUCKET, domain) if name in tokens]
        if all(tokens[name] >= TOKEN for name in limited):
            for name in limited:
                tokens[name] -= TOKEN
            granted.append(number)
    for name, left in tokens.items() if granted else ():
        ThrottleBucket.update(tokens=left, at=now).where(ThrottleBucket.name == name).execute()
    if granted and settings.hour_rate:
        _count_hourly(len(granted), now)
    return granted


# ── what a provider allows in an hour ────────────────────────────────────────────────────────────────────────────

HOUR_PREFIX = "hour:"
SLOT_S, SLOTS = 300, 14
"""Letters are counted in slots of five minutes; fourteen slots cover an hour and its partial slots."""


def hourly_allowance(settings: Settings, now: datetime) -> int | None:
    """Return how many letters may be sent now within the hourly limit of the provider; None: no limit."""
    if settings.practice or not settings.hour_rate:
        return None
    since = now - timedelta(seconds=3600 + SLOT_S)
    sent = (
        ThrottleBucket.select(fn.SUM(ThrottleBucket.tokens))
        .where(
            ThrottleBucket.name.startswith(HOUR_PREFIX),
            ThrottleBucket.at > since,
            ThrottleBucket.at <= now + CLOCK_TOLERANCE,
        )
        .scalar()
    )
    return max(0, settings.hour_rate - (sent or 0))


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
    """Return the tokens of each bucket as of now; a new bucket starts full."""
    rows = {row.name: row for row in ThrottleBucket.select().where(ThrottleBucket.name.in_(names))}
    tokens = {}
    for name in names:
        row = rows.get(name)
        if row is None:
            row = ThrottleBucket.create(name=name, tokens=_cap(limits[name]), at=now)
        tokens[name] = _tokens_now(row, limits[name], now)
    return tokens


def _cap(limit: int) -> int:
    return max(TOKEN, int(limit * TOKEN * BURST_S / 60))


def _tokens_now(row: ThrottleBucket, limit: int, now: datetime) -> int:
    if _clock_went_back(row, now):
        return _cap(limit)
    elapsed_ms = max(0, millis(now) - millis(row.at))
    return min(_cap(limit), row.tokens + elapsed_ms * limit // 60)


def _clock_went_back(row: ThrottleBucket, now: datetime) -> bool:
    return bool(row.at > now + CLOCK_TOLERANCE)


def blocked_buckets(settings: Settings, now: datetime) -> list[str]:
    """Return the names of the buckets that are paused or have no token."""
    blocked = [GLOBAL_BUCKET] if hourly_allowance(settings, now) == 0 else []
    for row in ThrottleBucket.select().where(
        ~ThrottleBucket.name.startswith(HOUR_PREFIX), ThrottleBucket.name != SLOW_SERVER
    ):
        limit = _bucket_rate(row.name, settings)
        if _is_paused(row, now) or (limit and _tokens_now(row, limit, now) < TOKEN):
            blocked.append(row.name)
    return blocked


def _is_paused(row: ThrottleBucket, now: datetime) -> bool:
    return row.paused_until is not None and row.paused_until > now and not _clock_went_back(row, now)


def paused_buckets(now: datetime) -> list[str]:
    """Return the names of the paused buckets; new tokens do not end a pause."""
    paused = ThrottleBucket.select().where(ThrottleBucket.paused_until > now)
    return [row.name for row in paused if _is_paused(row, now)]


def pause_bucket(name: str, until: datetime, why: str, now: datetime, said: str = "") -> None:
    """Pause a bucket. said: the mail server's words."""
    changes = {"at": now, "paused_until": until, "why": why, "said": said}
    ThrottleBucket.insert(name=name, tokens=0, **changes).on_conflict(
        conflict_target=[ThrottleBucket.name],
        update={getattr(ThrottleBucket, column): value for column, value in changes.items()},
    ).execute()


def pause_reason(name: str, now: datetime) -> str | None:
    """Return why a bucket is paused now, or None."""
    row = ThrottleBucket.get_or_none(ThrottleBucket.name == name)
    return (row.why or "paused") if row and _is_paused(row, now) else None


def resume_bucket(name: str) -> None:
    """End a pause. The server's words stay until the next one: the outage may go on."""
    ThrottleBucket.update(paused_until=None, why="").where(ThrottleBucket.name == name).execute()


def estimate_duration(letters: int, settings: Settings) -> timedelta:
    """Return how long so many letters take at the set rate (X-09); without a limit, seconds."""
    per_minute = _bucket_rate(GLOBAL_BUCKET, settings)
    duration = timedelta(minutes=letters / per_minute) if per_minute else timedelta(seconds=letters / 200)
    hourly = 0 if settings.practice else settings.hour_rate
    return max(duration, timedelta(hours=letters / hourly)) if 0 < hourly < letters else duration
