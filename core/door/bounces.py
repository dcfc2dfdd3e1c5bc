"""Reports about letters that left: bounced, delayed, delivered, complained about, answered by a machine (D-37, D-38).

A report counts only for a letter of ours: by the return path, whose mark nobody can guess, or by our Message-ID in
what came back; and only for 14 days. Nothing here is ever answered or distributed. `core.delivery.suppression` decides what a
failure means for the person.
"""

from datetime import datetime, timedelta

from core.delivery import smtp_results, suppression
from core.door.filing import Result
from mail.reports import Explanation
from models import Bounce, Letter, Notice

COUNTS_FOR = timedelta(days=14)
IN_SHORT: dict[str, str] = {
    **{kind: kind for kind in ("unknown_user", "filtered", "full", "policy", "temporary", "other")},
    **dict.fromkeys(("unknown_host", "moved", "closed"), "unknown_user"),
    **dict.fromkeys(("suspended", "too_large"), "other"),
    "doubtful": "temporary",
}
"""What a kind of failure is called at a letter (`core.delivery.lifecycle.REASON_LABELS`)."""
LONGEST_TEXT = 500


def take(letter: Letter | None, found: Explanation, now: datetime) -> Result:
    """Note what a report says about a letter; call inside the transaction that records the mail."""
    if letter is None:
        return Result("machine", "dropped", "nothing of ours")
    if now - (letter.done_at or letter.made_at) > COUNTS_FOR:
        return Result("bounce", "dropped", "too old", letter=letter)
    return _WHAT_TO_DO.get(found.kind, _nothing)(letter, found, now)


def _failed(letter: Letter, found: Explanation, now: datetime) -> Result:
    kind = found.reason if found.reason in IN_SHORT else "other"
    _write_down(letter, kind, found, now)
    came_back = {
        "state": "bounced",
        "reason": IN_SHORT[kind],
        "enhanced": found.status or "",
        "text": found.text[:LONGEST_TEXT],
    }
    changed = (
        Letter.update(**came_back, done_at=now)
        .where(Letter.id == letter.id, Letter.state.in_(("accepted", "unknown")))
        .execute()
    )
    if changed:
        _tell_the_board(letter)
    if smtp_results.is_carrier_blocking(letter, now):
        smtp_results.pause_carrier_and_requeue(letter, now)
    else:
        suppression.record_failure(letter, kind, now)
    return Result("bounce", "done", kind, letter=letter)


def _write_down(letter: Letter, kind: str, found: Explanation, now: datetime) -> None:
    Bounce.create(
        letter=letter, person=letter.person_id, at=now, kind=kind, permanent=bool(found.permanent),
        status=found.status, text=found.text[:LONGEST_TEXT],
    )  # fmt: skip


def _delayed(letter: Letter, found: Explanation, now: datetime) -> Result:
    """Note that a server is still trying: no count, no change; a final report will follow."""
    _write_down(letter, "delayed", found, now)
    return Result("bounce", "done", "delayed", letter=letter)


def _arrived(letter: Letter, found: Explanation, now: datetime) -> Result:
    _settle(letter, now)
    return Result("bounce", "done", found.kind, letter=letter)


def _settle(letter: Letter, now: datetime) -> None:
    """A sign that it arrived settles a letter of unknown outcome."""
    if Letter.update(state="accepted", done_at=now).where(Letter.id == letter.id, Letter.state == "unknown").execute():
        _tell_the_board(letter)


def _complained(letter: Letter, found: Explanation, now: datetime) -> Result:
    """The reader reported our mail as spam: no letter goes there any more, but by the reader's own wish."""
    if not found.is_about_a_reader:
        return _nothing(letter, found, now)
    _write_down(letter, "complaint", found, now)
    suppression.record_failure(letter, "complaint", now)
    _tell_the_board(letter)
    return Result("complaint", "done", "complaint", letter=letter)


def automatic(letter: Letter, now: datetime) -> Result:
    """A machine answered (away, challenge): the letter arrived, but nobody has read it."""
    _settle(letter, now)
    return Result("automatic", "done", "auto-reply", letter=letter)


def _nothing(letter: Letter, found: Explanation, now: datetime) -> Result:
    return Result("machine", "done", found.kind, letter=letter)


_WHAT_TO_DO = {
    "bounce": _failed,
    "delayed": _delayed,
    "success": _arrived,
    "mdn": _arrived,
    "complaint": _complained,
    "auto-reply": lambda letter, found, now: automatic(letter, now),
}


def _tell_the_board(letter: Letter) -> None:
    if letter.notice_id:
        Notice.update(serial=Notice.serial + 1).where(Notice.id == letter.notice_id).execute()


def of_person(person: int, limit: int = 10) -> list[Bounce]:
    """Return the latest reports about a person's address, for the member's page."""
    rows = Bounce.select(Bounce, Letter).join(Letter).where(Bounce.person == person).order_by(Bounce.id.desc())
    return list(rows.limit(limit))
