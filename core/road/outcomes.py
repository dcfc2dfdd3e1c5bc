"""What a server's answer means for the letter and for its reader (decision 3, D-37, D-38; inbound rules 2).

Only "user unknown" excludes at once. A filter, a full mailbox or distrust of our server never does. A carrier that
refuses more than a fifth of a run is blocking us: it is paused, and nobody is registered because of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import fn

from core import history
from core.road import faults, pacing, standing
from core.road.claiming import Claimed
from mail.bounce import verdict
from mail.deliver import Reply
from models import Letter, Person

GUARD_SHARE = 5  # a fifth
GUARD_LEAST = 5
GUARD_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """State and reason of a letter after a server's answer."""

    state: str
    reason: str = ""


def of_reply(reply: Reply, domain: str) -> Outcome:
    """Say what becomes of a letter. A temporary answer, a full mailbox: tried again as long as it is useful."""
    if reply.accepted:
        return Outcome("accepted")
    found = verdict(reply, domain)
    if reply.deferred or found.kind == "full":
        return Outcome("deferred", found.kind)
    return Outcome("refused", found.kind)


def note_refusal(letter: Letter, outcome: Outcome, now: datetime) -> bool:
    """Note what a refusal says, already recorded at the letter; call inside the transaction that recorded it.

    True if the carrier refuses so many that it must be blocking us: then it is paused and nobody is registered.
    """
    if carrier_blocks(letter, now):
        take_run_back(letter, now)
        return True
    standing.note(letter, outcome.reason, now)
    return False


def note_accepted(letter: Claimed, bare: bool, now: datetime) -> None:
    """Remember which spelling of an RFC-violating address the server takes, and that a filter is open again."""
    if letter.person_id is None:
        return
    if letter.bare != bare:
        Person.update(bare=bare).where(Person.id == letter.person_id).execute()
    if letter.address_state == "refusing":
        Person.update(address_state="fine", address_reason="", address_state_at=now, address_state_by=None).where(
            Person.id == letter.person_id, Person.address == letter.address, Person.address_state == "refusing"
        ).execute()


def carrier_blocks(letter: Letter, now: datetime) -> bool:
    """Say whether a carrier has refused more than a fifth (and five) of a notice's letters to it, or is paused so."""
    if letter.notice_id is None or pacing.carrier_of(letter.domain) is None:
        return False
    if pacing.paused(letter.domain, now) == faults.CARRIER:
        return True
    refused = fn.SUM(Letter.state.in_(("refused", "bounced")).cast("integer"))
    done, no = (
        Letter.select(fn.COUNT(Letter.id), refused)
        .where(
            Letter.notice == letter.notice_id, Letter.newest == True, Letter.domain == letter.domain,
            Letter.state.in_(("accepted", "refused", "bounced")),
        )
        .tuples()
        .get()
    )  # fmt: skip
    return (no or 0) >= GUARD_LEAST and (no or 0) * GUARD_SHARE > done


def take_run_back(letter: Letter, now: datetime) -> None:
    """Pause the carrier, release whom this notice registered there, and try the refused letters later."""
    until = now + GUARD_PAUSE
    pacing.pause(letter.domain, until, faults.CARRIER, now)
    there = (Letter.notice == letter.notice_id) & (Letter.domain == letter.domain)
    same = there & (Letter.state == "refused") & (Letter.newest == True)  # what came back after it was taken stays back
    people = Letter.select(Letter.person).where(there & Letter.state.in_(("refused", "bounced")))
    Person.update(address_state="fine", address_reason="", address_state_at=None, address_state_by=None).where(
        Person.id.in_(people), Person.address_state_by == letter.notice_id
    ).execute()
    Letter.update(state="deferred", next_at=until, reason="temporary", owner="").where(same).execute()
    history.log(None, "carrier.paused", letter.notice_id)
    faults.tell_blocked(letter, until, now)
