"""What becomes of a person's address when a letter to it fails: one rule for a server's answer and for a bounce.

Decision 3, D-37, D-38: user unknown excludes at once, and at the third letter where servers say it with a temporary
code; a filter never does; a full mailbox or another lasting trouble excludes after five letters on three days within
30 days without a sign of life; distrust of our own server excludes nobody and raises an alarm; a complaint stops the
person's mail. Excluded, never deleted (E-09).
"""

from datetime import date, datetime, timedelta

from peewee import fn

import clock
from core import audit, rate_limits
from core.delivery import alerts
from mail.bounce.verdict import reason_from_text
from models import Bounce, Delivery, Letter, LetterState, Membership, PageView, Person

IMMEDIATE_RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "unknown_user": ("bounced", ("fine", "refusing")),
    "moved": ("bounced", ("fine", "refusing")),
    "filtered": ("refusing", ("fine",)),
    "complaint": ("complained", ("fine", "refusing", "bounced")),
}
COUNTED_KINDS = ("full", "suspended", "temporary", "doubtful", "other")
SECOND_FAILURE_KINDS = ("unknown_host", "closed")
"""Failures of a whole mail system, which may be out of order for a day: they exclude at the second notice."""
MIN_FAILED_LETTERS, MIN_FAILED_DAYS, FAILURE_WINDOW = 5, 3, timedelta(days=30)
MIN_UNKNOWN_USER_4XX = 3
"""Letters of which servers said "user unknown" with a temporary code: then it is believed."""
ALERT_INTERVAL_S = 3600


def record_failure(letter: Letter, kind: str, now: datetime) -> str:
    """Note at the person what a failure says about the address, if it is still that address.

    Return the new state of the address, "" if it did not change. Call inside the transaction that recorded it.
    """
    if kind == "policy":
        alert_policy_rejection(letter, now)
    if letter.person_id is None:
        return ""
    state, before = IMMEDIATE_RULES.get(kind, ("", ()))
    worn_out = kind in COUNTED_KINDS and exceeds_failure_threshold(letter.person_id, letter.address, now)
    thrice = kind == "doubtful" and has_repeated_unknown_user(letter.person_id, letter.address, now)
    if worn_out or thrice or (kind in SECOND_FAILURE_KINDS and _failed_before(letter, now)):
        state, before = "bounced", ("fine", "refusing")
    if not state or not _change_address_state(letter, kind, state, before, now):
        return ""
    if state == "complained":
        _unsubscribe_everywhere(letter.person_id, now)
    audit.log_action(None, f"person.{state}", letter.person_id, detail={"letter": letter.id})
    return state


def _change_address_state(letter: Letter, kind: str, state: str, before: tuple[str, ...], now: datetime) -> bool:
    fields = {
        "address_state": state,
        "address_reason": kind,
        "address_state_at": now,
        "address_state_notice_id": letter.notice_id,
    }
    still = (Person.id == letter.person_id) & (Person.address == letter.address) & Person.address_state.in_(before)
    return bool(Person.update(**fields).where(still).execute())


def _unsubscribe_everywhere(person: int, now: datetime) -> None:
    """Stop every list of somebody who reported our mail as spam, as the reader's own wish."""
    Membership.update(state="stopped", stopped_by="reader", stopped_at=now).where(
        Membership.person == person, Membership.state.in_(("active", "unconfirmed"))
    ).execute()


def alert_policy_rejection(letter: Letter, now: datetime) -> None:
    """Record that a server does not want mail from us: the fault is ours. Once an hour for each domain."""
    alerts.notify_policy_rejection(letter, now)
    if rate_limits.record_hit(f"policy:{letter.domain}", now, ALERT_INTERVAL_S) == 1:
        audit.log_action(None, "mail.policy_alarm", letter.notice_id, detail={"letter": letter.id})


# ── failures that are counted ────────────────────────────────────────────────────────────────────────────────────


def _failed_before(letter: Letter, now: datetime) -> bool:
    """Say whether another letter to this address failed in the same way within 30 days."""
    same = (Bounce.person == letter.person_id) & Bounce.kind.in_(SECOND_FAILURE_KINDS) & (Bounce.letter != letter)
    lately = (Bounce.at > now - FAILURE_WINDOW) & (Letter.address == letter.address)
    return Bounce.select().join(Letter).where(same, lately).exists()


def record_expired(letters: list[Letter], now: datetime) -> None:
    """Note at their readers the letters that servers put off until they were no longer useful."""
    for letter in letters:
        record_failure(letter, "doubtful" if _is_temporary_unknown_user(letter) else "temporary", now)


def _is_temporary_unknown_user(letter: Letter) -> bool:
    return letter.code // 100 == 4 and reason_from_text(letter.text) == "unknown_user"


def has_repeated_unknown_user(person: int, address: str, now: datetime) -> bool:
    """Say whether three letters within 30 days met "user unknown" with a temporary code, and no sign of life since."""
    since = max(now - FAILURE_WINDOW, last_activity(person) or now - FAILURE_WINDOW)
    here = (Letter.person == person) & (Letter.address == address)
    came_back = (
        Bounce.select(Bounce.letter).join(Letter).where(here, Bounce.kind == "doubtful", Bounce.at > since).tuples()
    )
    late = Letter.select().where(
        here, Letter.state == LetterState.EXPIRED, Letter.code.between(400, 499), Letter.done_at > since
    )
    return (
        len({number for (number,) in came_back} | {one.id for one in late if _is_temporary_unknown_user(one)})
        >= MIN_UNKNOWN_USER_4XX
    )


def exceeds_failure_threshold(person: int, address: str, now: datetime) -> bool:
    """Say whether five letters to this address have failed on three days within 30, with no sign of life since."""
    since = max(now - FAILURE_WINDOW, last_activity(person) or now - FAILURE_WINDOW)
    failed = _bounced_days(person, address, since) | _refused_days(person, address, since)
    return len(failed) >= MIN_FAILED_LETTERS and len(set(failed.values())) >= MIN_FAILED_DAYS


def _bounced_days(person: int, address: str, since: datetime) -> dict[int, date]:
    """Return the letters that came back, each with the school's day."""
    rows = (
        Bounce.select(Bounce.letter, Bounce.at)
        .join(Letter)
        .where(Bounce.person == person, Bounce.kind.in_(COUNTED_KINDS), Bounce.at > since, Letter.address == address)
    )
    return {row.letter_id: clock.to_local(row.at).date() for row in rows}


def _refused_days(person: int, address: str, since: datetime) -> dict[int, date]:
    """Return the letters that a server refused, or put off until they were no longer useful."""
    put_off = (Letter.state == LetterState.EXPIRED) & Letter.code.between(400, 599)
    rows = Letter.select(Letter.id, Letter.done_at).where(
        Letter.person == person,
        Letter.address == address,
        Letter.done_at > since,
        ((Letter.state == LetterState.REFUSED) & Letter.reason.in_(COUNTED_KINDS)) | put_off,
    )
    return {row.id: clock.to_local(row.done_at).date() for row in rows}


def last_activity(person: int) -> datetime | None:
    """Return when this person last read, answered or opened something; robots do not count."""
    mine = Delivery.person == person
    read, replied = Delivery.select(fn.MAX(Delivery.read_at), fn.MAX(Delivery.replied_at)).where(mine).tuples().get()
    opened = PageView.select(fn.MAX(PageView.at)).join(Delivery).where(mine, PageView.automatic == False).scalar()
    signs = [at for at in (read, replied, opened) if at is not None]
    return max(signs) if signs else None
