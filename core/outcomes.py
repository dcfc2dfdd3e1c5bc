"""What a server's answer means for the letter and for its reader (decision 3, D-37, D-38; inbound rules 2).

Only "user unknown" excludes at once. A filter, a full mailbox or distrust of our server never does. A carrier that
refuses more than a fifth of a run is blocking us: it is paused, and nobody is registered because of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import fn

from core import history, pacing
from mail.bounce import verdict
from mail.deliver import Reply
from models import Letter, Person, db

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
    if reply.deferred:
        return Outcome("deferred", found.kind)
    return Outcome("refused", found.kind)


def note_on_person(letter: Letter, outcome: Outcome, now: datetime) -> None:
    """Note at the person what a refusal says about the address, if it is still that address."""
    if letter.person_id is None or outcome.state != "refused":
        return
    state = {"unknown_user": "bounced", "filtered": "refusing"}.get(outcome.reason)
    if state is None:
        return
    with db.atomic():
        if _carrier_blocks(letter):
            _take_run_back(letter, now)
            return
        changed = (
            Person.update(
                address_state=state,
                address_reason=outcome.reason,
                address_state_at=now,
                address_state_by=letter.notice_id,
            )
            .where(Person.id == letter.person_id, Person.address == letter.address, Person.address_state == "fine")
            .execute()
        )
        if changed:
            history.log(None, f"person.{state}", letter.person_id, detail={"letter": letter.id})


def note_accepted(letter: Letter, bare: bool) -> None:
    """Remember which spelling of an RFC-violating address the server takes."""
    Person.update(bare=bare).where(Person.id == letter.person_id, Person.bare != bare).execute()


def _carrier_blocks(letter: Letter) -> bool:
    """Say whether a carrier has refused more than a fifth (and five) of a notice's letters to it."""
    if letter.notice_id is None or pacing.carrier_of(letter.domain) is None:
        return False
    refused = fn.SUM((Letter.state == "refused").cast("integer"))
    done, no = (
        Letter.select(fn.COUNT(Letter.id), refused)
        .where(
            Letter.notice == letter.notice_id, Letter.newest == True, Letter.domain == letter.domain,
            Letter.state.in_(("accepted", "refused")),
        )
        .tuples()
        .get()
    )  # fmt: skip
    return (no or 0) >= GUARD_LEAST and (no or 0) * GUARD_SHARE > done


def _take_run_back(letter: Letter, now: datetime) -> None:
    """Pause the carrier, release whom this notice registered there, and try the refused letters later."""
    until = now + GUARD_PAUSE
    pacing.pause(letter.domain, until, "carrier", now)
    same = (Letter.notice == letter.notice_id) & (Letter.domain == letter.domain) & (Letter.state == "refused")
    people = Letter.select(Letter.person).where(same)
    Person.update(address_state="fine", address_reason="", address_state_at=None, address_state_by=None).where(
        Person.id.in_(people), Person.address_state_by == letter.notice_id
    ).execute()
    Letter.update(state="deferred", next_at=until, reason="temporary", owner="").where(same).execute()
    history.log(None, "carrier.paused", letter.notice_id)
