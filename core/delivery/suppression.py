"""Update the suppression state of an address after a delivery failure (SMTP reply or bounce).

Rules (decision 3, D-37, D-38): "user unknown" excludes the address at once; with a temporary code, at the third letter.
A filter never excludes it. A full mailbox and other lasting failures exclude it after five letters on three days. The
days are within 30 days without activity of the person. A policy rejection of our server excludes no address and alerts.
A complaint unsubscribes the person. An excluded person is never deleted (E-09).
"""

from datetime import date, datetime, timedelta

from peewee import Expression, fn

import clock
from core import audit
from core.delivery import alerts
from mail.bounce.verdict import reason_from_text
from models import AddressState, Bounce, Delivery, Letter, LetterState, Membership, MembershipState, PageView, Person

IMMEDIATE_RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "unknown_user": (AddressState.BOUNCED, (AddressState.FINE, AddressState.REFUSING)),
    "moved": (AddressState.BOUNCED, (AddressState.FINE, AddressState.REFUSING)),
    "filtered": (AddressState.REFUSING, (AddressState.FINE,)),
    "complaint": (AddressState.COMPLAINED, (AddressState.FINE, AddressState.REFUSING, AddressState.BOUNCED)),
}
COUNTED_KINDS = ("full", "suspended", "temporary", "doubtful", "other")
SECOND_FAILURE_KINDS = ("unknown_host", "closed")
"""Failures of a whole mail system. It may be down for a day, so only the second notice excludes."""
MIN_FAILED_LETTERS, MIN_FAILED_DAYS, FAILURE_WINDOW = 5, 3, timedelta(days=30)
SHARE_DIVISOR, MIN_SHARE_LETTERS = 5, 5
"""Failures of more than a fifth (and five) of a notice's letters are not the readers' fault."""
MIN_UNKNOWN_USER_4XX = 3
"""After so many letters, "user unknown" with a temporary code excludes."""


def record_failure(letter: Letter, kind: str, now: datetime) -> str:
    """Update the address state of the letter's person, if it is still that address.

    Return the new state, or "" if it did not change. Call inside the transaction that recorded the failure.
    """
    if kind == "policy":
        alerts.alert_policy_rejection(letter, now)
    if letter.person_id is None:
        return ""
    state, before = IMMEDIATE_RULES.get(kind, ("", ()))
    too_many = kind in COUNTED_KINDS and exceeds_failure_threshold(letter.person_id, letter.address, now)
    repeated = kind == "doubtful" and has_repeated_unknown_user(letter.person_id, letter.address, now)
    if too_many or repeated or (kind in SECOND_FAILURE_KINDS and _failed_before(letter, now)):
        state, before = AddressState.BOUNCED, (AddressState.FINE, AddressState.REFUSING)
    if not state or not _change_address_state(letter, kind, state, before, now):
        return ""
    if state == AddressState.COMPLAINED:
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
    same = (Person.id == letter.person_id) & (Person.address == letter.address) & Person.address_state.in_(before)
    return bool(Person.update(**fields).where(same).execute())


def mark_deliverable(people: Expression, at: datetime | None) -> None:
    """Clear the suppression of some people. at: when the address proved to work, None if it never failed."""
    Person.update(
        address_state=AddressState.FINE, address_reason="", address_state_at=at, address_state_notice_id=None
    ).where(people).execute()


def _unsubscribe_everywhere(person: int, now: datetime) -> None:
    """Unsubscribe a person who reported our mail as spam from every list, as by the person's own choice."""
    Membership.update(state=MembershipState.STOPPED, stopped_by="reader", stopped_at=now).where(
        Membership.person == person, Membership.state.in_((MembershipState.ACTIVE, MembershipState.UNCONFIRMED))
    ).execute()


# ── counted failures ──


def _failed_before(letter: Letter, now: datetime) -> bool:
    """Return whether another letter to this address failed in the same way within 30 days."""
    same = (Bounce.person == letter.person_id) & Bounce.kind.in_(SECOND_FAILURE_KINDS) & (Bounce.letter != letter)
    recent = (Bounce.at > now - FAILURE_WINDOW) & (Letter.address == letter.address)
    return Bounce.select().join(Letter).where(same, recent).exists()


