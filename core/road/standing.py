"""What becomes of a person's address when a letter to it fails: one rule for a server's answer and for a bounce.

Decision 3, D-37, D-38: user unknown excludes at once, and at the third letter where servers say it with a temporary
code; a filter never does; a full mailbox or another lasting trouble excludes after five letters on three days within
30 days without a sign of life; distrust of our own server excludes nobody and raises an alarm; a complaint stops the
person's mail. Excluded, never deleted (E-09).
"""

from datetime import date, datetime, timedelta

from peewee import fn

import clock
from core import history, limits
from core.road import faults
from mail.bounce import by_words
from models import Bounce, Delivery, Letter, Membership, Person, Visit

AT_ONCE: dict[str, tuple[str, tuple[str, ...]]] = {
    "unknown_user": ("bounced", ("fine", "refusing")),
    "moved": ("bounced", ("fine", "refusing")),
    "filtered": ("refusing", ("fine",)),
    "complaint": ("complained", ("fine", "refusing", "bounced")),
}
COUNTED = ("full", "suspended", "temporary", "doubtful", "other")
SECOND_TIME = ("unknown_host", "closed")
"""Failures of a whole mail system, which may be out of order for a day: they exclude at the second notice."""
LETTERS, DAYS, WINDOW = 5, 3, timedelta(days=30)
DOUBTS = 3
"""Letters of which servers said "user unknown" with a temporary code: then it is believed."""
ALARM_AGAIN_S = 3600


def note(letter: Letter, kind: str, now: datetime) -> str:
    """Note at the person what a failure says about the address, if it is still that address.

    Return the new state of the address, "" if it did not change. Call inside the transaction that recorded it.
    """
    if kind == "policy":
        alarm(letter, now)
    if letter.person_id is None:
        return ""
    state, before = AT_ONCE.get(kind, ("", ()))
    worn_out = kind in COUNTED and is_worn_out(letter.person_id, letter.address, now)
    thrice = kind == "doubtful" and is_unknown_again(letter.person_id, letter.address, now)
    if worn_out or thrice or (kind in SECOND_TIME and _again(letter, now)):
        state, before = "bounced", ("fine", "refusing")
    if not state or not _move(letter, kind, state, before, now):
        return ""
    if state == "complained":
        _stop_everything(letter.person_id, now)
    history.log(None, f"person.{state}", letter.person_id, detail={"letter": letter.id})
    return state


def _move(letter: Letter, kind: str, state: str, before: tuple[str, ...], now: datetime) -> bool:
    fields = {
        "address_state": state,
        "address_reason": kind,
        "address_state_at": now,
        "address_state_by": letter.notice_id,
    }
    still = (Person.id == letter.person_id) & (Person.address == letter.address) & Person.address_state.in_(before)
    return bool(Person.update(**fields).where(still).execute())


def _stop_everything(person: int, now: datetime) -> None:
    """Stop every list of somebody who reported our mail as spam, as the reader's own wish."""
    Membership.update(state="stopped", stopped_by="reader", stopped_at=now).where(
        Membership.person == person, Membership.state.in_(("active", "unconfirmed"))
    ).execute()


def alarm(letter: Letter, now: datetime) -> None:
    """Record that a server does not want mail from us: the fault is ours. Once an hour for each domain."""
    faults.alarm(letter, now)
    if limits.hit(f"policy:{letter.domain}", now, ALARM_AGAIN_S) == 1:
        history.log(None, "mail.policy_alarm", letter.notice_id, detail={"letter": letter.id})


# ── failures that are counted ────────────────────────────────────────────────────────────────────────────────────


def _again(letter: Letter, now: datetime) -> bool:
    """Say whether another letter to this address failed in the same way within 30 days."""
    same = (Bounce.person == letter.person_id) & Bounce.kind.in_(SECOND_TIME) & (Bounce.letter != letter)
    lately = (Bounce.at > now - WINDOW) & (Letter.address == letter.address)
    return Bounce.select().join(Letter).where(same, lately).exists()


def given_up(letters: list[Letter], now: datetime) -> None:
    """Note at their readers the letters that servers put off until they were no longer useful."""
    for letter in letters:
        note(letter, "doubtful" if _is_doubtful(letter) else "temporary", now)


def _is_doubtful(letter: Letter) -> bool:
    return letter.code // 100 == 4 and by_words(letter.text) == "unknown_user"


def is_unknown_again(person: int, address: str, now: datetime) -> bool:
    """Say whether three letters within 30 days met "user unknown" with a temporary code, and no sign of life since."""
    since = max(now - WINDOW, last_sign_of_life(person) or now - WINDOW)
    here = (Letter.person == person) & (Letter.address == address)
    came_back = (
        Bounce.select(Bounce.letter).join(Letter).where(here, Bounce.kind == "doubtful", Bounce.at > since).tuples()
    )
    late = Letter.select().where(here, Letter.state == "expired", Letter.code.between(400, 499), Letter.done_at > since)
    return len({number for (number,) in came_back} | {one.id for one in late if _is_doubtful(one)}) >= DOUBTS


def is_worn_out(person: int, address: str, now: datetime) -> bool:
    """Say whether five letters to this address have failed on three days within 30, with no sign of life since."""
    since = max(now - WINDOW, last_sign_of_life(person) or now - WINDOW)
    failed = _came_back(person, address, since) | _refused(person, address, since)
    return len(failed) >= LETTERS and len(set(failed.values())) >= DAYS


def _came_back(person: int, address: str, since: datetime) -> dict[int, date]:
    """Return the letters that came back, each with the school's day."""
    rows = (
        Bounce.select(Bounce.letter, Bounce.at)
        .join(Letter)
        .where(Bounce.person == person, Bounce.kind.in_(COUNTED), Bounce.at > since, Letter.address == address)
    )
    return {row.letter_id: clock.local(row.at).date() for row in rows}


def _refused(person: int, address: str, since: datetime) -> dict[int, date]:
    """Return the letters that a server refused, or put off until they were no longer useful."""
    put_off = (Letter.state == "expired") & Letter.code.between(400, 599)
    rows = Letter.select(Letter.id, Letter.done_at).where(
        Letter.person == person,
        Letter.address == address,
        Letter.done_at > since,
        ((Letter.state == "refused") & Letter.reason.in_(COUNTED)) | put_off,
    )
    return {row.id: clock.local(row.done_at).date() for row in rows}


def last_sign_of_life(person: int) -> datetime | None:
    """Return when this person last read, answered or opened something; robots do not count."""
    mine = Delivery.person == person
    read, replied = Delivery.select(fn.MAX(Delivery.read_at), fn.MAX(Delivery.replied_at)).where(mine).tuples().get()
    opened = (
        Visit.select(fn.MAX(Visit.at)).join(Delivery).where(mine, Visit.automatic == False).scalar()
    )  # fmt: skip
    signs = [at for at in (read, replied, opened) if at is not None]
    return max(signs) if signs else None
