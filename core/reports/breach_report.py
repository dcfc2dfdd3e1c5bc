"""The page for a suspected data breach: who received a notice, what was seen of it, and when it was closed.

It also keeps the organizer's answers about the duty to report. Each figure names its kind of evidence: a press is a
person's act, an opened page may be a mail scanner.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from peewee import fn

import clock
from core import audit
from core.csv_cells import write_csv
from core.notices import attachments
from core.reports import notice_list
from database import EPOCH
from i18n import N_
from models import Answer, Attachment, AuditLog, Delivery, Letter, LetterState, Notice, PageView, User

FIRST_REPORT = (timedelta(days=3), timedelta(days=5))
FINAL_REPORT = timedelta(days=30)
FINAL_REPORT_INTENTIONAL = timedelta(days=60)
AUDIT_ACTION = "notice.incident_judged"
ANSWER_LABELS: dict[str, str] = {"yes": N_("Yes"), "no": N_("No"), "unknown": N_("Not known yet")}


@dataclass(frozen=True, slots=True)
class ReportingCase:
    """One of the four reporting cases: the question, its explanation, and a short name."""

    question: str
    hint: str
    short: str


REPORTING_CASES: dict[str, ReportingCase] = {
    "sensitive": ReportingCase(
        N_("Does it hold health, handicap, beliefs, a criminal record or the like (要配慮個人情報), of one person?"),
        N_("Allergies, illnesses, special support, consultations: of one person is enough."),
        N_("Sensitive data"),
    ),
    "money": ReportingCase(
        N_("Can it be misused so that somebody loses money?"),
        N_("Card numbers, or the user name and password of a bank or payment service: of one person is enough."),
        N_("Loss of property"),
    ),
    "purpose": ReportingCase(
        N_("May somebody have done it for a wrongful purpose?"),
        N_("A break-in, a virus, a stolen or taken roster: one person affected is enough."),
        N_("Wrongful purpose"),
    ),
    "many": ReportingCase(
        N_("Is it about more than 1,000 persons?"),
        N_("Not who received the letter, but whose data stands in it or in its files. For public schools: over 100."),
        N_("More than 1,000 persons"),
    ),
}


@dataclass(frozen=True, slots=True)
class BreachAssessment:
    """The answers, with author and time. `known_on`: the day on which the school first knew."""

    said: Mapping[str, str] = field(default_factory=dict)
    known_on: date | None = None
    by: str = ""
    at: datetime | None = None

    @property
    def met(self) -> list[ReportingCase]:
        """Return the cases answered with yes."""
        return [case for name, case in REPORTING_CASES.items() if self.said.get(name) == "yes"]

    @property
    def outcome(self) -> str:
        """Return `must` (a case is met), `open` (an answer is missing), `free` (no case) or "" (no answers)."""
        if not self.said:
            return ""
        if self.met:
            return "must"
        return "free" if all(self.said.get(name) == "no" for name in REPORTING_CASES) else "open"

    def days(self, otherwise: date) -> dict[str, date]:
        """Return the reporting deadlines, counted from the day it was known or from another day."""
        known = self.known_on or otherwise
        final = FINAL_REPORT_INTENTIONAL if self.said.get("purpose") == "yes" else FINAL_REPORT
        return {
            "known": known,
            "first": known + FIRST_REPORT[0],
            "last": known + FIRST_REPORT[1],
            "final": known + final,
        }


def latest_assessment(notice: Notice) -> BreachAssessment:
    mine = (AuditLog.action == AUDIT_ACTION) & (AuditLog.number == notice.id)
    row = AuditLog.select().where(mine).order_by(AuditLog.id.desc()).first()
    if row is None:
        return BreachAssessment()
    said = {name: row.detail[name] for name in REPORTING_CASES if row.detail.get(name) in ANSWER_LABELS}
    known = row.detail.get("known_on")
    return BreachAssessment(
        said, date.fromisoformat(known) if known else None, row.user.name if row.user else "", row.at
    )


def save_assessment(notice: Notice, by: User, said: Mapping[str, str], known_on: date | None) -> None:
    """Save the answers; an unanswered question counts as not yet known."""
    detail = {name: said[name] if said.get(name) in ANSWER_LABELS else "unknown" for name in REPORTING_CASES}
    audit.log_action(
        by, AUDIT_ACTION, notice.id, detail=detail | {"known_on": known_on.isoformat() if known_on else ""}
    )


def parse_known_on(typed: str, now: datetime) -> date | None:
    """Parse the day on which the school knew; None if empty, invalid or in the future."""
    try:
        found = date.fromisoformat(typed.strip())
    except ValueError:
        return None
    return found if found <= clock.to_local(now).date() else None


@dataclass(frozen=True, slots=True)
class RecipientEvidence:
    """What the records show about one reader. None: it did not happen, or is unknown.

    left: when a server accepted the letter; maybe: outcome unknown. page: first visit by a probable person; machine: by a
    mail scanner. files: names and times of opened attachments.
    """

    name: str
    children: str
    state: str
    left: datetime | None
    maybe: bool
    page: datetime | None
    machine: datetime | None
    read: datetime | None
    read_via: str
    files: tuple[tuple[str, datetime], ...]
    answered: datetime | None
    replied: datetime | None
    strange: datetime | None

    @property
    def has(self) -> bool:
        """Say whether this reader has, or may have, the letter."""
        return self.left is not None or self.maybe

    @property
    def seen(self) -> bool:
        """Say whether a person certainly saw the notice: by press, answer, reply or opened attachment."""
        return bool(self.read or self.answered or self.replied or self.strange or self.files)


@dataclass(frozen=True, slots=True)
class BreachReport:
    """One notice as an incident: readers, attachments and measures."""

    notice: Notice
    readers: tuple[RecipientEvidence, ...]
    files: tuple[Attachment, ...]
    log: tuple[AuditLog, ...]
    known_at: datetime

    @property
    def sums(self) -> dict[str, int]:
        """Count readers who received it, certainly saw it, opened the page, opened an attachment, or reported it as misdirected."""
        have = [one for one in self.readers if one.has]
        return {
            "sent": len(have),
            "seen": sum(one.seen for one in have),
            "page": sum(one.page is not None for one in have),
            "files": sum(bool(one.files) for one in have),
            "strange": sum(one.strange is not None for one in self.readers),
            "kept": sum(not one.has for one in self.readers),
        }


def build_report(notice: Notice, now: datetime) -> BreachReport:
    """Gather the evidence about a notice in a fixed number of queries."""
    rows = list(notice_list.deliveries_of_notice(notice))
    numbers = [one.id for one in rows]
    letters, children = notice_list.current_letters(numbers), notice_list.children_by_delivery(numbers)
    visits, machines = _first_visits(notice, automatic=False), _first_visits(notice, automatic=True)
    opened, answers = attachments.views_by_delivery(numbers), _first_answers(notice)
    first = _first_accepted(notice)
    return BreachReport(
        notice,
        tuple(
            RecipientEvidence(
                name=one.name,
                children=children.get(one.id, ""),
                state=_delivery_state(letters.get(one.id), one),
                left=first.get(one.id),
                maybe=_has_state(letters.get(one.id), LetterState.UNKNOWN),
                page=visits.get(one.id),
                machine=machines.get(one.id),
                read=one.read_at,
                read_via=one.read_via,
                files=tuple((row.attachment.name, row.at) for row in opened.get(one.id, ())),
                answered=answers.get(one.id),
                replied=one.replied_at,
                strange=one.misdirected_at,
            )
            for one in rows
        ),
        tuple(attachments.files_of_notice(notice)),
        tuple(notice_list.audit_entries(notice)),
        notice.withdrawn_at or notice.stopped_at or now,
    )


def _delivery_state(letter: Letter | None, delivery: Delivery) -> str:
    return letter.state if letter else delivery.reason


def _has_state(letter: Letter | None, state: str) -> bool:
    return letter is not None and letter.state == state


def _first_accepted(notice: Notice) -> dict[int, datetime]:
    """Return when a server first accepted a letter to each reader."""
    rows = Letter.select(Letter.delivery, Letter.done_at).where(
        Letter.notice == notice,
        Letter.delivery.is_null(False),
        Letter.state.in_((LetterState.ACCEPTED, LetterState.BOUNCED)),
    )
    return dict(rows.order_by(Letter.round.desc()).tuples())


def _first_visits(notice: Notice, *, automatic: bool) -> dict[int, datetime]:
    """Return the first visit of each reader's page, by probable persons or by machines; without tracking images."""
    rows = (
        PageView.select(PageView.delivery, fn.MIN(PageView.at))
        .join(Delivery)
        .where(
            Delivery.notice == notice,
            PageView.automatic == automatic,
            (PageView.page == "r") | PageView.page.startswith("a"),
        )
        .group_by(PageView.delivery)
    )
    return {
        delivery: at if isinstance(at, datetime) else EPOCH + timedelta(milliseconds=at)
        for delivery, at in rows.tuples()
    }


