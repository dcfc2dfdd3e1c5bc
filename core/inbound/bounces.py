"""Reports about letters that left: bounced, delayed, delivered, complained about, answered by a machine (D-37, D-38).

A report counts only for a letter of ours: by the return path, whose mark nobody can guess, or by our Message-ID in
what came back; and only for 14 days. Nothing here is ever answered or distributed. `core.delivery.suppression` decides what a
failure means for the person.
"""

from datetime import datetime, timedelta

from core.delivery import smtp_results, suppression
from core.inbound.message import InboundResult
from core.notices import merge_fields
from mail.bounce.report import Explanation
from models import Bounce, Letter, Notice

REPORT_VALID_FOR = timedelta(days=14)
LETTER_REASON_BY_BOUNCE_REASON: dict[str, str] = {
    **{kind: kind for kind in ("unknown_user", "filtered", "full", "policy", "temporary", "other")},
    **dict.fromkeys(("unknown_host", "moved", "closed"), "unknown_user"),
    **dict.fromkeys(("suspended", "too_large"), "other"),
    "doubtful": "temporary",
}
"""What a kind of failure is called at a letter (`core.delivery.lifecycle.REASON_LABELS`)."""
MAX_TEXT_CHARS = 500


def record_report(letter: Letter | None, found: Explanation, now: datetime) -> InboundResult:
    """Note what a report says about a letter; call inside the transaction that records the mail."""
    if letter is None:
        return InboundResult("machine", "dropped", "nothing of ours")
    if now - (letter.done_at or letter.made_at) > REPORT_VALID_FOR:
        return InboundResult("bounce", "dropped", "too old", letter=letter)
    return _HANDLERS.get(found.kind, _record_nothing)(letter, found, now)


def _record_failure(letter: Letter, found: Explanation, now: datetime) -> InboundResult:
    kind = found.reason if found.reason in LETTER_REASON_BY_BOUNCE_REASON else "other"
    _save_bounce(letter, kind, found, now)
    came_back = {
        "state": "bounced",
        "reason": LETTER_REASON_BY_BOUNCE_REASON[kind],
        "enhanced": found.status or "",
        "text": found.text[:MAX_TEXT_CHARS],
    }
    changed = (
        Letter.update(**came_back, done_at=now)
        .where(Letter.id == letter.id, Letter.state.in_(("accepted", "unknown")))
        .execute()
    )
    if changed:
        _bump_notice_serial(letter)
    if smtp_results.is_carrier_blocking(letter, now):
        smtp_results.pause_carrier_and_requeue(letter, now, merge_fields.display_subject)
    else:
        suppression.record_failure(letter, kind, now)
    return InboundResult("bounce", "done", kind, letter=letter)


def _save_bounce(letter: Letter, kind: str, found: Explanation, now: datetime) -> None:
    Bounce.create(
        letter=letter,
        person=letter.person_id,
        at=now,
        kind=kind,
        permanent=bool(found.permanent),
        status=found.status,
        text=found.text[:MAX_TEXT_CHARS],
    )


def _record_delay(letter: Letter, found: Explanation, now: datetime) -> InboundResult:
    """Note that a server is still trying: no count, no change; a final report will follow."""
    _save_bounce(letter, "delayed", found, now)
    return InboundResult("bounce", "done", "delayed", letter=letter)


def _record_delivered(letter: Letter, found: Explanation, now: datetime) -> InboundResult:
    _mark_accepted(letter, now)
    return InboundResult("bounce", "done", found.kind, letter=letter)


def _mark_accepted(letter: Letter, now: datetime) -> None:
    """A sign that it arrived settles a letter of unknown outcome."""
    if Letter.update(state="accepted", done_at=now).where(Letter.id == letter.id, Letter.state == "unknown").execute():
        _bump_notice_serial(letter)


def _record_complaint(letter: Letter, found: Explanation, now: datetime) -> InboundResult:
    """The reader reported our mail as spam: no letter goes there any more, but by the reader's own wish."""
    if not found.is_about_a_reader:
        return _record_nothing(letter, found, now)
    _save_bounce(letter, "complaint", found, now)
    suppression.record_failure(letter, "complaint", now)
    _bump_notice_serial(letter)
    return InboundResult("complaint", "done", "complaint", letter=letter)


def record_auto_reply(letter: Letter, now: datetime) -> InboundResult:
    """A machine answered (away, challenge): the letter arrived, but nobody has read it."""
    _mark_accepted(letter, now)
    return InboundResult("automatic", "done", "auto-reply", letter=letter)


def _record_nothing(letter: Letter, found: Explanation, now: datetime) -> InboundResult:
    return InboundResult("machine", "done", found.kind, letter=letter)


_HANDLERS = {
    "bounce": _record_failure,
    "delayed": _record_delay,
    "success": _record_delivered,
    "mdn": _record_delivered,
    "complaint": _record_complaint,
    "auto-reply": lambda letter, found, now: record_auto_reply(letter, now),
}


def _bump_notice_serial(letter: Letter) -> None:
    if letter.notice_id:
        Notice.update(serial=Notice.serial + 1).where(Notice.id == letter.notice_id).execute()


def list_reports_of_person(person: int, limit: int = 10) -> list[Bounce]:
    """Return the latest reports about a person's address, for the member's page."""
    rows = Bounce.select(Bounce, Letter).join(Letter).where(Bounce.person == person).order_by(Bounce.id.desc())
    return list(rows.limit(limit))
