"""The past weeks of the sample school, lived through the real verbs: written, sent, accepted, read, withdrawn.

Only the outcomes that a mail server and readers would have brought are written by hand, marked as practice.
"""

import json
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from peewee import fn

import clock
import config
from core.delivery import lifecycle, suppression
from core.demo.dates import day_for_weekdays, fill_dates, local_moment
from core.notices import approval, drafts, questions, related_notices, start, workflow
from core.notices.audience import resolve_audience
from core.notices.questions import QuestionDraft
from core.reports import poll_results
from core.responses import answers
from core.responses.answers import SubmittedAnswer
from core.settings import load_settings
from database import bulk_insert, millis
from models import Answer, AuditLog, Delivery, Letter, LetterState, MailingList, Notice, Person, User

NOTICES_FILE = config.PROJECT_DIR / "demo" / "demo_notices.json"
MS_PER_LETTER = 200


@dataclass(slots=True)
class DemoContext:
    """What the verbs of the sample school need: users and lists by name, the present, and lots for the readers."""

    users: dict[str, User]
    lists: dict[str, MailingList]
    now: datetime
    lots: Random

    @property
    def today(self) -> date:
        return clock.to_local(self.now).date()


def load_notices() -> list[dict[str, Any]]:
    """Return the notices of the sample school as they stand in the file."""
    return json.loads(NOTICES_FILE.read_text("utf-8"))


def create_past_notices(past: DemoContext) -> None:
    """Send, withdraw, correct, book and leave in draft what the file says, in the order of time."""
    plans = {
        "sent": _send,
        "withdrawn": _send_and_withdraw,
        "correction": _correct,
        "booked": _schedule,
        "draft": _leave_draft,
    }
    used = [entry for entry in load_notices() if "use" in entry]
    made: dict[str, Notice] = {}
    for entry in sorted(used, key=lambda entry: _written_at(entry, past.today)):
        use = entry["use"]
        before = AuditLog.select().count()
        made[entry["id"]] = plans[use["as"]](entry, past, made)
        _backdate_audit(before, _written_at(entry, past.today), past.now)


def _written_at(entry: dict, today: date) -> datetime:
    """Return the moment at which a notice of the file was, or will be, written."""
    written = entry["written"]
    return local_moment(day_for_weekdays(written["on"], entry["use"]["weeks"], today), written["at"])


def _backdate_audit(before: int, at: datetime, now: datetime) -> None:
    """Put what the verbs logged at the moment at which it is meant to have happened, never later than now."""
    fresh = AuditLog.select(AuditLog.id).order_by(AuditLog.id).offset(before).limit(-1)
    AuditLog.update(at=min(at, now)).where(AuditLog.id.in_(fresh)).execute()


# ── one notice ───────────────────────────────────────────────────────────────────────────────────────────────────


def _create_draft(entry: dict, past: DemoContext, now: datetime) -> Notice:
    """Write a notice of the file as a draft, its dates filled in."""
    use, day = entry["use"], clock.to_local(_written_at(entry, past.today)).date()
    notice = drafts.create_draft(past.users[use["by"]], now=now, urgent=use.get("urgent", False))
    words: dict[str, Any] = {"subject": fill_dates(entry["subject"], day), "text": fill_dates(entry["body"], day)}
    asks = question_drafts(entry, day)
    drafts.save_draft(notice, now=now, read_confirmation=entry["read"], questions=asks, **words)
    if entry["target"]:
        drafts.set_recipients(notice, now=now, lists=[past.lists[entry["target"]].id])
    return notice


def _leave_draft(entry: dict, past: DemoContext, made: dict[str, Notice]) -> Notice:
    at = min(_written_at(entry, past.today), past.now - timedelta(hours=1))
    notice = _create_draft(entry, past, at)
    drafts.save_draft(notice, now=at, wizard_step=3 if entry["target"] == "全校" else 2)
    return notice


def _schedule(entry: dict, past: DemoContext, made: dict[str, Notice]) -> Notice:
    notice = _create_draft(entry, past, past.now)
    _confirm(notice, past, past.now, at=_written_at(entry, past.today))
    return notice


def _send(entry: dict, past: DemoContext, made: dict[str, Notice]) -> Notice:
    at = _written_at(entry, past.today)
    notice = _create_draft(entry, past, at - timedelta(minutes=8))
    _send_and_simulate(notice, entry, past, at)
    return notice


def _send_and_withdraw(entry: dict, past: DemoContext, made: dict[str, Notice]) -> Notice:
    """Send to the wrong class, and withdraw it some minutes later."""
    at = _written_at(entry, past.today) + timedelta(minutes=entry["use"]["after_min"])
    notice = _create_draft(entry, past, at - timedelta(minutes=20))
    _send_and_simulate(notice, entry, past, _written_at(entry, past.today), until=at)
    workflow.withdraw_notice(notice, notice.by, at)
    return notice


