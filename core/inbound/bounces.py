"""Handle reports about sent letters: bounces, delays, deliveries, complaints, automatic replies (D-37, D-38).

A report counts only for a letter of ours, for 14 days. The VERP return path or our Message-ID in the returned message
names the letter. Reports are never answered or distributed. `core.delivery.suppression` decides what a failure means
for the person.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from core.delivery import smtp_results, suppression
from core.inbound.message import InboundResult
from core.notices import merge_fields
from models import Bounce, Letter, LetterState, Notice

if TYPE_CHECKING:
    from mail.bounce.report import Explanation  # its patterns are slow to compile; pages do not need them

REPORT_VALID_FOR = timedelta(days=14)
LETTER_REASON_BY_BOUNCE_REASON: dict[str, str] = {
    **{kind: kind for kind in ("unknown_user", "filtered", "full", "policy", "temporary", "other")},
    **dict.fromkeys(("unknown_host", "moved", "closed"), "unknown_user"),
    **dict.fromkeys(("suspended", "too_large"), "other"),
    "doubtful": "temporary",
}
"""The letter's reason (`core.delivery.lifecycle.REASON_LABELS`) for each bounce reason."""
MAX_TEXT_CHARS = 500


def record_report(letter: Letter | None, report: "Explanation", now: datetime) -> InboundResult:
    """Apply a report to its letter. Call inside the transaction that records the mail."""
    if letter is None:
        return InboundResult("machine", "dropped", "nothing of ours")
    if now - (letter.done_at or letter.made_at) > REPORT_VALID_FOR:
        return InboundResult("bounce", "dropped", "too old", letter=letter)
    return _HANDLERS.get(report.kind, _record_nothing)(letter, report, now)


def _record_failure(letter: Letter, report: "Explanation", now: datetime) -> InboundResult:
    kind = report.reason if report.reason in LETTER_REASON_BY_BOUNCE_REASON else "other"
    _save_bounce(letter, kind, report, now)
    fields = {
        "state": LetterState.BOUNCED,
        "reason": LETTER_REASON_BY_BOUNCE_REASON[kind],
        "enhanced": report.status or "",
        "text": report.text[:MAX_TEXT_CHARS],
    }
    changed = (
        Letter.update(**fields, done_at=now)
        .where(Letter.id == letter.id, Letter.state.in_((LetterState.ACCEPTED, LetterState.UNKNOWN)))
        .execute()
    )
    if changed:
        _bump_notice_serial(letter)
    smtp_results.record_refusal(letter, kind, now, merge_fields.display_subject)
    return InboundResult("bounce", "done", kind, letter=letter)


def _save_bounce(letter: Letter, kind: str, report: "Explanation", now: datetime) -> None:
    Bounce.create(
        letter=letter,
        person=letter.person_id,
        at=now,
        kind=kind,
        permanent=bool(report.permanent),
        status=report.status,
        text=report.text[:MAX_TEXT_CHARS],
    )


def _record_delay(letter: Letter, report: "Explanation", now: datetime) -> InboundResult:
    """A server is still trying: record it and change nothing; a final report will follow."""
    _save_bounce(letter, "delayed", report, now)
    return InboundResult("bounce", "done", "delayed", letter=letter)


def _record_delivered(letter: Letter, report: "Explanation", now: datetime) -> InboundResult:
    _mark_accepted(letter, now)
    return InboundResult("bounce", "done", report.kind, letter=letter)


def _mark_accepted(letter: Letter, now: datetime) -> None:
    """Proof of delivery settles a letter whose outcome was unknown."""
    if (
        Letter.update(state=LetterState.ACCEPTED, done_at=now)
        .where(Letter.id == letter.id, Letter.state == LetterState.UNKNOWN)
        .execute()
    ):
        _bump_notice_serial(letter)


def _record_complaint(letter: Letter, report: "Explanation", now: datetime) -> InboundResult:
    """The reader reported our mail as spam: send nothing more, unless the reader asks for it."""
    if not report.is_about_a_reader:
        return _record_nothing(letter, report, now)
    _save_bounce(letter, "complaint", report, now)
    suppression.record_failure(letter, "complaint", now)
    _bump_notice_serial(letter)
    return InboundResult("complaint", "done", "complaint", letter=letter)


def record_auto_reply(letter: Letter, now: datetime) -> InboundResult:
    """An automatic reply (absence, challenge): the letter was delivered; it is not a read confirmation."""
    _mark_accepted(letter, now)
    return InboundResult("automatic", "done", "auto-reply", letter=letter)


def _record_nothing(letter: Letter, report: "Explanation", now: datetime) -> InboundResult:
    return InboundResult("machine", "done", report.kind, letter=letter)


_HANDLERS: "dict[str, Callable[[Letter, Explanation, datetime], InboundResult]]" = {
    "bounce": _record_failure,
    "delayed": _record_delay,
    "success": _record_delivered,
    "mdn": _record_delivered,
    "complaint": _record_complaint,
    "auto-reply": lambda letter, report, now: record_auto_reply(letter, now),
}


def _bump_notice_serial(letter: Letter) -> None:
    if letter.notice_id:
        Notice.update(serial=Notice.serial + 1).where(Notice.id == letter.notice_id).execute()