def _first_answers(notice: Notice) -> dict[int, datetime]:
    rows = (
        Answer.select(Answer.delivery, fn.MIN(Answer.at))
        .join(Delivery)
        .where(Delivery.notice == notice, Answer.by.is_null())
        .group_by(Answer.delivery)
    )
    return {
        delivery: at if isinstance(at, datetime) else EPOCH + timedelta(milliseconds=at)
        for delivery, at in rows.tuples()
    }


def misdirected_deliveries(notices: Iterable[int]) -> list[Delivery]:
    """Return the deliveries reported as meant for another family, newest first."""
    said = Delivery.misdirected_at.is_null(False) & Delivery.notice.in_(list(notices))
    return list(
        Delivery.select(Delivery, Notice).join(Notice).where(said).order_by(Delivery.misdirected_at.desc()).limit(50)
    )


def report_as_csv(report: BreachReport, headings: list[str], states: dict[str, str]) -> bytes:
    """Return one CSV row for each reader; times in the school's time zone."""
    lines: list[Iterable[object]] = [headings]
    for one in report.readers:
        files = "、".join(f"{name} {_format_time(at)}" for name, at in one.files)
        line = (
            one.name,
            one.children,
            states.get(one.state, ""),
            _format_time(one.left),
            _format_time(one.page),
            _format_time(one.machine),
            _format_time(one.read),
            _format_time(one.answered),
            _format_time(one.replied),
            _format_time(one.strange),
            files,
        )
        lines.append(line)
    return write_csv(lines)


def _format_time(at: datetime | None) -> str:
    return clock.to_local(at).strftime("%Y-%m-%d %H:%M:%S") if at else ""