def _correct(entry: dict, past: DemoContext, made: dict[str, Notice]) -> Notice:
    """Correct an earlier notice of the file, to the same readers."""
    at = _written_at(entry, past.today)
    wrong = made[entry["use"]["of"]]
    notice = related_notices.create_correction(wrong, past.users[entry["use"]["by"]], at - timedelta(minutes=4))
    drafts.save_draft(notice, now=at, subject=entry["subject"], text=entry["body"], read_confirmation=entry["read"])
    _send_and_simulate(notice, entry, past, at)
    return notice


def _confirm(notice: Notice, past: DemoContext, now: datetime, at: datetime | None = None) -> None:
    audience = resolve_audience(notice)
    typed = str(audience.letters)
    approval.confirm_send(
        notice, by=notice.by, fingerprint=audience.fingerprint, now=now, at=at, typed=typed, hold_s=None if at else 0
    )


def _send_and_simulate(
    notice: Notice, entry: dict, past: DemoContext, at: datetime, until: datetime | None = None
) -> None:
    """Confirm and fill a notice at a moment, and write what server and readers made of it until a moment."""
    _confirm(notice, past, at)
    start.start_or_hold(notice, at, load_settings())
    Notice.update(practice=True).where(Notice.id == notice.id).execute()
    _simulate_acceptance(notice, at)
    if entry["use"].get("troubles"):
        _simulate_failures(notice, at)
    lifecycle.finish_notices(at + timedelta(minutes=3))
    notice.__data__.update(Notice.get_by_id(notice.id).__data__)
    _simulate_reads(notice, entry["use"]["reads"], at, until or past.now, past.lots)
    simulate_answers(notice, past.lots, past.now)
    if entry["use"].get("troubles"):
        _simulate_phone_call(notice, at, past)


# ── what server and readers did ──────────────────────────────────────────────────────────────────────────────────


def _simulate_acceptance(notice: Notice, at: datetime) -> None:
    """Let the server take every letter, some each second."""
    letters = (Letter.notice == notice) & Letter.delivery.is_null(False)
    first = Letter.select(fn.MIN(Letter.id)).where(letters).scalar() or 0
    done_at = millis(at) + 2000 + (Letter.id - first) * MS_PER_LETTER
    Letter.update(
        state=LetterState.ACCEPTED,
        code=250,
        enhanced="2.0.0",
        text="2.0.0 Ok",
        attempts=1,
        handed_over_at=done_at,
        done_at=done_at,
    ).where(letters).execute()


def _simulate_failures(notice: Notice, at: datetime) -> None:
    """Let one address turn out dead, one phone refuse us, and one mailbox stay full until it was too late."""
    told = (
        ("江口", "refused", "unknown_user", 550, "5.1.1", "User unknown"),
        ("藤井", "refused", "filtered", 550, "5.7.1", "Rejected by the receiver's filter"),
        ("前田", "expired", "full", 452, "4.2.2", "Mailbox full"),
    )
    for surname, state, reason, code, enhanced, text in told:
        letter = _letter_to_surname(notice, surname)
        if letter is None:
            continue
        Letter.update(state=state, reason=reason, code=code, enhanced=enhanced, text=f"{enhanced} {text}").where(
            Letter.id == letter.id
        ).execute()
        suppression.record_failure(letter, reason, at + timedelta(minutes=1))


def _letter_to_surname(notice: Notice, surname: str) -> Letter | None:
    return (
        Letter.select()
        .join(Person)
        .where(Letter.notice == notice, Person.name.startswith(f"{surname} "))
        .order_by(Letter.id)
        .first()
    )


def _simulate_reads(notice: Notice, share: float, at: datetime, until: datetime, lots: Random) -> None:
    """Let a share of the readers press the button, most within the hour, nobody in the night."""
    taken = Letter.select(Letter.delivery).where(Letter.notice == notice, Letter.state == LetterState.ACCEPTED)
    readers = []
    for reader in Delivery.select().where(Delivery.id.in_(taken)).order_by(Delivery.id):
        read_at = _next_waking_time(at + timedelta(minutes=_random_delay_min(lots)), lots)
        if lots.random() < share and read_at < until:
            reader.read_at, reader.read_via = read_at, "press"
            readers.append(reader)
    if readers:
        Delivery.bulk_update(readers, [Delivery.read_at, Delivery.read_via], batch_size=500)


