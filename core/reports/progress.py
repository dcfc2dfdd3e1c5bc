"""How far a notice has come: counts by state, names by state, the end in sight (N-17, X-09, X-12)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from peewee import JOIN, Expression, ModelSelect, fn

from core import disk_space, household_reads, visibility
from core.delivery import outage, throttle
from core.delivery.lifecycle import letters_possibly_twice
from core.reports import poll_results, summaries
from core.responses import answers
from core.settings import Settings
from models import PENDING_STATES, AuditLog, Delivery, Letter, LetterState, Notice, NoticeState, Person, count_letters

PROBLEM_STATES = (
    LetterState.REFUSED,
    LetterState.BOUNCED,
    LetterState.UNKNOWN,
    LetterState.EXPIRED,
    LetterState.DEFERRED,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """Letters of a notice by state; `skipped` counts readers without a letter too."""

    counts: dict[str, int]
    total: int
    ends_at: datetime | None
    serial: str
    slow: bool = False
    """A worker waits long for an answer of the mail server."""
    possibly_twice: int = 0
    """Readers whose letter was sent again after an unknown outcome."""

    @property
    def done(self) -> int:
        """Return how many letters have their outcome."""
        return self.total - self.left

    @property
    def left(self) -> int:
        """Return how many letters can still be stopped or are on their way."""
        return sum(self.counts[state] for state in PENDING_STATES)

    @property
    def stoppable(self) -> int:
        """Return how many letters "stop the rest" would keep here."""
        return self.counts[LetterState.WAITING] + self.counts[LetterState.DEFERRED]

    @property
    def sent(self) -> int:
        """Return how many letters went to a mail server and have its answer; who was left out is not among them."""
        return self.counts[LetterState.ACCEPTED] + self.errors

    @property
    def errors(self) -> int:
        """Return how many of them a server refused or sent back."""
        return self.counts[LetterState.REFUSED] + self.counts[LetterState.BOUNCED]

    @property
    def delivery_rate_text(self) -> str:
        """Return (1 - errors / sent) × 100 as E-10 wants it; a dash while nothing was sent. Only no error is 100 %."""
        return f"{1000 * (self.sent - self.errors) // self.sent / 10:.1f} %" if self.sent else "―"

    @property
    def percent(self) -> int:
        return 100 * self.done // self.total if self.total else 100


def notice_progress(
    notice: Notice, settings: Settings, now: datetime, lists: Collection[int] | None = None
) -> Progress:
    """Count the newest letters of a notice and those left out, and estimate the end; `lists` as for `core.visibility`."""
    if notice.purged_at and (found := summaries.summary_of_notice(notice)):
        return _from_summary(found if lists is None else None, notice.serial)
    counts = dict.fromkeys(LetterState, 0) | (
        count_letters(notice.id) if lists is None else _count_by_state(notice, lists)
    )
    letters = sum(counts.values())
    counts[LetterState.SKIPPED] += skipped_deliveries(notice, lists).count()
    going = counts[LetterState.WAITING] + counts[LetterState.SENDING]
    full = disk_space.is_full()
    ends_at = now + _time_left(notice, letters - going, going, settings, now) if going and not full else None
    twice = letters_possibly_twice(notice).where(_visible_letters(lists)).select(fn.COUNT(Letter.delivery.distinct()))
    possibly_twice: int = twice.scalar()
    states = "-".join(str(counts[state]) for state in LetterState)
    serial = f"{states}-{possibly_twice}-{notice.serial}{'-full' * full}"
    slow = notice.state == NoticeState.SENDING and outage.is_server_slow(now)
    return Progress(counts, letters, ends_at, f"{serial}-slow" if slow else serial, slow, possibly_twice)


def _from_summary(found: summaries.NoticeSummary | None, serial: int) -> Progress:
    """Return how far a notice had come whose letters are deleted; its sums are for who may see all of it."""
    counts = dict.fromkeys(LetterState, 0) | (found.counts if found else {})
    return Progress(counts, sum(found.letters.values()) if found else 0, None, f"kept-{serial}")


def _count_by_state(notice: Notice, lists: Collection[int]) -> dict[str, int]:
    return dict(
        Letter.select(Letter.state, fn.COUNT(Letter.id))
        .where(Letter.notice == notice, Letter.is_current == True, _visible_letters(lists))  # noqa: E712
        .group_by(Letter.state)
        .tuples()
    )


def _visible_letters(lists: Collection[int] | None) -> Expression:
    return (
        Letter.delivery.is_null(False) if lists is None else Letter.delivery.in_(visibility.visible_deliveries(lists))
    )


def _time_left(notice: Notice, done: int, going: int, settings: Settings, now: datetime) -> timedelta:
    """Estimate the time for the remaining letters. Uses the pace so far (not in a reminder), else the set rate."""
    if done >= 10 and notice.rounds == 1 and notice.started_at and now > notice.started_at:
        return (now - notice.started_at) / done * going
    return throttle.estimate_duration(going, settings)


def letters_by_name(
    notice: Notice, states: tuple[str, ...], lists: Collection[int] | None = None
) -> "ModelSelect[Letter]":
    """Return letters (with delivery and person) of the given states, by kana."""
    return (
        Letter.select(Letter, Delivery, Person)
        .join(Delivery)
        .switch(Letter)
        .join(Person, JOIN.LEFT_OUTER, on=(Letter.person == Person.id))
        .where(Letter.notice == notice, Letter.is_current == True, Letter.state.in_(states), _visible_letters(lists))
        .order_by(Delivery.kana, Delivery.id)
    )


def deliveries_possibly_twice(notice: Notice, lists: Collection[int] | None = None) -> "ModelSelect[Delivery]":
    """Return the deliveries whose letter may have arrived twice, by kana."""
    letters = letters_possibly_twice(notice).where(_visible_letters(lists))
    return Delivery.select().where(Delivery.id.in_(letters)).order_by(Delivery.kana, Delivery.id)


def skipped_deliveries(notice: Notice, lists: Collection[int] | None = None) -> "ModelSelect[Delivery]":
    """Return the deliveries without a letter, with the reason, by kana."""
    seen = [] if lists is None else [Delivery.id.in_(visibility.visible_deliveries(lists))]
    return (
        Delivery.select(Delivery, Person)
        .join(Person, JOIN.LEFT_OUTER)
        .where(Delivery.notice == notice, Delivery.reason != "", *seen)
        .order_by(Delivery.kana, Delivery.id)
    )


def recipient_changes_at_start(notice: Notice) -> tuple[list[Person], list[Person]]:
    """Return who joined and who was gone between confirming and sending; both are named on the page."""
    row = (
        AuditLog.select()
        .where(AuditLog.action == "notice.started", AuditLog.number == notice.id)
        .order_by(AuditLog.id.desc())
        .first()
    )
    if row is None:
        return [], []
    named = [row.detail.get("joined", []), row.detail.get("gone", [])]
    people = {one.id: one for one in Person.select().where(Person.id.in_(named[0] + named[1]))}
    return tuple([people[number] for number in part if number in people] for part in named)  # type: ignore[return-value]


def notice_document(notice: Notice, settings: Settings, now: datetime, *, deliveries: bool) -> dict:
    """Return the JSON document of `flask notice show`: every key present, zeros included, null when none."""
    progress = notice_progress(notice, settings, now)
    reads = Delivery.select(fn.COUNT(Delivery.id)).where(Delivery.notice == notice, Delivery.read_at.is_null(False))
    stayed = summaries.summary_of_notice(notice)
    document: dict = {
        "number": notice.id,
        "state": notice.state,
        "counts": progress.counts,
        "possibly_twice": progress.possibly_twice,
        "reads": stayed.reads if stayed else reads.scalar(),
        "households": _household_document(notice),
        **poll_results.poll_document(notice),
    }
    if deliveries:
        said = answers.answers_by_delivery(notice)
        twice = {letter.delivery_id for letter in letters_possibly_twice(notice)}
        document["deliveries"] = [
            _delivery_document(row, said.get(row.id, []), row.id in twice) for row in _current_letters(notice)
        ]
    return document


def _household_document(notice: Notice) -> dict[str, int]:
    count = summaries.count_households([notice.id], None).get(notice.id, household_reads.HouseholdCount())
    return {
        "all": count.households,
        "read": count.read,
        "told": count.told,
        "failed": count.failed,
        "unread": count.unread,
    }


def _current_letters(notice: Notice) -> list[Delivery]:
    """Return each delivery once, with its newest letter if it has one."""
    newest = (Letter.delivery == Delivery.id) & (Letter.is_current == True)
    return list(
        Delivery.select(Delivery, Letter, Person.address.alias("address_now"))
        .join(Letter, JOIN.LEFT_OUTER, on=newest, attr="newest_letter")
        .switch(Delivery)
        .join(Person, JOIN.LEFT_OUTER, attr="reader")
        .where(Delivery.notice == notice)
        .order_by(Delivery.id)
    )


def _delivery_document(row: Delivery, said: list[dict], possibly_twice: bool) -> dict:
    letter = getattr(row, "newest_letter", None)
    letter = letter if letter is not None and letter.id else None
    reader = getattr(row, "reader", None)
    return {
        "address": letter.address if letter else getattr(reader, "address_now", None),
        "state": letter.state if letter else LetterState.SKIPPED,
        "code": letter.code if letter else None,
        "reason": (letter.reason if letter else row.reason) or None,
        "possibly_twice": possibly_twice,
        "read_at": row.read_at.isoformat(timespec="seconds") if row.read_at else None,
        "read_via": row.read_via or None,
        "answers": said,
    }
