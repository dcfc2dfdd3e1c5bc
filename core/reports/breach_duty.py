"""Whether a leak must be reported, and by when: the four cases of the law, each a question to the organizer (X-02).

個人情報保護法 26, 規則 7 and 8 (field.md 3.2): a first report within about 3 to 5 days of knowing, the final one within
30 (60 if somebody may have done it on purpose), and word to the persons. Kairan knows who has a letter, but not whose
data stands in it, so people answer; what they said stands in the record, who and when included. No legal advice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import clock
from core import audit
from i18n import N_
from models import AuditLog, Notice, User

FIRST_REPORT = (timedelta(days=3), timedelta(days=5))
FINAL_REPORT = timedelta(days=30)
FINAL_REPORT_INTENTIONAL = timedelta(days=60)
AUDIT_ACTION = "notice.incident_judged"
ANSWER_LABELS: dict[str, str] = {"yes": N_("Yes"), "no": N_("No"), "unknown": N_("Not known yet")}


@dataclass(frozen=True, slots=True)
class ReportingCase:
    """One of the four cases: the question, what belongs to it, and the case in a few words."""

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
    """What was answered, by whom and when; `known_on`: the day on which anybody of the school first knew."""

    said: Mapping[str, str] = field(default_factory=dict)
    known_on: date | None = None
    by: str = ""
    at: datetime | None = None

    @property
    def met(self) -> list[ReportingCase]:
        """Return the cases that were answered with yes."""
        return [case for name, case in REPORTING_CASES.items() if self.said.get(name) == "yes"]

    @property
    def outcome(self) -> str:
        """Return `must` (a case is met), `open` (something is not known), `free` (no case), "" (nobody answered)."""
        if not self.said:
            return ""
        if self.met:
            return "must"
        return "free" if all(self.said.get(name) == "no" for name in REPORTING_CASES) else "open"

    def days(self, otherwise: date) -> dict[str, date]:
        """Return the days of the reports, counted from when it was known (else from another day)."""
        known = self.known_on or otherwise
        final = FINAL_REPORT_INTENTIONAL if self.said.get("purpose") == "yes" else FINAL_REPORT
        return {
            "known": known,
            "first": known + FIRST_REPORT[0],
            "last": known + FIRST_REPORT[1],
            "final": known + final,
        }


def latest_assessment(notice: Notice) -> BreachAssessment:
    """Return what was answered last."""
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
    """Keep the answers; what was not answered is not known yet."""
    detail = {name: said[name] if said.get(name) in ANSWER_LABELS else "unknown" for name in REPORTING_CASES}
    audit.log_action(
        by, AUDIT_ACTION, notice.id, detail=detail | {"known_on": known_on.isoformat() if known_on else ""}
    )


def parse_known_on(typed: str, now: datetime) -> date | None:
    """Read the day on which it was known; None for nothing, one that is no day, or one still to come."""
    try:
        found = date.fromisoformat(typed.strip())
    except ValueError:
        return None
    return found if found <= clock.to_local(now).date() else None