def _random_delay_min(lots: Random) -> float:
    """Draw after how many minutes somebody reads: many at once, most within three hours, some the next day."""
    kind = lots.random()
    low, high = (1, 15) if kind < 0.4 else (15, 180) if kind < 0.85 else (180, 1200)
    return low + (high - low) * lots.random() ** 2


def _next_waking_time(moment_of_reading: datetime, lots: Random) -> datetime:
    """Move a moment between 23:00 and 6:00 to the next morning."""
    local = clock.to_local(moment_of_reading)
    if 6 <= local.hour < 23:
        return moment_of_reading
    day = local.date() + timedelta(days=local.hour >= 23)
    return local_moment(day, f"6:{30 + int(lots.random() * 29)}") + timedelta(seconds=int(lots.random() * 59))


def _simulate_phone_call(notice: Notice, at: datetime, past: DemoContext) -> None:
    """Let somebody telephone the first family that has no address."""
    first = (
        Delivery.select()
        .where(Delivery.notice == notice, Delivery.reason == "no_address")
        .order_by(Delivery.kana.desc())
        .first()
    )
    if first is not None:
        phoned_at = min(at + timedelta(minutes=35), past.now)
        Delivery.update(phoned_at=phoned_at, phoned_by=notice.by).where(Delivery.id == first.id).execute()


# ── questions and answers ──

_DEADLINE = re.compile(r"\{\+(\d+)\}(?: (\d{1,2}:\d\d))?|本日(\d{1,2}:\d\d)")
CHOICE_WEIGHTS = (60, 25, 15, 8)


def question_drafts(entry: dict, day: date) -> list[QuestionDraft]:
    """Return the questions of a notice of the file, its dates counted from a day."""
    poll = entry.get("poll")
    if not poll:
        return []
    shared = {
        "kind": poll.get("kind", "own"),
        "unit": poll.get("unit", "household"),
        "deadline": _deadline(poll["deadline"], day),
    }
    choices = tuple(fill_dates(text, day) for text in poll["opts"])
    if days := poll.get("days"):
        heading = fill_dates(poll["q"], day)
        return [QuestionDraft(fill_dates(text, day), choices, heading=heading, **shared) for text in days]
    return [QuestionDraft(fill_dates(poll["q"], day), choices, comment=poll.get("comment", False), **shared)]


def _deadline(text: str, day: date) -> datetime:
    found = _DEADLINE.fullmatch(text)
    if found is None:
        raise ValueError(f"no deadline: {text}")
    if found[3]:
        return local_moment(day, found[3])
    last = day + timedelta(days=int(found[1]))
    return local_moment(last, found[2]) if found[2] else questions.end_of_day(last)


def simulate_answers(notice: Notice, lots: Random, now: datetime) -> None:
    """Let whoever has read the notice have answered it, and a family without an address have telephoned."""
    asked = questions.load_questions(notice)
    if not asked:
        return
    end = min(one.deadline or now for one in asked)
    late = (Delivery.notice == notice) & (Delivery.read_at > end)
    Delivery.update(read_at=None, read_via="").where(late).execute()
    readers = list(Delivery.select().where(Delivery.notice == notice, Delivery.read_at.is_null(False)))
    units = poll_results.answer_units_by_delivery(notice)
    given: dict[tuple[int, str], dict] = {}
    for reader in readers:
        for question in asked:
            choice = lots.choices(question.options, CHOICE_WEIGHTS[: len(question.options)])[0]
            unit = units[reader.id][question.unit]
            row = {"question": question.id, "unit": unit, "delivery": reader.id, "choice": choice.id}
            given.setdefault(
                (question.id, unit), {**row, "at": reader.read_at, "comment": _random_comment(question, lots)}
            )
    bulk_insert(Answer, given.values())
    Delivery.update(read_via="answer").where(Delivery.id.in_([one.id for one in readers])).execute()
    _simulate_phoned_answers(notice, asked, now)


def _random_comment(question: questions.StoredQuestion, lots: Random) -> str:
    said = ("少し遅れて行きます。", "下の子も連れて行きます。", "祖母がうかがいます。")
    return lots.choice(said) if question.comment and lots.random() < 0.15 else ""


def _simulate_phoned_answers(notice: Notice, asked: tuple[questions.StoredQuestion, ...], now: datetime) -> None:
    """Let the first family without an address have telephoned an hour after the notice."""
    first = Delivery.select().where(Delivery.notice == notice, Delivery.reason == "no_address").first()
    if first is None or notice.started_at is None or notice.by is None:
        return
    by: User = notice.by
    at = min(notice.started_at + timedelta(hours=1), now)
    answers.enter_answers(first, {one.id: SubmittedAnswer(one.options[-1].number) for one in asked}, by=by, now=at)