def record_expired(letters: list[Letter], now: datetime) -> None:
    """Record the failure of letters that servers deferred until they expired.

    If a server deferred more than a fifth (and five) of a notice, it is not the readers' fault. Then nothing is
    registered. The letters lose their code, so that they do not count later.
    """
    by_notice: dict[int | None, list[Letter]] = {}
    for letter in letters:
        by_notice.setdefault(letter.notice_id, []).append(letter)
    for notice, expired in by_notice.items():
        if notice is not None and _is_a_large_share(notice, len(expired)):
            Letter.update(code=None).where(Letter.id.in_([letter.id for letter in expired])).execute()
            continue
        for letter in expired:
            record_failure(letter, "doubtful" if _is_temporary_unknown_user(letter) else "temporary", now)


def _is_a_large_share(notice: int, expired: int) -> bool:
    letters: int = Letter.select().where(Letter.notice == notice, Letter.is_current == True).count()  # noqa: E712
    return expired >= MIN_SHARE_LETTERS and expired * SHARE_DIVISOR > letters


def _is_temporary_unknown_user(letter: Letter) -> bool:
    return 400 <= (letter.code or 0) < 500 and reason_from_text(letter.text) == "unknown_user"


def has_repeated_unknown_user(person: int, address: str, now: datetime) -> bool:
    """Return whether three letters got a temporary "user unknown" within 30 days, without activity since."""
    since = max(now - FAILURE_WINDOW, last_activity(person) or now - FAILURE_WINDOW)
    to_address = (Letter.person == person) & (Letter.address == address)
    bounced = (
        Bounce.select(Bounce.letter)
        .join(Letter)
        .where(to_address, Bounce.kind == "doubtful", Bounce.at > since)
        .tuples()
    )
    expired = Letter.select().where(
        to_address, Letter.state == LetterState.EXPIRED, Letter.code.between(400, 499), Letter.done_at > since
    )
    numbers = {number for (number,) in bounced} | {
        letter.id for letter in expired if _is_temporary_unknown_user(letter)
    }
    return len(numbers) >= MIN_UNKNOWN_USER_4XX


def exceeds_failure_threshold(person: int, address: str, now: datetime) -> bool:
    """Return whether five letters to this address failed on three days within 30 days, without activity since."""
    since = max(now - FAILURE_WINDOW, last_activity(person) or now - FAILURE_WINDOW)
    failed = _bounced_days(person, address, since) | _refused_days(person, address, since)
    return len(failed) >= MIN_FAILED_LETTERS and len(set(failed.values())) >= MIN_FAILED_DAYS


def _bounced_days(person: int, address: str, since: datetime) -> dict[int, date]:
    """Return the bounced letters, each with its local day."""
    rows = (
        Bounce.select(Bounce.letter, Bounce.at)
        .join(Letter)
        .where(Bounce.person == person, Bounce.kind.in_(COUNTED_KINDS), Bounce.at > since, Letter.address == address)
    )
    return {row.letter_id: clock.to_local(row.at).date() for row in rows}


def _refused_days(person: int, address: str, since: datetime) -> dict[int, date]:
    """Return the letters that a server refused, or deferred until they expired, each with its local day."""
    deferred = (Letter.state == LetterState.EXPIRED) & Letter.code.between(400, 599)
    rows = Letter.select(Letter.id, Letter.done_at).where(
        Letter.person == person,
        Letter.address == address,
        Letter.done_at > since,
        ((Letter.state == LetterState.REFUSED) & Letter.reason.in_(COUNTED_KINDS)) | deferred,
    )
    return {row.id: clock.to_local(row.done_at).date() for row in rows}


def last_activity(person: int) -> datetime | None:
    """Return when this person last read, replied or opened a page; visits of robots do not count."""
    mine = Delivery.person == person
    read, replied = Delivery.select(fn.MAX(Delivery.read_at), fn.MAX(Delivery.replied_at)).where(mine).tuples().get()
    opened = PageView.select(fn.MAX(PageView.at)).join(Delivery).where(mine, PageView.automatic == False).scalar()
    return max((at for at in (read, replied, opened) if at is not None), default=None)
