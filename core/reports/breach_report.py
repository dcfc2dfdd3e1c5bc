"""「漏えいかもしれない時」: who got a notice, who has seen what of it, what was closed when; out of the record.

What the law asks, and the organizer's answers to it: `core.reports.breach_duty`.
Each figure names its kind of evidence: a press is a person's, an opened page may be a machine's.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from io import StringIO

from peewee import fn

import clock
from core.csv_cells import escape_formula
from core.notices import attachments
from core.reports import notice_list
from models import Answer, Attachment, AuditLog, Delivery, Letter, Notice, PageView


@dataclass(frozen=True, slots=True)
class RecipientEvidence:
    """What the record knows of one reader. None: it did not happen, or nobody knows.

    left: when the letter left for the reader's server; maybe: nobody knows whether it did. page: when the page was
    first opened by what looks like a person; machine: by a mail scanner. files: names and moments, by a press.
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
        """Say whether the letter is, or may be, with this reader."""
        return self.left is not None or self.maybe

    @property
    def seen(self) -> bool:
        """Say whether a person surely saw the notice: pressed, answered, wrote back, or opened a file."""
        return bool(self.read or self.answered or self.replied or self.strange or self.files)


@dataclass(frozen=True, slots=True)
class BreachReport:
    """One notice as an incident: its readers, its files, and what was done when."""

    notice: Notice
    readers: tuple[RecipientEvidence, ...]
    files: tuple[Attachment, ...]
    log: tuple[AuditLog, ...]
    known_at: datetime

    @property
    def sums(self) -> dict[str, int]:
        """Return how many got it, surely saw it, opened its page, a file, or said it was not meant for them."""
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
    """Gather everything about one notice. A handful of queries, whatever the number of readers."""
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
                maybe=_has_state(letters.get(one.id), "unknown"),
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
    """Return when the first letter of each reader was taken by a server."""
    rows = Letter.select(Letter.delivery, Letter.done_at).where(
        Letter.notice == notice, Letter.delivery.is_null(False), Letter.state.in_(("accepted", "bounced"))
    )
    return dict(rows.order_by(Letter.round.desc()).tuples())


def _first_visits(notice: Notice, *, automatic: bool) -> dict[int, datetime]:
    """Return when each reader's page was first fetched, by what looks like a person or by a machine; no pictures."""
    first = fn.MIN(PageView.at).alias("first")
    rows = (
        PageView.select(PageView.delivery, first)
        .join(Delivery)
        .where(
            Delivery.notice == notice,
            PageView.automatic == automatic,
            (PageView.page == "r") | PageView.page.startswith("a"),
        )
        .group_by(PageView.delivery)
    )
    return {row.delivery_id: row.first for row in rows}


def _first_answers(notice: Notice) -> dict[int, datetime]:
    rows = (
        Answer.select(Answer.delivery, fn.MIN(Answer.at).alias("first"))
        .join(Delivery)
        .where(Delivery.notice == notice, Answer.by.is_null())
        .group_by(Answer.delivery)
    )
    return {row.delivery_id: row.first for row in rows}


def misdirected_deliveries(notices: Iterable[int]) -> list[Delivery]:
    """Return the readers who said that a letter was meant for another family, newest first."""
    said = Delivery.misdirected_at.is_null(False) & Delivery.notice.in_(list(notices))
    return list(
        Delivery.select(Delivery, Notice).join(Notice).where(said).order_by(Delivery.misdirected_at.desc()).limit(50)
    )


def report_as_csv(report: BreachReport, headings: list[str], states: dict[str, str]) -> bytes:
    """Return one line for each reader, for a spreadsheet; moments in the school's time."""
    out = StringIO(newline="")
    sheet = csv.writer(out)
    sheet.writerow(headings)
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
        sheet.writerow([escape_formula(cell) for cell in line])
    return out.getvalue().encode("utf-8-sig")


def _format_time(at: datetime | None) -> str:
    return clock.to_local(at).strftime("%Y-%m-%d %H:%M:%S") if at else ""
